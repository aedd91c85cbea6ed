"""
Entries of the journal: what one script call wrote, chained to the entry before.

The layout is that of `ledger/lua/parts/commit.lua`; the facts in it are in `ledger.facts`.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import NamedTuple

from ledger.errors import CorruptRecord
from ledger.fact_bytes import count_facts, read_facts
from ledger.facts import Fact

FIRST_CHAIN = "0" * 16
_CHAIN = 16
_ENTRY = struct.Struct("<dIHB")
_ENTRY_TYPE = struct.Struct("<Bdd")


class TypeTotals(NamedTuple):
    """One credit type's units ever held and returned, after the entry."""

    credit_type: int
    held: int
    returned: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What one script call wrote: facts first_q to last_q, chained to the entry before."""

    epoch: int
    first_q: int
    last_q: int
    chain: str
    previous: str
    clock_ms: int
    session: int
    types: tuple[TypeTotals, ...]
    body: bytes
    """Its facts as they stand in the journal; of lengths that add up."""

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts as values, read now; posting reads them in another way (`brief_facts`)."""
        return tuple(read_facts(self.body))

    @property
    def fact_count(self) -> int:
        """How many they are."""
        return self.last_q - self.first_q + 1


def read_entry(entry_id: str | bytes, named: bytes, raw: bytes) -> Entry:
    """
    Read one stream entry: its id (`epoch-q`), and its field, which has the chain as its name.

    Raises:
        CorruptRecord: The bytes do not add up, or do not give the chain they claim.
    """
    text = entry_id if isinstance(entry_id, str) else entry_id.decode("ascii")
    try:
        epoch, last_q = (int(part) for part in text.split("-"))
        chain, previous = named.decode("ascii"), raw[:_CHAIN].decode("ascii")
        clock, session, count, types = _ENTRY.unpack_from(raw, _CHAIN)
        start = _CHAIN + _ENTRY.size
        end = start + types * _ENTRY_TYPE.size
        totals = tuple(
            TypeTotals(number, int(held), int(returned))
            for number, held, returned in _ENTRY_TYPE.iter_unpack(raw[start:end])
        )
    except (struct.error, ValueError, OverflowError) as error:
        raise CorruptRecord(f"entry {text}: {error}") from error
    body = raw[end:]
    if count_facts(body) != count or len(totals) != types or count == 0:
        raise CorruptRecord(f"entry {text}: another number of facts or types than it says")
    if _chain(raw) != chain:
        raise CorruptRecord(f"entry {text}: its chain is not that of its bytes")
    return Entry(
        epoch, last_q - count + 1, last_q, chain, previous, int(clock), session, totals, body
    )


def pack_entry(entry: Entry) -> tuple[bytes, bytes]:
    """Return an entry's field: the chain of its bytes (the entry's own is ignored), and they."""
    rest = b"".join(
        [
            entry.previous.encode(),
            _ENTRY.pack(entry.clock_ms, entry.session, entry.fact_count, len(entry.types)),
            *(_ENTRY_TYPE.pack(*totals) for totals in entry.types),
            entry.body,
        ]
    )
    return _chain(rest).encode(), rest


def _chain(rest: bytes) -> str:
    return hashlib.sha1(rest, usedforsecurity=False).hexdigest()[:16]
