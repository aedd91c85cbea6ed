"""
What a price may look at, and how it refuses.

* Unpriceable  the request cannot be priced without doubt; nothing was held or forwarded
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Headers = Sequence[tuple[bytes, bytes]]


class Unpriceable(Exception):
    """
    A request that cannot be priced without doubt. Nothing was held, forwarded or charged.

    Args:
        status: 400, 411, 413, 415 or 422.
        code: Stable name of the problem.
        message: One sentence for the caller; quotes names from the price file, no values sent.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


class RequestFacts(NamedTuple):
    """One request, as far as a price can depend on it."""

    path_params: Mapping[str, str]
    query: bytes
    """Raw, without the question mark."""
    headers: Headers
    """Names in lower case, duplicates kept."""
    body: bytes | None
    """The whole body where the price needs it, else None."""
    request_bytes: int | None
    """Content-Length, 0 without a body, None for a body whose length is not announced."""

    def header_values(self, name: bytes) -> list[bytes]:
        """All values of a header, spaces around them removed."""
        return [value.strip(b" \t") for key, value in self.headers if key.lower() == name]


class Unit(NamedTuple):
    """One measured quantity: enough, with the price version, to compute the cost again."""

    source: str
    """What was measured, as the price file says it: `body /limit`, `request_bytes`."""
    quantity: int


class Measured(NamedTuple):
    """What is known of a request before the call."""

    ceiling: int
    """The most it will cost, smallest units of the credit type."""
    units: tuple[Unit, ...]
    final: bool
    """True: the ceiling is the cost. False: `Price.meter` learns it from the answer."""
