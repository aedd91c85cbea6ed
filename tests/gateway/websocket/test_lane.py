"""One direction of a WebSocket: what passes, what waits, and what is the last to pass."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.websocket.lane import Lane
from tests.gateway.websocket.cases import CASES, DEFLATED
from tests.websockets import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame_bytes


class Counted(Lane):
    """A lane that lets in `allowed` messages."""

    def __init__(self, allowed: int = 1_000_000, **more: Any) -> None:
        self.allowed = allowed
        self.admitted = 0
        options = {"masked": True, "deflated": False, "max_message_bytes": None, **more}
        super().__init__(admit=self.ask, **options)

    def ask(self) -> bool:
        self.admitted += self.admitted < self.allowed
        self.allowed -= 1
        return self.allowed >= 0

    def all(self, pieces: Iterable[bytes]) -> bytes:
        return b"".join(self.feed(piece) for piece in pieces)


@settings(max_examples=300)
@given(name=st.sampled_from([*CASES, *DEFLATED]), data=st.data())
def test_what_passes_does_not_depend_on_how_it_was_split(name: str, data: st.DataObject) -> None:
    stream = b"".join({**CASES, **DEFLATED}[name])[:4_000]
    deflated = name in DEFLATED
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    bounds = [0, *cuts, len(stream)]
    split, whole = Counted(deflated=deflated), Counted(deflated=deflated)

    passed = split.all(stream[a:b] for a, b in itertools.pairwise(bounds))

    assert passed == whole.feed(stream)
    assert stream.startswith(passed)
    for one in ("admitted", "closed", "over", "fault", "payload_bytes"):
        assert getattr(split, one) == getattr(whole, one), one


def test_a_message_counts_once_however_many_fragments_it_has() -> None:
    lane = Counted()
    parts = [frame_bytes(TEXT, b"a", fin=False), frame_bytes(CONTINUATION, b"b", fin=False)]
    lane.all([*parts, frame_bytes(PING), frame_bytes(CONTINUATION), frame_bytes(BINARY, b"c")])
    assert (lane.admitted, lane.payload_bytes) == (2, 3)


def test_a_message_that_is_not_let_in_waits_with_all_behind_it() -> None:
    lane = Counted(allowed=1)
    first, second, ping = frame_bytes(TEXT, b"1"), frame_bytes(TEXT, b"2"), frame_bytes(PING)
    assert lane.feed(first + second) == first
    assert lane.waiting
    assert lane.feed(ping) == b""
    lane.allowed = 1
    assert lane.resume() == second + ping
    assert not lane.waiting


def test_what_is_refused_again_goes_on_waiting() -> None:
    lane = Counted(allowed=0)
    assert lane.feed(frame_bytes(TEXT, b"1")) == b""
    assert lane.resume() == b""
    assert lane.waiting


def test_nothing_passes_behind_a_close() -> None:
    lane = Counted()
    close = frame_bytes(CLOSE, b"\x03\xe8")
    assert lane.feed(close + frame_bytes(TEXT, b"late")) == close
    assert lane.closed
    assert lane.feed(frame_bytes(TEXT, b"later")) == b""
    assert lane.admitted == 0


@pytest.mark.parametrize(
    "frame",
    [
        frame_bytes(TEXT, b"hello", mask=None),
        frame_bytes(TEXT, b"hello", rsv=4),
        frame_bytes(3, b"hello"),
        frame_bytes(11, b"hello"),
        frame_bytes(CONTINUATION, b"hello"),
        frame_bytes(PING, b"a" * 126),
        frame_bytes(PING, fin=False),
    ],
)
def test_a_frame_that_breaks_the_rules_is_counted_and_the_last_to_pass(frame: bytes) -> None:
    lane = Counted()
    assert lane.feed(frame + frame_bytes(TEXT, b"smuggled")) == frame
    assert lane.fault
    assert lane.over
    assert lane.feed(frame_bytes(TEXT, b"smuggled")) == b""
    assert lane.admitted == 1


def test_of_a_length_beyond_all_bounds_only_the_head_passes() -> None:
    lane = Counted()
    frame = frame_bytes(TEXT, b"a", length=b"\x7f" + b"\xff" * 8)
    assert lane.feed(frame) == frame[:14]
    assert lane.over


def test_a_message_over_the_limit_does_not_pass_in_fragments_either() -> None:
    lane = Counted(max_message_bytes=4)
    part = frame_bytes(TEXT, b"abc", fin=False)
    assert lane.feed(part + frame_bytes(CONTINUATION, b"de")) == part
    assert lane.too_large


def test_the_limit_is_of_a_message_not_of_all() -> None:
    lane = Counted(max_message_bytes=4)
    both = frame_bytes(TEXT, b"abcd") * 2
    assert lane.feed(both) == both


def test_the_pong_to_our_own_ping_is_kept_back_and_no_other() -> None:
    lane = Counted()
    lane.awaited = b"ours"
    theirs, ours = frame_bytes(PONG, b"theirs"), frame_bytes(PONG, b"ours")
    text = frame_bytes(TEXT, b"a")
    assert lane.feed(theirs + text + ours + text) == theirs + text + text
    assert lane.feed(ours) == ours  # asked for once


def test_finishing_lets_the_frame_that_has_begun_pass() -> None:
    lane = Counted()
    frame = frame_bytes(TEXT, b"hello")
    lane.feed(frame[:8])
    assert not lane.between_frames
    lane.finish()
    assert lane.feed(frame[8:] + frame) == frame[8:]
    assert lane.over
