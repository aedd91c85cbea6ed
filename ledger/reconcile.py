"""
Does Redis say what Postgres says? For every account that is loaded, field by field.

Reads only; never corrects. An account is compared when both stores are at the same fact of it;
where Redis is ahead, Postgres' record is first brought on by the journal's facts in between. What
moves too fast for that is tried again, and left out if it never stands still.
"""

from dataclasses import dataclass

from ledger import charges, credit_types, shards
from ledger.account_record import AccountRecord, Pool, account_field
from ledger.database import Database, Queries
from ledger.errors import CorruptRecord, LedgerUnavailable, NotFound
from ledger.facts import HoldFact
from ledger.fence import incarnation_of
from ledger.findings import Finding
from ledger.followed import followed
from ledger.journal import read_meta, read_tail, scan
from ledger.keys import Keys
from ledger.lines import CAPPED
from ledger.link import Link
from ledger.ports import Clock
from ledger.reconcile_limits import Comparing, limits_equal
from ledger.records import ClosedHold, KeyRecord, Meta, read_hold
from ledger.shards import ShardRow
from ledger.snapshot import Snapshot, read_snapshot

_SQL = Queries("reconcile")

OVERDUE_MS = 90_000
"""A hold past its deadline is expired within a sweep or two, so never this late."""

POSITIONS = frozenset({"epochs_equal", "redis_not_behind"})
"""What is mended by a fence, which comes with the next connection to Redis that is verified."""

TRIES = 20
TRY_AGAIN_S = 0.1
"""Posting is at most 0.1 s behind; what moves faster than that for two seconds is left out."""


MOST_ENTRIES_AHEAD = 250
"""As many as posting takes at once. Where it is further behind, the account is tried again."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The two sides of one shard."""

    database: Database
    link: Link
    keys: Keys
    clock: Clock


async def reconcile(stores: Stores) -> list[Finding]:
    """
    Compare the two stores and return what differs; nothing means they agree.

    Raises:
        LedgerUnavailable: The shard is not open; nothing can be compared.

    """
    row, meta = await _standing(stores)
    found = await _positions(stores, row, meta)
    if any(finding.check == "epochs_equal" for finding in found):
        return found
    found += await _overdue(stores, row.epoch)
    found += await _within_window(stores, row, meta)
    found += await _window(stores, row.epoch)
    found += await _keys(stores, row.epoch)
    async for field, _ in scan(stores.link, stores.keys.balances(row.epoch), "a*"):
        found += await _account(stores, row.epoch, int.from_bytes(field[1:], "little"))
    found += await limits_equal(
        Comparing(stores.database, stores.link, stores.keys, stores.clock, row.epoch)
    )
    return found


async def _standing(stores: Stores) -> tuple[ShardRow, Meta]:
    async with stores.database.connection() as connection:
        row = await shards.read(connection, stores.keys.shard)
    meta = await read_meta(stores.link, stores.keys)
    if meta is None or row.epoch == 0:
        raise LedgerUnavailable(f"shard {stores.keys.shard} is not open in Redis")
    return row, meta


async def _positions(stores: Stores, row: ShardRow, meta: Meta) -> list[Finding]:
    """I13: the same epoch on the server it was opened on; Redis is not behind."""
    if meta.epoch != row.epoch or row.incarnation != await incarnation_of(stores.link):
        detail = f"Redis is in epoch {meta.epoch} of another server, or Postgres in {row.epoch}"
        return [Finding("epochs_equal", None, detail)]
    if meta.q < row.last_q:
        detail = f"Redis is at fact {meta.q}, Postgres at {row.last_q}"
        return [Finding("redis_not_behind", None, detail)]
    return []


async def _overdue(stores: Stores, epoch: int) -> list[Finding]:
    """I10: no open hold is long past its deadline, as Redis has it (it may be renewed)."""
    latest_ms = stores.clock.now_ms() - OVERDUE_MS
    return [
        Finding("holds_expire", hold.account, f"hold {hold.hold_id.hex()} should have expired")
        for hold in await _open_holds(stores, epoch)
        if hold.deadline_ms < latest_ms
    ]


async def _within_window(stores: Stores, row: ShardRow, meta: Meta) -> list[Finding]:
    """I5: not more is ahead of Postgres than may be, or than was open when the epoch began."""
    async with stores.database.connection() as connection:
        chosen = await credit_types.chosen_windows(connection)
    at_start = {opened.credit_type_id: opened.units for opened in row.open_at_start}
    found = []
    for each in meta.types:
        ahead = each.held - each.posted
        most = max(each.window, chosen.get(each.credit_type, 0), at_start.get(each.credit_type, 0))
        if not (each.posted <= each.returned <= each.held and ahead <= most):
            detail = f"credit type {each.credit_type}: {ahead} ahead of Postgres, {most} at most"
            found.append(Finding("window_is_kept", None, detail))
    return found


async def _window(stores: Stores, epoch: int) -> list[Finding]:
    """I11: what is counted as held is what is held."""
    for _ in range(TRIES):
        row, before = await _standing(stores)
        units = await _units_held(stores, epoch)
        _, after = await _standing(stores)
        if (row.epoch, row.last_q) == (epoch, before.q) and before.q == after.q:
            break
        await stores.clock.sleep(TRY_AGAIN_S)
    else:
        return []
    return [
        Finding(
            "window_is_open_holds",
            None,
            f"credit type {of_type.credit_type}: {of_type.held - of_type.returned} are counted as "
            f"held, {units.get(of_type.credit_type, 0)} are",
        )
        for of_type in before.types
        if of_type.held - of_type.returned != units.get(of_type.credit_type, 0)
    ]


async def _units_held(stores: Stores, epoch: int) -> dict[int, int]:
    """Units of open holds by credit type: those in Redis, and those of accounts not loaded."""
    units: dict[int, int] = {}
    for hold in await _open_holds(stores, epoch):
        units[hold.credit_type] = units.get(hold.credit_type, 0) + hold.price
    async with stores.database.connection() as connection:
        rows = await connection.fetch(_SQL.open_holds, stores.keys.shard)
    for row in rows:
        field = account_field(row["account_id"])
        if not await stores.link.call("HEXISTS", stores.keys.balances(epoch), field):
            units[row["credit_type_id"]] = units.get(row["credit_type_id"], 0) + row["units"]
    return units


async def _open_holds(stores: Stores, epoch: int) -> list[HoldFact]:
    holds: dict[bytes, HoldFact] = {}
    async for hold_id, raw in scan(stores.link, stores.keys.holds(epoch)):
        hold = read_hold(raw)
        if isinstance(hold, HoldFact):
            holds[hold_id] = hold
    return list(holds.values())


async def _keys(stores: Stores, epoch: int) -> list[Finding]:
    """I8 for API keys: what Redis would accept is what Postgres has."""
    found = []
    async for field, raw in scan(stores.link, stores.keys.balances(epoch), "k*"):
        number = int.from_bytes(field[1:], "little")
        async with stores.database.connection() as connection:
            row = await connection.fetchrow(_SQL.key, number)
        if row is None or row["pending"]:
            continue  # a change is on its way
        if await stores.link.call("HGET", stores.keys.balances(epoch), field) != raw:
            continue  # it has just arrived
        known = KeyRecord.unpack(raw)
        ours = (known.account, known.scopes & ~CAPPED, known.status, known.expiry_ms)
        theirs = (row["account_id"], row["scopes"], row["status"], row["expires_ms"])
        if ours != theirs:
            found.append(Finding("keys_equal", known.account, f"key {number}: {ours} not {theirs}"))
    return found


async def _account(stores: Stores, epoch: int, account: int) -> list[Finding]:
    """I8, I9: an account at the same fact, or some facts later, is the same; I2: it comes there."""
    first: bytes | None = None
    q_then = 0
    for _ in range(TRIES):
        posted_q = (await _standing(stores))[0].last_q  # first: what it names can only grow
        raw = await stores.link.call("HGET", stores.keys.balances(epoch), account_field(account))
        try:
            snapshot = await read_snapshot(stores.database, account)
        except NotFound:
            return [Finding("accounts_equal", account, "Postgres does not know it")]
        if raw is None or snapshot.epoch != epoch:
            return []
        try:
            record = AccountRecord.unpack(raw)
        except CorruptRecord as corrupt:
            return [Finding("accounts_equal", account, str(corrupt))]
        if record.aseq == snapshot.record.aseq:
            differences = differences_of(record, snapshot.record)
            differences += await _missing_holds(stores, epoch, snapshot)
            return [Finding("accounts_equal", account, detail) for detail in differences]
        ahead = await _followed(stores, snapshot, posted_q, record.aseq)
        if ahead is not None:
            return [
                Finding("accounts_equal", account, f"ahead of Postgres: {detail}")
                for detail in differences_of(record, ahead)
            ]
        if first is None:
            first, q_then = raw, (await _standing(stores))[1].q
        await stores.clock.sleep(TRY_AGAIN_S)
    if raw != first or (await _standing(stores))[0].last_q < q_then:
        return []  # it moves, or posting is behind
    detail = f"Redis is at its fact {record.aseq}, Postgres at {snapshot.record.aseq}"
    return [Finding("accounts_equal", account, detail)]


async def _followed(
    stores: Stores, snapshot: Snapshot, posted_q: int, aseq: int
) -> AccountRecord | None:
    """Return what Postgres' record becomes by the next facts; None if they are not all there."""
    if aseq < snapshot.record.aseq:
        return None
    keys, epoch = stores.keys, snapshot.epoch
    try:
        entries = await read_tail(stores.link, keys, epoch, posted_q, MOST_ENTRIES_AHEAD)
    except CorruptRecord:
        return None  # posting meets it too, and begins another epoch
    return followed(snapshot, (fact for entry in entries for fact in entry.facts), aseq)


def differences_of(redis: AccountRecord, postgres: AccountRecord) -> list[str]:
    """Say what two records of one account, at the same fact, do not have in common."""
    differences = [
        f"{field}: {getattr(redis, field)} in Redis, {getattr(postgres, field)} in Postgres"
        for field in ("status", "cseq", "plan")
        if getattr(redis, field) != getattr(postgres, field)
    ]
    ours, theirs = _by_type(redis), _by_type(postgres)
    differences += [
        f"credit type {credit_type}: {ours.get(credit_type)} in Redis, "
        f"{theirs.get(credit_type)} in Postgres"
        for credit_type in sorted(ours.keys() | theirs.keys())
        if ours.get(credit_type) != theirs.get(credit_type)
    ]
    return differences


def _by_type(record: AccountRecord) -> dict[int, Pool]:
    """Return pools without what says nothing: empty lots, empty pools."""
    pools = (
        pool._replace(lots=tuple(lot for lot in pool.lots if lot.remaining))
        for pool in record.pools
    )
    return {pool.credit_type: pool for pool in pools if pool.lots or pool.debt or pool.floor}


async def _missing_holds(stores: Stores, epoch: int, snapshot: Snapshot) -> list[str]:
    """Say which open holds of Postgres Redis does not know, or knows differently."""
    differences = []
    for hold in snapshot.holds:
        raw = await stores.link.call("HGET", stores.keys.holds(epoch), hold.hold_id)
        known = None if raw is None else read_hold(raw)
        if isinstance(known, ClosedHold):
            continue  # captured whole, which is no fact of the account; not posted yet
        if known is None:
            async with stores.database.connection() as connection:
                if await charges.ended_of(connection, [hold.hold_id]):
                    continue  # posted meanwhile
            differences.append(f"hold {hold.hold_id.hex()} is open in Postgres, unknown in Redis")
        elif (known.price, known.allocation) != (hold.price, hold.allocation):
            differences.append(f"hold {hold.hold_id.hex()} was made from other lots")
    return differences
