"""One end of a relayed connection: what the event loop and the server call."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Protocol, cast

from gateway.websocket.lane import Lane


class Listener(Protocol):
    """Hears what happens at both ends."""

    def received(self, side: "Side", data: bytes) -> None:
        """Bytes came."""

    def paced(self) -> None:
        """Note that an end takes more, or no more."""

    def lost(self, side: "Side") -> None:
        """Note that its connection is gone."""

    def visit(self, now: float) -> None:
        """Look at time limits; loop time `now` in seconds."""

    def leave(self) -> None:
        """Say good-bye: the server ends."""


def _nothing() -> None:
    """Nobody wants to know."""


class Side(asyncio.Protocol):
    """
    One end.

    Attributes:
        lane: The direction that begins here.
        masks: Frames of our own towards this end carry a mask.
        full: It takes no more for now.
        gone: The connection is lost.
        sent_bytes: What was written to it, frames and all.
        heard_at: When something came last.
        pinged_at: When it was asked whether it is still there; infinite while it need not be.
    """

    def __init__(self, listener: Listener, lane: Lane, *, masks: bool, now: float) -> None:
        self._listener = listener
        self._reading = True
        self._unsent_bytes = 0
        self._stalled_since = now
        self.lane = lane
        self.masks = masks
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.forget: Callable[[], None] = _nothing
        self.full = False
        self.sent_bytes = 0
        self.gone = False
        self.heard_at = now
        self.pinged_at = inf

    def take(self, transport: asyncio.Transport, forget: Callable[[], None] = _nothing) -> None:
        """Begin with this transport; `forget` is called when it is lost."""
        self.transport = transport
        self.forget = forget

    def write(self, data: bytes) -> None:
        """Send bytes; to an end that is gone, none."""
        if data and not self.gone and not self.transport.is_closing():
            self.sent_bytes += len(data)
            self.transport.write(data)

    def read(self, wanted: bool) -> None:  # noqa: FBT001 - yes or no is all there is to say
        """Go on reading, or stop."""
        if wanted is not self._reading and not self.gone and not self.transport.is_closing():
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    @property
    def reading(self) -> bool:
        """Whether it would be heard if it spoke."""
        return self._reading

    def close(self) -> None:
        """Send what waits, then close."""
        if not self.gone:
            self.transport.close()

    def abort(self) -> None:
        """Close now."""
        if not self.gone:
            self.transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for it."""
        return 0 if self.gone else self.transport.get_write_buffer_size()

    def stalled_s(self, now: float) -> float:
        """Return for how long it has taken none of the bytes that wait for it."""
        unsent = self.unsent_bytes
        if unsent == 0 or unsent != self._unsent_bytes:
            self._unsent_bytes = unsent
            self._stalled_since = now
        return now - self._stalled_since

    # What the event loop calls

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._listener.received(self, data)

    def eof_received(self) -> bool:
        """Let the transport close, which leads to `connection_lost`."""
        return False

    def pause_writing(self) -> None:
        """Note that it takes no more."""
        self.full = True
        self._listener.paced()

    def resume_writing(self) -> None:
        """Note that it takes more."""
        self.full = False
        self._listener.paced()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone."""
        del exc
        self.gone = True
        self.forget()
        self._listener.lost(self)

    # What the server calls, at the client's end

    def expire(self, now: float) -> None:
        """Look at time limits."""
        self._listener.visit(now)

    def shutdown(self) -> None:
        """Say good-bye: the server ends."""
        self._listener.leave()
