"""
A page that asks for what a change needs, and makes it: most of what an admin does is one of these.

An `Action` is a row: where it lies, what it asks for, what it does. The form is shown again with
what is wrong beside each field, until it is done and leads on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from starlette.responses import Response

from gateway.pages import forms
from gateway.pages.admin.asking import AdminAsked
from gateway.pages.site import REFUSALS, Page
from gateway.routes import problem_of

Kind = Literal["text", "lines", "choice", "box", "number", "email", "date", "hidden"]

Read = TypeVar("Read", bound=forms.Fields)


@dataclass(frozen=True, slots=True)
class Input:
    """
    One field.

    Attributes:
        options: Of a choice, and of boxes: (value, words).
        more: Further attributes of its element.

    """

    name: str
    label: str
    hint: str = ""
    kind: Kind = "text"
    required: bool = False
    options: Sequence[tuple[str, str]] = ()
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asks:
    """
    What a form page shows.

    Attributes:
        lead: What will happen, in a sentence or two.
        points: The same, one by one, where it is a list.
        values: What the fields begin with.
        back: Where it can be left to.

    """

    title: str
    button: str
    inputs: Sequence[Input]
    back: str
    lead: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    danger: bool = False
    points: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[Read]):
    """
    One change.

    Attributes:
        name: Which entry of the navigation it belongs to.
        model: What the form is read by.
        asks: Makes the form, of what is there now.
        do: Makes the change, and answers with where it leads on.

    """

    path: str
    name: str
    model: type[Read]
    asks: Callable[[AdminAsked], Awaitable[Asks]]
    do: Callable[[AdminAsked, Read], Awaitable[Response]]

    def page(self) -> Page:
        """Return it as a row of the table."""
        return Page(path=self.path, name=self.name, show=self._show, act=self._act)

    async def _show(self, asked: AdminAsked) -> Response:
        asks = await self.asks(asked)
        return asked.shows("admin/form.html", asks=asks, form=forms.begin(**asks.values))

    async def _act(self, asked: AdminAsked) -> Response:
        form = forms.fill(self.model, asked.form)
        status = 422
        if form.read is not None:
            try:
                return await self.do(asked, form.read)
            except REFUSALS as refused:
                form = form.refused(refused)
                status = problem_of(refused).status
        asks = await self.asks(asked)
        return asked.shows("admin/form.html", status=status, asks=asks, form=form)


def act(path: str, name: str, do: Callable[[AdminAsked], Awaitable[Response]]) -> Page:
    """Return the row of a change that needs nothing but a button."""

    async def acted(asked: AdminAsked) -> Response:
        return await do(asked)

    return Page(path=path, name=name, act=acted)


def secret_shown(asked: AdminAsked, title: str, sentence: str, secret: str, back: str) -> Response:
    """Show a secret, this once: nothing leads back to this page."""
    shown: dict[str, Any] = {"title": title, "sentence": sentence, "secret": secret, "back": back}
    return asked.shows("admin/secret.html", **shown)
