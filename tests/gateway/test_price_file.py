"""A changed file becomes a version, a bad one a refusal; every process follows the version."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config import PriceWatch, load_price_list
from gateway.price_feed import InForce, PriceFeed
from gateway.price_file import PriceFile, rule_of
from ledger import gateways, price_versions
from ledger.database import Database
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio

ENVIRON = {"BACKEND": "http://127.0.0.1:9"}
TEXT = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /x, upstream: api, price: 1 }]
"""


class Clock(SystemClock):
    """Time passes only between looks, and each is long after the one before."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 10
        return self._now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "farebox.yaml"
    write(path, TEXT)
    return path


@pytest.fixture
def file(database: Database, path: Path) -> PriceFile:
    clock = Clock()
    watch = PriceWatch(path, clock)
    return PriceFile(database, watch, gateway_id="g1", host="here", environ=ENVIRON, clock=clock)


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def looked_twice(file: PriceFile) -> None:
    await file.look()
    await file.look()


async def test_a_file_that_was_the_same_twice_is_published_unexpanded(
    file: PriceFile, database: Database
) -> None:
    await file.look()
    async with database.connection() as connection:
        assert await price_versions.current(connection) is None
        await file.look()
        current = await price_versions.current(connection)
        assert current is not None
        assert (current.version, current.source, current.actor) == (1, "file", "file:here")
        assert await price_versions.text_of(connection, 1) == TEXT


async def test_a_bad_file_is_refused_with_its_lines_and_the_prices_stay(
    file: PriceFile, database: Database, path: Path
) -> None:
    await looked_twice(file)
    write(path, TEXT.replace("price: 1", "price: -1"))
    await looked_twice(file)
    async with database.connection() as connection:
        current = await price_versions.current(connection)
        refusal = await price_versions.last_refusal(connection)
        (row,) = await gateways.running(connection)
    assert current is not None
    assert current.version == 1
    assert refusal is not None
    assert (refusal.gateway_id, refusal.problems[0]["line"]) == ("g1", 4)
    assert row.refusal == refusal.problems


async def test_a_good_file_after_a_bad_one_ends_the_refusal(
    file: PriceFile, database: Database, path: Path
) -> None:
    await looked_twice(file)
    for text in (TEXT.replace("price: 1", "price: -1"), TEXT.replace("price: 1", "price: 2")):
        write(path, text)
        await looked_twice(file)
    async with database.connection() as connection:
        (row,) = await gateways.running(connection)
    assert (row.price_version, row.refusal) == (2, None)


async def test_a_scale_cannot_be_changed_by_the_file(
    file: PriceFile, database: Database, path: Path
) -> None:
    """Every stored amount would mean something else."""
    await looked_twice(file)
    write(path, TEXT + "credit_types: { credits: { scale: 2 } }\n")
    await looked_twice(file)
    async with database.connection() as connection:
        refusal = await price_versions.last_refusal(connection)
        current = await price_versions.current(connection)
    assert refusal is not None
    assert "scale" in refusal.problems[0]["message"]
    assert current is not None
    assert current.version == 1


async def test_a_gateway_that_was_forgotten_is_registered_again(
    file: PriceFile, database: Database
) -> None:
    await looked_twice(file)
    async with database.connection() as connection:
        await gateways.forget(connection, "g1")
        await file.look()
        assert [row.id for row in await gateways.running(connection)] == ["g1"]


async def test_a_worker_waits_for_the_first_version_and_follows_the_next(
    file: PriceFile, database: Database, path: Path
) -> None:
    feed = PriceFeed(database, ENVIRON, Clock())
    first = asyncio.create_task(feed.first())
    await looked_twice(file)
    in_force = await first
    assert (in_force.version, in_force.list.routes[0].price.flat) == (1, 1)
    assert in_force.type_numbers == {"credits": 1}

    taken: asyncio.Queue[InForce] = asyncio.Queue()
    following = asyncio.create_task(feed.follow(taken.put))
    write(path, TEXT.replace("price: 1", "price: 5"))
    await looked_twice(file)
    async with asyncio.timeout(30):
        second = await taken.get()
    following.cancel()
    assert (second.version, second.list.routes[0].price.flat) == (2, 5)


async def test_a_version_that_cannot_be_read_here_leaves_the_one_before(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Another gateway's file names a variable that this one lacks."""
    clock = Clock()
    prices = load_price_list(TEXT, environ=ENVIRON)
    async with database.connection() as connection:
        await price_versions.publish(
            connection, TEXT, [rule_of(r) for r in prices.routes], actor="t"
        )
    feed = PriceFeed(database, {}, clock)
    taken: list[InForce] = []

    async def take(found: InForce) -> None:
        taken.append(found)

    following = asyncio.create_task(feed.follow(take))
    async with asyncio.timeout(30):
        while "BACKEND" not in caplog.text:  # noqa: ASYNC110 - said by another task
            await asyncio.sleep(0.01)
    following.cancel()
    assert taken == []


async def test_a_rule_keeps_what_a_charge_needs_to_be_explained() -> None:
    text = TEXT.replace(
        "price: 1", "price: { flat: 1, per: [{ query: n, unit: 10, cost: 2 }], max: 9 }"
    )
    rule = rule_of(load_price_list(text, environ=ENVIRON).routes[0])
    assert (rule.rule, rule.path, rule.credit_type) == (0, "/x", "credits")
    assert rule.price["per"] == [
        {"source": "query", "selector": "n", "unit": 10, "cost": 2, "default": None}
    ]
    assert (rule.price["flat"], rule.price["max"]) == (1, 9)
