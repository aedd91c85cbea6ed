"""What is served under `/farebox`, row by row."""

from functools import cache
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.consumer import history, keys, pages, probes, quote, selling
from gateway.consumer.services import Services
from gateway.models import GivenBody
from gateway.openapi import Document, document
from gateway.operations import keys as key_operations
from gateway.operations.accounts import AccountAnswer
from gateway.operations.charges import ChargeAnswer, ChargePage, ChargeQuery
from gateway.operations.health import Ready
from gateway.operations.history import EntryPage, EntryQuery, UsageAnswer, UsageQuery
from gateway.routes import Call, Operation

LAG = (
    "Balances and history are read from Postgres, which follows the charges: a call that has "
    "just ended is in them within two seconds. Whether a call may be made is decided elsewhere, "
    "on the balance of that very moment."
)


PARAMETERS = {
    "charge": "The charge's id: what a call's answer named as Farebox-Request-Id.",
    "key": "The key's id, like key_7.",
    "problem": "The last part of a problem's `type`.",
    "session": "The checkout session's id.",
}

KEY_WAYS: list[dict[str, list[str]]] = [{"bearer": []}, {"api-key": []}]


async def openapi(call: Call[Services, None, Any, None]) -> Response:
    """Return the document of all that is served here."""
    return JSONResponse(described(call.services.prefix))


@cache
def described(prefix: str) -> dict[str, Any]:
    """Make the document, once per prefix: it takes some tens of milliseconds."""
    return document(
        TABLE,
        title="Farebox, for API consumers",
        server=prefix,
        security={"nobody": [], "key": KEY_WAYS, "manage": KEY_WAYS},
        schemes={
            "bearer": {"type": "http", "scheme": "bearer", "description": "A key, fbx_..."},
            "api-key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        },
        parameters=PARAMETERS,
    )


class Purchase(GivenBody):
    """What to buy."""

    package: str
    quantity: int = 1


TABLE: tuple[Operation, ...] = (
    Operation(
        method="GET", path="/livez", name="livez", summary="This process answers",
        handler=probes.livez, need="nobody", answer=probes.Live,
    ),
    Operation(
        method="GET", path="/readyz", name="readyz", summary="Requests can be charged",
        handler=probes.readyz, need="nobody", answer=Ready,
    ),
    Operation(
        method="GET", path="/openapi.json", name="openapi", summary="This document",
        handler=openapi, need="nobody", answer=Document,
    ),
    Operation(
        method="GET", path="/problems/{problem}", name="problem", problems=(404,),
        summary="What the type of a problem means",
        handler=probes.problem, need="nobody", answer=probes.ProblemType,
    ),
    Operation(
        method="GET", path="/v1/account", name="account", description=LAG,
        summary="Who I am and what I have", handler=history.account, need="key",
        answer=AccountAnswer,
    ),
    Operation(
        method="GET", path="/v1/charges", name="list-charges", description=LAG,
        summary="What my calls cost, newest first", handler=history.list_charges, need="key",
        answer=ChargePage, query=ChargeQuery,
    ),
    Operation(
        method="GET", path="/v1/charges/{charge}", name="show-charge", description=LAG,
        summary="One charge, explained", handler=history.show_charge, need="key",
        answer=ChargeAnswer, problems=(404,),
    ),
    Operation(
        method="GET", path="/v1/entries", name="list-entries", description=LAG,
        summary="All that moved my balance, newest first", handler=history.entries, need="key",
        answer=EntryPage, query=EntryQuery,
    ),
    Operation(
        method="GET", path="/v1/usage", name="usage", description=LAG,
        summary="What I used, in total and by route and day", handler=history.usage, need="key",
        answer=UsageAnswer, query=UsageQuery,
    ),
    Operation(
        method="GET", path="/v1/quote", name="quote", summary="What a call would cost",
        handler=quote.quote_get, need="key", answer=quote.QuoteAnswer, query=quote.QuoteQuery,
        problems=quote.REFUSALS,
    ),
    Operation(
        method="POST", path="/v1/quote", name="quote-with-body",
        summary="What a call with headers and a body would cost",
        handler=quote.quote_post, need="key", answer=quote.QuoteAnswer, body=quote.QuoteBody,
        problems=quote.REFUSALS,
    ),
    Operation(
        method="GET", path="/v1/packages", name="list-packages", summary="What is for sale",
        handler=selling.packages, need="nobody", answer=selling.PackageList,
    ),
    Operation(
        method="GET", path="/v1/keys", name="list-keys", summary="My API keys",
        handler=keys.listed, need="manage", answer=key_operations.KeyList,
    ),
    Operation(
        method="POST", path="/v1/keys", name="create-key", summary="Make a key, shown once",
        handler=keys.create, need="manage", answer=key_operations.KeyMade, status=201,
        body=key_operations.KeyDraft, problems=(409,),
    ),
    Operation(
        method="POST", path="/v1/keys/{key}/rotate", name="rotate-key",
        summary="Replace a key; the old one works for the overlap",
        handler=keys.rotate, need="manage", answer=key_operations.KeyMade, status=201,
        body=key_operations.Rotation, problems=(404, 409),
    ),
    Operation(
        method="DELETE", path="/v1/keys/{key}", name="revoke-key",
        summary="Refuse a key from its next call on",
        handler=keys.revoke, need="manage", answer=key_operations.KeyChanged, problems=(404,),
    ),
    Operation(
        method="POST", path="/v1/checkout", name="checkout", summary="Buy a package",
        handler=selling.not_configured, need="manage", answer=selling.Sold, body=Purchase,
    ),
    Operation(
        method="GET", path="/v1/checkout/{session}", name="show-checkout",
        summary="What became of a purchase",
        handler=selling.not_configured, need="manage", answer=selling.Sold,
    ),
    Operation(
        method="GET", path="/v1/subscriptions", name="list-subscriptions",
        summary="My subscriptions", handler=selling.not_configured, need="manage",
        answer=selling.Sold,
    ),
    Operation(
        method="POST", path="/v1/portal", name="portal", summary="Manage payment methods",
        handler=selling.not_configured, need="manage", answer=selling.Sold,
    ),
    Operation(
        method="GET", path="/buy", name="buy", summary="Buy with the link of a refusal",
        handler=selling.not_configured, need="nobody", answer=selling.Sold, query=selling.Link,
    ),
    Operation(
        method="GET", path="/sign-in", name="sign-in", status=303, query=pages.SignInQuery,
        summary="Use a sign-in link: sets the session cookie and leads to the page",
        handler=pages.sign_in, need="nobody", answer=None, problems=(403,),
    ),
    Operation(
        method="POST", path="/sign-out", name="sign-out", status=303, summary="End the session",
        handler=pages.sign_out, need="nobody", answer=None,
    ),
    Operation(
        method="GET", path="/", name="page", summary="Balance and charges, for people",
        handler=pages.home, need="nobody", answer="text/html", problems=(401,),
    ),
)  # fmt: skip
"""Paths lie below the price list's prefix."""
