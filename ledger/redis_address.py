"""Where a Redis is, as its address says: redis://, rediss:// (TLS) or unix://."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from ledger.errors import InvalidInput

PORT = 6379
EXAMPLE = "redis://user:password@host:6379/0"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """
    An address, taken apart.

    Attributes:
        socket: A path, instead of `host` and `port`; "" where there is none.
        database: The number that is selected.
    """

    host: str = "localhost"
    port: int = PORT
    socket: str = ""
    secure: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0


def parse_address(url: str) -> RedisAddress:
    """
    Read an address like `rediss://user:password@host:6379/0`, or `unix:///path?db=0`.

    Raises:
        InvalidInput: It is none. What is said never shows the password.
    """
    try:
        return _parsed(url)
    except ValueError:
        # The library's own words may quote a part of the address.
        raise InvalidInput("the address of Redis", f"it must be like {EXAMPLE}") from None


def _parsed(url: str) -> RedisAddress:
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError(parts.scheme)
    path = unquote(parts.path)
    local = parts.scheme == "unix"
    asked = parse_qs(parts.query).get("db", [])
    database = asked[0] if asked else ("" if local else path.strip("/"))
    return RedisAddress(
        host=unquote(parts.hostname or "") or RedisAddress().host,
        port=parts.port or PORT,
        socket=path if local else "",
        secure=parts.scheme == "rediss",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=int(database or 0),
    )
