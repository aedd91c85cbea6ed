"""Prices published to gateways that run: tried, put in force, followed, and kept by a restart."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.demo.show import backend
from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from tests.flows.test_serve import PRICES
from tests.served import Served, command, farebox, funded, serving

pytestmark = pytest.mark.anyio

DEARER = PRICES.replace("price: 2", "price: 7")
STORED = PRICES + "prices: database\n"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
async def backend_url() -> AsyncIterator[str]:
    async with backend() as url:
        yield url


@pytest.fixture
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """Stores that belong to no gateway."""
    postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    postgres.start()
    redis.start()
    yield {"FAREBOX_POSTGRES_URL": postgres.url(), "FAREBOX_REDIS_URL": redis.url}
    redis.stop()
    postgres.stop()


async def until(look: Callable[[], Awaitable[Any]], limit_s: float = 30) -> Any:
    """Look again and again until it is true."""
    async with asyncio.timeout(limit_s):
        while not (found := await look()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        return found


async def costs(served: Served, key: dict[str, str], expected: str) -> None:
    """Wait until a call at this gateway costs so much."""
    async with httpx.AsyncClient(base_url=served.url) as client:

        async def cost() -> bool:
            answer = await client.get("/v1/products/B1", headers=key)
            return answer.headers.get("farebox-cost") == expected

        await until(cost)


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def read(path: Path) -> str:
    return path.read_text()


@pytest.mark.slow
async def test_prices_are_tried_then_published_and_a_restart_keeps_them(
    folder: Path, backend_url: str
) -> None:
    variables = {"BACKEND": backend_url}
    new, file = write(folder / "new.yaml", DEARER), folder / "farebox.yaml"
    async with serving(folder, PRICES, variables=variables) as served:
        key = await funded(served, 1_000)
        await costs(served, key, "2")

        def diff() -> tuple[int, str]:
            done = farebox("diff", "live", new, folder=folder, variables=variables)
            return done.returncode, done.stdout

        assert await asyncio.to_thread(diff) == (
            1, "routes\n  GET /v1/products/{asin}: 2 credits -> 7 credits\n",
        )  # fmt: skip

        async def replayed() -> Any:
            told = await command(served, "replay", new, "--since", "1h")
            return told if told["repriced"] else None

        (total,) = (await until(replayed))["totals"]
        assert total["after"] * 2 == total["before"] * 7

        made = await command(served, "prices", "publish", new, "--expected", "1")
        assert (made["version"], made["file"], read(file)) == (2, str(file), DEARER)
        await costs(served, key, "7")

        async with httpx.AsyncClient(
            base_url=f"{served.running.admin_url}/admin/v1", headers=served.admin_headers | YAML
        ) as admin:
            stale = await admin.post("/prices?expected=1", content=PRICES)
            back = await admin.post("/prices?expected=2", content=PRICES)
        assert (stale.status_code, back.status_code) == (412, 201)
        assert (back.json()["actor"], read(file)) == ("root", PRICES)
        await costs(served, key, "2")
    async with serving(folder, read(file), variables=variables) as served:
        listed = (await command(served, "prices", "list"))["items"]
        assert [(row["version"], row["source"]) for row in listed] == [
            (3, "admin"), (2, "admin"), (1, "file"),
        ]  # fmt: skip


@pytest.mark.slow
async def test_gateways_follow_the_prices_in_the_database_and_no_file(
    folder: Path, backend_url: str, stores: dict[str, str]
) -> None:
    variables = {"BACKEND": backend_url, **stores}
    migrated = await asyncio.to_thread(farebox, "migrate", folder=folder, variables=variables)
    assert migrated.returncode == 0, migrated.stderr
    dearer = write(folder / "dearer.yaml", STORED.replace("price: 2", "price: 7"))
    async with serving(folder / "one", STORED, variables=variables) as one:
        key = await funded(one, 1_000)
        async with serving(folder / "two", STORED, variables=variables) as two:
            await costs(two, key, "2")
            made = await command(two, "prices", "publish", dearer)
            assert (made["version"], made["file"]) == (2, None)
            await costs(one, key, "7")
            await costs(two, key, "7")
        # It starts again, and finds another file.
        other = PRICES.replace("price: 2", "price: 9")
        async with serving(folder / "two", other, variables=variables) as two:
            await costs(two, key, "7")
            assert "the price file is not taken" in two.log
        back = await command(one, "prices", "rollback", "1")
        assert back["version"] == 3
        await costs(one, key, "2")
