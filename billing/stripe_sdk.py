"""Stripe's library, behind `billing.stripe_door`: loaded when there is a key for Stripe."""

import json
from collections.abc import Mapping
from typing import Any

import stripe

from billing.errors import BillingError, CardDeclined, StripeRefused, StripeUnavailable
from billing.stripe_door import IDEMPOTENCY_ERROR, Record, at

_ERROR_TYPES = {
    401: "AuthenticationError",
    402: "CardError",
    403: "PermissionError",
    429: "RateLimitError",
}


class Http(stripe.HTTPXClient):
    """The SDK's HTTP client, telling what went wrong."""

    def __init__(self, record: Record | None, *, timeout_s: float) -> None:
        super().__init__(timeout=timeout_s)
        self._told = record

    def _get_request_args_kwargs(self, *request: Any) -> tuple[Any, dict[str, Any]]:
        """Hand over the body as httpx wants it; the SDK's own way is deprecated there."""
        args, kwargs = super()._get_request_args_kwargs(*request)
        kwargs["content"] = kwargs.pop("data") or None
        return args, kwargs

    async def request_with_retries_async(self, *args: Any, **kwargs: Any) -> tuple[Any, int, Any]:
        """Send, again if need be, and record the last answer if it is an error."""
        try:
            content, status, headers = await super().request_with_retries_async(*args, **kwargs)
        except stripe.APIConnectionError:
            self._record("APIConnectionError", "")
            raise
        if status >= 400:
            error = _error_of(content)
            kind = _ERROR_TYPES.get(status, "InvalidRequestError" if status < 409 else "APIError")
            if error.get("type") == IDEMPOTENCY_ERROR:
                kind = "IdempotencyError"
            self._record(kind, str(error.get("decline_code") or error.get("code") or ""))
        return content, status, headers

    def _record(self, kind: str, code: str) -> None:
        if self._told is not None:
            self._told(kind, code)


def client_of(
    secret_key: str, http: Http, api_base: str | None, *, version: str, network_retries: int
) -> stripe.StripeClient:
    """Make a client; nothing is sent yet."""
    # It would write a file into the user's configuration folder and report the platform.
    stripe.enable_telemetry = False
    return stripe.StripeClient(
        secret_key,
        http_client=http,
        max_network_retries=network_retries,
        stripe_version=version,
        base_addresses={"api": api_base} if api_base else {},
    )


def ours_of(error: Exception) -> BillingError | None:
    """Return the error of ours that says the same; None for what is not the SDK's."""
    match error:
        case stripe.CardError():
            return CardDeclined(
                error.user_message or "the payment was declined",
                code=error.code or "",
                decline_code=at(error.error, "decline_code") or "",
                payment_intent_id=at(error.error, "payment_intent.id") or "",
            )
        case stripe.InvalidRequestError() | stripe.IdempotencyError() | stripe.PermissionError():
            return StripeRefused(
                error.user_message or "Stripe refused the request",
                status=error.http_status or 400,
                code=error.code or _unnamed_code(error),
                param=getattr(error, "param", None) or "",
            )
        case stripe.StripeError():
            said = " ".join((error.user_message or "").split())
            return StripeUnavailable(f"Stripe: {type(error).__name__}: {said}")
        case _:
            return None


def _unnamed_code(refused: stripe.StripeError) -> str:
    if isinstance(refused, stripe.IdempotencyError):
        return IDEMPOTENCY_ERROR
    return at(refused.error, "code") or ""


def _error_of(content: Any) -> Mapping[str, Any]:
    try:
        error = json.loads(content)["error"]
    except (ValueError, TypeError, KeyError):
        return {}
    return error if isinstance(error, dict) else {}
