"""
A power failure takes the end of the append-only file: from any command of the last two seconds on.

One history is recorded up to the crash: Postgres, the file, and what the gateways knew. From each
cut of the file the world goes on, with the gateways alive, or with everything lost that they knew.

FAREBOX_CUTS sets how many cuts are tried (default 3); 0: every one.
"""

import asyncio
import os
import random
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from gateway.stores import EmbeddedRedis, find_redis
from ledger.ledger import Ledger, LedgerOptions
from ledger.settlement import Settlement
from tests.flows.ledger_traffic import Shop, assert_sound, new_shop, quiet, running
from tests.flows.redis_faults import AOF
from tests.flows.redis_trial import PLENTY, Lost, Trial, lost, sold
from tests.flows.test_ledger_deaths import die
from tests.proof import Proof, tell

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CUTS = int(os.environ.get("FAREBOX_CUTS", "3"))
LAST_S = 2.0
WINDOW = 120
BUYERS = 3
LIFETIME_MS = 1_000
SALES_BEFORE = 40


@dataclass(frozen=True)
class Command:
    """One command of the file: where it begins, where the next one does, and its name."""

    start: int
    end: int
    name: bytes


def commands_of(file: bytes, start: int = 0) -> Iterator[Command]:
    """Read the file's commands; its end may be missing."""
    while start < len(file):
        words, at = [], start
        assert file[at : at + 1] == b"*", file[at : at + 20]
        count, at = _number(file, at)
        for _ in range(count):
            size, at = _number(file, at)
            words.append(file[at : at + size])
            at += size + 2
        if at > len(file):
            return
        yield Command(start, at, words[0].upper())
        start = at


def _number(file: bytes, at: int) -> tuple[int, int]:
    end = file.index(b"\r\n", at)
    return int(file[at + 1 : end]), end + 2


@dataclass(frozen=True)
class Crash:
    """Everything there was at one moment."""

    database: str
    folder: Path
    shop: Shop
    known: list[Settlement]
    cuts: list[int]

    @property
    def file(self) -> Path:
        [file] = (self.folder / AOF).glob("*.incr.aof")
        return file


def cuts_of(file: bytes, since: int, chance: random.Random) -> list[int]:
    """
    Where to cut: behind every command from there on, and once in the middle of each.

    The server takes back what lies between MULTI and a missing EXEC, so places within one
    transaction are alike: one of each comes first, in any order, and then the others.
    """
    places: list[list[int]] = [[]]
    for command in commands_of(file):
        if command.end > since:
            if command.name == b"MULTI":
                places.append([])
            places[-1] += [command.start, (command.start + command.end) // 2]
    places.append([len(file)])
    for group in places:
        chance.shuffle(group)
    firsts = [group.pop() for group in places if group]
    others = [place for group in places for place in group]
    chance.shuffle(firsts)
    chance.shuffle(others)
    return firsts + others


async def in_postgres(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def a_copy(server: str, of: str) -> AsyncIterator[str]:
    """The address of a database with the same in it; gone afterwards."""
    name = f"cut_{uuid.uuid4().hex[:12]}"
    await in_postgres(server, f"CREATE DATABASE {name} TEMPLATE {of}")
    try:
        yield server.replace("/postgres?", f"/{name}?", 1)
    finally:
        await in_postgres(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def crash(postgres_server: str, template_database: str, folder: Path) -> AsyncIterator[Crash]:
    """Two seconds of traffic; nobody posts the last of it, as much as the window lets through."""
    async with a_copy(postgres_server, template_database) as url:
        server = EmbeddedRedis(folder / "crashed", program=find_redis())
        server.start()
        try:
            options = LedgerOptions(url, server.url, postgres_connections=4)
            shop, known, since = await lived(options, server, folder / "crashed")
        finally:
            server.stop()
        [file] = (folder / "crashed" / AOF).glob("*.incr.aof")
        cuts = cuts_of(file.read_bytes(), since, random.Random(5))
        name = url.partition("?")[0].rpartition("/")[2]
        yield Crash(name, folder / "crashed", shop, known, cuts)


async def lived(
    options: LedgerOptions, server: EmbeddedRedis, folder: Path
) -> tuple[Shop, list[Settlement], int]:
    """What was served, what the gateways knew, and how long the file was two seconds before."""
    gateways = [await Ledger.open(options, "worker") for _ in range(2)]
    steward = await Ledger.open(options, "steward")
    posting = asyncio.create_task(steward.steward().run())
    shop = await new_shop(gateways[0], PLENTY)
    shop.lifetime_ms = LIFETIME_MS
    await gateways[0].windows.choose({shop.credit_type: WINDOW})
    buyers = [
        asyncio.create_task(calmly_buying(shop, gateways[n % 2], random.Random(n)))
        for n in range(BUYERS)
    ]
    await sold(shop, SALES_BEFORE)
    [file] = (folder / AOF).glob("*.incr.aof")
    since = file.stat().st_size
    await asyncio.sleep(LAST_S / 2)
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)
    await asyncio.sleep(LAST_S / 2)
    server.kill()  # no other task runs between this and what follows
    for buyer in buyers:
        assert not buyer.done(), buyer
        buyer.cancel()
    await asyncio.gather(*buyers, return_exceptions=True)
    known = [
        settlement
        for ledger in gateways
        for held in (
            ledger.settler._asked.values(),
            ledger.settler._waiting.values(),
            ledger.settler._kept,
        )
        for settlement in held
    ]
    for ledger in (*gateways, steward):
        await die(ledger)
    return shop, known, since


async def calmly_buying(shop: Shop, ledger: Ledger, chance: random.Random) -> None:
    while True:
        ceiling = chance.randint(1, 12)
        cost = ceiling if chance.random() < 0.3 else chance.randint(0, ceiling)
        await shop.buy(ledger, ceiling, cost, 0.01 + chance.random() * 0.05)


async def gone_on(server: str, crash: Crash, cut: int, *, alive: bool) -> tuple[Lost, int]:
    """Go on from the cut; return what was lost, and how long the first answer took (ms)."""
    folder = crash.folder.with_name(f"cut{cut}")
    shutil.copytree(crash.folder / AOF, folder / AOF)
    with (folder / AOF / crash.file.name).open("r+b") as file:
        file.truncate(cut)
    redis = EmbeddedRedis(folder)
    shop = replace(crash.shop, served=dict(crash.shop.served))
    async with a_copy(server, crash.database) as url:
        await asyncio.to_thread(redis.start)
        try:
            options = LedgerOptions(url, redis.url, postgres_connections=4)
            async with running(options, workers=1) as ledgers:
                if alive:
                    for settlement in crash.known:
                        ledgers[0].settler.put(replace(settlement, attempts=0, booked_in=0))
                trial = Trial(shop, ledgers, random.Random(cut))
                await trial.healed()
                await quiet(ledgers)
                balance = await shop.balance(ledgers[0])
                assert (balance.available + balance.used, balance.held) == (PLENTY, 0)
                await assert_sound(ledgers[0])
                return await lost(shop, ledgers[0]), trial.slowest_probe_ms
        finally:
            await asyncio.to_thread(redis.stop)
            shutil.rmtree(folder)


@pytest.mark.parametrize("alive", [True, False], ids=["gateways_live", "gateways_die"])
async def test_the_file_is_cut_at_any_command(
    postgres_server: str, crash: Crash, alive: bool
) -> None:
    cuts = crash.cuts[: CUTS or None]
    worst = slowest_ms = 0
    for cut in cuts:
        gone, probe_ms = await gone_on(postgres_server, crash, cut, alive=alive)
        assert gone.by_customer == 0, cut
        assert gone.by_house <= (0 if alive else WINDOW), cut
        worst, slowest_ms = max(worst, gone.by_house), max(slowest_ms, probe_ms)
    tell(
        Proof(
            layer="T5",
            what=f"the file cut at {len(cuts)} of {len(crash.cuts)} places of its last two seconds, "
            + ("the gateways alive" if alive else "all gateways dead"),
            faults=len(cuts),
            operations=len(crash.shop.served) + len(cuts),
            lost_by_house=worst,
            allowed="0: gateways live" if alive else f"window {WINDOW}",
            slowest_probe_ms=max(slowest_ms, 1),
        )
    )
