"""What the loader puts into Redis: one account as Postgres has it, at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger import controls
from ledger.account_record import ACTIVE, FROZEN, AccountRecord, Lot, Pool
from ledger.allocation import read_allocation
from ledger.database import PROMPT_LIMIT_S, Database, Queries
from ledger.errors import NotFound
from ledger.facts import HoldFact
from ledger.limits import Tally, pack_tallies, tally_field, window_id
from ledger.lines import CAPPED
from ledger.records import KeyRecord

_SQL = Queries("snapshot")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    An account as folded up to `epoch`, and what is still to come.

    keys: Number and record of every key that is neither revoked nor past its end.
    holds: Its open holds (without detail: their charges have it already).
    controls: Those not seen applied, packed, in order; they go in after the rest.
    lent: What those holds have used of quotas, allowances and caps, packed, by hold.
    limits: What quotas, allowances and caps have counted, everyone's too: packed, by field.
    reaches: Of its lots that are limited to some routes, those that are all held too.
    """

    epoch: int
    account_id: int
    record: AccountRecord
    keys: tuple[tuple[int, KeyRecord], ...]
    holds: tuple[HoldFact, ...]
    controls: tuple[bytes, ...]
    limits: Mapping[bytes, bytes] = field(default_factory=dict)
    lent: Mapping[bytes, bytes] = field(default_factory=dict)
    reaches: Mapping[int, int] = field(default_factory=dict)


async def read_snapshot(database: Database, account_id: int) -> Snapshot:
    """
    Read an account and its shard's epoch in one transaction.

    Raises:
        NotFound: There is no such account.

    """
    async with database.transaction(
        isolation="repeatable_read", readonly=True, limit_s=PROMPT_LIMIT_S
    ) as connection:
        row = await connection.fetchrow(_SQL.account, account_id)
        if row is None:
            raise NotFound(f"no account {account_id}")
        lots: dict[int, list[Lot]] = {}
        reaches: dict[int, int] = {}
        for row_of_lot in await connection.fetch(_SQL.lots, account_id):
            lot = _lot(row_of_lot)
            if lot.reach:
                reaches[lot.lot] = lot.reach
            if lot.remaining:
                lots.setdefault(row_of_lot["credit_type_id"], []).append(lot)
        pools = tuple(
            Pool(
                pool["credit_type_id"],
                pool["debt"],
                pool["floor"],
                tuple(sorted(lots.get(pool["credit_type_id"], ()), key=lambda lot: lot.burn_order)),
            )
            for pool in await connection.fetch(_SQL.pools, account_id)
        )
        caps = await connection.fetch(_SQL.key_caps, account_id)
        capped = {cap["key_id"] for cap in caps}
        keys = tuple(
            (
                key["id"],
                KeyRecord(
                    status=ACTIVE,
                    account=account_id,
                    scopes=key["scopes"] | (CAPPED if key["id"] in capped else 0),
                    expiry_ms=key["expires_ms"],
                ),
            )
            for key in await connection.fetch(_SQL.keys, account_id)
        )
        holds = tuple(
            HoldFact(
                hold["id"],
                account_id,
                hold["key_id"] or 0,
                hold["credit_type_id"],
                hold["held"],
                hold["price_version"],
                hold["rule"],
                hold["deadline_ms"],
                hold["opened_aseq"],
                hold["balance_after"],
                read_allocation(hold["allocation"]),
            )
            for hold in await connection.fetch(_SQL.open_holds, account_id)
        )
        lent = await connection.fetch(_SQL.hold_uses, account_id)
        status = ACTIVE if row["status"] == ACTIVE else FROZEN  # a quarantine is frozen there
        return Snapshot(
            epoch=row["epoch"],
            account_id=account_id,
            record=AccountRecord(status, row["cseq_applied"], row["aseq"], pools, row["plan"] or 0),
            keys=keys,
            holds=holds,
            controls=tuple(await controls.pending(connection, account_id)),
            limits=_limits(caps, await connection.fetch(_SQL.limit_uses, account_id)),
            lent={use["hold_id"]: use["uses"] for use in lent},
            reaches=reaches,
        )


def _lot(row: Any) -> Lot:
    return Lot(
        row["id"], row["priority"], row["expires_ms"], row["remaining"], row["reach_id"] or 0
    )


def _limits(caps: Sequence[Any], uses: Sequence[Any]) -> dict[bytes, bytes]:
    """Return fields and values as the scripts know them."""
    found: dict[bytes, list[Tally]] = {}
    for cap in caps:
        limit = window_id("c", cap["per"], cap["credit_type_id"])
        tally = Tally(limit, "c", 0, cap["units"])
        found.setdefault(tally_field("k", cap["key_id"]), []).append(tally)
    for use in uses:
        limit = use["limit_id"]
        tally = Tally(limit, chr(limit[0]), use["window_number"], use["used"])
        place = tally_field(use["whose"], use["owner"], use["route"])
        found.setdefault(place, []).append(tally)
    return {place: pack_tallies(tallies) for place, tallies in found.items()}
