"""
One request passed to the upstream, and its answer passed back, both as they come.

Nothing is kept but the piece in hand: the upstream is read as fast as the client takes, the client
as fast as the upstream takes. The meter sees what passes. However it ends, `Exchange.run` says how;
what that costs is for `outcome` to decide.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

from gateway.headers import Headers, downward, value_of
from gateway.outcome import End
from gateway.presence import Presence, Watch
from gateway.request import BodyTooLarge, ClientGone, Request
from gateway.upstream import (
    UpstreamAddress,
    UpstreamClient,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamReset,
    UpstreamResponse,
    UpstreamTimeout,
)

# A metered answer up to this size is read whole before its head is sent, so that the head
# can say what it cost. Larger ones, and streams, are never waited for.
WHOLE_BYTES = 64 * 1024

# Without a body by definition, whatever the headers say (RFC 9110 6.4.1).
_BODILESS = frozenset({204, 304})

_SWITCHING = 101

Tell = Callable[[int, bool], Headers]
"""(status, the answer's body was read whole) -> our headers for the answer's head."""


class Switch(Protocol):
    """Has the connection of a WebSocket once the upstream has answered 101."""

    @property
    def sent_bytes(self) -> int:
        """What it has sent to the client after the handshake."""

    async def run(self, response: UpstreamResponse, headers: Headers) -> End:
        """Answer the client with these headers, and say how the connection ended."""


class Observer(Protocol):
    """Sees an answer pass: the price's meter."""

    def head(self, status: int, headers: Headers) -> None:
        """See its head."""

    def feed(self, chunk: bytes) -> None:
        """See a piece of its body."""


class Exchange:
    """
    One request at one upstream.

    Attributes:
        started: The head of an answer was sent to the client; nothing else can be said now.
        status: The upstream's; 0 until its head has come.
        failed: What came instead of a whole answer: an upstream error, or a body too large.
        sent_bytes: Of the answer's body.
    """

    __slots__ = (
        "_end",
        "_meter",
        "_passed",
        "_request",
        "_switch",
        "_tell",
        "failed",
        "sent_bytes",
        "started",
        "status",
    )

    def __init__(
        self,
        request: Request,
        *,
        meter: Observer | None,
        tell: Tell,
        switch: Switch | None = None,
        passed: bytes | None = None,
    ) -> None:
        """
        Build it from its parts.

        `passed`: the client has the answer's head already, and this much of its body.
        """
        self._end = End.COMPLETE
        self._switch = switch
        self._request = request
        self._meter = meter
        self._tell = tell
        self._passed = passed
        self.started = passed is not None
        self.status = 0
        self.failed: UpstreamError | BodyTooLarge | None = None
        self.sent_bytes = len(passed or b"")

    async def run(
        self,
        client: UpstreamClient,
        upward: UpstreamRequest,
        upstream: UpstreamAddress,
        presence: Presence,
        *,
        linger_s: float | None,
    ) -> End:
        """
        Send it and pass the answer on; never raises what is a way to end.

        A client that left is read on for during `linger_s`, to learn the usage; None: not at all.
        """
        with presence.watch(self._request, linger_s=linger_s) as watch:
            try:
                async with client.send(upward, upstream) as response:
                    await self._answer(response, watch)
            except ClientGone:
                return End.BODY_REJECTED if self._request.refused else _gone(upward)
            except asyncio.CancelledError:
                if not watch.absorb():
                    raise
                return _gone(upward)
            except BodyTooLarge as error:
                self.failed = error
                return End.BODY_REJECTED
            except UpstreamError as error:
                self.failed = error
                return _end_of(error)
            return End.GONE_LATER if watch.gone else self._end

    async def _answer(self, response: UpstreamResponse, watch: Watch) -> None:
        """Pass the answer on to the client, or, once it has left, only to the meter."""
        self.status = status = response.status
        if status == _SWITCHING:
            await self._hand_over(response, watch)
            return
        meter, headers = self._meter, response.headers
        passed = self._passed
        if passed is None and (body := response.whole(WHOLE_BYTES)) is not None:
            if meter is not None:
                meter.head(status, headers)
                if body:
                    meter.feed(body)
            await self._answer_whole(headers, body, watch)
            return
        bodiless = self._request.method == b"HEAD" or status in _BODILESS
        left = 0 if bodiless else _length(headers)
        if meter is None or left is None or left > WHOLE_BYTES:
            with _Behind(meter, status, headers) as behind:
                if passed is None:
                    await self._start(headers, watch)
                else:
                    behind.passes(passed)
                    behind.show()
                await self._pass(response, left, watch, behind)
            return
        meter.head(status, headers)
        pieces = []
        async for piece in response.chunks():
            meter.feed(piece)
            pieces.append(piece)
        await self._answer_whole(headers, b"".join(pieces), watch)

    async def _answer_whole(self, headers: Headers, body: bytes, watch: Watch) -> None:
        if watch.gone:
            return
        self.started = True
        turn = self._request.turn
        await turn.begin(self.status, self._below(headers, whole=True))
        if watch.gone:
            return
        watch.over = True  # from here on the server says "gone" of a client that has it all
        self.sent_bytes += len(body)
        await turn.body(body, more=False)

    async def _hand_over(self, response: UpstreamResponse, watch: Watch) -> None:
        """Leave the rest to the WebSocket, which sees for itself when the client leaves."""
        if self._switch is None:
            raise UpstreamInvalid("101, which nobody asked for")
        watch.over = self.started = True
        headers = downward(response.headers, status=_SWITCHING, head=False)
        try:
            self._end = await self._switch.run(response, headers + self._tell(_SWITCHING, False))
            self.sent_bytes = self._switch.sent_bytes
        except UpstreamError:
            self.started = False  # the client was told nothing yet
            raise

    async def _pass(
        self, response: UpstreamResponse, left: int | None, watch: Watch, behind: "_Behind"
    ) -> None:
        """
        Pass the body on; the last piece of a known length also ends it, saving a call.

        Where the body is still to come, an empty piece goes first: the head leaves with it.
        """
        if not response.arrived:
            await self._body(b"", watch, more=True)
        ended = False
        async for piece in response.chunks():
            behind.passes(piece)
            if left is not None:
                left -= len(piece)
                ended = left == 0
            await self._body(piece, watch, more=not ended)
            behind.show()
        if not ended:
            await self._body(b"", watch, more=False)

    async def _start(self, headers: Headers, watch: Watch) -> None:
        if not watch.gone:
            self.started = True
            await self._request.turn.begin(self.status, self._below(headers, whole=False))

    def _below(self, headers: Headers, *, whole: bool) -> Headers:
        """Return what the client gets of the upstream's headers, and ours."""
        head = self._request.method == b"HEAD"
        return downward(headers, status=self.status, head=head) + self._tell(self.status, whole)

    async def _body(self, piece: bytes, watch: Watch, *, more: bool) -> None:
        if watch.gone:
            return
        if not more:
            watch.over = True  # from here on the server says "gone" of a client that has it all
        self.sent_bytes += len(piece)
        await self._request.turn.body(piece, more=more)


class _Behind:
    """
    Shows a meter an answer as it passes, each piece when it is written.

    To read it before would keep the client waiting, for the first piece above all. However the
    block ends, the meter has seen all that came.
    """

    __slots__ = ("_head", "_last", "_meter")

    def __init__(self, meter: Observer | None, status: int, headers: Headers) -> None:
        self._meter = meter
        self._head: tuple[int, Headers] | None = (status, headers)
        self._last = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.show()

    def passes(self, piece: bytes) -> None:
        """Take the piece that is written next."""
        self._last = piece

    def show(self) -> None:
        """Show what is not shown yet; a repeat is harmless."""
        if self._meter is None:
            return
        if self._head is not None:
            self._meter.head(*self._head)
            self._head = None
        if self._last:
            piece, self._last = self._last, b""
            self._meter.feed(piece)


def _gone(upward: UpstreamRequest) -> End:
    return End.GONE_LATER if upward.head_sent else End.GONE_EARLY


def _end_of(error: UpstreamError) -> End:
    match error:
        case UpstreamRefused():
            return End.REFUSED
        case UpstreamReset():
            return End.RESET
        case UpstreamTimeout():
            return End.TIMEOUT
        case UpstreamCut():
            return End.CUT
        case _:
            return End.INVALID


def _length(headers: Headers) -> int | None:
    """Return the body's length where the head tells it; the client has checked its form."""
    length = value_of(headers, b"content-length")
    return None if length is None else int(length)
