"""
The echo oracle: for whatever a client sends, what the backend saw is what was charged.

Each example is one connection with one to four requests: sent in a piece or two without waiting
for answers, or one by one and some of them more than once, as warm clients do. The fast path serves
what it can of half of the examples, the main flow all of the others. A request that the gateway refused must have cost nothing and reached nobody; of every other one the backend's
own view (h11's) must name the route, cost and length that the log and the ledger have.

FAREBOX_EXAMPLES says how many connections; there are two to three requests to each.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.access_log import Line
from gateway.app import App
from gateway.framing import StrictHttpProtocol
from gateway.framing.framing import Phase
from tests.attacks.echo import Seen
from tests.attacks.grammar import KEY, STREAMS
from tests.attacks.readings import costs_read, route_of, routes_read
from tests.attacks.rig import TOKEN, Target, attacked
from tests.charging import fresh_stores
from tests.gateway.fast_path.rig import Passages, counted_passages
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "600"))
PLENTY = 80_000_000
ENDED = b"GET /farebox/livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
FREE = {"free"}

_open: dict[int, "Watched"] = {}


class Watched(StrictHttpProtocol):
    """Lets the test see when a connection waits for bytes that will not come."""

    received = 0
    slow: ClassVar[bool] = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.slow:
            self.fast = None  # type: ignore[misc]
        _open[transport.get_extra_info("peername")[1]] = self

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)

    def waits(self, sent: int) -> bool:
        """All that was sent is here, and it is not the end of what was begun."""
        phase = self._framing.phase
        # An answer amid its body may be there already, or depend on what the backend makes of it.
        return self.received >= sent and phase in (Phase.IDLE, Phase.HEAD, Phase.BODY)


def watched(app: App) -> type[StrictHttpProtocol]:
    usual = app.protocol()
    quick = replace(usual.limits, linger_ms=50, sweep_ms=20)
    return type("Watched", (Watched, usual), {"limits": quick})


class How(NamedTuple):
    """How an example is sent, and served."""

    warm: bool
    fast: bool


class Fuzzed:
    """One gateway for all examples, and what all of them together did."""

    def __init__(self, target: Target, passages: Passages) -> None:
        self.target = target
        self.passages = passages
        self.charged: dict[str, int] = {}
        self.requests = 0
        self.outcomes: Counter[int] = Counter()
        self.lines: list[Line] = []
        # Instead of being written in a thread a moment later.
        target.gateway.app._access_log.add = self.lines.append

    async def play(self, stream: tuple[bytes, ...], cut: int, how: How) -> None:
        """Send it, wait for the end, and hold what the backend saw against the log."""
        secret = self.target.customer.secret.encode()
        data = b"".join(stream).replace(KEY, secret) + ENDED
        pieces = [data[: cut % len(data)], data[cut % len(data) :]]
        if how.warm:
            pieces = [one.replace(KEY, secret) for one in stream for _ in range(1 + cut % 3)]
            pieces.append(ENDED)
        self.lines.clear()
        self.target.echo.seen.clear()
        Watched.slow = not how.fast
        said = await self._exchange(pieces, warm=how.warm)
        await self.target.gateway.quiet()
        assert secret not in said
        assert TOKEN.encode() not in said
        self._judge()
        self.requests += len(pieces) - 1 if how.warm else len(stream)

    async def _exchange(self, pieces: list[bytes], *, warm: bool) -> bytes:
        reader, writer = await self.target.connect()
        port = writer.get_extra_info("sockname")[1]
        sent = 0
        try:
            answers = asyncio.create_task(reader.read())
            async with asyncio.timeout(30):
                for piece in pieces:
                    writer.write(piece)
                    sent += len(piece)
                    if warm:
                        await self._read(port, sent, answers)
                    else:
                        await asyncio.sleep(0)
                if await self._read(port, sent, answers):
                    with suppress(OSError):
                        writer.write_eof()
                with suppress(ConnectionError):
                    return await answers
                return b""
        finally:
            writer.transport.abort()
            _open.pop(port, None)

    async def _read(self, port: int, sent: int, answers: "asyncio.Task[bytes]") -> bool:
        """Wait until the server waits for more than was sent; False: it has ended."""
        while not answers.done():
            server = _open.get(port)
            if server is not None and server.waits(sent):
                return True
            await asyncio.sleep(0.001)
        return False

    def _judge(self) -> None:
        lines = self.lines
        seen = self.target.echo.seen
        assert self.target.echo.broken == []
        by_id = {line.request_id: line for line in lines}
        assert len(by_id) == len(lines)
        ids = [one.request_id for one in seen]
        assert len(set(ids)) == len(ids), "one charge, two requests at the backend"
        for one in seen:
            self._priced(one, by_id[one.request_id])
        for line in lines:
            self.outcomes[line.status] += 1
            if line.request_id not in ids:
                assert line.captured == 0
                assert line.status == 0 or line.status >= 400

    def _priced(self, one: Seen, line: Line) -> None:
        route = line.route
        preflight = one.method == "OPTIONS"
        assert line.method == one.method
        assert preflight or routes_read(one) == {route}
        path = one.target.partition("?")[0].encode("latin-1")
        assert not {b".", b".."} & set(re.split(rb"[/\\]", unquote_to_bytes(path)))
        assert preflight or route_of(one.method, path) == route
        if line.status == 200 and not preflight:
            assert costs_read(route, one) == {line.captured}
        elif preflight:
            assert line.captured == 0
        if route not in FREE and not preflight:
            self.charged[one.request_id] = line.captured
        self._sent_by_us(one, preflight=preflight)

    def _sent_by_us(self, one: Seen, *, preflight: bool) -> None:
        """What only the gateway may say stands once, and nothing of the client's beside it."""
        account = f"acc_{self.target.customer.account}"
        assert one.values("host") == [self.target.echo.host]
        assert one.values("authorization") == [TOKEN]
        assert one.values("farebox-account") == ([] if preflight else [account])
        assert len(one.values("content-length")) + len(one.values("transfer-encoding")) <= 1
        names = [name.replace("_", "-") for name, _ in one.headers]
        assert names.count("farebox-account") == len(one.values("farebox-account"))
        forbidden = {"upgrade", "expect", "x-original-url", "x-http-method-override", "x-api-key"}
        assert not forbidden & set(names)
        assert self.target.customer.secret not in str(one.headers) + one.target

    async def agrees_with_the_ledger(self) -> None:
        """Every request at the backend has one charge, with what the log said; there are no others."""
        target = self.target
        await target.gateway.settled()
        async with target.gateway.ledger.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, captured, closed_at FROM charges WHERE account_id = $1",
                target.customer.account,
            )
        assert all(row["closed_at"] for row in rows)
        booked = {bytes(row["id"]).hex(): row["captured"] or 0 for row in rows}
        # A hold whose request never reached the backend is void.
        assert {one: amount for one, amount in booked.items() if one not in self.charged} == (
            dict.fromkeys(booked.keys() - self.charged.keys(), 0)
        )
        # What is known to cost nothing, as an empty upload, is forwarded without a hold.
        assert {one: booked.get(one, 0) for one in self.charged} == self.charged
        assert PLENTY - await target.available() == sum(self.charged.values())


@pytest.fixture(scope="module")
async def fuzzed(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Fuzzed]:
    with counted_passages() as passages:
        async with (
            fresh_stores(postgres_server, template_database, redis_url) as stores,
            attacked(stores, http=watched) as target,
        ):
            target.customer = await target.gateway.customer(credits=PLENTY)
            yield Fuzzed(target, passages)


GET_CHEAP = b"GET /cheap HTTP/1.1\r\nhost: a\r\nx-api-key: " + KEY + b"\r\n\r\n"

# Found: the header that was priced did not reach the backend.
TAKEN_AWAY = (
    b"GET /pages HTTP/1.1\r\nhost: a\r\nx-api-key: "
    + KEY
    + b"\r\nx-pages: 9\r\nconnection: x-pages\r\n\r\n"
)

# Found: the value of `n` was taken from the parameter behind it.
ANOTHERS_VALUE = GET_CHEAP.replace(b"/cheap", b"/models?n;n.=1")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(STREAMS, st.integers(0, 10_000), st.builds(How, st.booleans(), st.booleans()))
@example((GET_CHEAP,) * 4, 7, How(warm=False, fast=True))
@example((GET_CHEAP,) * 4, 2, How(warm=True, fast=True))
@example((TAKEN_AWAY,), 1, How(warm=True, fast=True))
@example((ANOTHERS_VALUE,), 1, How(warm=True, fast=True))
async def test_what_the_backend_saw_is_what_was_charged(
    fuzzed: Fuzzed, stream: tuple[bytes, ...], cut: int, how: How
) -> None:
    await fuzzed.play(stream, cut, how)


async def test_the_ledger_has_each_request_once_at_its_price(fuzzed: Fuzzed) -> None:
    await fuzzed.agrees_with_the_ledger()
    served = fuzzed.outcomes[200]
    print(f"{fuzzed.requests} requests, {len(fuzzed.charged)} charged, {dict(fuzzed.outcomes)}")
    assert served > fuzzed.requests / 20, "the grammar makes hardly any valid request"
    print(f"the fast path: {fuzzed.passages}")
    assert fuzzed.passages.served > served / 10, "the fast path serves hardly anything"
    assert fuzzed.passages.dropped == 0
    tell(
        Proof(
            "attacks",
            "Echo oracle: what the backend saw is what was charged",
            seeds=EXAMPLES,
            operations=fuzzed.requests,
            allowed="0",
        )
    )
