"""What a backend does that is not usual: the main flow serves on, and it is charged once or not."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.gateway.fast_path.rig import Play, Warm, client_of, get
from tests.gateway.serving import until
from tests.upstreams import Connection, Step, answer, cut, reset, silence, trickle

pytestmark = pytest.mark.anyio

SERVED, LEFT = (1, 0, 0), (0, 1, 0)
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
LARGE = b"x" * 70_000


def steps(*play: Step) -> Play:
    """Do these one after another, each piece for itself."""

    async def run(connection: Connection) -> None:
        for step in play:
            if isinstance(step, bytes):
                await connection.send(step)
                await asyncio.sleep(0.01)
            else:
                await step(connection)

    return run


def in_turn(*plays: Play) -> Play:
    """Do another thing for each request, and the last for all that follow."""
    left = list(plays)

    async def run(connection: Connection) -> None:
        play = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(play, bytes):
            await connection.send(play)
        else:
            await play(connection)

    return run


@pytest.mark.parametrize(
    ("play", "status", "body", "counts"),
    [
        (answer(200, b"whole"), 200, b"whole", SERVED),
        (answer(200, b"whole") + b"more", 200, b"whole", SERVED),
        (answer(200, b"whole", b"connection: close"), 200, b"whole", SERVED),
        (answer(200, b"whole", b"keep-alive: timeout=5"), 200, b"whole", SERVED),
        (answer(204, b""), 204, b"", LEFT),
        (answer(200, LARGE), 200, LARGE, LEFT),
        (steps(trickle(answer(200, b"slow"))), 200, b"slow", LEFT),
        (steps(answer(200, b"abcd")[:-2], b"cd"), 200, b"abcd", LEFT),
        (steps(answer(200, b"abcd")[:-4], b"abcd"), 200, b"abcd", LEFT),
        (CHUNKED, 200, b"2\r\nok\r\n0\r\n\r\n", LEFT),
        (HINTS + answer(200, b"hinted"), 200, b"hinted", LEFT),
        (steps(HINTS, answer(200, b"hinted")), 200, b"hinted", LEFT),
        (
            steps(b"HTTP/1.1 200 OK\r\n\r\nto the end", cut()),
            200,
            b"a\r\nto the end\r\n0\r\n\r\n",
            LEFT,
        ),
    ],
    ids=[
        "whole",
        "bytes behind its body",
        "says that it closes",
        "says how long it keeps",
        "no content",
        "large",
        "byte by byte",
        "in two pieces",
        "head first",
        "chunked",
        "hints before it",
        "hints first",
        "ended by its end",
    ],
)
async def test_an_unusual_answer_is_passed_on_and_charged(
    warm: Warm, play: Play, status: int, body: bytes, counts: tuple[int, int, int]
) -> None:
    customer = await warm.customer()
    warm.backend.plays["/ten"] = play
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten"))
        assert (got.status, got.body) == (status, body)
        assert got.value("farebox-cost") == "10"
        assert warm.passages.counts == counts

        assert (await client.ask(get(customer, "/ok"))).body == b"ok"
    await warm.spent(customer, 11)


@pytest.mark.parametrize(
    ("play", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", 502),
        (b"HTTP/1.1 99 Low\r\ncontent-length: 0\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", 502),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 502),
        (b"\x16\x03\x01", 502),
        (steps(cut()), 502),
        (steps(reset()), 502),
        (steps(b"HTTP/1.1 200 OK\r\n", cut()), 502),
    ],
    ids=["line", "status", "two lengths", "switches", "no HTTP", "cut", "reset", "cut in its head"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_no_answer_costs_nothing(
    warm: Warm, play: Play, status: int, method: str
) -> None:
    customer = await warm.customer()
    warm.backend.plays["/ten"] = play
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten", method=method))
        assert got.status == status
        assert got.value("farebox-cost") == "0"
        assert (await client.ask(get(customer, "/ok"))).status == 200
    assert warm.passages.left >= 1
    await warm.spent(customer, 1)


async def test_an_answer_that_breaks_off_costs_nothing(warm: Warm) -> None:
    """The client has a part of it, and can tell that it is one."""
    customer = await warm.customer()
    warm.backend.plays["/ten"] = steps(answer(200, b"x" * 50)[:-40], cut())
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten"))
        assert (await client.closed()).endswith(b"x" * 10)
    await warm.spent(customer, 0)


@pytest.mark.parametrize("end", [cut(), reset()], ids=["cut", "reset"])
async def test_a_connection_that_dies_at_once_is_tried_anew(warm: Warm, end: Step) -> None:
    """Where the request may be repeated: a kept connection may end at any time."""
    customer = await warm.customer()
    warm.backend.plays["/ten"] = in_turn(steps(end), answer(200, b"second"))
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten", method="PUT"))
        assert (got.status, got.body) == (200, b"second")
        assert ids_of(warm.backend.heads) == [got.value("farebox-request-id")] * 2
        assert warm.backend.heads[0] == warm.backend.heads[1]
        assert warm.passages.counts == LEFT
    await warm.spent(customer, 10)


async def test_what_may_not_be_repeated_is_sent_once(warm: Warm) -> None:
    customer = await warm.customer()
    warm.backend.plays["/ten"] = in_turn(steps(cut()), answer(200, b"second"))
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten", method="POST"))
        assert (got.status, len(warm.backend.heads)) == (502, 1)
        assert warm.passages.counts == LEFT
    await warm.spent(customer, 0)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("play", "status", "sent"),
    [
        (answer(200, b"whole"), 200, 1),
        (steps(answer(200, b"abcd")[:-2], b"cd"), 200, 1),
        (steps(cut()), 502, 1),
    ],
    ids=["whole", "in two pieces", "cut"],
)
async def test_a_body_goes_up_once(
    warm: Warm, play: Play, status: int, sent: int, method: str
) -> None:
    """With its head, whoever sends it; a request that has one is not repeated."""
    customer = await warm.customer()
    warm.backend.upstream.bodies.clear()
    warm.backend.plays["/ten"] = play
    request = get(customer, "/ten", "content-length: 6", method=method) + b"a body"
    async with client_of(warm.gateway) as client:
        assert (await client.ask(request)).status == status
        assert warm.backend.upstream.bodies == [b"a body"] * sent
        assert sum(warm.passages.counts) == 1
        for pool in warm.gateway.app._upstreams._pools.values():
            pool.close(idle_only=True)
        warm.backend.plays.clear()
        assert (await client.ask(request)).status == 200  # without a kept connection
        assert warm.backend.upstream.bodies == [b"a body"] * (sent + 1)
        assert warm.passages.left >= 1
    await warm.spent(customer, 10 + 10 * (status == 200))


METERED = answer(200, b'{"total": 7}', b"content-type: application/json")
CHUNKED_METERED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    b'c\r\n{"total": 7}\r\n0\r\n\r\n'
)


@pytest.mark.parametrize(
    ("play", "cost"),
    [
        (METERED, 7),
        (steps(METERED[:-5], METERED[-5:]), 7),
        (CHUNKED_METERED, 7),
        (answer(200, b"nothing said"), 50),
        (answer(500, b'{"total": 7}'), 0),
        (steps(cut()), 0),
    ],
    ids=["whole", "in two pieces", "chunked, whole", "unreadable", "not covered", "cut"],
)
async def test_a_metered_answer_is_read_by_the_main_flow(warm: Warm, play: Play, cost: int) -> None:
    customer = await warm.customer()
    warm.backend.plays["/chat"] = play
    request = get(customer, "/chat", "content-length: 2", method="POST") + b"{}"
    async with client_of(warm.gateway) as client:
        assert (await client.ask(request)).value("farebox-cost") == str(cost)
    assert warm.passages.counts == LEFT
    assert len(warm.backend.heads) == 1
    await warm.spent(customer, cost)


async def test_a_metered_request_without_a_kept_connection_is_left_whole(warm: Warm) -> None:
    customer = await warm.customer()
    warm.backend.plays["/chat"] = METERED
    for pool in warm.gateway.app._upstreams._pools.values():
        pool.close(idle_only=True)
    request = get(customer, "/chat", "content-length: 2", method="POST") + b"{}"
    async with client_of(warm.gateway) as client:
        assert (await client.ask(request)).value("farebox-cost") == "7"
    assert warm.passages.counts == LEFT
    assert len(warm.backend.heads) == 1
    await warm.spent(customer, 7)


def kept(warm: Warm) -> list:  # type: ignore[type-arg]
    return [one for pool in warm.gateway.app._upstreams._pools.values() for one in pool._idle]


async def test_without_a_kept_connection_a_new_one_is_made(warm: Warm) -> None:
    customer = await warm.customer()
    for pool in warm.gateway.app._upstreams._pools.values():
        pool.close(idle_only=True)
    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ten"))).body == b"ok"
        assert warm.passages.counts == LEFT
        assert (await client.ask(get(customer, "/ten"))).body == b"ok"
        assert warm.passages.counts == (1, 1, 0)
    await warm.spent(customer, 20)


async def test_a_kept_connection_whose_end_was_not_read_yet_takes_no_post(warm: Warm) -> None:
    """The kernel is asked: a request that cannot be repeated is not risked."""
    customer = await warm.customer()
    (connection,) = kept(warm)[-1:]
    for pool in warm.gateway.app._upstreams._pools.values():
        pool._idle[:] = [connection]
    connection.transport.pause_reading()
    warm.backend.plays["/ten"] = answer(200, b"posted")
    for writer in warm.backend.writers:
        writer.close()
    await until(lambda: not connection.usable(surely=True))
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten", method="POST"))
        assert (got.status, got.body, len(warm.backend.heads)) == (200, b"posted", 1)
        assert warm.passages.counts == LEFT
    await warm.spent(customer, 10)


async def test_a_backend_that_takes_too_long(warm: Warm) -> None:
    """Told 504, charged nothing, and its connection is not used again."""
    customer = await warm.customer()
    warm.backend.plays["/late"] = steps(silence())
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/late"))
        assert got.status == 504
        assert got.value("farebox-cost") == "0"
        assert warm.passages.counts == LEFT
    await warm.spent(customer, 0)


async def test_the_client_of_the_backend_closes(warm: Warm) -> None:
    """As it does when a worker ends: those who wait are told."""
    customer = await warm.customer()
    gate = asyncio.Event()
    warm.backend.plays["/ten"] = steps(lambda _: gate.wait())
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten"))
        await warm.backend.upstream.saw(1)
        for pool in warm.gateway.app._upstreams._pools.values():
            pool.close(idle_only=False)
            pool._closed = False  # the other tests of this file go on with it
        assert (await client.answer()).status == 502
    gate.set()
    assert warm.passages.counts == LEFT
    await warm.spent(customer, 0)


def ids_of(heads: Sequence[bytes]) -> list[str]:
    """The request ids that the backend was told."""
    return [head.partition(b"farebox-request-id: ")[2][:24].decode() for head in heads]
