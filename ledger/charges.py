"""Charges: priced requests and their outcome, as posted. A charge explains itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ledger import audit, controls
from ledger.allocation import read_allocation
from ledger.books import ChargeState
from ledger.controls import Added, Grant
from ledger.database import Connection, Queries
from ledger.errors import AlreadyRefunded, Conflict, NotFound
from ledger.facts import NEVER
from ledger.ids import HOLD_ID_BYTES, hold_id, hold_text, minted_us
from ledger.inputs import check_amount, check_limit, clean_text
from ledger.reaches import MOST_ROUTES
from ledger.reasons import word_of

REFUND_LIFE_DAYS = 30
"""A refund lives as long as the credits it gives back would have; at least it gets this long
when those have ended already."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_ID_BELOW = bytes(12)
_NO_ID_ABOVE = b"\xff" * 12
_SQL = Queries("charges")


@dataclass(frozen=True, slots=True)
class Charge:
    """
    A charge's row with the names of what it refers to.

    held, captured, refunded, written_off, uncollected: smallest units. held: the ceiling;
    of an observed request, what it would have cost. written_off: done, but the balance was
    gone. uncollected: the cost above the hold. balance_after: available after it.
    units, measured: what the price measured before the call, and on the response, where None
    stands for what it did not tell.
    plan: which the account was on when it was priced, where that mattered.
    price: the rule as its price version has it, None if that version is not known here.
    """

    id: bytes
    account_id: int | None
    key_id: int | None
    credit_type: str
    scale: int
    credit_type_id: int
    state: ChargeState
    reason: str | None
    status: int | None
    held: int
    captured: int
    refunded: int
    written_off: int
    uncollected: int
    balance_after: int | None
    price_version: int
    rule: int
    route: str | None
    path: str | None
    price: Any
    units: list[int] | None
    measured: list[int | None] | None
    record: dict[str, Any]
    note: str | None
    plan: str | None
    duration_ms: int | None
    opened_at: datetime
    closed_at: datetime | None
    deadline: datetime | None

    @property
    def text_id(self) -> str:
        """The id shown outside: 24 hex characters."""
        return hold_text(self.id)


class Standing(NamedTuple):
    """A charge's state (None: not posted) beside its shard's epoch and position."""

    epoch: int
    state: ChargeState | None
    last_q: int


class OpenAmong(NamedTuple):
    """Which of some charges are open, in the epoch that a shard was in at that moment."""

    epoch: int
    ids: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Refund:
    """What a refund gave: the grant, and the control that brings it (push it)."""

    grant_id: int
    amount: int
    cseq: int | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class Paid:
    """What of a charge was taken from one grant, smallest units."""

    grant_id: int
    kind: str
    description: str
    amount: int


async def paid_from(connection: Connection, charge_id: bytes) -> list[Paid]:
    """Return which grants a charge was paid from, in the order in which they were used."""
    row = await connection.fetchrow(_SQL.allocation, charge_id)
    if row is None:
        return []
    left, used = row["captured"], []
    for part in read_allocation(row["allocation"]):
        taken = min(part.amount, left)
        left -= taken
        if taken:
            used.append((part.lot, taken))
    rows = await connection.fetch(_SQL.grants_named, [lot for lot, _ in used])
    known = {one["id"]: one for one in rows}
    return [
        Paid(lot, known[lot]["kind"], known[lot]["description"], taken)
        for lot, taken in used
        if lot in known
    ]


async def charge_state(connection: Connection, charge_id: bytes, shard: int = 0) -> Standing:
    """Read a charge's state and the shard's epoch and last q in one statement."""
    row = await connection.fetchrow(_SQL.standing, charge_id, shard)
    if row is None:
        raise NotFound(f"no shard {shard}")
    state = None if row["state"] is None else ChargeState(row["state"])
    return Standing(row["epoch"], state, row["last_q"])


async def closed_of(connection: Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Return those of the charges that Postgres shows captured, void, late or observed."""
    if not ids:
        return set()
    closed = await connection.fetchval(_SQL.closed_of, b"".join(ids), min(ids), max(ids)) or b""
    return {closed[at : at + HOLD_ID_BYTES] for at in range(0, len(closed), HOLD_ID_BYTES)}


async def open_among(connection: Connection, ids: Collection[bytes], shard: int = 0) -> OpenAmong:
    """Return those of the charges (at least one) that are open, and the shard's epoch, as one."""
    row = await connection.fetchrow(_SQL.open_among, list(ids), min(ids), max(ids), shard)
    if row is None:
        raise NotFound(f"no shard {shard}")
    return OpenAmong(row["epoch"], frozenset(row["ids"]))


async def ended_of(connection: Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Return those of the charges that are not open any more, expired ones too."""
    if not ids:
        return set()
    rows = await connection.fetch(_SQL.ended_of, list(ids), min(ids), max(ids))
    return {row["id"] for row in rows}


async def get(connection: Connection, charge_id: bytes, *, account_id: int | None = None) -> Charge:
    """
    Return a charge; with `account_id`, only if it is that account's.

    Raises:
        NotFound: No such charge, not posted yet, or its month is no longer kept.

    """
    row = await connection.fetchrow(_SQL.by_id, charge_id)
    if row is None or (account_id is not None and row["account_id"] != account_id):
        raise NotFound(f"no charge {hold_text(charge_id)}")
    return _charge(row)


async def find(
    connection: Connection,
    *,
    account_id: int | None = None,
    key_id: int | None = None,
    route: str | None = None,
    states: Sequence[ChargeState] = (),
    credit_type_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: bytes | None = None,
    limit: int = 50,
) -> list[Charge]:
    """
    List charges, the newest first.

    Args:
        connection: To Postgres.
        account_id: Only this account's.
        key_id: Only of this key.
        route: Only of the route with this name.
        states: Only in one of these states.
        credit_type_id: Only of this type.
        since: Only begun at or after this moment.
        until: Only begun before this moment.
        before: The id of the last charge of the page before.
        limit: 1 to 200.

    """
    lowest = id_at(since) if since else _NO_ID_BELOW
    below = min(id_at(until) if until else _NO_ID_ABOVE, before or _NO_ID_ABOVE)
    rows = await connection.fetch(
        _SQL.find,
        lowest,
        below,
        account_id,
        key_id,
        route,
        [int(state) for state in states] or None,
        credit_type_id,
        check_limit(limit),
    )
    return [_charge(row) for row in rows]


async def refund(
    connection: Connection,
    charge_id: bytes,
    *,
    amount: int | None,
    reference: str | None,
    actor: str,
    reason: str = "",
) -> Refund:
    """
    Give a captured charge back, in full (None: all that is left of it) or in part.

    The credits come as a grant that lives as long as those taken would have, for the routes for
    which those were. The same reference is answered as before.

    Args:
        connection: To Postgres.
        charge_id: The charge.
        amount: Smallest units.
        reference: The caller's own name for this refund, unique per charge; without one,
            each call is another refund.
        actor: Who gives it.
        reason: Why, for the history.

    Raises:
        NotFound: No such charge, or its month is no longer kept.
        InvalidInput: An amount below 1, a bad reference.
        AlreadyRefunded: More than is left.
        Conflict: `not-captured`, `reference-used`. Nothing changed.

    """
    if reference is not None:
        clean_text("reference", reference, least=1)
    if amount is not None:
        check_amount("amount", amount)
    source_id = None if reference is None else f"{hold_text(charge_id)}:{reference}"
    async with connection.transaction():
        # The account first, as everywhere: posting locks it before it touches charges.
        if not await connection.fetchval(_SQL.lock_account_of, charge_id):
            raise NotFound(f"no charge {hold_text(charge_id)}")
        before = await connection.fetchrow(_SQL.refund_before, source_id)
        if before is not None:
            if amount is not None and amount != before["amount"]:
                raise Conflict("reference-used", f"{reference} gave back {before['amount']} before")
            return Refund(before["grant_id"], before["amount"], before["cseq"], repeated=True)
        charge = await connection.fetchrow(_SQL.lock_charge, charge_id)
        left = charge["captured"] - charge["refunded"]
        given = left if amount is None else amount
        if charge["captured"] == 0:
            raise Conflict("not-captured", "nothing was charged")
        if given > left or left == 0:
            raise AlreadyRefunded(left, charge["captured"])
        expires_at = _refund_expiry(charge["allocation"], charge["now"])
        routes = await _refund_routes(connection, charge, given)
        grant = Grant(
            charge["credit_type_id"],
            given,
            kind="refund",
            expires_at=expires_at,
            description=reason,
            metadata={} if reference is None else {"reference": reference},
            charge_id=charge_id,
            routes=routes,
        )
        added: Added = await controls.add(
            connection, charge["account_id"], grant, "refund", source_id, actor
        )
        await connection.execute(_SQL.raise_refunded, charge_id, given)
        detail = {"amount": given, "reference": reference, "reason": reason}
        await audit.write(connection, actor, "charge.refund", hold_text(charge_id), detail)
    return Refund(added.object_id, given, added.cseq, repeated=False)


def id_at(moment: datetime) -> bytes:
    """Return the smallest id a charge begun at that moment can have."""
    microseconds = max((moment - _EPOCH) // timedelta(microseconds=1), 0)
    return hold_id(min(microseconds, 2**53 - 1), 0)


def _refund_expiry(allocation: bytes | None, now: datetime) -> datetime | None:
    """Return when a refund ends: with the last of the lots it was taken from, or later."""
    latest = max((lot.expiry_ms for lot in read_allocation(allocation)), default=NEVER)
    if latest == NEVER:
        return None
    expires_at = _EPOCH + timedelta(milliseconds=latest)
    return expires_at if expires_at > now else now + timedelta(days=REFUND_LIFE_DAYS)


async def _refund_routes(connection: Connection, charge: Any, given: int) -> set[str]:
    """
    Return the routes for which a refund may be used; none stand for all.

    What was used last comes back first. Of several lots it may be used wherever one of them might.
    """
    start = charge["captured"] - charge["refunded"] - given
    lots, at = [], 0
    for part in read_allocation(charge["allocation"]):
        if at < start + given and at + part.amount > start:
            lots.append(part.lot)
        at += part.amount
    rows = await connection.fetch(_SQL.reaches_of_lots, lots)
    if any(row["routes"] is None for row in rows):
        return set()
    routes = {name for row in rows for name in row["routes"]}
    return routes if len(routes) <= MOST_ROUTES else set()


def _charge(row: Any) -> Charge:
    values = dict(row)
    reason, deadline_ms = values.pop("reason"), values.pop("deadline_ms")
    deadline_ms = None if deadline_ms is None else min(deadline_ms, 253_402_300_799_000)
    return Charge(
        **values
        | {
            "state": ChargeState(values["state"]),
            "record": values["record"] or {},
            "written_off": values["written_off"] or 0,
            "uncollected": values["uncollected"] or 0,
        },
        reason=None if reason is None else word_of(reason),
        opened_at=_EPOCH + timedelta(microseconds=min(minted_us(values["id"]), 2**53 - 1)),
        deadline=None if deadline_ms is None else _EPOCH + timedelta(milliseconds=deadline_ms),
    )
