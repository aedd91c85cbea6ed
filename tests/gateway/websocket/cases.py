"""
What a client may send over a WebSocket, in the order of the Autobahn test suite.

Each case is a list of pieces, written one after the other; what comes back until the connection
ends is what is compared. `DEFLATED` marks the cases that agree on permessage-deflate first.
"""

import random
import zlib

from tests.websockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame_bytes

BYE = frame_bytes(CLOSE, (1000).to_bytes(2, "big"))
MIB = random.Random(1).randbytes(1 << 20)
LETTERS = (
    ("Grüße aus Köln, 日本語 " * 40_000)
    .encode()[: (1 << 20) - 5]
    .decode("utf-8", "ignore")
    .encode()
)


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def fragments(opcode: int, payload: bytes, size: int) -> bytes:
    """A message in fragments."""
    out = []
    for at in range(0, len(payload), size):
        last = at + size >= len(payload)
        out.append(
            frame_bytes(opcode if at == 0 else CONTINUATION, payload[at : at + size], fin=last)
        )
    return b"".join(out)


def close(code: int, reason: bytes = b"") -> bytes:
    return frame_bytes(CLOSE, code.to_bytes(2, "big") + reason)


def deflated(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


CASES: dict[str, list[bytes]] = {}
DEFLATED: dict[str, list[bytes]] = {}

for size in (0, 125, 126, 127, 128, 65_535, 65_536):
    CASES[f"1.1 a text of {size}"] = [frame_bytes(TEXT, b"*" * size), BYE]
    CASES[f"1.2 binary of {size}"] = [frame_bytes(BINARY, b"\xfe" * size), BYE]
CASES["1.1.8 a text byte by byte"] = [*bytewise(frame_bytes(TEXT, b"byte by byte" * 3)), BYE]
CASES["1.1.9 thirty messages in one piece"] = [
    b"".join(frame_bytes(TEXT, b"%d" % number) for number in range(30)) + BYE
]

CASES["2.1 an empty ping"] = [frame_bytes(PING), BYE]
CASES["2.2 a ping with text"] = [frame_bytes(PING, b"are you there"), BYE]
CASES["2.3 a ping with any bytes"] = [frame_bytes(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), BYE]
CASES["2.4 a ping of 125"] = [frame_bytes(PING, b"\xfe" * 125), BYE]
CASES["2.5 a ping of 126"] = [frame_bytes(PING, b"\xfe" * 126), BYE]
CASES["2.6 a ping byte by byte"] = [*bytewise(frame_bytes(PING, b"\xfe" * 125)), BYE]
CASES["2.7 a pong nobody asked for"] = [frame_bytes(PONG), frame_bytes(PONG, b"hello"), BYE]
CASES["2.9 a pong, then a ping"] = [frame_bytes(PONG, b"no"), frame_bytes(PING, b"yes"), BYE]
CASES["2.10 ten pings"] = [*[frame_bytes(PING, b"%d" % number) for number in range(10)], BYE]
CASES["2.11 ten pings byte by byte"] = [
    *bytewise(b"".join(frame_bytes(PING, b"%d" % number) for number in range(10))),
    BYE,
]

for rsv in range(1, 8):
    CASES[f"3 reserved bits {rsv} on a text"] = [
        frame_bytes(TEXT, b"before"),
        frame_bytes(TEXT, b"hello", rsv=rsv),
        frame_bytes(TEXT, b"after"),
        BYE,
    ]
    CASES[f"3 reserved bits {rsv} on a ping"] = [frame_bytes(PING, b"hello", rsv=rsv), BYE]
    CASES[f"3 reserved bits {rsv} on a close"] = [frame_bytes(CLOSE, rsv=rsv), BYE]
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    CASES[f"4 opcode {opcode}"] = [
        frame_bytes(TEXT, b"before"),
        frame_bytes(opcode, b"payload"),
        frame_bytes(PING, b"after"),
        BYE,
    ]
    CASES[f"4 opcode {opcode} without payload"] = [frame_bytes(opcode), frame_bytes(PING), BYE]

PART, REST = frame_bytes(TEXT, b"fragment1", fin=False), frame_bytes(CONTINUATION, b"fragment2")
CASES["5.1 a ping in fragments"] = [frame_bytes(PING, b"a", fin=False), REST, BYE]
CASES["5.2 a pong in fragments"] = [frame_bytes(PONG, b"a", fin=False), REST, BYE]
CASES["5.3 a text in two fragments"] = [PART, REST, BYE]
CASES["5.4 two fragments in one piece"] = [PART + REST + BYE]
CASES["5.5 two fragments byte by byte"] = [*bytewise(PART + REST), BYE]
CASES["5.6 a ping between fragments"] = [PART, frame_bytes(PING, b"now"), REST, BYE]
CASES["5.8 a ping between, byte by byte"] = [
    *bytewise(PART + frame_bytes(PING, b"now") + REST),
    BYE,
]
CASES["5.9 a continuation of nothing"] = [REST, frame_bytes(TEXT, b"hello"), BYE]
CASES["5.12 an unfinished continuation of nothing"] = [
    frame_bytes(CONTINUATION, b"a", fin=False),
    frame_bytes(TEXT, b"hello"),
    BYE,
]
CASES["5.15 a continuation after the end"] = [PART, REST, frame_bytes(CONTINUATION, b"3"), BYE]
CASES["5.18 a text amid another"] = [PART, frame_bytes(TEXT, b"fragment2"), BYE]
CASES["5.19 pings between five fragments"] = [
    b"".join(
        frame_bytes(TEXT if number == 0 else CONTINUATION, b"%d" % number, fin=number == 4)
        + frame_bytes(PING, b"%d" % number)
        for number in range(5)
    ),
    BYE,
]
CASES["5.20 empty fragments"] = [
    frame_bytes(TEXT, fin=False) + frame_bytes(CONTINUATION, fin=False) + frame_bytes(CONTINUATION),
    BYE,
]
CASES["5.21 left unfinished"] = [PART, BYE]

for name, text in {
    "all planes": "κόσμε 日本語 \U0001f600 \x00 \ufffd".encode(),
    "overlong": b"\xc0\x80",
    "a surrogate": b"\xed\xa0\x80",
    "beyond the last plane": b"\xf4\x90\x80\x80",
    "a lone continuation": b"hello \x80",
    "a cut sequence": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce",
    "bytes that are never in it": b"\xfe\xfe\xff\xff",
}.items():
    CASES[f"6 {name}"] = [frame_bytes(TEXT, text), frame_bytes(PING, b"x"), BYE]
    CASES[f"6 {name}, each byte a fragment"] = [fragments(TEXT, text, 1), frame_bytes(PING), BYE]
    CASES[f"6 {name}, as binary"] = [frame_bytes(BINARY, text), BYE]

CASES["7.1 a text, then the close"] = [frame_bytes(TEXT, b"hello"), BYE]
CASES["7.1.2 two closes"] = [BYE, BYE]
CASES["7.1.3 a ping after the close"] = [BYE, frame_bytes(PING)]
CASES["7.1.4 a text after the close"] = [BYE, frame_bytes(TEXT, b"late")]
CASES["7.1.4 a text right after the close"] = [BYE + frame_bytes(TEXT, b"late")]
CASES["7.1.5 a close amid a message"] = [PART, BYE, REST]
CASES["7.3.1 an empty close"] = [frame_bytes(CLOSE)]
CASES["7.3.2 a close of one byte"] = [frame_bytes(CLOSE, b"a")]
CASES["7.3.4 a close with a reason"] = [close(1000, b"Hello World!")]
CASES["7.3.5 a close of 125"] = [close(1000, b"*" * 123)]
CASES["7.3.6 a close of 126"] = [close(1000, b"*" * 124), BYE]
CASES["7.5.1 a reason that is no UTF-8"] = [close(1000, b"\xce\xba\xed\xa0\x80")]
CASES["7.5.2 a close byte by byte"] = bytewise(close(1000, b"slowly"))
for code in (
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    3000,
    3999,
    4000,
    4999,
):
    CASES[f"7.7 close {code}"] = [close(code, b"because")]
for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535):
    CASES[f"7.9 close {code}, which is not allowed"] = [close(code)]

CASES["9.1 a text of 1 MiB"] = [frame_bytes(TEXT, LETTERS), BYE]
CASES["9.2 binary of 1 MiB"] = [frame_bytes(BINARY, MIB), BYE]
CASES["9.3 a text of 1 MiB in fragments of 4 KiB"] = [fragments(TEXT, LETTERS, 4_096), BYE]
CASES["9.4 binary of 1 MiB in fragments of 64 KiB"] = [fragments(BINARY, MIB, 65_536), BYE]
LARGE = frame_bytes(TEXT, LETTERS)
CASES["9.5 a text of 1 MiB in pieces of 1,000"] = [
    *[LARGE[at : at + 1_000] for at in range(0, len(LARGE), 1_000)],
    BYE,
]
CASES["9.7 a thousand texts"] = [frame_bytes(TEXT, b"*" * 64) * 1_000 + BYE]
CASES["9.9 more than the backend takes"] = [
    frame_bytes(BINARY, length=b"\x7f" + (1 << 40).to_bytes(8, "big"))
]

CASES["0 a frame without mask"] = [frame_bytes(TEXT, b"hello", mask=None), frame_bytes(PING), BYE]
CASES["0 a close without mask"] = [frame_bytes(CLOSE, b"\x03\xe8", mask=None), BYE]
CASES["0 a mask of zeros"] = [frame_bytes(TEXT, b"hello", mask=b"\0\0\0\0"), BYE]
CASES["0 a length of 16 bits that fits in 7"] = [
    frame_bytes(TEXT, b"hello", length=b"\x7e\0\5"),
    BYE,
]
CASES["0 a length of 64 bits that fits in 16"] = [
    frame_bytes(TEXT, b"a" * 200, length=b"\x7f" + (200).to_bytes(8, "big")),
    BYE,
]
CASES["0 a length beyond all bounds"] = [frame_bytes(TEXT, b"a", length=b"\x7f" + b"\xff" * 8), BYE]
CASES["0 a ping in the form of a longer one"] = [frame_bytes(PING, b"a", length=b"\x7e\0\1"), BYE]

for size in (0, 16, 1_000, 100_000):
    payload = LETTERS[:size].decode("utf-8", "ignore").encode()
    DEFLATED[f"12 a packed text of {size}"] = [frame_bytes(TEXT, deflated(payload), rsv=4), BYE]
    DEFLATED[f"12 a packed text of {size} in fragments"] = [
        frame_bytes(TEXT, deflated(payload), rsv=4, fin=False) + frame_bytes(CONTINUATION),
        BYE,
    ]
DEFLATED["12 packed and not"] = [
    frame_bytes(TEXT, deflated(b"packed"), rsv=4) + frame_bytes(TEXT, b"not"),
    BYE,
]
DEFLATED["12 what cannot be unpacked"] = [frame_bytes(TEXT, b"\xff" * 20, rsv=4), BYE]
DEFLATED["12 the bit on a continuation"] = [PART, frame_bytes(CONTINUATION, b"a", rsv=4), BYE]
DEFLATED["12 the bit on a ping"] = [frame_bytes(PING, b"a", rsv=4), BYE]
DEFLATED["12 another bit"] = [frame_bytes(TEXT, b"a", rsv=2), BYE]
DEFLATED["12 a megabyte of zeros"] = [frame_bytes(BINARY, deflated(bytes(1 << 20)), rsv=4), BYE]
