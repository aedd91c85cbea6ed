"""A store that could lose credits is refused; what cannot be found out is a warning."""

from pathlib import Path

import asyncpg
import pytest

from gateway.stores import EmbeddedRedis
from ledger.checks import (
    check_postgres,
    check_redis,
    postgres_problems,
    read_info,
    redis_problems,
)
from ledger.link import Link, ResponseError
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio

GOOD_REDIS = {
    "redis_version": "7.0.15",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "cluster_enabled": "0",
}
GOOD_POSTGRES = {
    "server_version_num": "150004",
    "server_version": "15.4",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "transaction_read_only": "off",
}


def severities(changes: dict[str, str | None]) -> list[str]:
    info = GOOD_REDIS | {name: value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            del info[name]
    return [problem.severity for problem in redis_problems(info)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"redis_version": "6.2.14"}, ["refused"]),
        ({"redis_version": "8.2.1"}, []),
        ({"redis_version": "255.255.255"}, []),
        ({"redis_version": "unstable"}, ["warning"]),
        ({"redis_version": None}, ["warning"]),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.8"}, ["refused"]),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, []),
        ({"maxmemory_policy": "allkeys-lru"}, ["refused"]),
        ({"maxmemory_policy": "volatile-ttl"}, ["refused"]),
        ({"maxmemory_policy": None}, ["warning"]),
        ({"aof_enabled": "0"}, ["refused"]),
        ({"aof_enabled": None}, ["warning"]),
        ({"role": "slave"}, ["refused"]),
        ({"cluster_enabled": "1"}, ["warning"]),
    ],
)
def test_judging_a_redis(changes: dict[str, str | None], expected: list[str]) -> None:
    assert severities(changes) == expected


def test_missing_persistence_can_be_allowed_for_a_trial() -> None:
    [problem] = redis_problems(GOOD_REDIS | {"aof_enabled": "0"}, allow_unsafe=True)
    assert problem.severity == "warning"


def test_eviction_can_never_be_allowed() -> None:
    info = GOOD_REDIS | {"maxmemory_policy": "allkeys-lru"}
    [problem] = redis_problems(info, allow_unsafe=True)
    assert problem.severity == "refused"
    assert problem.fix == "set maxmemory-policy noeviction"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0),
        ({"server_version_num": "140011"}, 1),
        ({"server_version_num": "180000"}, 0),
        ({"fsync": "off"}, 1),
        ({"full_page_writes": "off"}, 1),
        ({"synchronous_commit": "off"}, 1),
        ({"synchronous_commit": "remote_apply"}, 0),
        ({"transaction_read_only": "on"}, 1),
        ({"fsync": "off", "synchronous_commit": "off"}, 2),
    ],
)
def test_judging_a_postgres(changes: dict[str, str], expected: int) -> None:
    problems = postgres_problems(GOOD_POSTGRES | changes)
    assert [problem.severity for problem in problems] == ["refused"] * expected


def test_info_is_read_line_by_line() -> None:
    assert read_info(b"# Server\r\nredis_version:7.0.15\r\nos:Linux a:b\r\n\r\n") == {
        "redis_version": "7.0.15",
        "os": "Linux a:b",
    }


async def test_an_embedded_redis_passes(each_redis_url: str) -> None:
    link = await Link.connect(each_redis_url, clock=SystemClock())
    assert await check_redis(link) == []
    link.close()


async def test_a_redis_without_append_only_file_is_refused(folder: Path) -> None:
    server = EmbeddedRedis(folder, settings={"appendonly": "no"})
    server.start()
    try:
        link = await Link.connect(server.url, clock=SystemClock())
        [problem] = await check_redis(link)
        assert (problem.severity, problem.fix) == ("refused", "set appendonly yes")
        link.close()
    finally:
        server.stop()


async def test_a_redis_that_hides_info_is_a_warning() -> None:
    class Silent:
        async def call(self, *_: object) -> bytes:
            raise ResponseError("NOPERM this user has no permissions")

    [problem] = await check_redis(Silent())  # type: ignore[arg-type]
    assert problem.severity == "warning"


async def test_the_tests_own_postgres_is_refused_for_its_speed(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    sentences = [problem.sentence for problem in await check_postgres(connection)]
    assert sentences == ["Postgres may lose or break what it has committed (fsync is off)"]
    await connection.close()
