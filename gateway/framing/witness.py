"""Who hears of what the framing refuses before there is a request for the application."""

from typing import Protocol

from gateway.framing.refusal import Refusal


class Witness(Protocol):
    """Knows what a refusal says besides its reason, and keeps it in mind."""

    @property
    def prefix(self) -> str:
        """Where our own routes lie: a problem's `type` begins with it."""

    def new_id(self) -> str:
        """Return an id for a request that nobody gave one."""

    def refused(self, refusal: Refusal, request_id: str, address: str) -> None:
        """Note a refusal that the application will not hear of."""

    def is_shared(self, address: str) -> bool:
        """Whether many callers stand behind an address: it is a trusted proxy's."""


class Nobody:
    """For a server that is asked about alone: no ids, no log."""

    prefix = "/farebox"

    def new_id(self) -> str:
        """Return none."""
        return ""

    def refused(self, refusal: Refusal, request_id: str, address: str) -> None:
        """Forget it."""

    def is_shared(self, address: str) -> bool:
        """Trust nobody."""
        del address
        return False
