"""What the operator is told at start-up of how selling stands."""

from billing.lacking import warnings_of
from billing.stripe_keys import LIVE_KEYS
from config import Settings

NO_PUBLIC_URL = (
    "FAREBOX_PUBLIC_URL is not set: Stripe leads buyers back to an address of this machine, "
    "which nobody else can open"
)
PLAIN_PUBLIC_URL = (
    "FAREBOX_PUBLIC_URL is not https: links that let people buy travel where others can read them"
)


def selling_sentences(settings: Settings) -> list[str]:
    """Say at start-up how selling stands: its mode, a stand-in, and what does not work."""
    said = []
    key = settings.stripe_secret_key
    if key is not None:
        live = key.get_secret_value().startswith(LIVE_KEYS)
        said.append("selling for real money" if live else "selling in test mode: no money moves")
    if key is not None and settings.stripe_api_base:
        said.append(f"Stripe's stand-in at {settings.stripe_api_base} takes Stripe's place")
    elif key is not None and settings.public_url is None:
        said.append(NO_PUBLIC_URL)
    elif key is not None and not str(settings.public_url).startswith("https://"):
        said.append(PLAIN_PUBLIC_URL)
    return said + [sentence.rstrip(".") for sentence in warnings_of(settings)]
