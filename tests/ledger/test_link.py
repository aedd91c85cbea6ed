"""
The client's conformance suite: what the ledger needs of any Redis client.

Ours passes it, and redis-py behind a thin adapter does, on the real server; what only a
misbehaving server shows is played by a small one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import pytest
import redis.asyncio

from ledger import redis_errors
from ledger.link import MAX_WAITING, Link, LinkFull, LinkLost, Replied, packed
from ledger.ports import SystemClock
from ledger.redis_errors import NoScriptError, RedisError, ResponseError
from tests.ledger.command_words import words_in
from tests.ledger.loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


TIMEOUT_MS = 200


class Client(Protocol):
    async def call(self, *args: str | bytes | float) -> Any: ...

    def ask(self, taker: Replied, command: bytes) -> None: ...

    def close(self) -> None: ...


class Taker:
    """Takes one reply, or the error instead."""

    def __init__(self) -> None:
        self.told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.gone = False

    def done(self) -> bool:
        return self.gone or self.told.done()

    def set_result(self, reply: Any) -> None:
        self.told.set_result(reply)

    def set_exception(self, error: RedisError) -> None:
        self.told.set_exception(error)


class RedisPy:
    """redis-py as the ledger would use it: one connection, nothing repeated."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url, single_connection_client=True, retry_on_timeout=False, retry=None
        )
        self._one_by_one = asyncio.Lock()
        self._asking: list[asyncio.Future[None]] = []

    async def call(self, *args: str | bytes | float) -> Any:
        async with self._one_by_one:
            # Below the response callbacks, which would reshape replies by command.
            connection = self._client.connection
            if connection is None:
                await self._client.initialize()
                connection = self._client.connection
            assert connection is not None
            try:
                await connection.send_command(*args)
                return await connection.read_response()
            except redis.exceptions.ConnectionError as error:
                raise LinkLost(str(error)) from error
            except redis.exceptions.ResponseError as error:
                raise getattr(redis_errors, type(error).__name__)(str(error)) from error

    def ask(self, taker: Replied, command: bytes) -> None:
        async def tell() -> None:
            try:
                reply = await self.call(*words_in(command))
            except RedisError as error:
                taker.set_exception(error)
            else:
                if not taker.done():
                    taker.set_result(reply)

        self._asking.append(asyncio.ensure_future(tell()))

    def close(self) -> None:
        self._closing = asyncio.ensure_future(self._client.aclose())


@pytest.fixture(params=["link", "redis-py"])
async def client(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Client]:
    if request.param == "link":
        link = await Link.connect(redis_url, clock=SystemClock())
        yield link
        link.close()
    else:
        adapter = RedisPy(redis_url)
        yield adapter
        await adapter._client.aclose()


@pytest.fixture
def key(namespace: str) -> str:
    return f"{namespace}:link"


async def test_replies_are_bytes_numbers_none_and_lists(client: Client, key: str) -> None:
    assert await client.call("SET", key, b"\x00\xff\r\n") in (b"OK", "OK")
    assert await client.call("GET", key) == b"\x00\xff\r\n"
    assert await client.call("GET", key + "absent") is None
    assert await client.call("STRLEN", key) == 4
    assert await client.call("MGET", key, key + "absent") == [b"\x00\xff\r\n", None]


async def test_numbers_and_empty_arguments_are_sent_as_they_are(client: Client, key: str) -> None:
    await client.call("RPUSH", key, 7, "", b"")

    assert await client.call("LRANGE", key, 0, -1) == [b"7", b"", b""]


async def test_a_large_reply_arrives_whole(client: Client, key: str) -> None:
    value = bytes(range(256)) * 8_192
    await client.call("SET", key, value)

    assert await client.call("GET", key) == value


async def test_an_error_reply_is_raised_and_the_connection_lives_on(client: Client) -> None:
    with pytest.raises(ResponseError):
        await client.call("NOSUCHCOMMAND")
    with pytest.raises(NoScriptError):
        await client.call("EVALSHA", "0" * 40, 0)
    assert await client.call("ECHO", "alive") == b"alive"


async def test_many_callers_each_get_their_own_reply(client: Client) -> None:
    echoes = await asyncio.gather(*(client.call("ECHO", str(n)) for n in range(500)))

    assert echoes == [str(n).encode() for n in range(500)]


async def test_a_caller_that_goes_away_does_not_shift_the_replies(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    gone = asyncio.ensure_future(link.call("ECHO", "gone"))
    await asyncio.sleep(0)
    gone.cancel()

    assert await link.call("ECHO", "next") == b"next"
    link.close()


async def test_who_asks_is_told_the_reply_or_the_error(client: Client) -> None:
    takers = [Taker() for _ in range(4)]
    takers[3].gone = True
    client.ask(takers[0], packed("ECHO", "first"))
    client.ask(takers[3], packed("ECHO", "to nobody"))
    client.ask(takers[1], packed("NOSUCHCOMMAND"))
    client.ask(takers[2], packed("ECHO", "last"))

    assert await takers[0].told == b"first"
    with pytest.raises(ResponseError):
        await takers[1].told
    assert await takers[2].told == b"last"
    assert not takers[3].told.done()


async def test_who_asks_is_told_in_the_turn_that_brings_the_reply(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    taker = Taker()
    waiting = link.send("ECHO", "queued")
    link.ask(taker, packed("ECHO", "asked"))

    await waiting  # both replies came together: a future's waiter goes on in the next turn

    assert taker.told.done()
    link.close()
    assert link.closed


async def test_who_asks_when_the_connection_has_ended_is_told_so_at_once(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    before, after = Taker(), Taker()
    link.ask(before, packed("BLPOP", "nothing", 5))
    link.close()
    link.ask(after, packed("ECHO", "too late"))

    for taker in (before, after):
        assert isinstance(taker.told.exception(), LinkLost)


async def test_calls_of_one_turn_are_one_write(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    transport = link._transport
    assert transport is not None
    writes: list[bytes] = []

    class Counting:
        def write(self, data: bytes) -> None:
            writes.append(data)
            transport.write(data)

        def abort(self) -> None:
            transport.abort()

    link._transport = Counting()  # type: ignore[assignment]
    await asyncio.gather(*(link.call("PING") for _ in range(300)))

    assert len(writes) == 1
    link.close()


async def test_a_closed_link_has_lost_its_calls(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    waiting = [link.send("BLPOP", "nothing", 10), link.send("PING")]
    await asyncio.sleep(0)
    link.close()
    link.close()

    for future in waiting:
        with pytest.raises(LinkLost):
            await future
    with pytest.raises(LinkLost):
        await link.call("PING")
    await link.wait_closed()
    assert link.closed


async def test_a_killed_connection_is_lost(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    other = await Link.connect(redis_url, clock=SystemClock())
    number = await link.call("CLIENT", "ID")
    waiting = link.send("BLPOP", "nothing", 10)
    await other.call("CLIENT", "KILL", "ID", number)

    with pytest.raises(LinkLost):
        await waiting
    other.close()


async def test_no_more_wait_than_can_be_served(redis_url: str) -> None:
    link = await Link.connect(redis_url, clock=SystemClock())
    futures = [link.send("PING") for _ in range(MAX_WAITING)]

    with pytest.raises(LinkFull):
        await link.call("PING")
    await asyncio.gather(*futures)
    link.close()


async def test_user_password_and_database_of_the_address_are_used(
    redis_url: str, namespace: str
) -> None:
    admin = await Link.connect(redis_url, clock=SystemClock())
    await admin.call("ACL", "SETUSER", namespace, "on", ">secret", "allcommands", "allkeys")
    address = redis_url.replace("://", f"://{namespace}:secret@", 1) + "?db=1"
    link = await Link.connect(address, clock=SystemClock())

    assert await link.call("ACL", "WHOAMI") == namespace.encode()
    assert b" db=1 " in await link.call("CLIENT", "INFO")
    await admin.call("ACL", "DELUSER", namespace)
    link.close()
    admin.close()


async def test_a_server_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        await Link.connect("redis://127.0.0.1:1", clock=SystemClock())


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def played() -> AsyncIterator[Callable[[Script], Awaitable[str]]]:
    """A server that does what the test says, for what a real one never does."""
    servers: list[asyncio.Server] = []

    async def start(script: Script) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await script(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


async def connected(url: str) -> Link:
    return await Link.connect(url, clock=SystemClock(), timeout_ms=TIMEOUT_MS)


async def test_a_reply_in_single_bytes_is_one_reply(
    played: Callable[[Script], Awaitable[str]],
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        for byte in b"*2\r\n$3\r\nfoo\r\n:7\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read(100)

    link = await connected(await played(script))

    assert await link.call("ANY") == [b"foo", 7]
    link.close()


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"+A\r\n+B\r\n"])
async def test_what_is_no_reply_ends_the_connection(
    played: Callable[[Script], Awaitable[str]], garbage: bytes
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(garbage)
        await reader.read(100)

    link = await connected(await played(script))
    await asyncio.gather(link.call("ANY"), return_exceptions=True)

    await link.wait_closed()
    assert link.closed


async def test_a_reply_that_does_not_come_loses_every_call(
    played: Callable[[Script], Awaitable[str]],
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass

    link = await connected(await played(script))
    futures = [link.send("ONE"), link.send("TWO")]

    for future in futures:
        with pytest.raises(LinkLost):
            await future
    assert link.closed


async def test_a_server_that_hangs_up_loses_the_call(
    played: Callable[[Script], Awaitable[str]],
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"$100\r\nhalf a reply")

    link = await connected(await played(script))

    with pytest.raises(LinkLost):
        await link.call("ANY")


async def test_a_refused_password_is_said_so(redis_url: str) -> None:
    address = redis_url.replace("://", "://nobody:wrong@", 1)

    with pytest.raises(RedisError):
        await Link.connect(address, clock=SystemClock())
