"""What clients do that is not usual: leave, send ahead, read slowly; and a server that ends."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import pytest

from gateway.app import App
from gateway.fast_path.passage import Passage
from gateway.fast_path.prepare import Prepared
from gateway.framing import Block, Head, StrictHttpProtocol, Turn
from gateway.request import Request
from gateway.visit import Visit
from tests.charging import Stores, charging
from tests.gateway.fast_path.conftest import PRICES
from tests.gateway.fast_path.rig import (
    Client,
    Played,
    Warm,
    client_of,
    counted_passages,
    get,
    keep_connections,
    ledger_waits,
    played_backend,
)
from tests.gateway.serving import until
from tests.upstreams import Connection, answer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", autouse=True)
def no_sweep() -> Iterator[None]:
    """What is left here is left at once, and not because it took long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.fast_path.fast_path.SWEEP_EVERY_S", 600.0)
        yield


class Kept(StrictHttpProtocol):
    """Lets the test reach the connections, as the server does that ends them."""

    made: ClassVar[list[StrictHttpProtocol]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.made.append(self)


def gated(backend: Played, path: str = "/ten") -> asyncio.Event:
    """Let the backend answer once this is set."""
    gate = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await gate.wait()
        await connection.send(answer(200, b"at last"))

    backend.plays[path] = wait
    return gate


KNOWN_OF_A_CONNECTION = (StrictHttpProtocol, Block, Head, Passage, Prepared, Request, Turn, Visit)


def _known_of_connections() -> Iterator[object]:
    return (one for one in gc.get_objects() if isinstance(one, KNOWN_OF_A_CONNECTION))


@contextmanager
def uncollected() -> Iterator[Callable[[], Counter[type]]]:
    """
    Count what has come since of what is known of a connection; the collector does not work.

    What was there before is kept: the place of one that goes could be taken by a new one, which
    would then count as old.
    """
    gc.collect()
    before = {id(one): one for one in _known_of_connections()}
    gc.disable()
    try:
        yield lambda: Counter(type(one) for one in _known_of_connections() if id(one) not in before)
    finally:
        gc.enable()


@pytest.mark.parametrize("path", ["/ten", "/chat"])
async def test_a_connection_that_has_ended_leaves_nothing_to_the_collector(
    warm: Warm, path: str
) -> None:
    """It seldom comes by, and until then all that is known of a connection lies about."""
    customer = await warm.customer()
    warm.backend.plays["/chat"] = answer(200, b'{"total": 7}', b"content-type: application/json")
    request = get(customer, path, method="POST" if path == "/chat" else "GET")
    with uncollected() as known:
        async with client_of(warm.gateway) as client:
            for _ in range(3):
                assert (await client.ask(request)).status == 200
            assert known()[Block] == 1
        await warm.gateway.quiet()
        await until(lambda: not known())


async def test_header_lines_that_another_request_has_replaced_are_forgotten(warm: Warm) -> None:
    customer = await warm.customer()
    with uncollected() as known:
        async with client_of(warm.gateway) as client:
            for number in range(5):
                assert (await client.ask(get(customer, "/ten", f"x-n: {number}"))).status == 200
            assert (known()[Block], known()[Prepared]) == (1, 1)


@pytest.mark.parametrize("rude", [False, True])
async def test_a_client_that_leaves_while_the_hold_is_asked(warm: Warm, rude: bool) -> None:
    """As in the main flow: what reached the backend is paid for."""
    customer = await warm.customer()
    with ledger_waits(warm.gateway):
        async with client_of(warm.gateway) as client:
            await client.raw.send(get(customer, "/ten"))
            await warm.held()
            if rude:
                client.raw.vanish()
            else:
                await client.raw.leave()
            await until(lambda: warm.passages.left)
    await warm.gateway.quiet()
    await warm.spent(customer, 10 * len(warm.backend.heads))
    assert warm.passages.counts == (0, 1, 0)


async def test_a_client_that_leaves_while_the_backend_works(warm: Warm) -> None:
    """It is paid for, and the backend's connection is closed: nobody waits for its answer."""
    customer = await warm.customer()
    gate = gated(warm.backend)
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten"))
        await warm.backend.upstream.saw(1)
    await until(lambda: warm.passages.left)
    await warm.spent(customer, 10)
    assert warm.passages.counts == (0, 1, 0)
    gate.set()


async def test_a_client_that_leaves_before_its_usage_is_known(warm: Warm) -> None:
    """The answer is read on for, and that much is paid."""
    customer = await warm.customer()
    gate = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await gate.wait()
        await connection.send(answer(200, b'{"total": 7}', b"content-type: application/json"))

    warm.backend.plays["/chat"] = wait
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/chat", "content-length: 2", method="POST") + b"{}")
        await warm.backend.upstream.saw(1)
    await until(lambda: warm.gateway.app.clients_gone)
    gate.set()
    await warm.spent(customer, 7)
    assert warm.passages.counts == (0, 1, 0)


async def test_a_client_that_leaves_just_before_the_answer(warm: Warm) -> None:
    customer = await warm.customer()
    for turns in range(6):
        gate = gated(warm.backend)
        async with client_of(warm.gateway) as client:
            await client.raw.send(get(customer, "/ten"))
            await warm.backend.upstream.saw(1 + turns)
            gate.set()
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(lambda turns=turns: sum(warm.passages.counts) > turns)
        await warm.gateway.quiet()
    assert warm.passages.dropped == 0
    await warm.spent(customer, 60)


@pytest.mark.parametrize("cut", [0, 10, 100])
async def test_requests_that_are_sent_ahead(warm: Warm, cut: int) -> None:
    """In one write or two: answered in their order, each once."""
    customer = await warm.customer()
    warm.backend.plays["/ten"] = answer(200, b"ten")
    post = get(customer, "/ok", "content-length: 4", method="POST") + b"body"
    stream = get(customer, "/ten") + get(customer, "/ok") + post + get(customer, "/ten")
    async with client_of(warm.gateway) as client:
        await client.raw.send(stream[:cut])
        await client.raw.send(stream[cut:])
        got = [(await client.answer()).body for _ in range(4)]
        assert got == [b"ten", b"ok", b"ok", b"ten"]
    assert warm.passages.served == 4
    assert [head.split(b" ")[1] for head in warm.backend.heads] == [
        b"/ten",
        b"/ok",
        b"/ok",
        b"/ten",
    ]
    assert warm.backend.upstream.bodies[-4:] == [b"", b"", b"body", b""]
    await warm.spent(customer, 22)


async def test_what_is_no_request_behind_one_that_is_served(warm: Warm) -> None:
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten") + b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n")
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        assert await client.closed() == b""
    assert warm.passages.counts == (1, 0, 0)
    await warm.spent(customer, 10)


async def test_bytes_that_come_while_a_request_is_under_way(warm: Warm) -> None:
    """They wait, also where they are the same as those before."""
    customer = await warm.customer()
    gate = gated(warm.backend)
    async with client_of(warm.gateway) as client:
        request = get(customer, "/ten")
        await client.raw.send(request)
        await warm.backend.upstream.saw(1)
        await client.raw.send(request)
        await client.raw.send(request[:30])
        gate.set()
        assert [(await client.answer()).status for _ in range(2)] == [200] * 2
        await client.raw.send(request[30:])
        assert (await client.answer()).status == 200
    await warm.spent(customer, 30)


async def test_a_client_that_reads_slowly(warm: Warm) -> None:
    """What it is sent waits in the main flow, once more is waiting than it takes."""
    customer = await warm.customer()
    body = bytes(range(256)) * 200
    warm.backend.plays["/ok"] = answer(200, body)
    count = 200
    async with client_of(warm.gateway) as client:
        client.raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.raw.writer.write(get(customer, "/ok") * count)
        await until(lambda: warm.passages.left)
        client.raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(count):
            assert (await client.answer()).body == body
    assert warm.passages.served > 0
    await warm.spent(customer, count)


async def test_a_server_that_ends(
    database_url: str, redis_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is under way is answered, wherever it is; then the connections are closed."""
    stores = Stores(database_url, redis_url, namespace)
    answered: list[tuple[int, str]] = []
    made: list[StrictHttpProtocol] = []

    def kept(app: App) -> type[StrictHttpProtocol]:
        return type("Kept", (Kept, app.protocol()), {"made": made})

    async def ask(client: Client, request: bytes) -> None:
        got = await client.ask(request)
        answered.append((got.status, got.value("connection")))
        assert await client.closed() == b""

    async with (
        played_backend() as backend,
        charging(stores, PRICES, upstream=backend.url, http=kept) as gateway,
        client_of(gateway) as idle,
        client_of(gateway) as working,
        client_of(gateway) as asking,
    ):
        with counted_passages() as passages, caplog.at_level(logging.ERROR):
            keep_connections(gateway)
            warm = Warm(gateway, backend, passages)
            customer = await warm.customer(at_once=3)
            gate = gated(backend)
            assert (await idle.ask(get(customer, "/ok"))).status == 200
            tasks = [asyncio.create_task(ask(working, get(customer, "/ten")))]
            await backend.upstream.saw(2)
            with ledger_waits(gateway):
                tasks.append(asyncio.create_task(ask(asking, get(customer, "/ten"))))
                await until(lambda: len(warm.fast.under_way) == 2)
                for protocol in made:
                    protocol.shutdown()
                assert passages.left == 2
            gate.set()
            await asyncio.gather(*tasks)
            assert await idle.closed() == b""
            await warm.spent(customer, 21)
    assert answered == [(200, "close")] * 2
    assert not caplog.records
