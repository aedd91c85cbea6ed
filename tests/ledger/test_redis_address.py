"""ledger/redis_address.py: Redis addresses mean what they mean to redis-py."""

import pytest
from redis.connection import SSLConnection, parse_url

from ledger.errors import InvalidInput
from ledger.redis_address import RedisAddress, parse_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", RedisAddress()),
        ("redis://cache", RedisAddress("cache")),
        ("redis://cache:7000/3", RedisAddress("cache", 7000, database=3)),
        ("redis://cache/?db=4", RedisAddress("cache", database=4)),
        ("redis://[::1]:7000", RedisAddress("::1", 7000)),
        ("redis://me:a%40b@cache", RedisAddress("cache", username="me", password="a@b")),
        ("redis://:secret@cache", RedisAddress("cache", password="secret")),
        ("rediss://cache:7001", RedisAddress("cache", 7001, secure=True)),
        ("unix:///run/redis.sock", RedisAddress(socket="/run/redis.sock")),
        (
            "unix://me:secret@/a%20b.sock?db=2",
            RedisAddress(socket="/a b.sock", username="me", password="secret", database=2),
        ),
    ],
)
def test_an_address_means_what_it_means_to_redis_py(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address
    theirs = parse_url(url)
    assert theirs.get("host", "localhost") == address.host
    assert theirs.get("port", 6379) == address.port
    assert theirs.get("path", "") == address.socket
    assert (theirs.get("connection_class") is SSLConnection) is address.secure
    assert (theirs.get("username", ""), theirs.get("password", "")) == (
        address.username,
        address.password,
    )
    assert theirs.get("db", 0) == address.database


@pytest.mark.parametrize(
    "url",
    ["http://cache", "redis://cache:much", "redis://:secret@cache/x", "redis://:secret/@cache"],
)
def test_what_is_none_is_refused_and_no_password_is_shown(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_address(url)
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(parse_address("redis://:secret@cache"))
