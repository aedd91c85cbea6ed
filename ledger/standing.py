"""What a connection to a shard may be trusted for."""

from dataclasses import dataclass
from typing import Protocol

from ledger.link import Link


@dataclass(frozen=True, slots=True)
class Standing:
    """What a verified connection may speak for: an epoch, and a session opened in it."""

    epoch: int
    session: int


class Verifier(Protocol):
    """Decides whether a connection may be trusted; see `ledger.fence`."""

    async def verify(self, link: Link) -> Standing:
        """Return what this connection stands for; raise LedgerUnavailable if nothing now."""

    async def fence(self, link: Link, why: str) -> None:
        """End the epoch that was verified last: a script answered NOMETA or REGRESS."""
