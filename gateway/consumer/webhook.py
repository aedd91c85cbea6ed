"""`stripe/webhook`: where Stripe delivers. Nobody signs in; the body's signature is the proof."""

from typing import Any

from billing.events.webhook import BadPayload, BadSignature, accept
from gateway.consumer.services import Services
from gateway.models import Answer
from gateway.problems import Problem
from gateway.reading import JSON
from gateway.routes import Call

MEDIA = JSON
"""What Stripe sends; the body reaches the signature check as it came, byte for byte."""


class Received(Answer):
    """It is stored and committed; what it is about is settled after this answer."""

    received: bool = True


async def deliver(call: Call[Services, None, Any, bytes]) -> Received:
    """Take one delivery; a repeat is answered as the first was."""
    shop = call.services.shop
    try:
        await accept(shop, call.body, call.request.headers.get("stripe-signature"))
    except BadSignature as bad:
        raise Problem(
            "webhook-signature",
            "The signature is missing, too old, or made with another secret.",
        ) from bad
    except BadPayload as bad:
        raise Problem("webhook-payload", "The body is signed, but it is no event.") from bad
    return Received()
