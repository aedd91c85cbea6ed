"""The books of a batch: which rows its facts touch, read under lock, and written back at once."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from ledger.allocation import read_allocation
from ledger.books import (
    AccountBook,
    AppliedControl,
    Books,
    ChargeBook,
    ChargeState,
    ClaimBook,
    GrantBook,
    PoolBook,
    UseBook,
    UseKey,
)
from ledger.brief_facts import HOLD, SETTLE, Brief, BriefEntry
from ledger.charge_copy import COPIED, HEADER, TRAILER, Copied, packed_row
from ledger.charge_rows import ChargeRow, ending_of, moment, row_of
from ledger.control_rows import packed
from ledger.database import Connection, Queries, array
from ledger.fact_bytes import pack_fact
from ledger.facts import (
    ClaimFact,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    ObservedFact,
    SettleFact,
    UseFact,
    WholeCapture,
)
from ledger.fold_uses import key_of, spent_key
from ledger.limits import pack_loans
from ledger.seals import Sealed

_SQL = Queries("posting")

_FACTS = attrgetter("facts")
_ID = itemgetter(1)
_ACCOUNT_OF_HOLD, _PRICE_OF_HOLD, _LOT_OF_HOLD = itemgetter(2), itemgetter(6, 7), itemgetter(11)
_ACCOUNT_OF_SETTLE = itemgetter(6)
"""Where they stand in a `Brief`: all of a batch's are gathered without a step for each."""


class Batch(NamedTuple):
    """A posted batch: facts q_from to q_to of an epoch; chain and clock of its last entry."""

    shard: int
    epoch: int
    q_from: int
    q_to: int
    chain: str
    clock_ms: int


class _Touched:
    """What the facts of a batch name."""

    def __init__(self, entries: Sequence[BriefEntry]) -> None:
        facts = list(chain.from_iterable(map(_FACTS, entries)))
        brief: list[Brief] = [fact for fact in facts if isinstance(fact, tuple)]
        holds = [fact for fact in brief if fact[0] == HOLD]
        settles = [fact for fact in brief if fact[0] == SETTLE]
        self.holds: set[bytes] = set(map(_ID, brief))
        self.accounts: set[int] = {*map(_ACCOUNT_OF_HOLD, holds), *map(_ACCOUNT_OF_SETTLE, settles)}
        self.lots: set[int] = set(map(_LOT_OF_HOLD, holds))
        self.prices: set[tuple[int, int]] = set(map(_PRICE_OF_HOLD, holds))
        self.controls: set[tuple[int, int]] = set()
        self.uses: set[UseKey] = set()
        if len(brief) < len(facts):
            for fact in facts:
                if not isinstance(fact, tuple):
                    self._add(fact)

    def _add(self, fact: Fact) -> None:
        match fact:
            case HoldFact() | LateFact():
                self.holds.add(fact.hold_id)
                self.accounts.add(fact.account)
                self.prices.add((fact.version, fact.rule))
                for lot, _, _, _ in fact.allocation:
                    self.lots.add(lot)
            case SettleFact():  # its lots are those of its hold
                self.holds.add(fact.hold_id)
                self.accounts.add(fact.account)
            case WholeCapture() | ObservedFact():
                self.holds.add(fact.hold_id)
            case LotExpired():
                self.accounts.add(fact.account)
                self.lots.add(fact.lot)
            case ControlFact():
                self.accounts.add(fact.account)
                self.lots.update(lot for lot, _ in fact.taken)
                self.lots.add(fact.control.object_id)
                self.controls.add((fact.account, fact.control.cseq))
                if fact.control.kind == "s":
                    self.uses.add(spent_key(fact))
            case ClaimFact():
                self.holds.add(fact.hold_id)
                self.accounts.add(fact.account)
            case UseFact():
                self.accounts.add(fact.account)
                self.uses.update([key_of(fact, loan) for loan in fact.uses])


async def load(connection: Connection, entries: Sequence[BriefEntry]) -> Books:
    """Read and lock what these entries touch: charges, then accounts in order of number."""
    touched = _Touched(entries)
    charges = await _charges(connection, touched.holds)
    # A capture of the whole hold names neither account nor lots: they stand in the charge.
    touched.accounts |= {row.account_id for row in charges.values() if row.account_id}
    touched.prices |= {(row.price_version, row.rule) for row in charges.values()}
    books = Books(charges=charges)
    touched.lots.update(books.charge_lots())
    ids = array(sorted(touched.accounts))
    books.accounts = {
        row["id"]: AccountBook(*row.values())
        for row in await connection.fetch(_SQL.lock_accounts, ids)
    }
    books.pools = {
        (row["account_id"], row["credit_type_id"]): PoolBook(*row.values())
        for row in await connection.fetch(_SQL.pools, ids)
    }
    books.grants = {
        row["id"]: GrantBook(*row.values())
        for row in await connection.fetch(_SQL.grants, array(sorted(touched.lots)))
    }
    books.credit_types = frozenset(row["id"] for row in await connection.fetch(_SQL.credit_types))
    books.controls = await _controls(connection, touched.controls)
    books.routes = await _routes(connection, touched.prices)
    books.uses = await _uses(connection, touched.uses)
    return books


class ChargeRows:
    """
    Rows of charges on their way from the books to Postgres.

    ended: Were there already, and are updated in the end.
    """

    def __init__(self) -> None:
        self._new: list[ChargeRow] = []
        self.ended: list[ChargeRow] = []

    def take_final(self, books: Books) -> list[ChargeRow]:
        """Take what will not change any more, so that it can be written before all is folded."""
        final, books.final = books.final, []
        return self._take(final)

    def take_all(self, books: Books) -> list[ChargeRow]:
        """Take what is left to write."""
        return self._take(books.charges.values())

    def _take(self, charges: Iterable[ChargeBook]) -> list[ChargeRow]:
        taken = []
        for charge in charges:
            if charge.new or charge.changed:
                row = row_of(charge)
                (self._new if charge.new else self.ended).append(row)
                taken.append(row)
                charge.new = charge.changed = False
        return taken

    def take_new(self) -> bytes:
        """Take those to insert, as `insert_charges` takes them."""
        new, self._new = self._new, []
        return b"".join(map(packed_row, new))


async def insert_charges(connection: Connection, chunks: Iterator[bytes]) -> None:
    """Insert rows, if there are any; Postgres takes a chunk while the next one is made."""
    first = next((chunk for chunk in chunks if chunk), None)
    if first is not None:
        await connection.copy_to_table(
            "charges",
            source=Copied(chain((HEADER + first,), chunks, (TRAILER,))),
            columns=COPIED,
            format="binary",
        )


async def save(connection: Connection, books: Books, batch: Batch, rows: ChargeRows) -> None:
    """Write back what changed, and the endings of charges; `save_batch` writes the batch itself."""
    accounts = [_ACCOUNT_VALUES(book) for book in books.accounts.values() if book.changed]
    pools = [_POOL_VALUES(book) for book in books.pools.values() if book.changed and not book.new]
    new_pools = [_POOL_VALUES(book) for book in books.pools.values() if book.new]
    grants = [_GRANT_VALUES(book) for book in books.grants.values() if book.changed]
    await _update(connection, _SQL.save_accounts, accounts)
    await _update(connection, _SQL.save_pools, pools)
    await connection.executemany(_SQL.insert_pool, new_pools)
    await _update(connection, _SQL.save_grants, grants)
    if rows.ended:
        columns = _columns(map(ending_of, rows.ended))
        await connection.execute(_SQL.close_charges, *columns, min(columns[0]), max(columns[0]))
    await connection.executemany(
        _SQL.insert_movement, [(*row[:-1], moment(row.at_ms)) for row in books.movements]
    )
    await connection.executemany(_SQL.insert_overtaken, books.overtaken)
    uses = [book for book in books.uses.values() if book.changed]
    await _write(connection, _SQL.save_limit_uses, uses, _USE_COLUMNS)
    await _write_lent(connection, books, rows)
    await _write(connection, _SQL.save_claims, list(books.claims.values()), ClaimBook._fields)
    place = batch.shard, batch.epoch
    await connection.executemany(
        _SQL.insert_dead,
        [(*place, dead.q, dead.account_id, pack_fact(dead.fact), dead.why) for dead in books.dead],
    )
    nobodys = [dead.q for dead in books.dead if not dead.account_id]
    if nobodys:
        await connection.execute(_SQL.attribute_dead, *place, nobodys)


async def save_batch(
    connection: Connection, books: Books, batch: Batch, sha: bytes, sealed: Sealed
) -> None:
    """Write the batch with its seal and its lines."""
    await connection.execute(_SQL.insert_batch, *batch, sha, *sealed)
    place = batch.shard, batch.epoch
    await connection.executemany(
        _SQL.insert_line,
        [
            (*place, batch.q_from, *line, amount)
            for line, amount in sorted(books.lines.items())
            if amount
        ],
    )


async def _charges(connection: Connection, ids: set[bytes]) -> dict[bytes, ChargeBook]:
    """Read charges. Most ids of a batch are new: they rise with time, and nobody has one above."""
    if not ids:
        return {}
    newest = await connection.fetchval(_SQL.newest_charge, min(ids), max(ids))
    known = [] if newest is None else [id_ for id_ in ids if id_ <= newest]
    if not known:
        return {}
    # The bounds let Postgres leave out the months that cannot have these ids.
    rows = await connection.fetch(_SQL.charges, known, min(known), newest)
    found = {}
    for row in rows:
        values = dict(row)
        values["state"] = ChargeState(values["state"])
        values["allocation"] = read_allocation(values["allocation"])
        found[row["id"]] = ChargeBook(**values)
    return found


async def _controls(
    connection: Connection, wanted: set[tuple[int, int]]
) -> dict[tuple[int, int], AppliedControl]:
    if not wanted:
        return {}
    rows = await connection.fetch(_SQL.controls, *_columns(sorted(wanted)))
    return {
        (row["account_id"], row["cseq"]): AppliedControl(packed(row), row["entry_kind"])
        for row in rows
    }


async def _routes(
    connection: Connection, wanted: set[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    if not wanted:
        return {}
    rows = await connection.fetch(_SQL.routes, *_columns(sorted(wanted)))
    return {(row["version"], row["rule"]): row["route"] for row in rows}


async def _uses(connection: Connection, wanted: set[UseKey]) -> dict[UseKey, UseBook]:
    if not wanted:
        return {}
    rows = await connection.fetch(_SQL.limit_uses, *_columns(sorted(wanted)))
    found = (UseBook(**row) for row in rows)
    return {(use.whose, use.owner, use.route, use.limit_id): use for use in found}


async def _update(
    connection: Connection, statement: str, rows: Sequence[tuple[int | str, ...]]
) -> None:
    if rows:
        await connection.execute(statement, *map(array, zip(*rows, strict=True)))


async def _write(
    connection: Connection, statement: str, rows: Sequence[object], columns: Sequence[str]
) -> None:
    if rows:
        await connection.execute(
            statement, *([getattr(row, column) for row in rows] for column in columns)
        )


async def _write_lent(connection: Connection, books: Books, rows: ChargeRows) -> None:
    """Keep what holds that are still open have used; most of a batch have ended with it."""
    lent = [
        (hold_id, charge.account_id, pack_loans(loans))
        for hold_id, loans in books.lent.items()
        if (charge := books.charges.get(hold_id)) and charge.state is ChargeState.OPEN
    ]
    if lent:
        await connection.execute(_SQL.save_hold_uses, *_columns(lent))
    if rows.ended:
        await connection.execute(_SQL.drop_hold_uses, [row[0] for row in rows.ended])


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


_POOL_COLUMNS = (
    "account_id",
    "credit_type_id",
    "remaining",
    "held",
    "debt",
    "granted",
    "refunded",
    "captured",
    "expired",
    "clawed",
    "written_off",
)
_USE_COLUMNS = (
    "whose",
    "owner",
    "route",
    "limit_id",
    "window_number",
    "used",
    "account_id",
)
_GRANT_COLUMNS = ("id", "remaining", "held", "clawed", "expired", "state")
_ACCOUNT_VALUES = attrgetter("id", "status", "aseq", "cseq_applied")
_POOL_VALUES = attrgetter(*_POOL_COLUMNS)
_GRANT_VALUES = attrgetter(*_GRANT_COLUMNS)
