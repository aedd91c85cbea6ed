"""
One direction of a WebSocket: what may be passed on of the bytes that come. No I/O.

Bytes are passed on as they came: masks, fragments, compression and text that is no UTF-8 are the
endpoints' affair. Only heads are read, to know where frames begin and when a message does.

A frame that breaks RFC 6455 is the last that passes. Its receiver answers it as it would have
without us, and what could be read in two ways after it is never read.
"""

from collections.abc import Callable

from gateway.websocket.frames import (
    CLOSE,
    CONTINUATION,
    PONG,
    Head,
    read_head,
    unmasked,
)

_RSV1 = 0x4


class Lane:
    """
    Follows one direction.

    Attributes:
        waiting: A message is not let in yet; `resume` when it may be.
        closed: A Close has passed.
        over: Nothing more will pass.
        fault: Which rule the last frame broke; empty for none.
        too_large: A message grew beyond the limit; of that frame nothing has passed.
        payload_bytes: Of data frames, as far as they have passed.
        awaited: The payload of our own Ping; a Pong with it is ours and is kept back.
    """

    def __init__(
        self,
        *,
        masked: bool,
        deflated: bool,
        max_message_bytes: int | None,
        admit: Callable[[], bool],
    ) -> None:
        """
        Build it.

        `masked`: what comes is a client's. `deflated`: messages may be compressed, which RSV1
        says. `admit` is asked once for each message, before its first byte passes.
        """
        self._masked = masked
        self._rsv = _RSV1 if deflated else 0
        self._limit = max_message_bytes
        self._admit = admit
        self._kept = b""
        self._left = 0
        self._counts = False
        self._last = False
        self._in_message = False
        self._message_bytes = 0
        self.waiting = False
        self.closed = False
        self.over = False
        self.fault = ""
        self.too_large = False
        self.payload_bytes = 0
        self.awaited = b""

    @property
    def between_frames(self) -> bool:
        """Whether a frame of our own can stand here."""
        return self._left == 0

    @property
    def left_bytes(self) -> int:
        """How much of the frame under way is still to come."""
        return self._left

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give those to pass on."""
        if self.over:
            return b""
        if self._kept:
            data = self._kept + data
        if self.waiting:
            self._kept = data
            return b""
        return self._walk(data)

    def resume(self) -> bytes:
        """Ask again for the message that waits; give as `feed` does."""
        self.waiting = False
        data, self._kept = self._kept, b""
        return self._walk(data) if data and not self.over else b""

    def finish(self) -> None:
        """Let nothing pass any more but the rest of a frame that has begun."""
        if self._left:
            self._last = True
        else:
            self.over = True

    def drain(self) -> None:
        """Go on reading, for the Close that is to come, without asking who pays for it."""
        self._admit = _anything
        self.resume()

    def _walk(self, data: bytes) -> bytes:
        out: list[bytes] = []
        start = at = 0
        end = len(data)
        while at < end and not self.over:
            if self._left:
                at += self._payload(end - at)
                continue
            head = read_head(data, at)
            if head is None:
                break
            fault = head.fault or self._out_of_place(head)
            if head.is_control and not fault:
                whole = at + head.size + head.length
                if whole > end:
                    break
                if head.opcode == PONG and self._is_ours(data[at:whole], head):
                    out.append(data[start:at])
                    start = whole
                self.closed = self.over = head.opcode == CLOSE
                at = whole
            elif self._begins(head, fault):
                at += head.size
            else:
                break
        self._kept = b"" if self.over else data[at:]
        if not out:
            return data[start:at]
        out.append(data[start:at])
        return b"".join(out)

    def _payload(self, here: int) -> int:
        """Step over what has come of a payload."""
        step = min(self._left, here)
        self._left -= step
        if self._counts:
            self.payload_bytes += step
        if not self._left and self._last:
            self.over = True
        return step

    def _begins(self, head: Head, fault: str) -> bool:
        """Begin a frame of data; False where it has to wait, or never passes."""
        more = head.opcode == CONTINUATION and self._in_message and not fault
        size = head.length + (self._message_bytes if more else 0)
        if self._limit is not None and size > self._limit:
            self.too_large = self.over = True
            return False
        # What is no part of a message that was let in is a message of its own, were it malformed:
        # a backend that does not mind must not get it for nothing.
        if not more and not self._admit():
            self.waiting = True
            return False
        self._message_bytes = size
        self._in_message = not head.fin
        self._left = head.length
        self._counts = not head.is_control
        if fault:
            self.fault = fault
            self._last = True
            self.over = not head.length
        return True

    def _out_of_place(self, head: Head) -> str:
        """Say what is wrong with a sound head at this place."""
        if head.masked is not self._masked:
            return "a frame without mask" if self._masked else "a masked frame"
        first = head.opcode != CONTINUATION
        if head.rsv and (head.is_control or not first or head.rsv & ~self._rsv):
            return "a bit nobody agreed on"
        if not head.is_control and first is self._in_message:
            return "a message within a message" if first else "a continuation of nothing"
        return ""

    def _is_ours(self, frame: bytes, head: Head) -> bool:
        if not self.awaited or unmasked(frame, head) != self.awaited:
            return False
        self.awaited = b""
        return True


def _anything() -> bool:
    return True
