"""What would change with another price file, in words."""

from typing import Annotated, Literal

from pydantic import Field

from config import Difference, PriceFileError, differences
from gateway.models import Answer
from gateway.operations.desk import Desk
from gateway.problems import Problem
from ledger import price_versions
from ledger.errors import NotFound


class PriceChange(Answer):
    """One change."""

    group: Annotated[str, Field(description="`routes`, `packages`, `upstreams`, ..., `file`.")]
    what: Literal["added", "removed", "moved", "changed"]
    name: Annotated[str, Field(description="Of the route, package, ..., as the newer file has it.")]
    key: Annotated[str, Field(description="What of it; empty where it is the whole.")]
    before: str
    after: str
    sentence: str


class PriceChanges(Answer):
    """All that changes, in groups; the same two files always give the same list."""

    same: bool
    changes: list[PriceChange]


def compared(old: str, new: str) -> PriceChanges:
    """
    Compare two texts.

    Raises:
        PriceFileError: One of them is not a price file.

    """
    found = differences(old, new)
    return PriceChanges(same=not found, changes=[_shown(one) for one in found])


async def against_live(desk: Desk, new: str) -> PriceChanges:
    """
    Compare a text with the prices in force.

    Raises:
        Problem: `invalid-input`: it is not a price file.

    """
    old = await live_text(desk)
    try:
        return compared(old, new)
    except PriceFileError as error:
        raise not_a_price_file(error) from None


async def live_text(desk: Desk) -> str:
    """Return the text in force, as it was written."""
    async with desk.ledger.database.connection() as connection:
        current = await price_versions.current(connection)
        if current is None:
            raise NotFound("there is no price version yet: farebox serve publishes the first")
        return await price_versions.text_of(connection, current.version)


def not_a_price_file(error: PriceFileError) -> Problem:
    """Return the 422 that names each wrong place."""
    errors = [
        {"field": f"line {one.line}, column {one.column}", "message": _said(one.message, one.hint)}
        for one in error.problems
    ]
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"The price file is wrong: {first['field']}: {first['message']}{more}"
    return Problem("invalid-input", detail, errors=errors)


def _said(message: str, hint: str | None) -> str:
    return f"{message} {hint}".strip() if hint else message


def _shown(one: Difference) -> PriceChange:
    return PriceChange(
        group=one.group,
        what=one.what,
        name=one.name,
        key=one.key,
        before=one.before,
        after=one.after,
        sentence=one.sentence,
    )
