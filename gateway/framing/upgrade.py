"""A connection that leaves HTTP: who has it from then on, and what it is given."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol


class Successor(Protocol):
    """What has a connection after HTTP; the server treats it as one of its own."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""

    def eof_received(self) -> bool | None:
        """Note that the client sends no more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection; calls `Given.forget`."""

    def pause_writing(self) -> None:
        """Note that the client takes no more."""

    def resume_writing(self) -> None:
        """Note that it takes more."""

    def expire(self, now: float) -> None:
        """Look at time limits; loop time `now` in seconds."""

    def shutdown(self) -> None:
        """End soon: the server stops."""


class Given(NamedTuple):
    """
    What a successor gets.

    Attributes:
        forget: To be called when the connection is lost: the server stops waiting for it.
        early: What the client has sent behind its handshake, without waiting for the answer.
    """

    transport: asyncio.Transport
    forget: Callable[[], None]
    early: bytes
