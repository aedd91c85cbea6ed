"""What the admin's pages have in common: the desk they act at, their queries, their addresses."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, Field, ValidationError

from gateway.admin.services import Services
from gateway.operations import system
from gateway.operations.credit_types import typed_amount
from gateway.operations.desk import Desk
from gateway.pages import forms
from gateway.pages.admin.visitor import AdminVisitor
from gateway.pages.site import Asked
from gateway.reading import field_errors, invalid
from ledger.credit_types import CreditTypeRow
from ledger.errors import InvalidInput, NotFound

AdminAsked = Asked[Services, AdminVisitor]

ROWS = 50
"""On a page of a list."""

FEW = 10
"""In a list that is a part of a page; a link leads to the rest."""

MOST_CHARACTERS = 400
MOST_DIGITS = 9
Word = Annotated[str | None, Field(max_length=MOST_CHARACTERS)]


class Paged(forms.Fields):
    """A list's query: where the page begins."""

    cursor: Word = None
    done: Word = None


Query = TypeVar("Query", bound=Paged)
Model = TypeVar("Model", bound=BaseModel)


def desk(asked: AdminAsked) -> Desk:
    """Return the desk at which this admin acts."""
    return asked.services.desk(asked.who.name)


def given(model: type[Model], **values: Any) -> Model:
    """
    Return what an operation is given; None is left out.

    Raises:
        Problem: `invalid-input`, with each wrong field.

    """
    said = {name: value for name, value in values.items() if value is not None}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


def query(asked: AdminAsked, model: type[Query]) -> Query:
    """
    Return a list's query.

    Raises:
        Problem: `invalid-input`.

    """
    form = forms.ask(model, asked.request)
    if form.read is None:
        raise invalid(form.errors.items())
    return form.read


def filters(asked: AdminAsked) -> forms.Form[Any]:
    """Return what a list is filtered by, as its form shows it."""
    return forms.begin(**dict(asked.request.query_params))


def paging(asked: AdminAsked, next_cursor: str | None) -> dict[str, str | None]:
    """Return the addresses of the first and the following page of a list."""
    kept = [
        (name, value)
        for name, value in asked.request.query_params.multi_items()
        if name not in ("cursor", "done") and value
    ]
    here = asked.request.url.path
    paged = asked.request.query_params.get("cursor")
    return {
        "first": address(here, kept) if paged else None,
        "next": address(here, [*kept, ("cursor", next_cursor)]) if next_cursor else None,
    }


def address(path: str, pairs: list[tuple[str, str]] | Mapping[str, str]) -> str:
    """Return a path with a query."""
    return f"{path}?{urlencode(pairs)}" if pairs else path


async def types_of(asked: AdminAsked) -> list[CreditTypeRow]:
    """Return every credit type."""
    return await system.types_of(desk(asked))


def numbered(asked: AdminAsked, name: str) -> int:
    """
    Return the number that an address names.

    Raises:
        NotFound: It names none, so nothing has it.

    """
    text = asked.path[name]
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise NotFound(f"there is no {name} of that number")
    return int(text)


def signed(text: str, credit_type: CreditTypeRow) -> int:
    """
    Read decimal text that may begin with a sign as smallest units.

    Raises:
        InvalidInput: It is none, or 0.

    """
    found = re.fullmatch(r"([+\-\u2212]?)\s*(.*)", text.strip())
    assert found is not None
    amount = typed_amount(found[2], credit_type)
    if amount == 0:
        raise InvalidInput("amount", "must not be 0")
    return -amount if found[1] in ("-", "\u2212") else amount
