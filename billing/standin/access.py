"""Who may ask, and in which version."""

import base64
import binascii
import ipaddress
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import stripe

from billing.standin.failures import StripeFailure

if TYPE_CHECKING:
    from billing.standin.world import World

TEST_KEYS = ("sk_test_", "rk_test_")


def check_access(world: "World", headers: Mapping[str, str]) -> None:
    """
    Refuse a request without the right key (401) or in another version than the SDK's (400).

    Stripe itself serves every version; the stand-in knows one, so any other is a mistake of
    the caller's that must be seen.
    """
    key = given_key(headers.get("authorization", ""))
    if not key:
        raise StripeFailure(
            "You did not provide an API key. You need to provide your API key in the "
            "Authorization header, using Bearer auth (e.g. "
            "'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if not secrets.compare_digest(key.encode(), world.key.encode()):
        raise StripeFailure(f"Invalid API Key provided: {_starred(key)}", status=401)
    version = headers.get("stripe-version")
    if version != stripe.api_version:
        raise StripeFailure(
            f"Invalid Stripe API version: {version}. This stand-in only speaks "
            f"{stripe.api_version}, the version of the installed SDK."
        )


def check_own_page(method: str, headers: Mapping[str, str]) -> None:
    """
    Refuse (403) what another site has its visitor's browser do to a page without a key.

    The host must name this machine: a name of somebody else's that leads here would make their
    page and ours one site. A form must come from our own page, and the browser must say so.
    """
    host = headers.get("host", "")
    if not _is_loopback(host):
        raise StripeFailure("This page is for a browser on this machine only.", status=403)
    if method != "POST":
        return
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    said = origin is not None or site is not None
    if not said or origin not in {None, f"http://{host}"} or site not in {None, "same-origin"}:
        raise StripeFailure("This form was not sent by the stand-in's own page.", status=403)


def _is_loopback(host: str) -> bool:
    """Say whether a Host header names this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def given_key(authorization: str) -> str:
    """Read the key out of `Bearer` or `Basic` credentials; empty if there is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _starred(key: str) -> str:
    """Hide a key's middle, as Stripe does when it quotes one."""
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}" if len(key) > 12 else "*" * len(key)
