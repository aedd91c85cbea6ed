"""What `serve` finds out before it serves: file, ports, schema, stores."""

import os
import socket
from pathlib import Path

import pytest

from config import Settings
from gateway.data_folder import DataFolder
from gateway.serve import (
    address,
    admin_token,
    check_stores,
    checked_price_file,
    emptied,
    keeper_job,
    listening,
    pipe,
    prepare_database,
)
from gateway.startup import Refused
from gateway.stores import EmbeddedRedis
from ledger.ports import SystemClock

GOOD = """
version: 1
upstreams: { api: { url: "${BACKEND}" } }
routes: [{ path: /x, upstream: api, price: 1 }]
"""


def settings(tmp_path: Path, **flags: object) -> Settings:
    return Settings.from_environment({}, data=tmp_path / "data", **flags)


def test_a_good_price_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(GOOD)
    checked_price_file(tmp_path / "f.yaml", {"BACKEND": "http://127.0.0.1:9"})


def test_each_problem_of_a_price_file_is_said_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(GOOD.replace("price: 1", "price: -1").replace("version: 1", "version: 2"))
    with pytest.raises(Refused) as refused:
        checked_price_file(file, {"BACKEND": "http://127.0.0.1:9"})
    assert [
        sentence.startswith(f"{file}:{line}:")
        for sentence, line in zip(refused.value.sentences, (2, 4), strict=True)
    ] == [True, True]


def test_a_missing_price_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="farebox init"):
        checked_price_file(tmp_path / "none.yaml", {})


def test_a_port_that_is_taken_names_the_flag() -> None:
    with listening("127.0.0.1", 0, "--port") as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Refused, match=f"port {port} .*choose another --admin-port"),
            listening("127.0.0.1", port, "--admin-port"),
        ):
            pytest.fail("two listeners on one port")


def test_an_address_is_one_that_can_be_opened() -> None:
    with listening("0.0.0.0", 0, "--port") as everywhere:
        assert address(everywhere) == f"http://127.0.0.1:{everywhere.getsockname()[1]}"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_an_ipv6_address_is_in_brackets() -> None:
    with listening("::1", 0, "--port") as listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_no_keeper_where_both_stores_are_given(tmp_path: Path) -> None:
    given = settings(tmp_path, postgres_url="postgresql://x/y", redis_url="redis://x")
    assert keeper_job(given, DataFolder(tmp_path), lock=3, life_line=4) is None


def test_the_keeper_runs_the_store_that_was_not_given(tmp_path: Path) -> None:
    job = keeper_job(
        settings(tmp_path, redis_url="redis://x"), DataFolder(tmp_path), lock=3, life_line=4
    )
    assert job is not None
    assert (job.orders["postgres"], job.orders["redis"]) == (True, False)
    assert list(job.descriptors) == [3, 4]


def test_a_token_from_the_environment_is_not_written_anywhere(tmp_path: Path) -> None:
    given = settings(tmp_path, admin_token="a-token-long-enough")
    assert admin_token(given, DataFolder(tmp_path / "data")) == ("a-token-long-enough", None)
    assert not (tmp_path / "data").exists()


def test_without_a_token_one_is_made_and_its_place_told(tmp_path: Path) -> None:
    token, path = admin_token(settings(tmp_path), DataFolder(tmp_path / "data"))
    assert path is not None
    assert path.read_text().strip() == token


def test_the_metrics_of_an_earlier_run_are_gone(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "1.json").touch()
    assert list(emptied(tmp_path / "metrics").iterdir()) == []


def test_the_life_line_ends_when_its_last_writer_is_gone() -> None:
    with pipe() as line:
        copy = os.dup(line.writing)
        os.set_blocking(line.reading, False)
        with pytest.raises(BlockingIOError):
            os.read(line.reading, 1)
        os.close(copy)


@pytest.mark.anyio
async def test_an_outside_database_that_is_behind_is_refused(empty_database_url: str) -> None:
    said: list[str] = []
    with pytest.raises(Refused, match="run farebox migrate"):
        await prepare_database(empty_database_url, ours=False, say=said.append)
    assert said == []


@pytest.mark.anyio
async def test_an_embedded_database_is_migrated_once(empty_database_url: str) -> None:
    said: list[str] = []
    await prepare_database(empty_database_url, ours=True, say=said.append)
    assert said[0].startswith("migrated ledger to 1 ")
    again: list[str] = []
    await prepare_database(empty_database_url, ours=True, say=again.append)
    assert again == []
    await prepare_database(empty_database_url, ours=False, say=again.append)


@pytest.mark.anyio
async def test_sound_stores_are_silent(database_url: str, tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    redis.start()
    try:
        problems = await check_stores_of_tests(database_url, redis.url)
    finally:
        redis.stop()
    assert problems == []


@pytest.mark.anyio
async def test_a_redis_that_may_forget_is_refused(database_url: str, tmp_path: Path) -> None:
    redis = EmbeddedRedis(
        tmp_path / "redis", settings={"appendonly": "no", "maxmemory-policy": "allkeys-lru"}
    )
    redis.start()
    try:
        with pytest.raises(Refused) as refused:
            await check_stores_of_tests(database_url, redis.url)
    finally:
        redis.stop()
    assert [s.split(": ")[-1] for s in refused.value.sentences] == [
        "set maxmemory-policy noeviction",
        "set appendonly yes",
    ]


@pytest.mark.anyio
async def test_a_redis_that_is_not_there_is_refused(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Redis does not answer"):
        await check_stores(database_url, f"unix://{tmp_path}/none", clock=SystemClock())


async def check_stores_of_tests(postgres_url: str, redis_url: str) -> list[str]:
    """The tests' Postgres runs without fsync, for speed; that alone is forgiven here."""
    try:
        return await check_stores(postgres_url, redis_url, clock=SystemClock())
    except Refused as refused:
        others = [s for s in refused.sentences if "fsync is off" not in s]
        if others:
            raise Refused(others) from None
        return []
