"""Stores that belong to no gateway, with our tables in them: they outlive every one that dies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from tests.served import farebox


@pytest.fixture
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """The variables that name them."""
    postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    postgres.start()
    redis.start()
    given = {"FAREBOX_POSTGRES_URL": postgres.url(), "FAREBOX_REDIS_URL": redis.url}
    migrated = farebox("migrate", folder=folder, variables=given)
    assert migrated.returncode == 0, migrated.stderr
    yield given
    redis.stop()
    postgres.stop()
