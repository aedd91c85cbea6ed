"""
Our webhook endpoint at Stripe: made or brought up to date, with the pinned version and our events.

`farebox stripe setup` calls this. An endpoint is known again by its address or by our mark.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from billing.errors import StateConflict, WrongPurchase
from billing.events.event_types import EVENT_TYPES
from billing.marks import is_ours, marks
from billing.shop import Shop
from billing.stripe_door import API_VERSION, at, listed, translated

MOST_ENDPOINTS = 16
"""Stripe allows no more in one mode of an account."""

DESCRIPTION = "Farebox: credits for sale"


@dataclass(frozen=True, slots=True)
class SetUp:
    """
    How the endpoint stands now.

    Attributes:
        created: It is new; `secret` is what signs its deliveries, shown this once.
        differences: What was not as it should be, a sentence each; an existing endpoint was
            changed accordingly, but for its version, which Stripe never changes.

    """

    endpoint_id: str
    url: str
    created: bool
    differences: tuple[str, ...]
    secret: str | None = field(default=None, repr=False)


async def setup(shop: Shop, url: str, *, dry_run: bool = False) -> SetUp:
    """
    Make sure that Stripe delivers our events to `url`. A repeat changes nothing.

    Args:
        shop: Whose Stripe account, in its mode.
        url: The webhook route as Stripe reaches it; https, but for a machine talking to itself.
        dry_run: Only tell the differences; `endpoint_id` is empty where none would be found.

    Raises:
        WrongPurchase: The address cannot be used.
        StateConflict: There are 16 endpoints already, and none is ours. Nothing changed.
        StripeRefused, StripeUnavailable: Stripe said no, or nothing.

    """
    check_url(url, livemode=shop.livemode)
    every = [each async for each in listed(shop.stripe.v1.webhook_endpoints.list_async)]
    ours = _ours(shop, every, url)
    if ours is not None:
        found = differences(ours, url)
        if any(found) and not dry_run:
            await _update(shop, ours.id, url)
        return SetUp(ours.id, url, created=False, differences=found)
    if len(every) >= MOST_ENDPOINTS:
        raise StateConflict(f"this Stripe account has {len(every)} webhook endpoints, its most")
    missing = (f"there is no endpoint at {url}",)
    if dry_run:
        return SetUp("", url, created=False, differences=missing)
    made = await _create(shop, url)
    return SetUp(made.id, url, created=True, differences=missing, secret=at(made, "secret"))


def differences(endpoint: Any, url: str) -> tuple[str, ...]:
    """Return what about an endpoint is not as it should be, a sentence each."""
    found = []
    enabled, wanted = set(endpoint.enabled_events), set(EVENT_TYPES)
    if endpoint.url != url:
        found.append(f"it delivered to {endpoint.url}")
    if endpoint.status != "enabled":
        found.append(f"it was {endpoint.status}")
    if wanted - enabled:
        found.append(f"it lacked {', '.join(sorted(wanted - enabled))}")
    if enabled - wanted:
        found.append(f"it also delivered {', '.join(sorted(enabled - wanted))}")
    version = at(endpoint, "api_version")
    if version != API_VERSION:
        found.append(
            f"its events are written as of {version or 'the account default'}, not {API_VERSION};"
            " delete it and set up again to change that"
        )
    return tuple(found)


def check_url(url: str, *, livemode: bool) -> None:
    """
    Refuse an address that Stripe cannot deliver to.

    Raises:
        WrongPurchase: Not https, nor, in test mode, http to this machine itself.

    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and not livemode and _loopback(parts.hostname or ""):
        return
    raise WrongPurchase("url", "https, or http to this machine itself in test mode")


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ours(shop: Shop, every: Sequence[Any], url: str) -> Any | None:
    """Return the endpoint at the address, else one that we made for another address."""
    at_address = [each for each in every if each.url == url]
    marked = [each for each in every if is_ours(shop, each)]
    return next(iter([*at_address, *marked]), None)


async def _create(shop: Shop, url: str) -> Any:
    with translated():
        return await shop.stripe.v1.webhook_endpoints.create_async(
            {
                "url": url,
                "enabled_events": list(EVENT_TYPES),
                "api_version": API_VERSION,
                "description": DESCRIPTION,
                "metadata": marks(shop),
            }
        )


async def _update(shop: Shop, endpoint_id: str, url: str) -> None:
    with translated():
        await shop.stripe.v1.webhook_endpoints.update_async(
            endpoint_id,
            {
                "url": url,
                "enabled_events": list(EVENT_TYPES),
                "disabled": False,
                "metadata": marks(shop),
            },
        )
