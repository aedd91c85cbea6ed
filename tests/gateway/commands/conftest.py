"""Running commands on a ledger of their own, as a person at a terminal would."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config import load_price_list
from gateway.commands.group import run
from gateway.price_file import rule_of
from gateway.stores import EmbeddedRedis
from ledger import credit_types, price_versions
from ledger.database import Database

PRICES = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
"""


@dataclass(frozen=True)
class Shell:
    """`farebox ...` with both stores given by address."""

    stores: tuple[str, ...]
    capsys: pytest.CaptureFixture[str]
    postgres_url: str

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code and what was printed on stdout and stderr."""
        self.capsys.readouterr()
        code = run([*words, *self.stores])
        printed = self.capsys.readouterr()
        return code, printed.out.rstrip("\n"), printed.err.rstrip("\n")

    def json(self, *words: str) -> Any:
        """Return what a command that succeeds prints with --json."""
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(scope="session")
def command_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis of the commands' own: they use the namespace that a serve uses."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("command-redis"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def shell(
    database_url: str,
    command_redis: EmbeddedRedis,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell on empty stores that know the credit types of a price file."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(_emptied(command_redis.url))
    asyncio.run(_published(database_url))
    stores = ("--postgres-url", database_url, "--redis-url", command_redis.url)
    return Shell(stores, capsys, database_url)


async def _emptied(url: str) -> None:
    import redis.asyncio

    client = redis.asyncio.from_url(url)
    await client.flushall()
    await client.aclose()


async def _published(url: str) -> None:
    prices = load_price_list(PRICES, environ={})
    database = await Database.connect(url, most=1)
    async with database.connection() as connection:
        scales = {name: one.scale for name, one in prices.credit_types.items()}
        await credit_types.register(connection, scales)
        rules = [rule_of(route) for route in prices.routes]
        await price_versions.publish(connection, PRICES, rules, actor="test")
    await database.close()
