"""
A journal written by hand: what Redis would write, for tests of the Postgres half.

`Journal` chains entries as the scripts do. The facts' `aseq` and `balance` are the test's
own, so that wrong ones can be written too.
"""

import hashlib
from dataclasses import replace

from ledger.fact_bytes import pack_fact
from ledger.facts import Fact
from ledger.journal_entry import FIRST_CHAIN, Entry

NOON_MS = 1_790_000_000_000


def hold_id(number: int) -> bytes:
    """An id minted `number` microseconds after noon, in session 1."""
    return (NOON_MS * 1_000 + number).to_bytes(8, "big") + (1).to_bytes(4, "big")


class Journal:
    """One epoch's entries, each following the one before."""

    def __init__(self, epoch: int = 1, *, first_q: int = 1, chain: str = FIRST_CHAIN) -> None:
        self.epoch = epoch
        self.next_q = first_q
        self.chain = chain
        self.clock_ms = NOON_MS

    def entry(self, *facts: Fact) -> Entry:
        """The next entry, holding these facts."""
        previous = self.chain
        raw = previous + repr(facts) + str(self.next_q)
        self.chain = hashlib.sha1(raw.encode()).hexdigest()[:16]
        self.clock_ms += 10
        entry = Entry(
            epoch=self.epoch,
            first_q=self.next_q,
            last_q=self.next_q + len(facts) - 1,
            chain=self.chain,
            previous=previous,
            clock_ms=self.clock_ms,
            session=1,
            types=(),
            body=b"".join(map(pack_fact, facts)),
        )
        self.next_q += len(facts)
        return entry

    def fork(self) -> "Journal":
        """Another journal that goes on from here by itself."""
        other = Journal(self.epoch, first_q=self.next_q, chain=self.chain)
        other.clock_ms = self.clock_ms
        return other


def stamped(entry: Entry, **changes: object) -> Entry:
    """The entry with something else in it."""
    return replace(entry, **changes)
