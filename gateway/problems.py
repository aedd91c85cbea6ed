"""
Every error this gateway answers with, as RFC 9457 problem details, in one place.

An error becomes HTTP here and nowhere else. Each body says `charged: 0`, because
what we refuse or fail at is never charged, and names the request as `instance`.

* Problem  raised anywhere in the gateway, or made from another part's error:
  - ledger errors    402, 401, 403, 429, 503: nothing changed, or a void is on its way
  - billing errors   400, 402, 404, 409, 422, 502, 503: nothing was bought
  - upstream errors  502, 504: the hold is voided
  - price errors     4xx: nothing was held
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import config
from billing import errors as billing
from gateway import upstream
from ledger import errors as ledger

JSON_TYPE = b"application/problem+json"

# Name, then status and title. The name is the last part of `type` and never changes its meaning.
CATALOGUE: Mapping[str, tuple[int, str]] = {
    "bad-path": (400, "The path is ambiguous or malformed"),
    "bad-request": (400, "The request cannot be understood"),
    "two-keys": (400, "More than one Farebox key in one request"),
    "method-override": (400, "The method cannot be overridden here"),
    "upgrade-refused": (400, "This route does not upgrade connections"),
    "key-missing": (401, "An API key is needed"),
    "key-invalid": (401, "The API key is not valid"),
    "webhook-signature": (400, "The webhook's signature is not valid"),
    "webhook-payload": (400, "The webhook's payload cannot be read"),
    "insufficient-credits": (402, "Not enough credits"),
    "card-declined": (402, "The card was declined"),
    "account-frozen": (403, "The account is frozen"),
    "scope-missing": (403, "The API key may not do this"),
    "key-cap": (403, "The API key may spend no more"),
    "link-invalid": (403, "The link is not valid or has run out"),
    "no-route": (404, "Nothing is served under this path"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "conflict": (409, "The request conflicts with what is stored"),
    "not-refundable": (409, "So much cannot be given back"),
    "purchase-in-question": (409, "A person has to look at this purchase"),
    "body-too-large": (413, "The request body is too large"),
    "invalid-input": (422, "The input is not valid"),
    "not-for-sale": (422, "The package is not for sale"),
    "price-too-high": (422, "The request costs more than may be in flight"),
    "upgrade-required": (426, "A WebSocket handshake is needed"),
    "rate-limited": (429, "Too many requests"),
    "internal-error": (500, "The gateway failed"),
    "websocket-not-available": (501, "WebSockets are not available"),
    "upstream-refused": (502, "The upstream could not be reached"),
    "upstream-reset": (502, "The upstream closed the connection"),
    "upstream-cut": (502, "The upstream stopped in the middle of its answer"),
    "upstream-invalid": (502, "The upstream's answer is not valid HTTP"),
    "stripe-refused": (502, "The payment provider refused"),
    "upstream-busy": (503, "Too many requests are waiting for the upstream"),
    "ledger-busy": (503, "Too much credit is in flight"),
    "ledger-unavailable": (503, "Credits cannot be kept safe at the moment"),
    "selling-not-configured": (503, "Nothing is for sale here yet"),
    "stripe-unavailable": (503, "The payment provider does not answer"),
    "upstream-timeout": (504, "The upstream did not answer in time"),
}
OTHERS: Mapping[str, tuple[int, str]] = {
    # The framing, before there is a request:
    "ambiguous-header": (400, "A header can be understood in more than one way"),
    "bad-chunk": (400, "The chunked body is malformed"),
    "bad-host": (400, "The Host header is missing, repeated or malformed"),
    "bad-length": (400, "The length of the body is ambiguous or malformed"),
    "request-timeout": (408, "The request did not arrive in time"),
    "uri-too-long": (414, "The request target is too long"),
    "too-many-connections": (429, "Too many connections from one address"),
    "expectation-failed": (417, "The expectation cannot be met"),
    "headers-too-large": (431, "The request's headers are too large"),
    "method-unknown": (501, "The method is not known"),
    "server-full": (503, "The gateway has no room for another connection"),
    "version-unknown": (505, "The HTTP version is not spoken here"),
    # The price:
    "ambiguous-query": (400, "The query can be understood in more than one way"),
    "invalid-query": (400, "The query is malformed"),
    "length-required": (411, "The price needs a Content-Length"),
    "unsupported-content-encoding": (415, "The price needs a body without content coding"),
    "unsupported-content-type": (415, "The price needs a JSON body"),
    "ambiguous-body": (422, "The body can be understood in more than one way"),
    "invalid-body": (422, "The body is not what the price needs"),
    "price-overflow": (422, "The price is larger than any balance can be"),
    "price-value-invalid": (422, "A value the price depends on is not a whole number"),
    "price-value-missing": (422, "A value the price depends on is missing"),
    # The control routes:
    "admin-token-invalid": (401, "An admin's token is needed"),
    "admin-exists": (409, "There is an admin of that name"),
    "already-refunded": (409, "More was to be refunded than was captured"),
    "expected-missing": (428, "The expected version must be named"),
    "external-id-used": (409, "Another account has that external id"),
    "form-invalid": (403, "The form was not taken"),
    "facts-unresolved": (409, "Nobody has decided about facts of the account yet"),
    "file-changed": (409, "The price file has changes of its own"),
    "file-not-written": (409, "The price file could not be written"),
    "jobs-busy": (409, "As much long work runs as may at once"),
    "key-expired": (409, "The key has expired"),
    "key-revoked": (409, "The key is revoked"),
    "no-problems": (409, "There is nothing to check"),
    "not-captured": (409, "The charge took nothing"),
    "not-quarantined": (409, "The account is not in quarantine"),
    "not-waiting": (409, "The grant is not waiting"),
    "prices-changed": (412, "Other prices are in force than were expected"),
    "prices-in-files": (409, "Prices live in files that cannot be written from here"),
    "prices-moved": (409, "Prices live elsewhere now"),
    "quarantined": (409, "The account is in quarantine"),
    "rebuild-first": (409, "Redis has to be rebuilt first"),
    "reference-used": (409, "The reference belongs to something else"),
    "root-stays": (409, "The admin named root cannot be revoked here"),
    "scale-changed": (409, "A credit type keeps its scale"),
    "source-used": (409, "The source belongs to something else"),
    "token-used": (409, "Another admin has that token"),
    "too-many-credit-types": (409, "There are as many credit types as there can be"),
    "too-many-keys": (409, "The account has as many keys as it may"),
    "too-much": (409, "The balance would be larger than it can be"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "not-ready": (503, "Requests cannot be charged at the moment"),
}
"""What is said in few places; their own code gives the sentence."""

BUSY_RETRY_S = 1  # a full window is emptied by the next posting, well within a second
STRIPE_RETRY_S = 5  # it was asked three times already


def meaning_of(name: str) -> tuple[int, str] | None:
    """Return a problem's usual status and its title; None for a name that nothing here uses."""
    return CATALOGUE.get(name) or OTHERS.get(name)


class Problem(Exception):
    """
    A refusal on its way to the client. Nothing was charged.

    Args:
        name: One of CATALOGUE, or another part's own code when `status` is given.
        detail: One sentence for the person who reads it; never holds a secret.
        headers: Sent beside the usual ones, names in lower case.
        extra: Further members of the body.
    """

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        status: int | None = None,
        title: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        known_status, known_title = meaning_of(name) or (400, name.replace("-", " ").capitalize())
        self.name = name
        self.status = status or known_status
        self.title = title or known_title
        self.detail = detail
        self.headers = headers
        self.extra = extra

    def body(self, instance: str, prefix: str = "/farebox") -> bytes:
        """Return the JSON document; `instance` is the request id."""
        document = {
            "type": f"{prefix}/problems/{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "charged": 0,
            **self.extra,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def header_list(self, body_bytes: int) -> list[tuple[bytes, bytes]]:
        """Return the headers that go with a body of that length."""
        return [
            (b"content-type", JSON_TYPE),
            (b"content-length", b"%d" % body_bytes),
            (b"cache-control", b"no-store"),
            *self.headers,
        ]


def unauthorized(name: str, detail: str) -> Problem:
    """Return a 401 that says how to identify oneself (RFC 6750)."""
    return Problem(name, detail, headers=((b"www-authenticate", b'Bearer realm="farebox"'),))


def invalid_key() -> Problem:
    """Return the one answer for unknown, malformed, expired and revoked keys alike."""
    return unauthorized("key-invalid", "The API key is unknown, malformed, expired or revoked.")


def retry_after(seconds: int) -> tuple[bytes, bytes]:
    """Return the header; 0 is rounded up, because clients read it as 'now, in a loop'."""
    return (b"retry-after", b"%d" % max(1, seconds))


def insufficient(
    *, price: int, balance: int, credit_type: str, scale: int, shown: Callable[[int], str], buy: str
) -> Problem:
    """Return the 402; amounts are in the type's smallest unit, `scale` places behind the point."""
    shortfall = price - balance
    return Problem(
        "insufficient-credits",
        f"This request costs up to {shown(price)} {credit_type}, {shown(balance)} are available:"
        f" {shown(shortfall)} short.",
        price=price,
        balance=balance,
        shortfall=shortfall,
        credit_type=credit_type,
        scale=scale,
        buy=buy,
    )


def too_high(*, price: int, limit: int, credit_type: str, shown: Callable[[int], str]) -> Problem:
    """Return the 422 for a ceiling above the window: no waiting helps, a smaller request does."""
    return Problem(
        "price-too-high",
        f"This request costs up to {shown(price)} {credit_type}; one request may cost"
        f" {shown(limit)} at most here.",
        price=price,
        limit=limit,
        credit_type=credit_type,
    )


def key_capped(error: ledger.KeyCapped, credit_type: str) -> Problem:
    """Return the 403 of a total cap, or the 429 of one whose window ends."""
    said = f"The API key's cap on {credit_type}"
    if error.per == "total":
        return Problem("key-cap", f"{said} is used up.", credit_type=credit_type, per="total")
    return Problem(
        "key-cap",
        f"{said} by {error.per} leaves no room for this request; the next window is in UTC.",
        status=429,
        headers=(retry_after(-(-error.retry_after_ms // 1000)),),
        credit_type=credit_type,
        per=error.per,
    )


def problem_for(error: Exception) -> Problem | None:
    """
    Return what the client is told about `error`; None where it is a fault of our own.

    InsufficientCredits and AboveWindow are the exceptions: only the caller knows the price, see
    `insufficient` and `too_high`. Who knows the limit, or the type by its name, says it better:
    `RouteLimits.problem`, `key_capped`.
    """
    match error:
        case Problem():
            return error
        case ledger.LedgerError():
            return from_ledger(error)
        case billing.BillingError():
            return from_billing(error)
        case upstream.UpstreamError():
            return from_upstream(error)
        case config.Unpriceable():
            return Problem(error.code, error.message, status=error.status)
        case config.BadPath():
            said = str(error)
            return Problem("bad-path", f"{said[:1].upper()}{said[1:]}.")
        case _:
            return None


def from_ledger(error: ledger.LedgerError) -> Problem:
    """Say what the ledger refused; `insufficient` says the one that needs the price."""
    match error:
        case ledger.BadKey():
            return invalid_key()
        case ledger.ScopeMissing():
            return Problem("scope-missing", "The API key lacks the scope that this call needs.")
        case ledger.AccountFrozen():
            return Problem("account-frozen", "The account is frozen; its owner can have it opened.")
        case ledger.RateLimited():
            seconds = -(-error.retry_after_ms // 1000)
            return Problem(
                "rate-limited",
                f"The key's request limit is reached; try again in {max(1, seconds)} s.",
                headers=(retry_after(seconds),),
            )
        case ledger.KeyCapped():
            return key_capped(error, f"credit type {error.credit_type_id}")
        case ledger.LedgerBusy():
            return Problem(
                "ledger-busy",
                "More credit is in flight than may be at risk at once; try again shortly.",
                headers=(retry_after(BUSY_RETRY_S),),
            )
        case ledger.NotFound():
            return Problem("not-found", str(error))
        case ledger.Conflict():
            return Problem(error.code, error.message, status=409)
        case ledger.InvalidInput():
            return Problem("invalid-input", error.message, field=error.field)
        case _:
            return Problem(
                "ledger-unavailable",
                "The ledger does not answer, so nothing was forwarded; try again shortly.",
                headers=(retry_after(BUSY_RETRY_S),),
            )


def from_billing(error: billing.BillingError) -> Problem:
    """Say what selling refused; Stripe's own sentences are passed on, they are for people."""
    match error:
        case billing.SellingNotConfigured():
            return Problem(
                "selling-not-configured",
                "This gateway takes no payments; ask its operator for credits.",
            )
        case billing.NotForSale():
            return Problem("not-for-sale", sentence(error))
        case billing.WrongPurchase():
            wrong = [{"field": error.field, "message": error.message}]
            return Problem("invalid-input", f"{error.field}: {error.message}", errors=wrong)
        case billing.NoSuchObject():
            return Problem("not-found", sentence(error))
        case billing.NotRefundable():
            return Problem("not-refundable", sentence(error), left_minor=error.left_minor)
        case billing.StateConflict():
            return Problem("conflict", sentence(error))
        case billing.CardDeclined():
            return Problem(
                "card-declined", sentence(error), code=error.code, decline_code=error.decline_code
            )
        case billing.Quarantined():
            return Problem("purchase-in-question", sentence(error))
        case billing.StripeUnavailable():
            return Problem(
                "stripe-unavailable",
                "The payment provider does not answer; try again shortly, a repeat is harmless.",
                headers=(retry_after(STRIPE_RETRY_S),),
            )
        case billing.StripeRefused(status=403):
            # Stripe's sentence describes the operator's key and what it may do.
            return Problem(
                "stripe-refused",
                "The payment provider does not let this gateway do that; tell its operator.",
            )
        case billing.StripeRefused():
            return Problem("stripe-refused", sentence(error), code=error.code, param=error.param)
        case _:
            return Problem("internal-error", "The gateway failed; its log says more.")


def sentence(error: Exception) -> str:
    """Return what an error says as a sentence."""
    said = " ".join(str(error).split()) or type(error).__name__
    return f"{said[:1].upper()}{said[1:]}" + ("" if said.endswith((".", "?", "!")) else ".")


def from_upstream(error: upstream.UpstreamError) -> Problem:
    """Say how the upstream failed; names no address of it."""
    match error:
        case upstream.UpstreamBusy():
            return Problem(
                "upstream-busy",
                "All connections to the upstream are in use; try again shortly.",
                headers=(retry_after(BUSY_RETRY_S),),
            )
        case upstream.UpstreamRefused():
            return Problem("upstream-refused", "No connection to the upstream could be made.")
        case upstream.UpstreamTimeout():
            return Problem("upstream-timeout", f"The upstream was too slow ({error.phase}).")
        case upstream.UpstreamReset():
            return Problem("upstream-reset", "The upstream closed the connection unanswered.")
        case upstream.UpstreamCut():
            return Problem("upstream-cut", "The upstream's answer ended before it was complete.")
        case _:
            return Problem("upstream-invalid", "The upstream's answer was refused as malformed.")
