"""The embedded stores: a Postgres and a Valkey of Farebox's own, for a machine that has none."""

from gateway.stores.binaries import StoreMissing, find_postgres, find_redis
from gateway.stores.postgres import EmbeddedPostgres
from gateway.stores.process import StoreFailed
from gateway.stores.redis import EmbeddedRedis

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedRedis",
    "StoreFailed",
    "StoreMissing",
    "find_postgres",
    "find_redis",
]
