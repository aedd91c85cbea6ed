"""What an operator is told at start-up about selling that does not work as it is."""

from config import Settings

NO_KEY = "Nothing can be bought: STRIPE_SECRET_KEY is not set."
NO_KEY_BUT_HOOK = "STRIPE_WEBHOOK_SECRET does nothing without STRIPE_SECRET_KEY."
NO_HOOK = (
    "STRIPE_WEBHOOK_SECRET is not set: what Stripe delivers is refused, and purchases are only "
    "found when the buyer comes back or the reconciler looks."
)


def warnings_of(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each."""
    if settings.stripe_secret_key is not None:
        return () if settings.stripe_webhook_secrets else (NO_HOOK,)
    return (NO_KEY_BUT_HOOK,) if settings.stripe_webhook_secrets else (NO_KEY,)
