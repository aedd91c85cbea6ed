"""
Noticing clients that leave while their request is served.

The server does not cancel a request whose client hung up; it says so to whoever asks `receive`.
Asking takes a task, which would cost every short request more than it is worth. So one
sweep asks for those requests only that have lasted a while.
"""

import asyncio
from typing import Self

from gateway.request import Request
from ledger.ports import Clock

SWEEP_EVERY_S = 0.05  # a client that leaves is noticed within twice that


class Watch:
    """
    One request whose client may leave.

    Attributes:
        gone: The client has left.
        over: Set when all of the answer was handed over; the client leaving is its right then.
        interrupted: The request's task was cancelled by us: for a client that left, or because
            `linger` is over. `absorb` tells that from a cancellation by the server.
    """

    __slots__ = (
        "_asking",
        "_cancels_before",
        "_linger_s",
        "_linger_until",
        "_presence",
        "_request",
        "_seen",
        "_task",
        "gone",
        "interrupted",
        "over",
    )

    def __init__(self, presence: "Presence", request: Request, linger_s: float | None) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is served in a task"
        self._presence = presence
        self._request = request
        self._linger_s = linger_s
        self._linger_until: float | None = None
        self._task = task
        self._cancels_before = task.cancelling()
        self._asking: asyncio.Task[None] | None = None
        self._seen = False
        self.gone = False
        self.interrupted = False
        self.over = False

    def __enter__(self) -> Self:
        self._presence.watched.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._presence.watched.discard(self)
        if self._asking is not None:
            self._asking.cancel()

    def absorb(self) -> bool:
        """Take back our own cancellation; False where the server also wants the task to end."""
        return self.interrupted and self._task.uncancel() <= self._cancels_before

    def left(self) -> None:
        """Note that the client left: without `linger` the request ends, else it is read for."""
        if self.over:
            return
        self.gone = True
        if self._linger_s is None:
            self._interrupt()
        elif self._linger_until is None:
            self._linger_until = self._presence.clock.monotonic() + self._linger_s

    def sweep(self, now: float) -> None:
        """Ask for a request that has lasted since the sweep before; end one read for enough."""
        if self._linger_until is not None and now >= self._linger_until:
            self._interrupt()
        elif self._seen and self._asking is None and self._request.body_ended:
            self._asking = asyncio.create_task(self._ask())
        self._seen = True

    async def _ask(self) -> None:
        await self._request.gone()
        self.left()

    def _interrupt(self) -> None:
        if not self.interrupted:
            self.interrupted = True
            self._task.cancel()


class Presence:
    """All requests being served by this worker, looked at together."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.watched: set[Watch] = set()

    def watch(self, request: Request, *, linger_s: float | None) -> Watch:
        """
        Return a block during which the client's leaving is noticed.

        The block goes on for `linger_s` after that, to learn the usage. None ends it at once, by
        cancelling its task.
        """
        return Watch(self, request, linger_s)

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await self.clock.sleep(SWEEP_EVERY_S)
            now = self.clock.monotonic()
            for watch in tuple(self.watched):
                watch.sweep(now)
