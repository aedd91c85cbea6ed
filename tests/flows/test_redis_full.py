"""
Redis has no room: in memory, or for its file. What cannot be booked is refused before it is served.

FAREBOX_ROUNDS sets how often (default 1).
"""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.stores import EmbeddedRedis, StoreMissing, find_redis
from ledger.errors import LedgerBusy, LedgerUnavailable
from ledger.ledger import Ledger, LedgerOptions
from ledger.link import Link, RedisError
from ledger.reasons import Reason
from tests.conftest import REDIS_PROGRAMS
from tests.flows.ledger_traffic import Shop, running
from tests.flows.redis_faults import asked, linked
from tests.flows.redis_trial import OF_EACH, Trial, nothing_was_lost
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

ROOM_BYTES = 2_000_000
"""Given to the keys of others, who fill it."""

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture(params=REDIS_PROGRAMS)
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[EmbeddedRedis]:
    try:
        program = find_redis((request.param,))
    except StoreMissing:
        pytest.skip(f"{request.param} is not installed")
    server = EmbeddedRedis(folder, program=program)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def options(database_url: str, server: EmbeddedRedis) -> LedgerOptions:
    return LedgerOptions(database_url, server.url, postgres_connections=4)


def program_of(request: pytest.FixtureRequest) -> str:
    name: str = request.node.callspec.params["server"]
    return name.partition("-")[0]


async def full(server: EmbeddedRedis) -> None:
    """Others' keys fill the memory, and a bit more, so that nothing freed elsewhere is enough."""
    async with linked(server) as link:
        limit = await used_bytes(link) + ROOM_BYTES
        await link.call("CONFIG", "SET", "maxmemory", str(limit))
        for number in range(100_000):
            try:
                await link.call("SET", f"of:others:{number}", b"x" * 50_000)
            except RedisError:
                await link.call("CONFIG", "SET", "maxmemory", str(limit - ROOM_BYTES // 2))
                return
    raise AssertionError("it is not full")


async def used_bytes(link: Link) -> int:
    told = (await link.call("INFO", "memory")).decode()
    [used] = [line[12:] for line in told.splitlines() if line.startswith("used_memory:")]
    return int(used)


async def emptied(server: EmbeddedRedis) -> None:
    async with linked(server) as link:
        await link.call("CONFIG", "SET", "maxmemory", "0")
        await link.call("UNLINK", *await link.call("KEYS", "of:others:*"))


async def is_refused(shop: Shop, ledger: Ledger) -> bool:
    """Whether a request gets the answer of a gateway that cannot book: 503."""
    try:
        async with ledger.holds.hold(shop.order(1)) as held:
            shop.served[held.id] = 1
            held.capture(1, Reason.DELIVERED, status=200)
    except (LedgerBusy, LedgerUnavailable):
        return True
    return False


@asynccontextmanager
async def work_under_way(shop: Shop, ledger: Ledger, units: int) -> AsyncIterator[None]:
    """A request that began before the fault and is delivered in the middle of it."""
    async with ledger.holds.hold(shop.order(units, lifetime_ms=60_000)) as held:
        yield
        shop.served[held.id] = units - 1
        held.capture(units - 1, Reason.DELIVERED, status=200)


async def test_memory_is_full(
    options: LedgerOptions, server: EmbeddedRedis, request: pytest.FixtureRequest
) -> None:
    """Holds are refused; what is under way is settled, posted and acknowledged all the same."""
    async with running(options) as ledgers:
        async with Trial.on(ledgers, "memory") as trial:
            for _ in range(OF_EACH):
                await trial.some_sales()
                async with work_under_way(trial.shop, ledgers[1], 30):
                    await full(server)
                    await until(lambda: is_refused(trial.shop, ledgers[0]))
                for ledger in ledgers:
                    await until(
                        lambda ledger=ledger: (
                            not (ledger.settler.unsettled or ledger.settler.unconfirmed)
                        )
                    )
                await until(lambda: acknowledged(ledgers[0]))
                assert await is_refused(trial.shop, ledgers[0])
                await emptied(server)
                await trial.healed()
        await nothing_was_lost(f"memory full ({program_of(request)})", trial)


async def acknowledged(ledger: Ledger) -> bool:
    state = await ledger.state()
    return state is not None and (state.posted_q, state.open_holds) == (state.q, 0)


async def test_the_file_cannot_grow(
    options: LedgerOptions, server: EmbeddedRedis, request: pytest.FixtureRequest
) -> None:
    """To the server a limit of its file is a full disk: it refuses every write, and heals."""
    async with running(options) as ledgers:
        async with Trial.on(ledgers, "disk") as trial:
            for _ in range(OF_EACH):
                await trial.some_sales()
                async with work_under_way(trial.shop, ledgers[1], 30):
                    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                    await until(lambda: is_refused(trial.shop, ledgers[0]))
                assert server.running
                assert await is_refused(trial.shop, ledgers[1])
                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, UNLIMITED)
                await trial.healed()
        await nothing_was_lost(
            f"disk full, writes refused until there is room ({program_of(request)})", trial
        )


async def test_the_server_dies_of_a_full_disk(
    options: LedgerOptions, server: EmbeddedRedis, request: pytest.FixtureRequest
) -> None:
    """With `appendfsync always` it ends itself rather than confirm what it cannot keep."""
    async with running(options) as ledgers:
        async with Trial.on(ledgers, "dies") as trial:
            for _ in range(OF_EACH):
                await asked(server, "CONFIG", "SET", "appendfsync", "always")
                await trial.some_sales()
                async with work_under_way(trial.shop, ledgers[1], 30):
                    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
                    await until(lambda: not server.running)
                assert await is_refused(trial.shop, ledgers[0])
                await asyncio.to_thread(server.start)
                await trial.healed()
        await nothing_was_lost(f"disk full, the server dies of it ({program_of(request)})", trial)
