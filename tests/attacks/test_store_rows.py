"""Redis answers late, wrongly or not at all, though the script ran: one hold, one charge."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import redis.asyncio

from ledger.scripts import Scripts
from tests.attacks.rig import attacked
from tests.charging import Stores

pytestmark = pytest.mark.anyio


@dataclass
class Relay:
    """
    Stands before Redis.

    Attributes:
        spoil: What becomes of the next hold's answer; None instead of one ends the connection.
        instead: What the next hold is answered without reaching Redis.
    """

    url: str
    spoil: Callable[[bytes], bytes | None] | None = None
    instead: bytes = b""
    spoiled: int = 0


@asynccontextmanager
async def relayed(redis_url: str, folder: Path) -> AsyncIterator[Relay]:
    """Pass everything on, but for what the relay is told to do to one hold."""
    behind = redis_url.removeprefix("unix://")
    path = folder / "relay.sock"
    relay = Relay(f"unix://{path}")
    hold = Scripts()["tick"].sha.encode()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        back, forth = await asyncio.open_unix_connection(behind)
        armed = False

        async def answers() -> None:
            nonlocal armed
            while data := await back.read(65_536):
                if armed and relay.spoil is not None:
                    armed, spoil, relay.spoil = False, relay.spoil, None
                    relay.spoiled += 1
                    spoilt = spoil(data)
                    if spoilt is None:
                        break
                    data = spoilt
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(answers())
        try:
            while data := await reader.read(65_536):
                if relay.instead and hold in data:
                    writer.write(relay.instead)
                    relay.instead, relay.spoiled = b"", relay.spoiled + 1
                    continue
                armed = armed or (relay.spoil is not None and hold in data)
                forth.write(data)
        except ConnectionError:
            pass
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            forth.close()
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield relay
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


SPOILT = {
    "the answer is lost": lambda _: None,
    "NOSCRIPT": lambda _: b"-NOSCRIPT No matching script.\r\n",
    "READONLY": lambda _: b"-READONLY You can't write against a read only replica.\r\n",
    "no protocol": lambda _: b"?\r\n",
}


@pytest.mark.parametrize("name", SPOILT)
async def test_a_hold_whose_answer_is_spoilt_is_made_once(
    stores: Stores, tmp_path: Path, name: str
) -> None:
    async with (
        relayed(stores.redis_url, tmp_path) as relay,
        attacked(replace(stores, redis_url=relay.url)) as target,
    ):
        assert (await target.say(target.request(b"/cheap"))).status == 200
        async with target.charged(50) as seen:
            relay.spoil = SPOILT[name]
            reply = await target.say(target.request(b"/costly"))
            assert reply.status == 200
        assert relay.spoiled == 1
        charge = await target.gateway.charge(seen[0].request_id)
        assert charge.captured == 50


async def test_a_hold_whose_answer_never_comes_is_given_up_and_nothing_stays_held(
    stores: Stores, tmp_path: Path
) -> None:
    async with (
        relayed(stores.redis_url, tmp_path) as relay,
        attacked(replace(stores, redis_url=relay.url)) as target,
    ):
        async with target.unharmed():
            relay.spoil = lambda _: b""
            reply = await target.say(target.request(b"/costly"))
            await target.refused(reply, 503, "ledger-unavailable", closed=False)
        async with target.charged(50):
            assert (await target.say(target.request(b"/costly"))).status == 200


async def test_a_hold_that_was_moved_elsewhere_is_refused_and_the_next_one_made(
    stores: Stores, tmp_path: Path
) -> None:
    """A cluster's answer: nothing ran, and where else to ask is not for us to follow."""
    async with (
        relayed(stores.redis_url, tmp_path) as relay,
        attacked(replace(stores, redis_url=relay.url)) as target,
    ):
        async with target.unharmed():
            relay.instead = b"-MOVED 3999 10.0.0.1:6379\r\n"
            reply = await target.say(target.request(b"/costly"))
            await target.refused(reply, 503, "ledger-unavailable", closed=False)
        async with target.charged(50):
            assert (await target.say(target.request(b"/costly"))).status == 200


async def test_a_redis_that_forgot_its_scripts_serves_on(stores: Stores) -> None:
    async with attacked(stores) as target, target.charged(50):
        async with redis.asyncio.Redis.from_url(stores.redis_url) as side:
            await side.script_flush()
        assert (await target.say(target.request(b"/costly"))).status == 200
