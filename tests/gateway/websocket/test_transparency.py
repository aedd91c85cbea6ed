"""Cases in the order of the Autobahn suite: with the gateway between, nobody sees a difference."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from tests.charging import Charging
from tests.gateway.websocket.cases import CASES, DEFLATED
from tests.websockets import Frame, WsBackend, connected

pytestmark = pytest.mark.anyio

DEFLATE = {"sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}

Seen = tuple[str | None, list[Frame], int | None]


async def observe(
    url: str, backend: WsBackend, headers: dict[str, str], pieces: Sequence[bytes]
) -> Seen:
    """Send the pieces; what was agreed on, what came until the end, how the backend saw it end."""
    closed = len(backend.closes)
    frames: list[Frame] = []
    async with connected(url, "/free", headers) as client:
        assert client.status == 101

        async def send() -> None:
            with suppress(ConnectionError):  # a backend may have had enough
                for piece in pieces:
                    await client.raw(piece)

        sending = asyncio.create_task(send())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frames.append(await client.frame())
        await sending
    async with asyncio.timeout(10):
        while len(backend.closes) == closed:  # noqa: ASYNC110 - the library has no event for it
            await asyncio.sleep(0.001)
    return client.headers.get("sec-websocket-extensions"), frames, backend.closes[-1]


@pytest.mark.parametrize("name", [*CASES, *DEFLATED])
async def test_a_connection_is_the_same_with_and_without(
    gateway: Charging, backend: WsBackend, name: str
) -> None:
    more = DEFLATE if name in DEFLATED else {}
    pieces = {**CASES, **DEFLATED}[name]
    customer = await gateway.customer()

    direct = await observe(backend.url, backend, more, pieces)
    through = await observe(gateway.url, backend, {**customer.headers, **more}, pieces)

    assert through == direct
    assert bool(direct[0]) is bool(more)
