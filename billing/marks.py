"""
The mark on everything we make at Stripe.

A Stripe account may be shared with other products and other installations: only what carries our
mark can be an orphan of ours, everything else is nothing to do with us.
"""

from typing import Any

from billing.ids import is_order_id
from billing.shop import Shop
from billing.stripe_door import at
from ledger.ids import account_text

MARK = "farebox"


def marks(shop: Shop, order_id: str | None = None, account_id: int | None = None) -> dict[str, str]:
    """Return the metadata that leads from an object at Stripe home to us."""
    found = {MARK: shop.installation}
    if order_id is not None:
        found["order_id"] = order_id
    if account_id is not None:
        found["account"] = account_text(account_id)
    return found


def is_ours(shop: Shop, thing: Any) -> bool:
    """
    Whether an object at Stripe says that this installation made it.

    Metadata can be wiped in the dashboard; a reference in the form of our orders' ids then counts.
    """
    mark = at(thing, f"metadata.{MARK}")
    if mark is not None:
        return bool(mark == shop.installation)
    reference = at(thing, "client_reference_id")
    return isinstance(reference, str) and is_order_id(reference)
