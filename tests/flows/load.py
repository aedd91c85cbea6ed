"""Clients that call a gateway again and again, whatever happens to it, and what they were told."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx

from ledger.books import ChargeState
from ledger.outage import OUTAGE
from tests.oracle import Oracle
from tests.served import Served

PATIENCE_S = 20
AGAIN_S = 0.02  # after a broken connection, so that a gateway that starts is not hammered
LOOK_S = 0.3
ANSWERS_LIMIT_S = 120


@dataclass
class Load:
    """
    Calls for one key.

    Attributes:
        url: Where to; a gateway that starts again may be elsewhere.
        answered: Calls answered with 200 to the end: their id, and when that was.
    """

    url: str
    key: dict[str, str]
    answered: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    broken: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @asynccontextmanager
    async def by(self, clients: int) -> AsyncIterator[None]:
        """Call for as long as the block runs; a client that meets a wrong answer fails it."""
        tasks = [asyncio.create_task(self._client()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(how) for how in ended} == {asyncio.CancelledError}, ended

    async def until_answered(self, more: int) -> None:
        """Wait for so many more answers."""
        goal = len(self.answered) + more
        async with asyncio.timeout(ANSWERS_LIMIT_S), self.news:
            await self.news.wait_for(lambda: len(self.answered) >= goal)

    async def _client(self) -> None:
        while True:
            try:
                async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
                    while True:
                        await self._call(client)
            except httpx.HTTPError:
                self.broken += 1  # the process that served this connection is gone
                await asyncio.sleep(AGAIN_S)

    async def _call(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"{self.url}/paid", headers=self.key)
        if answer.status_code == 200:
            async with self.news:
                self.answered[answer.headers["farebox-request-id"]] = time.monotonic()
                self.news.notify_all()
        else:
            assert answer.status_code in (502, 503), answer.text
            assert answer.json()["charged"] == 0
            self.refused += 1


async def charges_of(served: Served) -> dict[str, ChargeState]:
    """Every charge that is posted: its state."""
    connection = await asyncpg.connect(served.running.postgres_url)
    try:
        rows = await connection.fetch("SELECT encode(id, 'hex') AS id, state FROM charges")
        below = await connection.fetchval("SELECT count(*) FROM pools WHERE remaining < debt")
    finally:
        await connection.close()
    assert below == 0, "a pool is below zero"
    return {row["id"]: ChargeState(row["state"]) for row in rows}


def captured_in(charges: dict[str, ChargeState]) -> set[str]:
    return {one for one, state in charges.items() if state in CAPTURED}


CAPTURED = (ChargeState.CAPTURED, ChargeState.LATE)


async def watch(where: "Current", backend: Oracle) -> None:
    """Look all the time: what is captured was served, and no pool is below zero."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            charges = await charges_of(where.served)
        except OUTAGE:
            continue  # it is being killed
        unserved = captured_in(charges) - backend.served.keys()
        assert not unserved, unserved


@dataclass
class Current:
    """The gateway that runs now; another one after all of it was killed."""

    served: Served
