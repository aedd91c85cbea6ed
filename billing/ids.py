"""
The names of what billing makes: `ord_`, `rfd_` and `top_` with 24 hex characters.

Random, not counted: idempotency keys at Stripe are made of them, and a new database beside an old
Stripe account must not meet the keys of the one before.
"""

import re
from collections.abc import Callable
from typing import Literal

ID_BYTES = 12

Prefix = Literal["ord", "rfd", "top"]

_ORDER = re.compile(r"ord_[0-9a-f]{24}", re.ASCII)


def new_id(prefix: Prefix, random_bytes: Callable[[int], bytes]) -> str:
    """Return a name that was never used, like `ord_0f3a...`."""
    return f"{prefix}_{random_bytes(ID_BYTES).hex()}"


def is_order_id(text: str) -> bool:
    """Whether the text has the form of an order's id."""
    return _ORDER.fullmatch(text) is not None
