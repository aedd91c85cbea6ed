"""
How Stripe says no: an HTTP status and a JSON body with `error`.

* StripeFailure  the request is answered with the error; raised anywhere in a handler
  - invalid          a parameter cannot be used (400)
  - missing_object   there is no such object (404 for the object asked for, 400 for one referred to)
* ShapeError     the stand-in was about to answer what Stripe never would: a bug of ours
"""

from typing import Any

# What Stripe calls a thing in "No such ...: 'id'", where it is not the object's own name.
SPOKEN = {
    "payment_method": "PaymentMethod",
    "promotion_code": "promotion code",
    "setup_intent": "setupintent",
    "webhook_endpoint": "webhook endpoint",
}


class StripeFailure(Exception):
    """
    An answer that is an error.

    Args:
        message: For people, worded as Stripe words it.
        status: HTTP status.
        type: Stripe's class of errors: invalid_request_error, card_error, api_error,
            idempotency_error.
        code: Machine-readable, like `resource_missing`.
        param: The parameter it is about.
        more: Further fields of the error, like `charge` or the whole `payment_intent`.

    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",  # noqa: A002
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.more = {"decline_code": decline_code, **more}

    def body(self) -> dict[str, Any]:
        """Give the answer's JSON; fields without a value are left out, as Stripe does."""
        fields = {"code": self.code, **self.more, "message": self.message, "param": self.param}
        if self.code:
            fields["doc_url"] = f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"
        error = {name: value for name, value in fields.items() if value is not None}
        return {"error": {**error, "type": self.type}}


class ShapeError(Exception):
    """An answer does not have the shape the SDK's types give it."""


def invalid(
    message: str, param: str | None = None, code: str | None = None, **more: Any
) -> StripeFailure:
    """Refuse a parameter; `more` are further fields of the error."""
    return StripeFailure(message, param=param, code=code, **more)


def missing_object(kind: str, wanted: str, param: str = "id") -> StripeFailure:
    """Say that an object is not there: 404 where it was itself asked for, else 400."""
    return StripeFailure(
        f"No such {SPOKEN.get(kind, kind)}: '{wanted}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )
