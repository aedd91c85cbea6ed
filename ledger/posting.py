"""
Posting: entries of a shard's journal into Postgres, in one transaction.

The position lives in the shard's row, under whose lock this runs: entries of another epoch
are `Fenced`, entries that do not continue the stored position and chain are `Forked`, and
what is posted already is passed over. So a second poster, or a repeat after a crash, is
harmless.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ledger import books_store, controls, seals
from ledger.books import Books
from ledger.books_store import Batch, ChargeRows
from ledger.brief_facts import BriefEntry, read_briefly
from ledger.brief_fold import BriefFold
from ledger.charge_copy import packed_briefly
from ledger.charge_digest import SaidOfCharges
from ledger.database import Connection, Queries
from ledger.errors import NotFound
from ledger.fold import shown_clock
from ledger.journal_entry import Entry
from ledger.meanwhile import meanwhile
from ledger.uncollected import uncollected

_SQL = Queries("posting")

FACTS_IN_A_STEP = 1_000
"""Folded at once: two milliseconds; Postgres takes the charges of one step during the next."""


@dataclass(frozen=True, slots=True)
class Posted:
    """
    Postgres has everything up to fact `last_q`, whose entry has this chain.

    closed_ids: Charges that ended with this call; their marks may go.
    dead: How many facts broke a rule and are among the dead facts.
    """

    last_q: int
    chain: str
    closed_ids: tuple[bytes, ...] = ()
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Fenced:
    """The entries are of an epoch that is not, or no longer, the shard's (`epoch`)."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Forked:
    """The entries do not continue what is posted: another history, or one with a gap."""

    last_q: int
    why: str


Outcome: TypeAlias = Posted | Fenced | Forked


async def post(connection: Connection, shard: int, entries: Sequence[Entry]) -> Outcome:
    """
    Fold these entries, in their order, into Postgres; all of them or none.

    Args:
        connection: Not inside a transaction of the caller's.
        shard: Whose journal.
        entries: Of one epoch; those posted already are passed over.

    Raises:
        NotFound: There is no such shard.

    """
    with uncollected():
        async with connection.transaction():
            return await _post(connection, shard, entries)


async def _post(connection: Connection, shard: int, entries: Sequence[Entry]) -> Outcome:
    """Post in this transaction; all that a batch has in memory is gone when it returns."""
    row = await connection.fetchrow(_SQL.lock_shard, shard)
    if row is None:
        raise NotFound(f"no shard {shard}")
    if any(entry.epoch != row["epoch"] for entry in entries):
        return Fenced(row["epoch"])
    new, why = _continuing(entries, row["last_q"], row["last_chain"])
    if why is not None:
        return Forked(row["last_q"], why)
    if not new:
        return Posted(row["last_q"], row["last_chain"])
    read = [read_briefly(entry) for entry in new]
    books = await books_store.load(connection, read)
    last = new[-1]
    batch = Batch(
        shard,
        last.epoch,
        new[0].first_q,
        last.last_q,
        last.chain,
        shown_clock(last.clock_ms),
    )
    said, rows = SaidOfCharges(batch), ChargeRows()
    await books_store.insert_charges(connection, _folded(books, read, said, rows))
    sha = batch_sha(row["last_sha"], batch, books)
    await meanwhile(books_store.save(connection, books, batch, rows), said.digested())
    sealed = await seals.sealed(connection, batch, sha, said.digest(), books.applied)
    await books_store.save_batch(connection, books, batch, sha, sealed)
    await connection.execute(_SQL.advance, shard, batch.q_to, batch.chain, sha, batch.clock_ms)
    await _quarantine(connection, books, batch)
    return Posted(batch.q_to, batch.chain, tuple(books.closed), len(books.dead))


def _folded(
    books: Books, entries: Sequence[BriefEntry], said: SaidOfCharges, rows: ChargeRows
) -> Iterator[bytes]:
    """Fold in steps, and yield the charges that each makes, as they are copied."""
    epoch = entries[0].entry.epoch
    brief = BriefFold(books)
    for number, step in enumerate(parts(entries, FACTS_IN_A_STEP)):
        for entry in step:
            brief.fold(entry)
        said.add(rows.take_final(books))
        usual = brief.take_ended()
        said.add_later(usual)
        yield b"".join(packed_briefly(usual, epoch)) + rows.take_new()
        if number % 2:  # half while Postgres takes the charges, half while it updates balances
            said.digest_some()
    brief.close(epoch)
    said.add(rows.take_all(books))
    said.add_overtaken(books.overtaken)
    yield rows.take_new()


def parts(entries: Iterable[BriefEntry], facts: int) -> Iterator[list[BriefEntry]]:
    """Cut the entries, in their order, into parts of so many facts; the last may have fewer."""
    part: list[BriefEntry] = []
    left = facts
    for entry in entries:
        part.append(entry)
        left -= entry.entry.fact_count
        if left <= 0:
            yield part
            part, left = [], facts
    if part:
        yield part


def batch_sha(previous: bytes, batch: Batch, books: Books) -> bytes:
    """Chain a batch to the one before: sha256 over that one's sha and canonical rows."""
    rows = [
        f"{batch.shard}|{batch.epoch}|{batch.q_from}|{batch.q_to}|{batch.chain}|{batch.clock_ms}"
    ]
    rows.extend(
        f"{line.credit_type_id}|{line.book}|{line.route}|{amount}"
        for line, amount in sorted(books.lines.items())
        if amount
    )
    return hashlib.sha256(previous + "\n".join(rows).encode()).digest()


def _continuing(
    entries: Sequence[Entry], last_q: int, last_chain: str
) -> tuple[list[Entry], str | None]:
    """Return the entries that are new, or why they cannot be what follows."""
    new: list[Entry] = []
    for entry in entries:
        if not new and entry.last_q <= last_q:
            if entry.last_q == last_q and entry.chain != last_chain:
                return [], f"fact {last_q} has chain {entry.chain}, not {last_chain}"
            continue
        if entry.first_q != last_q + 1:
            return [], f"fact {entry.first_q} after {last_q}"
        if entry.previous != last_chain:
            return [], f"fact {entry.first_q} follows {entry.previous}, not {last_chain}"
        new.append(entry)
        last_q, last_chain = entry.last_q, entry.chain
    return new, None


async def _quarantine(connection: Connection, books: Books, batch: Batch) -> None:
    """Order Redis to refuse the accounts whose facts broke a rule, once per account."""
    first = {dead.account_id: dead.q for dead in reversed(books.dead) if dead.account_id}
    for account_id in sorted(first.keys() & books.quarantined):
        source_id = f"{batch.shard}:{batch.epoch}:{first[account_id]}"
        await controls.add(
            connection, account_id, controls.Freeze(frozen=True), "quarantine", source_id, "posting"
        )
