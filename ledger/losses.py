"""
What only Redis knows, where Postgres went back: read before a person accepts that it is given up.

Two views, since neither tells all. The journal names every charge and grant that is still in it;
of older epochs, and of what was trimmed, it has nothing. The balances of the accounts that are
loaded tell the sum of everything that happened to them, whatever it was.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger import shards
from ledger.account_record import AccountRecord
from ledger.database import Database, Queries
from ledger.errors import CorruptRecord
from ledger.facts import (
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    SettleFact,
    WholeCapture,
)
from ledger.journal import read_meta, read_tail, scan
from ledger.journal_entry import Entry
from ledger.keys import Keys
from ledger.link import Link
from ledger.records import read_hold
from ledger.shards import ShardRow

ENTRIES_AT_ONCE = 500

_SQL = Queries("rebuild")


@dataclass(slots=True)
class Lost:
    """
    One account and credit type, in smallest units; what Postgres does not have.

    charges, captured: ended requests of the journal, and what they took.
    granted, taken_back, expired: what controls and expiry did, of the journal.
    in_redis, in_postgres: balance with what is held; in_redis None: not loaded there.
    """

    charges: int = 0
    captured: int = 0
    granted: int = 0
    taken_back: int = 0
    expired: int = 0
    in_redis: int | None = None
    in_postgres: int = 0

    @property
    def tells(self) -> bool:
        """Whether there is anything to say."""
        moved = self.charges or self.granted or self.taken_back or self.expired
        return bool(moved) or self.in_redis not in (None, self.in_postgres)


@dataclass(frozen=True, slots=True)
class Losses:
    """
    Where both stores are, and what differs by (account, credit type); account 0: not known whose.

    complete: the journal has every fact that Postgres lacks. Else what was before fact
        `journal_from` of Redis' epoch shows only in the balances.
    """

    epoch: int
    last_q: int
    redis_epoch: int
    redis_q: int
    journal_from: int | None
    complete: bool
    rows: dict[tuple[int, int], Lost]


@dataclass(slots=True)
class _Tale:
    """What the facts of a journal come to."""

    lost: defaultdict[tuple[int, int], Lost] = field(default_factory=lambda: defaultdict(Lost))
    holds: dict[bytes, HoldFact] = field(default_factory=dict)
    unknown: list[bytes] = field(default_factory=list)

    def tell(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            match fact:
                case HoldFact():
                    self.holds[fact.hold_id] = fact
                case SettleFact() if fact.outcome == "c":
                    self.ended(fact.account, fact.credit_type, fact.captured)
                case WholeCapture():
                    held = self.holds.get(fact.hold_id)
                    if held is None:
                        self.unknown.append(fact.hold_id)
                    else:
                        self.ended(held.account, held.credit_type, held.price)
                case LateFact():
                    self.ended(fact.account, fact.credit_type, fact.taken)
                case LotExpired():
                    self.lost[fact.account, fact.credit_type].expired += fact.amount
                case ControlFact():
                    self._ordered(fact)
                case _:
                    pass

    def ended(self, account: int, credit_type: int, units: int) -> None:
        """Count a charge that took so much."""
        self.lost[account, credit_type].charges += 1
        self.lost[account, credit_type].captured += units

    def _ordered(self, fact: ControlFact) -> None:
        control = fact.control
        if fact.result == "a" and control.kind in ("g", "e"):
            self.lost[fact.account, control.credit_type].granted += control.amount
        elif control.kind == "w":
            self.lost[fact.account, control.credit_type].taken_back += control.amount


async def read_losses(database: Database, link: Link, keys: Keys) -> Losses | None:
    """Return what only Redis knows; None where Redis has no state. Changes nothing."""
    async with database.connection() as connection:
        row = await shards.read(connection, keys.shard)
    meta = await read_meta(link, keys)
    if meta is None:
        return None
    same_epoch = meta.epoch == row.epoch
    first, tale = await _told(link, keys, meta.epoch, row.last_q if same_epoch else 0)
    await _find_charges(database, tale)
    await _compare_balances(database, link, keys.balances(meta.epoch), keys.holds(meta.epoch), tale)
    return Losses(
        epoch=row.epoch,
        last_q=row.last_q,
        redis_epoch=meta.epoch,
        redis_q=meta.q,
        journal_from=first,
        complete=same_epoch and _continues(row, meta.q, first),
        rows={place: lost for place, lost in sorted(tale.lost.items()) if lost.tells},
    )


def _continues(row: ShardRow, q: int, first: int | None) -> bool:
    return q <= row.last_q if first is None else first == row.last_q + 1


async def _told(link: Link, keys: Keys, epoch: int, after_q: int) -> tuple[int | None, _Tale]:
    """Read a journal from behind `after_q` to its end, or to where it is corrupt."""
    tale, first = _Tale(), None
    entries: Sequence[Entry]
    try:
        while entries := await read_tail(link, keys, epoch, after_q, ENTRIES_AT_ONCE):
            first = entries[0].first_q if first is None else first
            for entry in entries:
                tale.tell(entry.facts)
            after_q = entries[-1].last_q
    except CorruptRecord:
        pass  # what follows shows in the balances
    return first, tale


async def _find_charges(database: Database, tale: _Tale) -> None:
    """Whose the whole captures are whose hold is not in the journal: Postgres may have it open."""
    ids = tale.unknown
    known = {}
    if ids:
        async with database.connection() as connection:
            rows = await connection.fetch(_SQL.charges, ids, min(ids), max(ids))
        known = {row["id"]: row for row in rows}
    for hold_id in ids:
        row = known.get(hold_id)
        if row is None:
            tale.ended(0, 0, 0)
        else:
            tale.ended(row["account_id"], row["credit_type_id"], row["held"])


async def _compare_balances(
    database: Database, link: Link, accounts_key: str, holds_key: str, tale: _Tale
) -> None:
    """Put both balances beside what the journal tells, with what is held counted as there."""
    in_redis: Counter[tuple[int, int]] = Counter()
    loaded: set[int] = set()
    async for name, raw in scan(link, accounts_key, "a*"):
        account = int.from_bytes(name[1:], "little")
        if account in loaded:
            continue  # a scan may name one twice
        try:
            record = AccountRecord.unpack(raw)
        except CorruptRecord:
            continue
        loaded.add(account)
        for pool in record.pools:
            left = sum(lot.remaining for lot in pool.lots)
            in_redis[account, pool.credit_type] += left - pool.debt
    holds: dict[bytes, HoldFact] = {}
    async for name, raw in scan(link, holds_key):
        hold = read_hold(raw)
        if isinstance(hold, HoldFact) and hold.account in loaded:
            holds[name] = hold
    for hold in holds.values():
        in_redis[hold.account, hold.credit_type] += hold.price
    for place, units in in_redis.items():
        tale.lost[place].in_redis = units
    async with database.connection() as connection:
        rows = await connection.fetch(_SQL.balances, [account for account, _ in tale.lost])
    for row in rows:
        account, credit_type = row["account_id"], row["credit_type_id"]
        lost = tale.lost[account, credit_type]
        lost.in_postgres = row["units"]
        if account in loaded and lost.in_redis is None:
            lost.in_redis = 0
