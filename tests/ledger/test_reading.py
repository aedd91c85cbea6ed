"""One connection for reading, however many ask for it at once."""

import asyncio

import pytest

from ledger.journal import Reading
from ledger.link import Link, LinkLost
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio


async def test_all_who_ask_at_once_share_one_connection(redis_url: str) -> None:
    made: list[Link] = []

    async def connect() -> Link:
        link = await Link.connect(redis_url, clock=SystemClock(), timeout_ms=2_000)
        made.append(link)
        return link

    reading = Reading(connect)
    links = await asyncio.gather(*(reading.link() for _ in range(5)))
    assert made == [links[0]]
    reading.close()
    assert all(link.closed for link in links)


async def test_a_connection_made_while_it_is_closed_does_not_stay_open(redis_url: str) -> None:
    begun = asyncio.Event()
    made: list[Link] = []

    async def connect() -> Link:
        begun.set()
        made.append(await Link.connect(redis_url, clock=SystemClock(), timeout_ms=2_000))
        return made[0]

    reading = Reading(connect)
    asking = asyncio.create_task(reading.link())
    await begun.wait()
    reading.close()
    await asking
    assert made[0].closed
    with pytest.raises(LinkLost):
        await reading.link()
