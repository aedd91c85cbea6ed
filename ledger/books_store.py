"""The books of a batch: which rows its facts touch, read under lock, and written back at once."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.allocation import pack_allocation, read_allocation
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
from ledger.controls import packed
from ledger.database import Connection, Queries
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
from ledger.records import Entry
from ledger.seals import Sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SQL = Queries("posting")


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

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.accounts: set[int] = set()
        self.lots: set[int] = set()
        self.holds: set[bytes] = set()
        self.controls: set[tuple[int, int]] = set()
        self.prices: set[tuple[int, int]] = set()
        self.uses: set[UseKey] = set()
        for entry in entries:
            for fact in entry.facts:
                self._add(fact)

    def _add(self, fact: Fact) -> None:
        match fact:
            case HoldFact() | LateFact():
                self.holds.add(fact.hold_id)
                self.accounts.add(fact.account)
                self.lots.update([lot for lot, _, _, _ in fact.allocation])
                self.prices.add((fact.version, fact.rule))
            case WholeCapture() | ObservedFact():
                self.holds.add(fact.hold_id)
            case SettleFact():
                self.holds.add(fact.hold_id)
                self.accounts.add(fact.account)
                self.lots.update([lot for lot, _ in fact.given_back])
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


async def load(connection: Connection, entries: Sequence[Entry]) -> Books:
    """Read and lock what these entries touch: charges, then accounts in order of number."""
    touched = _Touched(entries)
    charges = await _charges(connection, touched.holds)
    # A capture of the whole hold names neither account nor lots: they stand in the charge.
    touched.accounts |= {row.account_id for row in charges.values() if row.account_id}
    touched.prices |= {(row.price_version, row.rule) for row in charges.values()}
    books = Books(charges=charges)
    touched.lots.update(books.charge_lots())
    ids = sorted(touched.accounts)
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
        for row in await connection.fetch(_SQL.grants, sorted(touched.lots))
    }
    books.credit_types = frozenset(row["id"] for row in await connection.fetch(_SQL.credit_types))
    books.controls = await _controls(connection, touched.controls)
    books.routes = await _routes(connection, touched.prices)
    books.uses = await _uses(connection, touched.uses)
    return books


async def save(connection: Connection, books: Books, batch: Batch) -> None:
    """Write back what changed; the batch itself is written by `save_batch`."""
    accounts = [book for book in books.accounts.values() if book.changed]
    pools = [book for book in books.pools.values() if book.changed]
    grants = [book for book in books.grants.values() if book.changed]
    await _write(connection, _SQL.save_accounts, accounts, ("id", "status", "aseq", "cseq_applied"))
    await _write(connection, _SQL.save_pools, pools, _POOL_COLUMNS)
    await _write(connection, _SQL.save_grants, grants, _GRANT_COLUMNS)
    new = [_charge_row(book) for book in books.charges.values() if book.new]
    if new:
        await connection.copy_records_to_table("charges", records=new, columns=_CHARGE_COLUMNS)
    changed = [book for book in books.charges.values() if book.changed and not book.new]
    if changed:
        columns = list(zip(*(_closing_row(book) for book in changed), strict=True))
        await connection.execute(
            _SQL.close_charges, *map(list, columns), min(columns[0]), max(columns[0])
        )
    await connection.executemany(
        _SQL.insert_movement,
        [(*row[:-1], _EPOCH + timedelta(milliseconds=row.at_ms)) for row in books.movements],
    )
    await connection.executemany(_SQL.insert_overtaken, books.overtaken)
    uses = [book for book in books.uses.values() if book.changed]
    await _write(connection, _SQL.save_limit_uses, uses, _USE_COLUMNS)
    await _write_lent(connection, books)
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
    if not ids:
        return {}
    # The bounds let Postgres leave out the months that cannot have these ids.
    rows = await connection.fetch(_SQL.charges, list(ids), min(ids), max(ids))
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


async def _write(
    connection: Connection, statement: str, rows: Sequence[object], columns: Sequence[str]
) -> None:
    if rows:
        await connection.execute(
            statement, *([getattr(row, column) for row in rows] for column in columns)
        )


async def _write_lent(connection: Connection, books: Books) -> None:
    """Keep what holds that are still open have used; most of a batch have ended with it."""
    lent = [
        (hold_id, charge.account_id, pack_loans(loans))
        for hold_id, loans in books.lent.items()
        if (charge := books.charges.get(hold_id)) and charge.state is ChargeState.OPEN
    ]
    if lent:
        await connection.execute(_SQL.save_hold_uses, *_columns(lent))
    ended = [
        charge.id
        for charge in books.charges.values()
        if charge.changed and not charge.new and charge.state is not ChargeState.OPEN
    ]
    if ended:
        await connection.execute(_SQL.drop_hold_uses, ended)


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
_CHARGE_COLUMNS = (
    "id",
    "account_id",
    "key_id",
    "held",
    "price_version",
    "rule",
    "credit_type_id",
    "opened_epoch",
    "opened_q",
    "opened_aseq",
    "deadline_ms",
    "plan",
    "state",
    "captured",
    "balance_after",
    "closed_epoch",
    "closed_q",
    "closed_aseq",
    "closed_at",
    "reason",
    "status",
    "written_off",
    "allocation",
    "units",
    "measured",
    "record",
    "uncollected",
    "duration_ms",
    "note",
)


def _charge_row(charge: ChargeBook) -> tuple[Any, ...]:
    return (
        charge.id,
        charge.account_id,
        charge.key_id,
        charge.held,
        charge.price_version,
        charge.rule,
        charge.credit_type_id,
        charge.opened_epoch,
        charge.opened_q,
        charge.opened_aseq,
        charge.deadline_ms,
        charge.plan,
        int(charge.state),
        charge.captured,
        charge.balance_after,
        charge.closed_epoch,
        charge.closed_q,
        charge.closed_aseq,
        _moment(charge.closed_ms),
        charge.reason,
        charge.status,
        charge.written_off,
        pack_allocation(charge.allocation) if charge.allocation else None,
        charge.units,
        charge.measured,
        charge.record,
        charge.uncollected,
        charge.duration_ms,
        charge.note,
    )


def _closing_row(charge: ChargeBook) -> tuple[Any, ...]:
    """Return what an ending may change, in the order of `close_charges`."""
    row = _charge_row(charge)
    return (row[0], *(_text_if_json(value) for value in row[_CHARGE_COLUMNS.index("state") :]))


def _text_if_json(value: Any) -> Any:
    """JSON as text: inside an array, a list would be taken for one dimension more."""
    return json.dumps(value) if isinstance(value, list | dict) else value


@lru_cache(maxsize=16)
def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else _EPOCH + timedelta(milliseconds=at_ms)
