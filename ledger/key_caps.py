"""
Caps on what a key may spend: of one credit type, in a day or month (UTC), or for ever.

Redis keeps to them in the step that holds the credits. A cap counts what is held; what a hold did
not spend is given back. One by day or month counts what the key has spent in that window before it
was set, as Postgres has it then; a total one counts from when it is set.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ledger import api_keys, audit, controls
from ledger.api_keys import ApiKey
from ledger.charges import id_at
from ledger.controls import CapPut, Spent
from ledger.database import Connection, Queries
from ledger.errors import Conflict, InvalidInput
from ledger.facts import MAX_AMOUNT
from ledger.ids import key_text
from ledger.limits import Per, window_begins_ms, window_ends_ms, window_id, window_number

MOST_CAPS = 30
"""Of one key: each of its type is looked at with every request."""

LONGEST_S = 60.0
"""For adding up what a key has spent: the account's charges of a month are read."""

_SQL = Queries("key_caps")


class Cap(NamedTuple):
    """At most `units` of a credit type in each window."""

    credit_type_id: int
    per: Per
    units: int


class CapStanding(NamedTuple):
    """A cap, and what Postgres has seen spent in the window of now."""

    cap: Cap
    spent: int


async def put(
    connection: Connection,
    key_id: int,
    caps: Sequence[Cap],
    *,
    actor: str,
    of_type: int | None = None,
) -> tuple[ApiKey, int | None]:
    """
    Give a key these caps and no others (`of_type`: others of other types stay); repeat at will.

    Returns:
        The key, and the number of the last control; None when nothing was to change.

    Raises:
        NotFound: No such key or credit type.
        InvalidInput: A cap given twice, too many, or outside 0..9e13.
        Conflict: `key-revoked`. Nothing changed.

    """
    wanted = {(cap.credit_type_id, cap.per): cap.units for cap in caps}
    if len(wanted) < len(caps):
        raise InvalidInput("caps", "one cap for each credit type and window")
    if len(wanted) > MOST_CAPS:
        raise InvalidInput("caps", f"at most {MOST_CAPS}")
    if any(not 0 <= units <= MAX_AMOUNT for units in wanted.values()):
        raise InvalidInput("caps", f"0 to {MAX_AMOUNT}")
    async with connection.transaction():
        key = await api_keys.locked(connection, key_id)
        if key.status == api_keys.REVOKED:
            raise Conflict("key-revoked", f"{key_text(key_id)} is revoked: create another")
        rows = await connection.fetch(_SQL.of_key, key_id)
        before = {
            (row["credit_type_id"], row["per"]): row["units"]
            for row in rows
            if of_type in (None, row["credit_type_id"])
        }
        cseq = None
        for (credit_type, per), units in _changes(before, wanted).items():
            if units is not None and (credit_type, per) not in before:
                await _count_spent(connection, key, credit_type, per, actor)
            cap = CapPut(key_id, credit_type, per, units)
            added = await controls.add(connection, key.account_id, cap, "cap", None, actor)
            cseq = added.cseq
            if units is None:
                await connection.execute(_SQL.lift, key_id, credit_type, per)
            else:
                await connection.execute(_SQL.put, key_id, credit_type, per, units)
        if cseq is not None:
            detail = {"caps": [[*place, units] for place, units in sorted(wanted.items())]}
            await audit.write(connection, actor, "key.caps", key_text(key_id), detail)
    return key, cseq


async def of_account(
    connection: Connection, account_id: int, now_ms: int
) -> dict[int, list[CapStanding]]:
    """Return the caps of an account's keys, by key."""
    found: dict[int, list[CapStanding]] = {}
    for row in await connection.fetch(_SQL.of_account, account_id):
        cap = Cap(row["credit_type_id"], row["per"], row["units"])
        now = window_number(window_id("C", cap.per, cap.credit_type_id), now_ms)
        spent = row["used"] if row["window_number"] == now else 0
        found.setdefault(row["key_id"], []).append(CapStanding(cap, spent))
    return found


async def _count_spent(
    connection: Connection, key: ApiKey, credit_type: int, per: Per, actor: str
) -> None:
    """Have a new cap count what the key has spent in its window, with all that is held now."""
    if per == "total":
        return  # old charges may be gone: nobody could say what it has spent since ever
    now_ms = await connection.fetchval(_SQL.now_ms)
    ends_ms = window_ends_ms(per, now_ms)
    since, until = (
        id_at(datetime.fromtimestamp(at_ms / 1000, UTC))
        for at_ms in (window_begins_ms(per, now_ms), ends_ms)
    )
    units = await connection.fetchval(
        _SQL.spent, key.account_id, key.id, credit_type, since, until, timeout=LONGEST_S
    )
    if units:
        spent = Spent(key.id, credit_type, per, units, ends_ms)
        await controls.add(connection, key.account_id, spent, "cap", None, actor)


def _changes(
    before: Mapping[tuple[int, Per], int], wanted: Mapping[tuple[int, Per], int]
) -> dict[tuple[int, Per], int | None]:
    """Return what has to be set, or (None) lifted."""
    lifted: dict[tuple[int, Per], int | None] = dict.fromkeys(before.keys() - wanted.keys())
    return lifted | {
        place: units for place, units in wanted.items() if before.get(place, -1) != units
    }
