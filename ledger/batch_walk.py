"""
A walk along a shard's batches, from the first to the last, that recomputes what they say.

It can be done in one go, or a bounded step at a time while the ledger is at work: batches are
append-only, so what was right when it was passed needs no second look until the next walk.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from ledger.books import Books, Line
from ledger.books_store import Batch
from ledger.database import Connection, Queries
from ledger.findings import Finding
from ledger.heads import Head
from ledger.posting import batch_sha
from ledger.seals import FIRST_SEAL, ChargesDigest, digest_charges, digest_others, seal_of

BATCHES_AT_ONCE = 200
"""Read together: their charges are found by one range of ids, which is a little wider than they."""

ALL_FACTS = 2**62
"""When nothing but the number of batches bounds a step."""

MOST_FOUND = 100
"""Findings of one walk: when the chain is broken everywhere, more of them say no more."""

_NO_SHA = bytes(32)
_SQL = Queries("batch_walk")


@dataclass(slots=True)
class Walk:
    """
    How far a walk has come.

    Attributes:
        heads: What the batches are to be held against.
        totals: Lines passed, by credit type and book.
        facts: How many were passed.
        ended: It has come to the last batch there was.

    """

    shard: int
    heads: Sequence[Head] = ()
    sha: bytes = _NO_SHA
    seal: bytes = FIRST_SEAL
    epoch: int = 0
    q: int = 0
    totals: Counter[tuple[int, str]] = field(default_factory=Counter)
    facts: int = 0
    found: int = 0
    ended: bool = False

    def copy(self) -> "Walk":
        """Return another one from here: a step that fails leaves the first where it was."""
        return replace(self, totals=self.totals.copy())

    async def to_the_end(self, connection: Connection) -> list[Finding]:
        """Go on to the last batch; everything is read in the caller's transaction."""
        found: list[Finding] = []
        while not self.ended:
            found += await self.step(connection)
        return found + await self.books(connection)

    async def still_there(self, connection: Connection) -> bool:
        """Whether the last batch that was passed is as it was: a Postgres may lose commits."""
        if (self.epoch, self.q) == (0, 0):
            return True
        there: bool = await connection.fetchval(
            _SQL.passed, self.shard, self.epoch, self.q, self.sha, self.seal
        )
        return there

    async def step(self, connection: Connection, facts: int = ALL_FACTS) -> list[Finding]:
        """
        Check the next batches: `BATCHES_AT_ONCE` at most, fewer if they have so many facts.

        A walk that has ended may be gone on with: it then checks what was posted since.
        """
        rows = await connection.fetch(
            _SQL.batches, self.shard, self.epoch, self.q, BATCHES_AT_ONCE, facts
        )
        self.ended = not rows
        kept_from: bytes = await connection.fetchval(_SQL.charges_kept_from) or b""
        found: list[Finding] = []
        for _, group in groupby(rows, key=lambda row: row["epoch"]):
            of_epoch = list(group)
            found += self._follow(of_epoch)
            found += await self._rows_changed(connection, of_epoch, kept_from)
        if self.ended:
            found += await self._at_the_end(connection)
        found = found[: MOST_FOUND - self.found]
        self.found += len(found)
        return found

    def _follow(self, rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """Recompute the chains from batch to batch; go on from what is stored if they break."""
        found = []
        for row in rows:
            batch = _batch(row)
            expected_q = self.q + 1 if batch.epoch == self.epoch else 1
            if batch.q_from != expected_q:
                gap = f"{self._name(batch)} follows {self.epoch}-{self.q}"
                found.append(Finding("batches-continuous", None, gap))
            books = Books()
            sums = Counter[int]()
            for credit_type, book, route, amount in row["lines"]:
                books.lines[Line(credit_type, book, route)] = amount
                self.totals[credit_type, book] += amount
                sums[credit_type] += amount
            found += [
                Finding(
                    "lines-balance",
                    None,
                    f"lines of {self._name(batch)} sum to {total} in credit type {credit_type}",
                )
                for credit_type, total in sorted(sums.items())
                if total
            ]
            broken = batch_sha(self.sha, batch, books) != row["sha"]
            if row["seal"] is not None:
                broken = broken or row["seal"] != _seal(self.seal, row)
                self.seal = row["seal"]
            if broken:
                found.append(
                    Finding("batch-chain", None, f"{self._name(batch)} is not what was posted")
                )
            self.sha, self.epoch, self.q = row["sha"], batch.epoch, batch.q_to
            self.facts += batch.q_to - batch.q_from + 1
            found += self._against_heads(row)
        return found

    def _against_heads(self, row: Mapping[str, Any]) -> list[Finding]:
        return [
            Finding(
                "head-differs",
                None,
                f"{self._name(_batch(row))} ends with another sha than the head of {head.at} says",
            )
            for head in self.heads
            if (head.epoch, head.q) == (self.epoch, self.q)
            and (head.sha, head.seal) != (self.sha.hex(), self.seal.hex())
        ]

    async def _at_the_end(self, connection: Connection) -> list[Finding]:
        found = []
        last = await connection.fetchval(_SQL.last_sha, self.shard)
        if self.sha != last:
            detail = f"shard {self.shard} ends with another batch than posted"
            found.append(Finding("batch-chain", None, detail))
        for head in self.heads:
            there = await connection.fetchval(_SQL.batch_ends, self.shard, head.epoch, head.q)
            if (head.epoch, head.q) != (0, 0) and not there:
                detail = (
                    f"no batch ends at fact {head.epoch}-{head.q}, as the head of {head.at} says"
                )
                found.append(Finding("head-missing", None, detail))
        return found

    async def books(self, connection: Connection) -> list[Finding]:
        """Hold the sums of all lines against the pools, at the end and in the same snapshot."""
        pooled = {
            (row["credit_type_id"], row["book"]): int(row["amount"])
            for row in await connection.fetch(_SQL.pooled, self.shard)
        }
        return [
            Finding(
                "books-are-the-pools",
                None,
                f"book {book} of credit type {credit_type} is {more} more than the pools say",
            )
            for credit_type, book in sorted(self.totals.keys() | pooled.keys())
            if (more := self.totals[credit_type, book] - pooled.get((credit_type, book), 0))
        ]

    async def _rows_changed(
        self, connection: Connection, rows: Sequence[Mapping[str, Any]], kept_from: bytes
    ) -> list[Finding]:
        """Digest what the sealed batches of one epoch say of other tables."""
        found = []
        for run in _runs([row for row in rows if row["seal"] is not None]):
            batches = [_batch(row) for row in run]
            bounds = [row[name] for row in run for name in ("first_charge", "last_charge")]
            ids = [bound for bound in bounds if bound is not None]
            charges = await digest_charges(
                connection, batches, min(ids, default=b""), max(ids, default=b"")
            )
            others = await digest_others(
                connection, list(zip(batches, (row["controls"] for row in run), strict=True))
            )
            for batch, row in zip(batches, run, strict=True):
                stored = ChargesDigest(row["first_charge"], row["last_charge"], row["charges_sha"])
                dropped = stored.first_charge is not None and stored.first_charge < kept_from
                if charges[batch.q_from] != stored and not dropped:
                    detail = f"charges of {self._name(batch)} are not what was posted"
                    found.append(Finding("batch-rows", None, detail))
                if others[batch.q_from] != row["others_sha"]:
                    what = f"movements, controls or dead facts of {self._name(batch)}"
                    detail = f"{what} are not what was posted"
                    found.append(Finding("batch-rows", None, detail))
        return found

    def _name(self, batch: Batch) -> str:
        """Name a batch and, where there are heads, on which side of the newest it is."""
        name = f"batch {batch.epoch}-{batch.q_from} to {batch.q_to}"
        if not self.heads:
            return name
        newest = max(self.heads, key=lambda head: (head.epoch, head.q))
        before = (batch.epoch, batch.q_to) <= (newest.epoch, newest.q)
        return f"{name} ({'before' if before else 'after'} the head of {newest.at})"


def _runs(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return batches that follow each other without a gap, together."""
    runs: list[list[Mapping[str, Any]]] = []
    for row in rows:
        if runs and row["q_from"] == runs[-1][-1]["q_to"] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _batch(row: Mapping[str, Any]) -> Batch:
    return Batch(*(row[name] for name in Batch._fields))


def _seal(previous: bytes, row: Mapping[str, Any]) -> bytes:
    charges = ChargesDigest(row["first_charge"], row["last_charge"], row["charges_sha"])
    return seal_of(previous, row["sha"], charges, row["controls"], row["others_sha"])
