"""An answer is kept before its end is given, or its end is not given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.headers import Headers
from gateway.idempotency.keeping import KeepingClient
from gateway.idempotency.replay import replayable
from gateway.upstream import UpstreamCut, UpstreamRequest
from ledger.errors import LedgerUnavailable
from ledger.replies import LARGEST_BODY

pytestmark = pytest.mark.anyio


@dataclass
class Played:
    """An upstream's answer, and a place to keep it; `story` is what happened in which order."""

    pieces: list[bytes]
    status: int = 200
    headers: Headers = field(default_factory=list)
    cut: bool = False
    fails: bool = False
    arrived: bool = False
    websockets: bool = False
    switch: Any = None
    story: list[Any] = field(default_factory=list)

    @asynccontextmanager
    async def send(self, *_: object) -> AsyncIterator[Any]:
        yield self

    def whole(self, most_bytes: int) -> bytes | None:
        raise AssertionError("it is read piece by piece")

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.cut:
            raise UpstreamCut("played")

    async def keep(self, status: int, headers: Headers, body: bytes | None) -> None:
        assert (status, headers) == (self.status, self.headers)
        if self.fails:
            raise LedgerUnavailable("played")
        self.story.append(("kept", body))

    async def aclose(self, drain_ms: int = 0) -> None:
        raise AssertionError("who made it closes it")

    async def passed_on(self, method: bytes = b"GET") -> None:
        client = KeepingClient(self, counts=lambda status: status < 300, keep=self.keep)
        request = UpstreamRequest(method, b"/", [])
        async with client.send(request, None) as response:  # type: ignore[arg-type]
            self.story.append("begun")
            assert (response.status, response.headers) == (self.status, self.headers)
            if response.status < 300 and (body := response.whole(LARGEST_BODY)) is not None:
                self.story.append(body)
                return
            async for piece in response.chunks():
                self.story.append(piece)
            self.story.append("ended")


def length(count: int) -> Headers:
    return [(b"content-length", b"%d" % count)]


async def test_a_small_answer_is_kept_before_anything_is_passed_on() -> None:
    played = Played([b"he", b"llo"], headers=length(5))
    await played.passed_on()
    assert played.story == [("kept", b"hello"), "begun", b"hello"]


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204)])
async def test_an_answer_without_a_body_is_kept_whatever_length_it_says(
    method: bytes, status: int
) -> None:
    played = Played([], status=status, headers=length(500_000))
    await played.passed_on(method)
    assert played.story == [("kept", b""), "begun", b""]


async def test_a_streams_pieces_pass_as_they_come_and_its_end_waits() -> None:
    played = Played([b"one", b"two"])
    await played.passed_on()
    assert played.story == ["begun", b"one", b"two", ("kept", b"onetwo"), "ended"]


async def test_of_what_is_too_large_the_last_piece_waits_and_only_that_it_was_is_kept() -> None:
    pieces = [b"x" * LARGEST_BODY, b"y", b"z"]
    played = Played(pieces, headers=length(LARGEST_BODY + 2))
    await played.passed_on()
    assert played.story == ["begun", pieces[0], b"y", ("kept", None), b"z", "ended"]

    played = Played(pieces)
    await played.passed_on()
    assert played.story == ["begun", *pieces, ("kept", None), "ended"]


async def test_an_answer_that_was_cut_is_passed_on_as_it_came_and_not_kept() -> None:
    for headers in ([], length(9)):
        played = Played([b"ha", b"lf"], headers=headers, cut=True)
        with pytest.raises(UpstreamCut):
            await played.passed_on()
        assert b"".join(one for one in played.story if isinstance(one, bytes)) == b"half"
        assert not any(isinstance(one, tuple) for one in played.story)


async def test_what_is_not_charged_is_not_kept() -> None:
    played = Played([b"no"], status=404, headers=length(2))
    await played.passed_on()
    assert played.story == ["begun", b"no", "ended"]


async def test_what_cannot_be_kept_is_not_given_to_its_end() -> None:
    played = Played([b"hello"], headers=length(5), fails=True)
    with pytest.raises(LedgerUnavailable):
        await played.passed_on()
    assert played.story == []

    played = Played([b"one", b"two"], fails=True)
    with pytest.raises(LedgerUnavailable):
        await played.passed_on()
    assert played.story == ["begun", b"one", b"two"]


def test_of_the_headers_those_are_kept_that_are_true_again() -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
        (b"connection", b"close"),
        (b"set-cookie", b"session=1"),
        (b"farebox-cost", b"9"),
        (b"etag", b'"1"'),
    ]
    usual = [(b"content-type", b"text/plain"), (b"etag", b'"1"')]
    assert replayable(headers, status=200, method=b"GET") == usual
    assert (b"content-length", b"5") in replayable(headers, status=200, method=b"HEAD")
