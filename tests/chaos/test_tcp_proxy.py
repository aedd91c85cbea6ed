"""The proxy does to a connection what it is told, and no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.tcp_proxy import TcpProxy, proxy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[list[bytes]]:
    """A store that answers each line with itself; what it was asked."""
    seen: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            seen.append(line)
            writer.write(line)
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "store")
    yield seen
    server.close()


@pytest.fixture
async def between(asked: list[bytes], tmp_path: Path) -> AsyncIterator[TcpProxy]:
    async with proxy(str(tmp_path / "store"), b"COMMIT") as passing:
        yield passing


@pytest.fixture
async def client(
    between: TcpProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
    yield reader, writer
    writer.transport.abort()


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def said(client: Client, line: bytes) -> bytes:
    """The answer; empty if the connection ended instead."""
    client[1].write(line)
    try:
        async with asyncio.timeout(5):
            return await client[0].readline()
    except ConnectionError:
        return b""


async def test_what_is_asked_and_answered_is_passed_on(client: Client) -> None:
    assert await said(client, b"one\n") == b"one\n"


async def test_a_lost_answer_ends_the_connection_after_the_store_was_asked(
    between: TcpProxy, client: Client, asked: list[bytes]
) -> None:
    between.lost_answers = 1
    assert await said(client, b"one\n") == b"one\n"
    assert await said(client, b"COMMIT\n") == b""
    assert asked == [b"one\n", b"COMMIT\n"]
    assert between.lost == 1


async def test_a_lost_question_never_reaches_the_store(
    between: TcpProxy, client: Client, asked: list[bytes]
) -> None:
    between.lost_questions = 1
    assert await said(client, b"COMMIT\n") == b""
    assert asked == []


async def test_what_is_half_open_stays_dumb_and_is_not_ended(
    between: TcpProxy, client: Client, asked: list[bytes]
) -> None:
    assert await said(client, b"one\n") == b"one\n"
    between.swallow()
    between.heal()
    client[1].write(b"two\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client[0].read(1)
    assert asked == [b"one\n"]


async def test_what_is_cut_is_refused_until_it_is_healed(between: TcpProxy, client: Client) -> None:
    assert await said(client, b"one\n") == b"one\n"
    between.cut()
    assert await said(client, b"two\n") == b""
    again = await asyncio.open_connection("127.0.0.1", between.port)
    assert await said(again, b"three\n") == b""
    between.heal()
    healed = await asyncio.open_connection("127.0.0.1", between.port)
    assert await said(healed, b"four\n") == b"four\n"
    healed[1].transport.abort()
