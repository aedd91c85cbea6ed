"""What may take a connection's requests before the application does: see `gateway.fast_path`."""

from typing import TYPE_CHECKING, Protocol

from gateway.framing.head import Head

if TYPE_CHECKING:
    from gateway.framing.protocol import StrictHttpProtocol


class Passage(Protocol):
    """Serves requests of one connection, one at a time, in the turns of the event loop."""

    def begin(self, head: Head, body: bytes) -> bool:
        """
        Serve a request that is here with all of its body; False leaves it to the application.

        Later it calls the connection once: `passed`, `leave_to_application` or `drop`.
        """

    def leave(self) -> None:
        """Leave the request under way to the application: its client or the server goes."""


class FastPath(Protocol):
    """Makes passages."""

    def passage(self, connection: "StrictHttpProtocol") -> Passage:
        """Return one for a connection."""
