"""What a warm charged request costs, counted instead of timed."""

import asyncio
import asyncio.selector_events
import logging
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from gateway.framing import StrictHttpProtocol
from gateway.upstream.connection import Connection
from ledger.link import Link
from tests.charging import Charging, Customer, charging, fresh_stores

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
credit_types: { credits: { window: 1000000 } }
routes:
  - { path: /ok, upstream: api, price: 1 }
"""
Socket: Any = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
REQUESTS = 400
WARM = 20
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The standard loop: its methods can be watched."""
    return "asyncio", {"use_uvloop": False}


@contextmanager
def backend_in_threads() -> Iterator[str]:
    """Answer on sockets of other threads, so that the loop has the gateway's work alone."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65_536):
                connection.sendall(ANSWER)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def ask(url: str, customer: Customer, times: int) -> int:
    """Send requests one after another on one connection; give how many were served."""
    host, port = url.removeprefix("http://").split(":")
    request = f"GET /ok HTTP/1.1\r\nhost: a\r\nx-api-key: {customer.secret}\r\n\r\n".encode()
    served = 0
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for _ in range(times):
            connection.sendall(request)
            answer = connection.recv(65_536)
            served += answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nok")
    return served


@pytest.fixture(scope="module")
async def gateway(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Charging]:
    with backend_in_threads() as url:
        async with (
            fresh_stores(postgres_server, template_database, redis_url) as stores,
            charging(stores, PRICES, upstream=url) as running,
        ):
            yield running


class Records(logging.Handler):
    """Counts what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self.count += 1


async def test_a_warm_request_makes_no_task_no_timer_no_log_call_and_two_writes(
    gateway: Charging, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await gateway.customer(credits=10_000)
    assert await asyncio.to_thread(ask, gateway.url, customer, WARM) == WARM
    loop = asyncio.get_running_loop()
    tasks: Counter[str] = Counter()
    timers: Counter[str] = Counter()
    writes: Counter[str] = Counter()
    records = Records()

    def count_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        tasks[coroutine.__qualname__] += 1
        return asyncio.Task(coroutine, loop=loop, **more)

    usual_write, usual_queue = Socket.write, Link._queue

    def count_write(transport: Any, data: bytes) -> None:
        protocol = transport.get_protocol()
        if isinstance(protocol, StrictHttpProtocol | Connection):
            to = "upstream" if isinstance(protocol, Connection) else "client"
            writes[f"to the {to}"] += 1
        usual_write(transport, data)

    def count_command(link: Link, *asked: Any, **more: Any) -> None:
        writes["Redis commands"] += 1
        usual_queue(link, *asked, **more)

    call_at = loop.call_at

    def count_timer(when: float, callback: Any, *args: Any, **more: Any) -> Any:
        # asyncpg's are the steward's, which posts beside: the slower the machine, the more of them.
        if not getattr(callback, "__module__", "").startswith("asyncpg"):
            timers[getattr(callback, "__qualname__", str(callback))] += 1
        return call_at(when, callback, *args, **more)

    monkeypatch.setattr(Socket, "write", count_write)
    monkeypatch.setattr(Link, "_queue", count_command)
    monkeypatch.setattr(loop, "call_at", count_timer)
    logging.getLogger().addHandler(records)
    loop.set_task_factory(count_task)
    try:
        served = await asyncio.to_thread(ask, gateway.url, customer, REQUESTS)
    finally:
        loop.set_task_factory(None)
        logging.getLogger().removeHandler(records)

    assert served == REQUESTS
    assert writes["to the client"] == REQUESTS
    assert writes["to the upstream"] == REQUESTS
    assert 0 < writes["Redis commands"] <= 2 * REQUESTS
    assert records.count < REQUESTS
    # Jobs beside the requests have tasks and timers, by the clock; no request has one of its own.
    assert [name for name, count in tasks.items() if count >= REQUESTS] == []
    assert [name for name, count in timers.items() if count >= REQUESTS] == []
