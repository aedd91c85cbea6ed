"""Signing in, with a `manage` key or a link that works once, and out."""

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor, forget, keep
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked, local_path
from gateway.problems import Problem
from ledger import admins

MAX_KEY_CHARACTERS = 200
Stranger = Asked[Services, Visitor | None]


class KeyForm(Fields):
    """The way in with a key."""

    key: Annotated[str, Field(max_length=MAX_KEY_CHARACTERS)]
    next: Annotated[str, Field(max_length=2_000)] = ""


class LinkQuery(Fields):
    """What stands in the address of a sign-in link."""

    token: Annotated[str, Field(max_length=200)] = ""


async def way_in(asked: Stranger) -> Response:
    """Show the form in place of the page that was asked for, and go on with that page."""
    base = asked.site.rendering.base()
    wanted = asked.request.url.path
    form = forms.begin(next="" if wanted.endswith("/sign-in") else wanted)
    return _form(asked, form, status=401 if wanted.removeprefix(base) != "/sign-in" else 200)


async def sign_in(asked: Stranger) -> Response:
    """Use a link, or show the form; a token leaves the address bar with the redirect."""
    token = forms.ask(LinkQuery, asked.request).value("token")
    if not token:
        return asked.onward("/") if asked.who else await way_in(asked)
    services = asked.services
    async with services.ledger.database.connection() as connection:
        traded = await admins.use_link(connection, token, random_bytes=services.random_bytes)
    if traded is None:
        raise Problem(
            "link-invalid",
            "The link was used or is older than ten minutes. Sign in with an API key of scope "
            "manage, or ask whoever runs this API for a new link.",
        )
    response = asked.onward("/")
    keep(services, asked.request, response, traded[1])
    return response


async def sign_in_with_key(asked: Stranger) -> Response:
    """Begin a session with a key; the gate counts bad ones, here and in the API together."""
    form, services = forms.fill(KeyForm, asked.form), asked.services
    if form.read is None:
        return _form(asked, form, status=422)
    try:
        caller = await services.gate.find(asked.request, form.read.key.encode())
        if not caller.manages:
            raise Problem(
                "scope-missing", "This key may only make calls. Pages need one with scope manage."
            )
    except Problem as refused:
        told = Form[KeyForm](form.values, {"key": refused.detail})
        return _form(asked, told, status=refused.status)
    async with services.ledger.database.connection() as connection:
        token = await admins.new_key_session(
            connection, caller.account, caller.key, random_bytes=services.random_bytes
        )
    response = asked.onward(local_path(form.read.next, asked.site.rendering.base()))
    keep(services, asked.request, response, token)
    return response


async def sign_out(asked: Stranger) -> Response:
    """End the session."""
    services = asked.services
    if asked.who is not None:
        async with services.ledger.database.connection() as connection:
            await admins.end_session(connection, asked.who.token)
    response = asked.onward("/sign-in")
    forget(services, response)
    return response


def _form(asked: Stranger, form: Form[KeyForm], *, status: int) -> Response:
    return asked.shows("consumer/sign_in.html", status=status, form=form)
