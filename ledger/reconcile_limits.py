"""
Does Redis count quotas, allowances and caps as Postgres does? A part of `ledger.reconcile`.

Postgres is read first, then Redis, then the journal from where Postgres stood: what Redis counts
must be what Postgres has after some number of those facts. What moves too fast to be followed is
tried again, and left out if it never stands still. Rates and what is in flight are Redis' alone.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ledger import shards
from ledger.account_record import account_field
from ledger.database import Database, Queries
from ledger.errors import CorruptRecord
from ledger.facts import Fact, UseFact
from ledger.findings import Finding
from ledger.fold_uses import key_of
from ledger.journal import read_tail, scan
from ledger.keys import Keys
from ledger.limits import PERIODS, Whose, read_tallies, tally_field, window_number
from ledger.link import Link
from ledger.ports import Clock

AT_ONCE = 500
"""Fields compared together."""

TRIES = 20
TRY_AGAIN_S = 0.1
MOST_ENTRIES_AHEAD = 250

_SQL = Queries("reconcile")
_WORDS = {"Q": "quota", "A": "allowance", "C": "spending of a key with caps"}
_OWNERS = {"k": "key", "a": "account", "e": "everyone"}

Count = tuple[int, int]
"""A window's number and what is used of it."""

Counts = dict[bytes, Count]
"""By the id of the limit."""


class Owner(NamedTuple):
    """Whose limits, and for which requests: a field of Redis; `account` 0 is everyone's."""

    whose: Whose
    owner: int
    route: bytes
    account: int = 0

    @property
    def field(self) -> bytes:
        """Its field in Redis."""
        return tally_field(self.whose, self.owner, self.route)


class Comparing(NamedTuple):
    """The two sides, and the epoch in which they are compared."""

    database: Database
    link: Link
    keys: Keys
    clock: Clock
    epoch: int


async def limits_equal(stores: Comparing) -> list[Finding]:
    """Compare every count that either store has; nothing means they agree."""
    found = []
    async for some in _counted_in_redis(stores):
        found += await _compared(stores, some)
    async for some in _missing_in_redis(stores):
        found += await _compared(stores, some)
    return found


async def _counted_in_redis(stores: Comparing) -> AsyncIterator[list[Owner]]:
    some: dict[bytes, Owner] = {}
    async for field, _ in scan(stores.link, stores.keys.balances(stores.epoch), "l*"):
        whose: Whose = field[1:2].decode("latin-1")  # type: ignore[assignment]
        some[field] = Owner(whose, int.from_bytes(field[2:9], "little"), field[9:])
        if len(some) >= AT_ONCE:
            yield list(some.values())
            some = {}
    if some:
        yield list(some.values())


async def _missing_in_redis(stores: Comparing) -> AsyncIterator[list[Owner]]:
    """Yield what Postgres has of accounts that are loaded, and Redis has no field for."""
    after = Owner("a", -1, b"")
    balances = stores.keys.balances(stores.epoch)
    while True:
        async with stores.database.connection() as connection:
            rows = await connection.fetch(_SQL.next_limit_uses, *after[:3], AT_ONCE)
        if not rows:
            return
        page = [Owner(**row) for row in rows]
        after = page[-1]
        loaded = await _there(stores, balances, [account_field(one.account) for one in page])
        counted = await _there(stores, balances, [one.field for one in page])
        missing = [
            one
            for one in page
            if one.account and account_field(one.account) in loaded and one.field not in counted
        ]
        if missing:
            yield missing


async def _there(stores: Comparing, key: str, fields: Sequence[bytes]) -> set[bytes]:
    values = await stores.link.call("HMGET", key, *fields)
    return {field for field, value in zip(fields, values, strict=True) if value is not None}


async def _compared(stores: Comparing, owners: Sequence[Owner]) -> list[Finding]:
    left, certain = {one.field: one for one in owners}, False
    differing: list[Finding] = []
    for _ in range(TRIES):
        postgres, q = await _in_postgres(stores, list(left.values()))
        if q is None:
            return []  # another epoch has begun
        redis = await _in_redis(stores, left)
        left = {field: left[field] for field in left if postgres[field] != redis[field]}
        if not left:
            return []
        facts, certain = await _behind(stores, q)
        left = {
            field: one
            for field, one in left.items()
            if not _reached(one, postgres[field], facts, redis[field], stores.clock.now_ms())
        }
        if not left:
            return []
        differing = [
            _finding(one, limit, postgres[field].get(limit), redis[field].get(limit))
            for field, one in left.items()
            for limit in sorted(postgres[field].keys() | redis[field].keys())
            if postgres[field].get(limit) != redis[field].get(limit)
        ]
        await stores.clock.sleep(TRY_AGAIN_S)
    return differing if certain else []


async def _in_postgres(
    stores: Comparing, owners: Sequence[Owner]
) -> tuple[dict[bytes, Counts], int | None]:
    """Return what Postgres has, and as of which fact; None: of another epoch."""
    columns = [list(column) for column in zip(*(one[:3] for one in owners), strict=True)]
    async with stores.database.transaction(isolation="repeatable_read", readonly=True) as snapshot:
        shard = await shards.read(snapshot, stores.keys.shard)
        rows = await snapshot.fetch(_SQL.limit_uses, *columns)
    found: dict[bytes, Counts] = {one.field: {} for one in owners}
    for row in rows:
        count = row["window_number"], row["used"]
        field = tally_field(row["whose"], row["owner"], row["route"])
        found[field][row["limit_id"]] = count
    now_ms = stores.clock.now_ms()
    current = {field: _current(counts, now_ms) for field, counts in found.items()}
    return current, shard.last_q if shard.epoch == stores.epoch else None


async def _in_redis(stores: Comparing, fields: Collection[bytes]) -> dict[bytes, Counts]:
    asked, now_ms = list(fields), stores.clock.now_ms()
    values = await stores.link.call("HMGET", stores.keys.balances(stores.epoch), *asked)
    return {
        field: _current(_tallied(value or b""), now_ms)
        for field, value in zip(asked, values, strict=True)
    }


def _tallied(raw: bytes) -> Counts:
    try:
        tallies = read_tallies(raw)
    except CorruptRecord:
        return {b"": (-1, 1)}  # equal to nothing
    return {one.id: (one.window, one.value) for one in tallies.values() if one.kind in _WORDS}


def _current(counts: Mapping[bytes, Count], now_ms: int) -> Counts:
    """Leave out what counts nothing any more: either store forgets it in its own time."""
    return {
        limit: (window, used)
        for limit, (window, used) in counts.items()
        if used > 0 and (not _is_known(limit) or window >= window_number(limit, now_ms))
    }


def _is_known(limit: bytes) -> bool:
    return len(limit) > 1 and limit[1] < len(PERIODS)


async def _behind(stores: Comparing, q: int) -> tuple[list[Fact], bool]:
    """Return the facts behind a position, and whether they are all that there are."""
    try:
        entries = await read_tail(stores.link, stores.keys, stores.epoch, q, MOST_ENTRIES_AHEAD)
    except CorruptRecord:
        return [], False  # posting meets it too, and begins another epoch
    facts = [fact for entry in entries for fact in entry.facts]
    return facts, len(entries) < MOST_ENTRIES_AHEAD


def _reached(
    owner: Owner, counts: Mapping[bytes, Count], facts: Iterable[Fact], wanted: Counts, now_ms: int
) -> bool:
    """Whether the counts become those wanted by some number of the facts."""
    now = dict(counts)
    for fact in facts:
        if not isinstance(fact, UseFact):
            continue
        for loan in fact.uses:
            if key_of(fact, loan)[:3] != owner[:3]:
                continue
            window, used = now.get(loan.id, (loan.window, 0))
            if loan.window > window:
                window, used = loan.window, 0
            if loan.window == window:
                used = max(used - loan.amount, 0) if fact.back else used + loan.amount
            now[loan.id] = window, used
        if _current(now, now_ms) == wanted:
            return True
    return False


def _finding(owner: Owner, limit: bytes, postgres: Count | None, redis: Count | None) -> Finding:
    kind = _WORDS.get(chr(limit[0]) if limit else "", "unreadable count")
    per = f" ({PERIODS[limit[1]]})" if _is_known(limit) else ""
    more = (redis or (0, 0))[1] - (postgres or (0, 0))[1]
    whose = _OWNERS.get(owner.whose, owner.whose) + (f" {owner.owner}" if owner.owner else "")
    # The difference, not the counts: so that a finding stays the same while calls go on.
    said = f"Redis counts {abs(more)} {'more' if more > 0 else 'less'} than Postgres"
    place = f", limit {limit.hex()} at {owner.route.hex()}"
    return Finding("limits_equal", owner.account or None, f"{kind}{per} of {whose}: {said}{place}")
