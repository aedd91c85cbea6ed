"""
Reaches: where limited credits may be used.

A grant may be limited to some routes, by name. Each different set of names has a number, the
*reach* that a lot carries in both stores; numbers are given once, never changed and never used
again. Which reaches have the route of a request, its gateway says with each line, by the names of
its own price list. A gateway learns of new ones when a script tells it that a lot has one that it
does not know; where no grant is limited nobody ever asks.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ledger.database import PROMPT_LIMIT_S, Connection, Database, Queries
from ledger.errors import Conflict, InvalidInput, LedgerUnavailable
from ledger.inputs import clean_text
from ledger.outage import OUTAGE
from ledger.reach_bytes import reaches_block

MOST_REACHES = 4_096
"""In one installation, ever: each line carries a bit for each, 512 bytes then."""

MOST_ROUTES = 100
"""In one reach: who means more of them means a credit type of its own."""

MOST_NAMED = 50
"""Routes that an error lists."""

_SQL = Queries("reaches")


class Reaches:
    """
    What one process knows of them; it knows none until it has to.

    A new epoch may begin because Postgres lost its last commits: numbers that were given out then
    are given out again. So what was learned in another epoch does not count.
    """

    __slots__ = ("_blocks", "_epoch", "_learning", "_read", "_routes", "known")

    def __init__(self, read: Callable[[int], Awaitable[Mapping[int, Sequence[str]]]]) -> None:
        """Know nothing yet; `read` returns the reaches above a number."""
        self._read = read
        self._routes: dict[int, frozenset[str]] = {}
        self._blocks: dict[str, bytes] = {}
        self._learning: asyncio.Task[None] | None = None
        self._epoch = 0
        self.known = 0

    def block(self, route: str, epoch: int) -> bytes:
        """Return what a line for this route carries; empty as long as no reach is known."""
        if epoch != self._epoch:
            self._forget(epoch)
        if not self.known:
            return b""
        block = self._blocks.get(route)
        if block is None:
            having = (number for number, routes in self._routes.items() if route in routes)
            block = self._blocks[route] = reaches_block(self.known, having)
        return block

    async def learn(self, beyond: int, epoch: int) -> None:
        """
        Read what is there above `beyond`, which is what the asker knew in this epoch.

        Nothing is asked where another has learned more meanwhile; all who ask at once ask together.

        Raises:
            LedgerUnavailable: Postgres is away.

        """
        if epoch != self._epoch:
            self._forget(epoch)
        elif self.known > beyond:
            return
        if self._learning is None:
            self._learning = asyncio.create_task(self._learn(), name="learn of reaches")
            self._learning.add_done_callback(self._learned)
        try:
            # Shielded: who asks may go away; others wait for the same answer.
            await asyncio.shield(self._learning)
        except OUTAGE as away:
            raise LedgerUnavailable(f"Postgres does not answer: {away}") from away

    async def _learn(self) -> None:
        epoch = self._epoch
        found = await self._read(self.known)
        if found and epoch == self._epoch:
            self._routes |= {number: frozenset(names) for number, names in found.items()}
            self.known = max(self._routes)
            self._blocks = {}

    def _learned(self, task: asyncio.Task[None]) -> None:
        self._learning = None
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, nothing is lost

    def _forget(self, epoch: int) -> None:
        self._epoch, self.known = epoch, 0
        self._routes, self._blocks = {}, {}


def reader(database: Database) -> Callable[[int], Awaitable[Mapping[int, Sequence[str]]]]:
    """Return what reads the reaches above a number from Postgres."""

    async def read(beyond: int) -> Mapping[int, Sequence[str]]:
        async with database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            rows = await connection.fetch(_SQL.above, beyond)
        return {row["id"]: row["routes"] for row in rows}

    return read


async def number_of(connection: Connection, routes: Iterable[str]) -> int:
    """
    Return the number of a set of routes, a new one if it has none; 0 for no routes: no limit.

    Raises:
        InvalidInput: More than `MOST_ROUTES`, or a text that is no name.
        Conflict: `too-many-reaches`: there are `MOST_REACHES` different sets already.

    """
    names = sorted({clean_text("routes", name, least=1) for name in routes})
    if not names:
        return 0
    if len(names) > MOST_ROUTES:
        raise InvalidInput("routes", f"at most {MOST_ROUTES}; there are {len(names)}")
    sha256 = hashlib.sha256(json.dumps(names).encode()).digest()
    known = await connection.fetchval(_SQL.find, sha256)
    if known is None:
        # One after the other, so that who has read a number knows all that are below it.
        await connection.execute(_SQL.lock)
        known = await connection.fetchval(_SQL.find, sha256)
    if known is None:
        known = await connection.fetchval(_SQL.add, sha256, names, MOST_REACHES)
    if known is None:
        raise Conflict(
            "too-many-reaches",
            f"grants were limited to {MOST_REACHES} different sets of routes: use one of those",
        )
    return int(known)


async def check_names(connection: Connection, routes: Iterable[str]) -> None:
    """
    Refuse a route that the prices in force do not have.

    Raises:
        InvalidInput: It says which names there are.

    """
    wanted = set(routes)
    if not wanted:
        return
    names = [row["route"] for row in await connection.fetch(_SQL.names)]
    unknown = sorted(wanted - set(names))
    if unknown:
        there_are = ", ".join(names[:MOST_NAMED]) or "none before the first `farebox serve`"
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise InvalidInput("routes", f"no route `{unknown[0]}`; there are: {there_are}{more}")
