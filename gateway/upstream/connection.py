"""
One connection to an upstream: bytes out, one parsed response at a time in.

It knows nothing of pools and retries. Between `begin` and the end of a response it is in use;
any byte that comes at another time makes it unusable.
"""

import asyncio
import select
from collections.abc import Callable
from math import inf
from typing import Protocol, cast

from gateway.upstream.errors import (
    Phase,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamReset,
    UpstreamTimeout,
)
from gateway.upstream.limits import UpstreamLimits
from gateway.upstream.response import ResponseReader, Seen

_FIRST_REFUSING_STATUS = 300


class Listener(Protocol):
    """Is told in the same turn of the event loop, instead of a future in the next."""

    def answered(self, seen: Seen, body: bytes) -> bool:
        """
        Take a whole response that came in one piece, its head as the one before.

        The connection may be given back in this very call. False: `news` is called of it.
        """

    def news(self) -> None:
        """Look: a head, a piece of body or an error has come."""


class Connection(asyncio.Protocol):
    """
    An HTTP/1.1 connection, used by one request after another.

    Attributes:
        transport: What carries it.
        reused: A response has been read from it before.
        heard_at: Loop time in seconds when bytes came last, or it was made.
        deadline: Loop time in seconds by which something must come; see `expire`.
        waiting_for_body: The caller's body iterator has the turn, so the upstream is not late.
        request_done: The whole request has been written.
        error: What has ended the exchange.
        response: What has come of the response.
        listener: Who is told when there is more to look at, until the use ends.
        keep_s: For how long the upstream said it keeps the connection, when the use ended; see
            `ResponseReader`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: UpstreamLimits,
        lost: Callable[["Connection"], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._lost = lost
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._poll: select.poll | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.listener: Listener | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False
        self._in_use = False
        self._closed = False
        self._whole: Seen | None = None  # the head of a response that did not go by the reader
        self.reused = False
        self.keep_s: int | None = None
        self.keep_until = inf
        self.response = ResponseReader(limits)
        self._timeout_s = 0.0
        self.heard_at = 0.0
        self.deadline = inf
        self.waiting_for_body = False
        self.request_done = False
        self.error: BaseException | None = None
        self._read_paused = False

    @property
    def refused(self) -> bool:
        """A status from 300 came while the request body was still under way."""
        return self.response.status >= _FIRST_REFUSING_STATUS and not self.request_done

    # What the exchange does with it

    def begin(self, *, head_only: bool, timeout_s: float, websocket: bool = False) -> None:
        """Take the connection into use for one request; see `ResponseReader.begin`."""
        self.response.begin(head_only=head_only, websocket=websocket)
        self._timeout_s = timeout_s
        self.deadline = inf
        self.waiting_for_body = False
        self.request_done = False
        self.error = None
        self._read_paused = False
        self._in_use = True

    def send(self, request: bytes, timeout_s: float, listener: Listener) -> None:
        """
        Take a kept connection into use for a whole request, none of HEAD.

        It was given back in order, so that nothing is left of the use before but perhaps its
        response. `listener` hears of this one's.
        """
        if self.response.started:
            self.response.begin(head_only=False)
        # Before a byte leaves: were it lent again unanswered, another would get the response.
        self._in_use = True
        self.listener = listener
        self._timeout_s = timeout_s
        self.transport.write(request)
        self.deadline = self._loop.time() + timeout_s

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        self.transport.write(data)

    def request_written(self) -> None:
        """Note that the request is complete: from now on the upstream is the one to act."""
        self.request_done = True
        self.waiting_for_body = False
        self.deadline = self._loop.time() + self._timeout_s

    async def drain(self) -> None:
        """Wait until the upstream takes more; the caller stays under the idle limit meanwhile."""
        self.waiting_for_body = False
        self.deadline = self._loop.time() + self._timeout_s
        while self._write_paused and not self._closed:
            self._writable = self._loop.create_future()
            await self._writable

    def news(self) -> "asyncio.Future[None]":
        """Return what is done when there is more to look at: a head, a piece of body, an error."""
        self._waiter = self._loop.create_future()
        return self._waiter

    async def read(self) -> bytes:
        """Give what has come of the body, waiting for it if need be; empty at its end."""
        response = self.response
        while not response.buffered:
            if self.error is not None:
                raise self.error
            if response.done:
                return b""
            await self.news()
        return self.take()

    def take(self) -> bytes:
        """Give what has come of the body, which may be nothing."""
        if self._read_paused:
            self._read_paused = False
            self.deadline = self._loop.time() + self._timeout_s
            self.transport.resume_reading()
        return self.response.take()

    def switch(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Leave the transport to another protocol; see the door."""
        if self._closed or self.transport.is_closing():
            why = "the upstream closed the connection behind its handshake"
            raise UpstreamReset(why, sent=True, head_sent=True)
        self.deadline = inf
        self.transport.set_protocol(successor)
        return self.transport, self.response.take()

    def finish(self) -> bool:
        """
        End the use; True if another request may follow on this connection.

        Whether it still stands then is asked when it is used again: `usable`.
        """
        self._in_use = False
        self.listener = None
        self.deadline = inf
        whole = self._whole
        if whole is not None:
            self._whole = None
            self.keep_s = whole.keep_s
            return whole.keep and not self._closed
        response = self.response
        self.keep_s = response.keep_s
        reusable = (
            response.done
            and response.keep
            and not response.dirty
            and self.request_done
            and self.error is None
            and not self._read_paused
            and not self._closed
        )
        self.reused = self.reused or reusable
        return reusable

    def usable(self, *, surely: bool) -> bool:
        """
        Say if a kept connection still stands.

        `surely`: see `silent`.
        """
        if self._closed or self.transport.is_closing():
            return False
        return not surely or self.silent()

    def silent(self) -> bool:
        """
        Ask the kernel if nothing has come, not even the end of the stream.

        The event loop may not have read it yet: worth a system call where a request cannot be
        repeated.
        """
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close now, dropping what was not sent yet."""
        self._in_use = False
        if not self._closed:
            self.transport.abort()

    def fail(self, error: BaseException) -> None:
        """End the exchange with this error, once what has come of the body is read."""
        if self.error is None and not self.response.done:
            self.error = error
            self._wake()

    def expire(self, now: float) -> None:
        """Fail if the upstream is late. Called by the sweep of the whole client."""
        if self.deadline > now or self.waiting_for_body or self._read_paused:
            return
        phase: Phase = "first_byte" if self.request_done and not self.response.head_done else "idle"
        self.fail(UpstreamTimeout(f"nothing for {self._timeout_s:g} s", phase=phase))
        self.transport.abort()

    def _wake(self) -> None:
        if self.listener is not None:
            self.listener.news()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.heard_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Parse; wake the reader; stop reading if it is slow."""
        if not self._in_use:
            self.transport.abort()
            return
        response = self.response
        self.heard_at = self._loop.time()
        if (listener := self.listener) is not None:
            seen = self._whole = response.again(data)
            if seen is not None:
                if listener.answered(seen, data[seen.head_bytes :]):
                    return
                self._whole = None
        self.deadline = self.heard_at + self._timeout_s
        try:
            response.feed(data)
        except UpstreamInvalid as error:
            self.fail(error)
            self.transport.abort()
        full = response.buffered > self._limits.buffer_bytes and not response.done
        if full or response.switched:
            self._read_paused = True
            self.transport.pause_reading()
        if not response.head_done and self.error is None:
            return
        if self.listener is not None:
            self.listener.news()
            return
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> bool:
        """Let the transport close, which leads to `connection_lost`."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way: complete, cut or reset, by what had come."""
        self._closed = True
        if self._in_use and exc is None and self.error is None:
            self.response.end()
        if self._in_use and not self.response.done:
            self.fail(self._what_was_lost())
        self._wake()
        self._lost(self)

    def pause_writing(self) -> None:
        """Note that the upstream takes the body slower than we send it."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let the body go on."""
        self._write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _what_was_lost(self) -> UpstreamError:
        if self.response.head_done:
            return UpstreamCut("the upstream closed the connection amid the body")
        why = "the upstream closed the connection before a response head"
        return UpstreamReset(why, sent=True, head_sent=True)
