"""
A metered stream: the fast path passes on its head and first piece, the main flow the rest.

Most is asked of both ways, and has to be the same where the main flow serves all of it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.access_log import Line
from gateway.fast_path.fast_path import FastPath
from gateway.framing import StrictHttpProtocol
from gateway.problems import Problem
from gateway.upstream.limits import UpstreamLimits
from tests.gateway.fast_path.rig import LIMIT_S, Client, Played, Warm, client_of, get
from tests.gateway.serving import until
from tests.upstreams import Connection, Step, cut, reset

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { window: 1000000 } }
upstreams: { api: { url: "{api}", timeout: 20s } }
routes:
  - { path: /ok, upstream: api, price: 1 }
  - path: /stream
    upstream: api
    price: { hold: 50, settle: { response: /total, cost: 1 } }
    limits: { per_key: { requests: 1000, per: minute } }
  - path: /delivered
    upstream: api
    on_cut: delivered
    price: { hold: 50, settle: { response: /total, cost: 1 } }
  - path: /made
    upstream: api
    charge_on: [201]
    price: { hold: 50, settle: { response: /total, cost: 1 } }
"""
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
HEAD = EVENTS + b"transfer-encoding: chunked\r\n\r\n"
TO_THE_END = EVENTS + b"\r\n"
USAGE = b'data: {"total": 7}\n\n'
FIRST = b"data: first\n\n"


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


END = chunk(b"")


@pytest.fixture(scope="module", autouse=True)
def no_sweep() -> Iterator[None]:
    """What is left here is left at once, and not because it took long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.fast_path.fast_path.SWEEP_EVERY_S", 600.0)
        yield


@pytest.fixture(params=["fast path", "main flow"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the fast path takes requests: what happens has to be the same."""
    if request.param == "main flow":
        monkeypatch.setattr(FastPath, "prepared", lambda *_: None)
    return bool(request.param == "fast path")


class Stream:
    """What the backend does with the next request of this path, one step at a time."""

    def __init__(self, backend: Played, path: str = "/stream") -> None:
        self._steps: asyncio.Queue[Step | None] = asyncio.Queue()
        self.asked = False
        backend.plays[path] = self._play

    async def _play(self, connection: Connection) -> None:
        self.asked = True
        while (step := await self._steps.get()) is not None:
            if isinstance(step, bytes):
                await connection.send(step)
            else:
                await step(connection)

    def then(self, *steps: Step) -> None:
        """Do this next."""
        for step in steps:
            self._steps.put_nowait(step)

    def over(self) -> None:
        """Be ready for another request."""
        self._steps.put_nowait(None)


async def head(client: Client) -> str:
    async with asyncio.timeout(LIMIT_S):
        return (await client.raw.head()).decode()


async def read(client: Client, expected: bytes) -> None:
    """Read what has to come next."""
    async with asyncio.timeout(LIMIT_S):
        assert await client.raw.reader.readexactly(len(expected)) == expected


async def nothing_more(client: Client) -> None:
    assert await client.closed() == b""


def in_the_passage(warm: Warm) -> Callable[[], bool]:
    return lambda: any(one._turn is not None for one in warm.fast.under_way)


@pytest.mark.parametrize("together", [False, True], ids=["head first", "head and piece"])
async def test_it_is_passed_on_as_it_comes(
    warm: Warm, fast: bool, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    lines: list[Line] = []
    monkeypatch.setattr(warm.gateway.app._access_log, "add", lines.append)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD + chunk(FIRST) if together else HEAD)
        told = await head(client)
        assert told.startswith("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        assert "farebox-balance: 950\r\n" in told
        assert "farebox-cost" not in told
        assert 'ratelimit: "' in told
        if not together:
            stream.then(chunk(FIRST))
        await read(client, chunk(FIRST))
        stream.then(chunk(USAGE))
        await read(client, chunk(USAGE))
        stream.then(END)
        stream.over()
        await read(client, END)
        assert (await client.ask(get(customer, "/ok"))).body == b"ok"
    assert warm.passages.counts == (1, 1, 0) if fast else (0, 0, 0)
    [upward, _] = warm.backend.heads
    request_id = told.partition("farebox-request-id: ")[2][:24]
    assert f"farebox-request-id: {request_id}" in upward.decode()
    logged = next(line for line in lines if line.request_id == request_id)
    assert (logged.status, logged.sent_bytes, logged.captured, logged.reason) == (
        200,
        len(FIRST + USAGE),
        7,
        "delivered",
    )
    await warm.spent(customer, 8)


async def test_usage_in_its_first_piece_counts(warm: Warm, fast: bool) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD + chunk(USAGE))
        await head(client)
        await read(client, chunk(USAGE))
        stream.then(chunk(FIRST) + END)
        stream.over()
        await read(client, chunk(FIRST) + END)
    assert warm.passages.left == fast
    await warm.spent(customer, 7)


async def test_one_that_only_its_end_ends(warm: Warm, fast: bool) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(TO_THE_END + USAGE)
        await head(client)
        await read(client, chunk(USAGE))
        stream.then(cut())
        await read(client, END)
    assert warm.passages.left == fast
    await warm.spent(customer, 7)


@pytest.mark.parametrize(
    ("path", "begun", "cost"),
    [
        ("/stream", b"HTTP/1.1 500 Broken\r\ntransfer-encoding: chunked\r\n\r\n", 0),
        ("/made", HEAD, 0),
        ("/made", b"HTTP/1.1 201 Made\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("/stream", b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n", None),
    ],
    ids=["broken", "not covered", "created", "its length is known"],
)
async def test_other_answers_are_begun_by_the_main_flow(
    warm: Warm, fast: bool, path: str, begun: bytes, cost: int | None
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend, path)
    known = b"content-length" in begun
    piece = b"x" * 200_000
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, path))
        stream.then(begun)
        told = await head(client)
        assert ("farebox-cost: 0\r\n" in told) == (cost == 0)
        stream.then(piece if known else chunk(FIRST) + END)
        stream.over()
        await read(client, piece if known else chunk(FIRST) + END)
    assert warm.passages.left == fast
    await warm.spent(customer, 50 if cost is None else cost)  # nothing said what it used


@pytest.mark.parametrize("end", [cut, reset])
@pytest.mark.parametrize("came", [(), (USAGE,), (FIRST, USAGE)], ids=["head", "piece", "pieces"])
@pytest.mark.parametrize("path", ["/stream", "/delivered"])
async def test_one_that_is_cut_does_not_look_whole(
    warm: Warm, fast: bool, end: Callable[[], Step], came: tuple[bytes, ...], path: str
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend, path)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, path))
        stream.then(HEAD)
        await head(client)
        for piece in came:
            stream.then(chunk(piece))
            await read(client, chunk(piece))
        stream.then(end())
        await nothing_more(client)
    assert warm.passages.left == fast
    paid = 7 if came else 50  # of what was said; where nothing was, what was held
    await warm.spent(customer, paid if path == "/delivered" else 0)


@pytest.mark.parametrize("rude", [False, True], ids=["leaves", "vanishes"])
@pytest.mark.parametrize("came", [(), (FIRST,)], ids=["head", "piece"])
async def test_a_client_that_leaves_pays_what_it_would_have(
    warm: Warm, fast: bool, rude: bool, came: tuple[bytes, ...]
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD)
        await head(client)
        for piece in came:
            stream.then(chunk(piece))
            await read(client, chunk(piece))
        if rude:
            client.raw.vanish()
        else:
            await client.raw.leave()
    await until(lambda: warm.gateway.app.clients_gone)
    stream.then(chunk(USAGE) + END)
    stream.over()
    assert warm.passages.left == fast
    await warm.spent(customer, 7)


async def test_a_slow_client_gets_all_of_it(
    warm: Warm, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    pieces = [b"x" * 3_000_000, b"y" * 3_000_000, b"\n\n" + USAGE]
    paused, usual = asyncio.Event(), StrictHttpProtocol.pause_writing

    def pause(self: StrictHttpProtocol) -> None:
        usual(self)
        paused.set()

    monkeypatch.setattr(StrictHttpProtocol, "pause_writing", pause)
    async with client_of(warm.gateway) as client:
        client.raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD, *map(chunk, pieces), END)
        stream.over()
        async with asyncio.timeout(LIMIT_S):
            await paused.wait()
        client.raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await head(client)
        assert await body(client) == b"".join(pieces)
    assert warm.passages.left == fast
    await warm.spent(customer, 7)


async def test_a_first_piece_larger_than_is_read_ahead(warm: Warm, fast: bool) -> None:
    """Reading the backend stops then, and goes on."""
    customer = await warm.customer()
    stream = Stream(warm.backend)
    for pool in warm.gateway.app._upstreams._pools.values():
        for connection in pool._idle:
            connection._limits = UpstreamLimits(buffer_bytes=1_000)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD + chunk(b"x" * 20_000))
        await head(client)
        stream.then(chunk(b"\n\n" + USAGE), END)
        stream.over()
        assert await body(client) == b"x" * 20_000 + b"\n\n" + USAGE
    assert warm.passages.left == fast
    await warm.spent(customer, 7)


async def body(client: Client) -> bytes:
    pieces = []
    async with asyncio.timeout(LIMIT_S):
        while size := int(await client.raw.reader.readuntil(b"\r\n"), 16):
            pieces.append((await client.raw.reader.readexactly(size + 2))[:-2])
        await client.raw.reader.readexactly(2)
    return b"".join(pieces)


async def test_what_is_sent_behind_it_waits_for_its_end(warm: Warm, fast: bool) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream") + get(customer, "/ok"))
        stream.then(HEAD + chunk(FIRST))
        await head(client)
        await read(client, chunk(FIRST))
        assert len(warm.backend.heads) == 1
        stream.then(chunk(USAGE) + END)
        stream.over()
        await read(client, chunk(USAGE) + END)
        assert (await client.answer()).body == b"ok"
    assert warm.passages.left == fast
    await warm.spent(customer, 8)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_client_of_an_older_version(warm: Warm, fast: bool, whole: bool) -> None:
    """The end of its connection is the end of the answer: one that is cut ends rudely."""
    customer = await warm.customer()
    stream = Stream(warm.backend)
    request = get(customer, "/stream", "connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
    async with client_of(warm.gateway) as client:
        await client.raw.send(request)
        stream.then(HEAD + chunk(USAGE))
        assert "transfer-encoding" not in await head(client)
        await read(client, USAGE)
        if whole:
            stream.then(END)
            stream.over()
            await nothing_more(client)
        else:
            stream.then(cut())
            with pytest.raises(ConnectionResetError):
                await client.raw.rest()
    await warm.spent(customer, 7 if whole else 0)


async def test_one_that_pauses_behind_its_head_is_left(warm: Warm) -> None:
    """As the sweep does with what takes long."""
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD)
        await head(client)
        assert in_the_passage(warm)()
        [passage] = warm.fast.under_way
        passage.leave()
        stream.then(chunk(USAGE) + END)
        stream.over()
        await read(client, chunk(USAGE) + END)
    assert warm.passages.counts == (0, 1, 0)
    await warm.spent(customer, 7)


async def test_one_whose_client_takes_no_more_is_left(warm: Warm) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        await until(lambda: stream.asked)
        [passage] = warm.fast.under_way
        connection = passage._connection
        connection.pause_writing()
        stream.then(HEAD + chunk(FIRST))
        await until(lambda: warm.passages.left)
        assert not connection._turn.started
        connection.resume_writing()
        assert (await head(client)).startswith("HTTP/1.1 200 OK\r\n")
        await read(client, chunk(FIRST))
        stream.then(chunk(USAGE) + END)
        stream.over()
        await read(client, chunk(USAGE) + END)
    await warm.spent(customer, 7)


async def test_a_server_that_ends_lets_it_end(warm: Warm) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/stream"))
        stream.then(HEAD)
        await head(client)
        assert in_the_passage(warm)()
        [passage] = warm.fast.under_way
        passage._connection.shutdown()
        stream.then(chunk(USAGE) + END)
        stream.over()
        await read(client, chunk(USAGE) + END)
        await nothing_more(client)
    assert warm.passages.counts == (0, 1, 0)
    await warm.spent(customer, 7)


class Fault(Exception):
    """What nobody expects."""


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("canonical_path", Fault()),
        ("hold_order", Fault()),
        ("upstream_request", Fault()),
        ("check_head", Problem("key-revoked", "It was.")),
    ],
    ids=["canonical_path", "hold_order", "upstream_request", "check_head"],
)
async def test_what_the_main_flow_cannot_go_on_with_is_cut_and_costs_nothing(
    warm: Warm,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    error: Exception,
) -> None:
    customer = await warm.customer()
    stream = Stream(warm.backend)

    def fail(*_args: Any, **_more: Any) -> Any:
        raise error

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        async with client_of(warm.gateway) as client:
            await client.raw.send(get(customer, "/stream"))
            stream.then(HEAD)
            await head(client)
            patch.setattr(f"gateway.proxy.{step}", fail)
            stream.then(chunk(FIRST))
            await read(client, chunk(FIRST))
            await nothing_more(client)
    assert bool(caplog.text) == isinstance(error, Fault)
    stream.over()
    await warm.spent(customer, 0)
