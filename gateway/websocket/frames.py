"""The head of a frame, and frames of our own (RFC 6455 section 5.2). No I/O."""

from typing import Final, NamedTuple

CONTINUATION: Final = 0x0
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_DATA_OPCODES: Final = (0x0, 0x1, 0x2)

MAX_CONTROL_BYTES: Final = 125
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_LARGEST_LENGTH: Final = 2**63 - 1


class Head(NamedTuple):
    """
    The head of one frame.

    Attributes:
        size: Bytes of the head itself, with the mask.
        length: Bytes of the payload.
        fault: What in it no endpoint may send, whatever was agreed on; empty where it is sound.
    """

    opcode: int
    fin: bool
    rsv: int
    masked: bool
    size: int
    length: int
    fault: str = ""

    @property
    def is_control(self) -> bool:
        """Whether it is a Close, Ping or Pong, or an opcode kept for more of those."""
        return self.opcode >= CLOSE


def read_head(data: bytes, at: int) -> Head | None:
    """
    Read the head that begins at `at`; None where it has not come whole.

    A length in more bytes than it needs is let pass: it has one meaning only, and whether it is
    an error is the receiver's to say.
    """
    here = len(data) - at
    if here < 2:
        return None
    first, second = data[at], data[at + 1]
    masked = second >= 0x80
    length = second & 0x7F
    size = 2 if length < _LENGTH_16 else 4 if length == _LENGTH_16 else 10
    if here < size + 4 * masked:
        return None
    if size > 2:
        length = int.from_bytes(data[at + 2 : at + size], "big")
    opcode, fin = first & 0x0F, first >= 0x80
    fault = ""
    if length > _LARGEST_LENGTH:
        fault, length = "a length beyond all bounds", 0
    elif opcode not in _DATA_OPCODES and opcode not in (CLOSE, PING, PONG):
        fault = "an opcode without meaning"
    elif opcode >= CLOSE and (not fin or length > MAX_CONTROL_BYTES):
        fault = "a control frame in parts or too large"
    return Head(opcode, fin, first >> 4 & 0x07, masked, size + 4 * masked, length, fault)


def unmasked(frame: bytes, head: Head) -> bytes:
    """Return the payload of a whole control frame, masked or not."""
    payload = frame[head.size :]
    if not head.masked:
        return payload
    mask = frame[head.size - 4 : head.size]
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def control_frame(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """Write a control frame; towards an upstream it needs a mask of 4 random bytes."""
    if mask is None:
        return bytes((0x80 | opcode, len(payload))) + payload
    head = bytes((0x80 | opcode, 0x80 | len(payload))) + mask
    return head + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def close_payload(code: int, reason: str) -> bytes:
    """Return what a Close carries; the reason is cut to what fits, at a character's end."""
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()
