"""The pages that are described in `openapi.json` too; all others are rows of their own table."""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.models import Given
from gateway.pages.consumer.table import HOME, SIGN_IN, SIGN_OUT
from gateway.routes import Call


class SignInQuery(Given):
    """The link's token; without one there is a form for a key."""

    token: Annotated[str | None, Field(min_length=1, max_length=200)] = None


async def sign_in(call: Call[Services, None, SignInQuery, None]) -> Response:
    """Trade a link for a session, or ask for a key."""
    return await call.services.site.answering(SIGN_IN)(call.request)


async def sign_out(call: Call[Services, None, Any, None]) -> Response:
    """End the session."""
    return await call.services.site.answering(SIGN_OUT)(call.request)


async def home(call: Call[Services, None, Any, None]) -> Response:
    """Show who is signed in what they have; strangers learn how to get in."""
    return await call.services.site.answering(HOME)(call.request)
