"""
Two ends joined: what each sends reaches the other unchanged, at the pace that the other takes it.

Frames of our own are a Close when credits, time or the server end, and a Ping to an end that has
been silent. Everything else, closing handshakes too, is between the ends.
"""

import asyncio
import secrets
from math import inf

from gateway.outcome import End
from gateway.websocket.frames import CLOSE, PING, close_payload, control_frame
from gateway.websocket.lane import Lane
from gateway.websocket.limits import WebSocketLimits
from gateway.websocket.side import Side
from gateway.websocket.toll import Free, Toll

GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
TOO_LARGE = 1009
RESTARTING = 1012

MOST_UNPAID_BYTES = 256 * 1024
"""Of a frame that has begun, so that a Close can follow it. With more to come it is cut."""


class Relay:
    """
    One connection between a client and an upstream.

    Attributes:
        client, upstream: The two ends.
        ended: Both are gone.
        changed: Set when somebody who waits should look again.
        closing: A Close of our own has been decided on.
    """

    def __init__(
        self,
        toll: Toll,
        limits: WebSocketLimits,
        *,
        deflated: bool,
        max_message_bytes: int | None = None,
    ) -> None:
        self._toll = toll
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._deadline = inf
        self._close = b""
        self._end: End | None = None
        self._spent = False
        now = self._loop.time()
        up = Lane(
            masked=True,
            deflated=deflated,
            max_message_bytes=max_message_bytes,
            admit=toll.message,
        )
        down = Lane(masked=False, deflated=deflated, max_message_bytes=None, admit=Free().message)
        self.client = Side(self, up, masks=False, now=now)
        self.upstream = Side(self, down, masks=True, now=now)
        self.changed = asyncio.Event()
        self.closing = False

    @property
    def ended(self) -> bool:
        """Whether both ends are gone."""
        return self.client.gone and self.upstream.gone

    @property
    def end(self) -> End:
        """How the connection ended: with a Close of any side it is complete."""
        return self._end or End.COMPLETE

    def go_on(self) -> None:
        """Let pass what waited to be paid for."""
        self._spent = False
        up = self.client.lane
        if up.waiting:
            self.upstream.write(up.resume())
            self._look_at(self.client)
        self.paced()

    def finish(self, code: int, reason: str = "", *, upstream_code: int = GOING_AWAY) -> None:
        """
        Close the connection with a Close of our own, at the next end of a frame.

        Nothing of the client passes any more. A repeat has no effect.
        """
        if self.closing:
            return
        self.closing = True
        self._ends(End.COMPLETE)
        self._deadline = self._loop.time() + self._limits.close_ms / 1000
        up, down = self.client.lane, self.upstream.lane
        if up.between_frames and not up.closed:
            self._say(self.upstream, CLOSE, close_payload(upstream_code, ""))
        up.drain()
        down.finish()
        if not down.closed:
            self._close = close_payload(code, reason)
        if self._spent and down.left_bytes > MOST_UNPAID_BYTES:
            self._part()
        self._spent = False
        self._say_close()
        self.paced()
        if up.closed:
            self._part()

    def abort(self) -> None:
        """End at once."""
        self.client.abort()
        self.upstream.abort()

    # What the ends tell

    def received(self, side: Side, data: bytes) -> None:
        """Pass on what may pass."""
        side.heard_at = self._loop.time()
        lane = side.lane
        passed = lane.feed(data)
        if side is self.client:
            if not self.closing:
                self.upstream.write(passed)
        else:
            counted = lane.payload_bytes
            lane.payload_bytes = 0
            self.client.write(passed)
            if counted and not self._toll.delivered(counted) and not self.closing:
                self._spent = True
                self.changed.set()
        self._look_at(side)

    def paced(self) -> None:
        """Read from each end what the other takes, and what is paid for."""
        up = self.client.lane
        self.client.read(self.closing or not (self.upstream.full or up.waiting))
        self.upstream.read(not (self.client.full or self._spent))

    def lost(self, side: Side) -> None:
        """Close the other end too, once it has what waits for it."""
        if not (self.client.lane.closed or self.upstream.lane.closed or self.closing):
            self._ends(End.GONE_LATER if side is self.client else self._cut())
        self._part()
        if self.ended:
            self.changed.set()

    def visit(self, now: float) -> None:
        """Act on the limits of time."""
        sides = (self.client, self.upstream)
        if now >= self._deadline and not any(side.unsent_bytes for side in sides):
            self.abort()
            return
        limits = self._limits
        for side in sides:
            if side.stalled_s(now) > limits.stall_ms / 1000:
                self._give_up(side)
            elif not side.reading:
                side.heard_at = now  # it may have spoken; we do not listen
                side.pinged_at = inf
            elif side.heard_at >= side.pinged_at:
                side.pinged_at = inf
            elif now - side.pinged_at > limits.pong_ms / 1000:
                self._give_up(side)
            elif side.pinged_at == inf and now - side.heard_at > limits.idle_ms / 1000:
                self._ping(side, now)

    def leave(self) -> None:
        """Tell the client to come back to another server."""
        self.finish(RESTARTING, "the server is restarting")

    # The parts

    def _look_at(self, side: Side) -> None:
        """Act on what the bytes from this end were."""
        lane = side.lane
        if lane.waiting:
            self.changed.set()
            self.paced()
        elif lane.too_large:
            self.finish(TOO_LARGE, "the message is too large")
        elif lane.fault and lane.over and self._deadline == inf:
            # Its receiver will say so, and close. If it does not, we do.
            self._deadline = self._loop.time() + self._limits.close_ms / 1000
            if side is self.upstream:
                self._ends(End.INVALID)
        elif self._spent:
            self.paced()
        if self.closing:
            self._say_close()
        if lane.closed:
            if self._deadline == inf:
                self._deadline = self._loop.time() + self._limits.close_ms / 1000
            if self.closing and side is self.client:
                self._part()

    def _say_close(self) -> None:
        """Send our Close to the client, once the frame that is on its way has ended."""
        if self._close and self.upstream.lane.over:
            self._say(self.client, CLOSE, self._close)
            self._close = b""
            if self.client.lane.closed:
                self._part()

    def _say(self, side: Side, opcode: int, payload: bytes) -> None:
        side.write(control_frame(opcode, payload, secrets.token_bytes(4) if side.masks else None))

    def _ping(self, side: Side, now: float) -> None:
        other = self.upstream if side is self.client else self.client
        if self._deadline < inf or not other.lane.between_frames:
            return
        payload = b"farebox" + secrets.token_bytes(8)
        side.pinged_at = now
        side.lane.awaited = payload
        self._say(side, PING, payload)

    def _give_up(self, side: Side) -> None:
        """Part with an end that is not there any more, whatever its connection says."""
        self._ends(End.GONE_LATER if side is self.client else End.TIMEOUT)
        side.abort()

    def _part(self) -> None:
        """Close both ends, as soon as each has what was sent to it."""
        if self._deadline == inf:
            self._deadline = self._loop.time() + self._limits.stall_ms / 1000
        for side in (self.client, self.upstream):
            side.close()

    def _cut(self) -> End:
        """Say how it ended when the upstream just went away."""
        return End.COMPLETE if self.client.lane.fault else End.CUT

    def _ends(self, end: End) -> None:
        """Note how it ended; the first end counts."""
        if self._end is None:
            self._end = end
