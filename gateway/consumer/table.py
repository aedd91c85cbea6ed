"""What is served under `/farebox`, row by row."""

from functools import cache
from typing import Any

from starlette.responses import JSONResponse, Response

from gateway.consumer import buying, history, keys, pages, probes, quote, saved, selling, webhook
from gateway.consumer.services import Services
from gateway.openapi import Document, document
from gateway.operations import keys as key_operations
from gateway.operations.accounts import AccountAnswer
from gateway.operations.charges import ChargeAnswer, ChargePage, ChargeQuery
from gateway.operations.checkouts import CheckoutStarted, PurchaseDraft
from gateway.operations.grants import EndingList
from gateway.operations.health import Live, Ready
from gateway.operations.history import EntryPage, EntryQuery, UsageAnswer, UsageQuery
from gateway.operations.packages import PackageList
from gateway.operations.payments import PaymentPage
from gateway.operations.purchases import PurchaseAnswer
from gateway.operations.quotes import REFUSALS, QuoteAnswer, QuoteBody, QuoteQuery
from gateway.operations.saved import (
    CardList,
    CardPage,
    ThresholdDraft,
    Thresholds,
    TopUpAnswer,
    TopUpDraft,
)
from gateway.operations.subscriptions import CancelQuery, Subscription, SubscriptionPage
from gateway.paging import PageQuery
from gateway.routes import Call, Operation

LAG = (
    "Balances and history are read from Postgres, which follows the charges: a call that has "
    "just ended is in them within two seconds. Whether a call may be made is decided elsewhere, "
    "on the balance of that very moment."
)


BUYING = (402, 404, 409, 429, 502)
"""What Stripe, or a state that does not fit, may refuse a purchase with."""

PARAMETERS = {
    "card": "The card's id, like pm_1Nv0FG.",
    "charge": "The charge's id: what a call's answer named as Farebox-Request-Id.",
    "key": "The key's id, like key_7.",
    "problem": "The last part of a problem's `type`.",
    "session": "The checkout session's id.",
    "subscription": "The subscription's id, like sub_1Nv0FG.",
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


TABLE: tuple[Operation, ...] = (
    Operation(
        method="GET", path="/livez", name="livez", summary="This process answers",
        handler=probes.livez, need="nobody", answer=Live,
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
        method="GET", path="/v1/expiring", name="list-expiring", description=LAG,
        summary="What is left of my credits and will end, the first to end first",
        handler=history.expiring, need="key", answer=EndingList,
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
        handler=quote.quote_get, need="key", answer=QuoteAnswer, query=QuoteQuery,
        problems=REFUSALS,
    ),
    Operation(
        method="POST", path="/v1/quote", name="quote-with-body",
        summary="What a call with headers and a body would cost",
        handler=quote.quote_post, need="key", answer=QuoteAnswer, body=QuoteBody,
        problems=REFUSALS,
    ),
    Operation(
        method="GET", path="/v1/packages", name="list-packages", summary="What is for sale",
        handler=selling.packages, need="nobody", answer=PackageList,
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
        method="PUT", path="/v1/keys/{key}/name", name="rename-key", summary="Call a key otherwise",
        handler=keys.rename, need="manage", answer=key_operations.KeyChanged,
        body=key_operations.KeyName, problems=(404,),
    ),
    Operation(
        method="PUT", path="/v1/keys/{key}/caps", name="cap-key",
        summary="The most a key may spend in a day, a month or for ever",
        handler=keys.put_caps, need="manage", answer=key_operations.KeyChanged,
        body=key_operations.CapsDraft, problems=(404, 409),
    ),
    Operation(
        method="DELETE", path="/v1/keys/{key}", name="revoke-key",
        summary="Refuse a key from its next call on",
        handler=keys.revoke, need="manage", answer=key_operations.KeyChanged, problems=(404,),
    ),
    Operation(
        method="POST", path="/v1/checkout", name="checkout", summary="Buy a package",
        handler=selling.buy, need="manage", answer=CheckoutStarted, status=201,
        body=PurchaseDraft, problems=BUYING,
    ),
    Operation(
        method="GET", path="/v1/checkout/{session}", name="show-checkout",
        summary="What became of a purchase", handler=selling.show, need="manage",
        answer=PurchaseAnswer, problems=(404, 409, 502),
    ),
    Operation(
        method="GET", path="/v1/payments", name="list-payments",
        summary="What I paid, newest first, with receipts and invoices",
        handler=selling.list_payments, need="manage", answer=PaymentPage, query=PageQuery,
    ),
    Operation(
        method="GET", path="/v1/subscriptions", name="list-subscriptions",
        summary="My subscriptions, newest first", handler=selling.list_subscriptions,
        need="manage", answer=SubscriptionPage, query=PageQuery,
    ),
    Operation(
        method="DELETE", path="/v1/subscriptions/{subscription}", name="cancel-subscription",
        summary="End a subscription; credits already given stay until they expire",
        handler=selling.cancel, need="manage", answer=Subscription, query=CancelQuery,
        problems=(404, 409, 502),
    ),
    Operation(
        method="POST", path="/v1/portal", name="portal",
        summary="A page of Stripe's for cards, subscriptions and invoices",
        handler=selling.open_portal, need="manage", answer=selling.PortalOpened, status=201,
        problems=(404, 409, 502),
    ),
    Operation(
        method="GET", path="/v1/cards", name="list-cards", summary="My saved cards",
        handler=saved.list_cards, need="manage", answer=CardList, problems=(502,),
    ),
    Operation(
        method="POST", path="/v1/cards", name="save-card",
        summary="A page of Stripe's that saves a card; no money moves",
        handler=saved.save_card, need="manage", answer=CardPage, status=201,
        problems=(409, 429, 502),
    ),
    Operation(
        method="DELETE", path="/v1/cards/{card}", name="remove-card",
        summary="Remove a card; it ends the top-up that charges it",
        handler=saved.remove_card, need="manage", answer=CardList, problems=(404, 502),
    ),
    Operation(
        method="GET", path="/v1/top-up", name="show-top-up", summary="My automatic top-up",
        handler=saved.show_top_up, need="manage", answer=TopUpAnswer,
    ),
    Operation(
        method="PUT", path="/v1/top-up", name="set-top-up",
        summary="Have a saved card charged when the balance is low, within limits",
        handler=saved.set_top_up, need="manage", answer=TopUpAnswer,
        body=TopUpDraft, problems=(404, 409, 502),
    ),
    Operation(
        method="DELETE", path="/v1/top-up", name="end-top-up", summary="End automatic top-up",
        handler=saved.end_top_up, need="manage", answer=TopUpAnswer,
    ),
    Operation(
        method="GET", path="/v1/notices", name="show-thresholds",
        summary="From which balance on I am told", handler=saved.show_thresholds, need="manage",
        answer=Thresholds,
    ),
    Operation(
        method="PUT", path="/v1/notices", name="set-thresholds",
        summary="Say from which balance on I want to be told", handler=saved.set_thresholds,
        need="manage", answer=Thresholds, body=ThresholdDraft, problems=(404,),
    ),
    Operation(
        method="GET", path="/buy", name="buy", summary="What the link of a refusal can buy",
        handler=buying.offers, need="nobody", answer=PackageList, query=buying.Link, page=True,
        problems=(403,),
    ),
    Operation(
        method="POST", path="/buy", name="buy-with-link", summary="Buy with the link of a refusal",
        handler=buying.buy, need="nobody", answer=CheckoutStarted, status=201,
        body=buying.LinkPurchase, text_body=buying.FORM, page=True, leads_on=True,
        problems=(403, *BUYING),
    ),
    Operation(
        method="GET", path="/bought", name="bought",
        summary="Where Stripe leads back to: what became of the purchase",
        handler=buying.bought, need="nobody", answer=PurchaseAnswer, query=buying.ComeBack,
        page=True, problems=(404, 409, 429, 502),
    ),
    Operation(
        method="GET", path="/cards", name="card-saved", query=buying.CardComeBack,
        summary="Where Stripe leads back to from saving a card, for people",
        handler=buying.card_saved, need="nobody", answer="text/html",
    ),
    Operation(
        method="POST", path="/stripe/webhook", name="stripe-webhook",
        summary="Where Stripe delivers; the signature of the body is the proof",
        handler=webhook.deliver, need="nobody", answer=webhook.Received, text_body=webhook.MEDIA,
    ),
    Operation(
        method="GET", path="/sign-in", name="sign-in", query=pages.SignInQuery,
        summary="Use a sign-in link: sets the session cookie and leads on; or ask for a key",
        handler=pages.sign_in, need="nobody", answer="text/html", leads_on=True, problems=(403,),
    ),
    Operation(
        method="POST", path="/sign-out", name="sign-out", status=303, summary="End the session",
        handler=pages.sign_out, need="nobody", answer=None, page=True, leads_on=True,
        problems=(400, 403, 413, 415),
    ),
    Operation(
        method="GET", path="/", name="page", summary="Balance and charges, for people",
        handler=pages.home, need="nobody", answer="text/html", problems=(401,),
    ),
)  # fmt: skip
"""Paths lie below the price list's prefix."""
