"""
Reading a shard's state and journal: plain reads that change nothing and need no epoch.

What is read here proves nothing by itself: who acts on it names the epoch, the position
and the chain, and the store where it acts compares them.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable

from ledger.errors import CorruptRecord
from ledger.journal_entry import Entry, read_entry
from ledger.keys import Keys
from ledger.link import Link, LinkLost
from ledger.records import Meta

SCAN_COUNT = 500
"""Fields per HSCAN: a few hundred microseconds of Redis each."""


class Reading:
    """A connection for reading, made when it is needed and again when it is lost."""

    def __init__(self, connect: Callable[[], Awaitable[Link]]) -> None:
        self._connect = connect
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def link(self) -> Link:
        """
        Return the connection, the same one to all who ask.

        Raises:
            RedisError, OSError: Redis is away, or `close` was called.

        """
        async with self._connecting:
            if self._closed:
                raise LinkLost("the connection for reading is closed")
            if self._link is None or self._link.closed:
                self._link = await self._connect()
                if self._closed:
                    self._link.close()
            return self._link

    def close(self) -> None:
        """End the connection, for good. A repeat is harmless."""
        self._closed = True
        if self._link is not None:
            self._link.close()


async def read_meta(link: Link, keys: Keys) -> Meta | None:
    """
    Return the shard's state; None when Redis has none.

    Raises:
        CorruptRecord: There is something else under its key.

    """
    raw = await link.call("GET", keys.meta)
    return None if raw is None else Meta.unpack(raw)


async def read_tail(
    link: Link,
    keys: Keys,
    epoch: int,
    after_q: int,
    most_entries: int,
    *,
    enough_facts: float = math.inf,
) -> list[Entry]:
    """
    Return the entries of `epoch` behind fact number `after_q`, in order, up to a corrupt one.

    Args:
        link: To Redis.
        keys: Of the shard.
        epoch: Whose journal.
        after_q: The last fact that is known.
        most_entries: How many are asked for...
        enough_facts: ...and with how many facts the rest of them is not looked at.

    Raises:
        CorruptRecord: The very first of them does not add up.

    """
    rows = await link.call(
        "XRANGE", keys.journal(epoch), f"({epoch}-{after_q}", "+", "COUNT", most_entries
    )
    entries: list[Entry] = []
    for entry_id, fields in rows:
        if entries and entries[-1].last_q - after_q >= enough_facts:
            break
        try:
            entries.append(read_entry(entry_id, fields[0], fields[1]))
        except CorruptRecord:
            if not entries:
                raise
            break
    return entries


async def scan(link: Link, key: str, pattern: str = "*") -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield the fields of a hash and their values in slices; one may come twice."""
    cursor: bytes | int = 0
    while True:
        cursor, flat = await link.call("HSCAN", key, cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
        for at in range(0, len(flat), 2):
            yield flat[at], flat[at + 1]
        if int(cursor) == 0:
            return
