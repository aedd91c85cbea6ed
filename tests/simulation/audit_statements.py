"""
More of the ledger's statements: seals, the walk along batches, histories, dead facts, findings.

They are what audits read with. As in `statements.py`, each is known by its own text.
"""

import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from ledger import (
    account_history,
    accounts,
    batch_walk,
    dead_facts,
    findings,
    losses,
    seals,
    verify,
)
from ledger.books import ChargeState
from tests.simulation.postgres import Row, Transaction
from tests.simulation.statements import EPOCH, account_row, answers, only

MADE_AT = datetime.fromisoformat("2027-01-15T08:00:00+00:00")
"""When every row was made that has a time of its own: only seals read it."""

Told = tuple[int, bytes, bytes]
"""Of a charge: fact, hold id, and the digest of what the batch says."""


@answers(seals._SQL.charges)
def _(tx: Transaction, epoch: int, starts: list[int], last: int, *bounds: bytes) -> list[Row]:
    low, high = bounds
    found = (row for row in tx.rows("charges") if low <= row["id"] <= high)
    return _charges(tx, epoch, starts, last, found)


def _charges(
    tx: Transaction, epoch: int, starts: list[int], last: int, charges: Iterable[Row]
) -> list[Row]:
    told: list[Told] = []
    for row in charges:
        if row["opened_epoch"] == epoch and starts[0] <= row["opened_q"] <= last:
            told.append((row["opened_q"], row["id"], _digest("opened", row, _OPENED)))
        if row["closed_epoch"] == epoch and starts[0] <= row["closed_q"] <= last:
            told.append((row["closed_q"], row["id"], _ending(row)))
    told += [
        (row["q"], row["charge_id"], _digest("expired", row, _OVERTAKEN))
        for row in tx.rows("overtaken_endings")
        if row["epoch"] == epoch and starts[0] <= row["q"] <= last
    ]
    batches: defaultdict[int, list[Told]] = defaultdict(list)
    for one in told:
        batches[bisect_right(starts, one[0])].append(one)
    return [
        {
            "batch": batch,
            "first_charge": min(hold for _, hold, _ in of_batch),
            "last_charge": max(hold for _, hold, _ in of_batch),
            "sha": _sha(b"".join(sha for _, _, sha in sorted(of_batch))),
        }
        for batch, of_batch in batches.items()
    ]


_OPENED = (
    "id", "opened_epoch", "opened_q", "opened_aseq", "account_id", "key_id", "held",
    "price_version", "rule", "credit_type_id",
)  # fmt: skip
_EXPIRED = ("id", "closed_epoch", "closed_q", "closed_aseq", "balance_after")
_OVERTAKEN = ("charge_id", "epoch", "q", "aseq", "balance_after")
_ENDED = (
    "id", "closed_epoch", "closed_q", "closed_aseq", "closed_at", "account_id", "held", "state",
    "captured", "balance_after", "reason", "status", "duration_ms", "written_off", "uncollected",
    "allocation", "units", "measured", "record", "note",
)  # fmt: skip
_MOVED = (
    "account_id", "aseq", "id", "credit_type_id", "kind", "amount", "balance_after", "cseq",
    "grant_id", "epoch", "q", "at",
)  # fmt: skip
_DEAD = ("epoch", "q", "account_id", "fact", "why")
_ORDERED = (
    "account_id", "cseq", "kind", "credit_type_id", "object_id", "amount", "priority",
    "expires_ms", "flags", "actor", "source", "source_id", "entry_kind", "description",
    "reference", "metadata",
)  # fmt: skip
_GRANTED = (
    "kind", "amount", "priority", "effective_at", "expires_ms", "charge_id", "description",
    "reference", "metadata", "actor",
)  # fmt: skip


def _ending(row: Row) -> bytes:
    if row["state"] == ChargeState.EXPIRED:
        return _digest("expired", row, _EXPIRED)
    return _digest("ended", row, _ENDED)


@answers(seals._SQL.others)
def _(
    tx: Transaction, shard: int, epoch: int, starts: list[int], last: int, *applied: list[int]
) -> list[Row]:
    told: defaultdict[int, list[tuple[str, int, bytes]]] = defaultdict(list)
    for row in tx.rows("movements"):
        if row["epoch"] == epoch and starts[0] <= row["q"] <= last:
            text = _json("moved", row, _MOVED)
            told[bisect_right(starts, row["q"])].append(("m", row["q"], text))
    for row in tx.rows("dead_facts"):
        if (row["shard"], row["epoch"]) == (shard, epoch) and starts[0] <= row["q"] <= last:
            text = _json("dead", row, _DEAD)
            told[bisect_right(starts, row["q"])].append(("d", row["q"], text))
    for place, (batch, account, number) in enumerate(zip(*applied, strict=True), 1):
        control = tx.get("controls", (account, number))
        if control is not None:
            told[batch].append(("o", place, _control(tx, control)))
    return [
        {"batch": batch, "sha": _sha(b"".join(_sha(text) for _, _, text in sorted(of_batch)))}
        for batch, of_batch in told.items()
    ]


def _control(tx: Transaction, control: Row) -> bytes:
    grant = tx.get("grants", control["object_id"]) if control["kind"] in "ge" else None
    values = [control[name] for name in _ORDERED] + [MADE_AT]
    granted = dict.fromkeys(_GRANTED) if grant is None else grant
    values += [granted[name] for name in _GRANTED[:-1]]
    values += [granted["actor"], None if grant is None else MADE_AT]
    limited = None if grant is None else grant["reach_id"]
    reach = tx.get("grant_reaches", control["reach_id"] or limited)
    if reach is None:
        return _array("ordered", values)
    return _array("ordered", values) + _array(
        "limited", [control["reach_id"], limited, reach["routes"]]
    )


@answers(seals._SQL.last_seal)
def _(tx: Transaction, _shard: int) -> list[Row]:
    sealed = [row for row in tx.rows("batches") if row["seal"] is not None]
    return only(max(sealed, key=_place, default=None), "seal")


def _place(row: Row) -> tuple[int, int]:
    return row["epoch"], row["q_from"]


def _digest(what: str, row: Row, columns: Sequence[str]) -> bytes:
    return _sha(_json(what, row, columns))


def _json(what: str, row: Row, columns: Sequence[str]) -> bytes:
    return _array(what, [row[column] for column in columns])


def _array(what: str, values: Iterable[Any]) -> bytes:
    """Write as `json_build_array(...)::text` does."""
    return json.dumps([what, *map(_plain, values)], ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return (value - EPOCH) // (datetime.resolution)
    if isinstance(value, dict):
        return {name: value[name] for name in sorted(value, key=lambda name: (len(name), name))}
    return value


def _sha(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


_BATCH = (
    "shard", "epoch", "q_from", "q_to", "chain", "clock_ms", "sha", "seal", "first_charge",
    "last_charge", "charges_sha", "controls", "others_sha",
)  # fmt: skip


@answers(batch_walk._SQL.batches)
def _(tx: Transaction, _shard: int, *place: int) -> list[Row]:
    epoch, q_from, most, most_facts = place
    behind = [row for row in tx.rows("batches") if _place(row) > (epoch, q_from)]
    lines: defaultdict[tuple[int, int], list[list[Any]]] = defaultdict(list)
    for line in tx.rows("batch_lines"):
        columns = ("credit_type_id", "book", "route", "amount")
        lines[_place(line)].append([line[column] for column in columns])
    found: list[Row] = []
    facts = 0
    for row in sorted(behind, key=_place)[:most]:
        facts += row["q_to"] - row["q_from"] + 1
        if found and facts > most_facts:
            break
        found += [one | {"lines": lines[_place(row)]} for one in only(row, *_BATCH)]
    return found


@answers(batch_walk._SQL.passed)
def _(tx: Transaction, *batch: Any) -> list[Row]:
    *place, seal = batch
    there = any(
        [row["shard"], row["epoch"], row["q_to"], row["sha"]] == place
        and row["seal"] in (None, seal)
        for row in tx.rows("batches")
    )
    return [{"exists": there}]


@answers(batch_walk._SQL.charges_kept_from)
def _(_tx: Transaction) -> list[Row]:
    return []  # no month is ever dropped here


@answers(batch_walk._SQL.last_sha)
def _(tx: Transaction, shard: int) -> list[Row]:
    return only(tx.get("shards", shard), "last_sha")


@answers(batch_walk._SQL.pooled)
def _(tx: Transaction, _shard: int) -> list[Row]:
    books: defaultdict[tuple[int, str], int] = defaultdict(int)
    for pool in tx.rows("pools"):
        for book, amount in (
            ("credits", pool["remaining"] + pool["held"]),
            ("debt", -pool["debt"]),
            ("issued", pool["clawed"] - pool["granted"] - pool["refunded"]),
            ("breakage", pool["expired"]),
            ("revenue", pool["captured"] + pool["written_off"]),
            ("writeoff", -pool["written_off"]),
        ):
            books[pool["credit_type_id"], book] += amount
    return [
        {"credit_type_id": number, "book": book, "amount": amount}
        for (number, book), amount in books.items()
    ]


def _of_accounts(table: str, *columns: str) -> Callable[[Transaction, list[int]], list[Row]]:
    def run(tx: Transaction, ids: list[int]) -> list[Row]:
        return [
            row
            for found in tx.rows(table)
            if found["account_id"] in ids
            for row in only(found, *columns)
        ]

    return run


@answers(account_history._SQL.account)
def _(tx: Transaction, ids: list[int]) -> list[Row]:
    columns = ("id", "aseq", "cseq_applied")
    return [row for number in sorted(ids) for row in only(tx.get("accounts", number), *columns)]


answers(account_history._SQL.pools)(_of_accounts(
    "pools", "account_id", "credit_type_id", "remaining", "held", "debt", "granted", "refunded",
    "captured", "expired", "clawed", "written_off",
))  # fmt: skip
answers(account_history._SQL.grants)(_of_accounts(
    "grants", "id", "account_id", "credit_type_id", "amount", "remaining", "held", "clawed",
    "expired",
))  # fmt: skip
answers(account_history._SQL.charges)(_of_accounts(
    "charges", "id", "account_id", "credit_type_id", "state", "held", "captured", "written_off",
    "balance_after", "opened_aseq", "closed_aseq", "allocation",
))  # fmt: skip
answers(account_history._SQL.movements)(_of_accounts(
    "movements", "account_id", "aseq", "credit_type_id", "kind", "amount", "balance_after", "cseq",
    "grant_id",
))  # fmt: skip
answers(account_history._SQL.overtaken)(_of_accounts(
    "overtaken_endings", "charge_id", "account_id", "aseq", "balance_after",
))  # fmt: skip


@answers(accounts._SQL.by_id)
def _(tx: Transaction, account: int) -> list[Row]:
    columns = (
        "id", "external_id", "name", "email", "plan", "shard", "status", "aseq", "cseq_head",
        "cseq_applied", "created_at", "updated_at",
    )  # fmt: skip
    return only(tx.get("accounts", account), *columns)


@answers(accounts._SQL.release, account_row)
def _(tx: Transaction, account: int) -> list[Row]:
    row = tx.get("accounts", account)
    if row is None or row["status"] != accounts.Status.QUARANTINED:
        return []
    tx.change("accounts", account, status=accounts.Status.FROZEN.value)
    return [{"?column?": True}]


@answers(dead_facts._SQL.standing)
def _(tx: Transaction, account: int) -> list[Row]:
    shard = tx.get("shards", 0)
    assert shard is not None
    own = [row for row in tx.rows("dead_facts") if row["account_id"] == account]
    return [
        {
            "unresolved": sum(row["resolved_at"] is None for row in own),
            "in_this_epoch": any(row["epoch"] == shard["epoch"] for row in own),
        }
    ]


@answers(dead_facts._SQL.rows)
def _(
    tx: Transaction,
    only_open: bool,
    account: int | None,
    *place: int,
) -> list[Row]:
    columns = ("shard", "epoch", "q", "account_id", "fact", "why", "at", "resolved_at")
    found = [
        row
        for row in tx.rows("dead_facts")
        if not (only_open and row["resolved_at"])
        and account in (None, row["account_id"])
        and (row["shard"], row["epoch"], row["q"]) > place[:3]
    ]
    found.sort(key=lambda row: (row["shard"], row["epoch"], row["q"]))
    return [row for dead in found[: place[3]] for row in only(dead, *columns)]


@answers(dead_facts._SQL.resolve)
def _(tx: Transaction, *place: int) -> list[Row]:
    row = tx.get("dead_facts", place)
    if row is None:
        return []
    open_before = row["resolved_at"] is None
    if open_before:
        tx.change("dead_facts", place, resolved_at=MADE_AT)
    return [{"exists": open_before}]


@answers(findings._SQL.record)
def _(tx: Transaction, check: str, account: int | None, detail: str) -> list[Row]:
    same = [
        row
        for row in tx.rows("findings")
        if (row["check_name"], row["account_id"], row["detail"]) == (check, account, detail)
    ]
    settled = any(row["resolved_at"] is not None for row in same)
    kept = next((row for row in same if row["resolved_at"] is None), None)
    now, new, number = tx.now_ms, kept is None, tx.next("findings")  # also where none is needed
    if kept is None:
        kept = {
            "id": number, "check_name": check, "account_id": account,
            "detail": detail, "effect": None, "found_ms": now, "seen_ms": now, "resolved_at": None,
        }  # fmt: skip
        tx.insert("findings", kept["id"], kept)
        # As in one statement of Postgres': the row that it writes is not yet seen by what it reads.
    earlier = [row for row in tx.rows("findings") if row["id"] != kept["id"] or not new]
    again = any(
        (row["check_name"], row["account_id"]) == (check, account)
        and account is not None
        and row["resolved_at"] is None
        and row["found_ms"] < now - 20_000
        and row["seen_ms"] > now - 300_000
        for row in earlier
    )
    if not new:
        tx.change("findings", kept["id"], seen_ms=now)
    return [
        {
            "id": kept["id"], "effect": kept["effect"], "new": new, "again": again,
            "settled_before": settled,
        }
    ]  # fmt: skip


@answers(findings._SQL.set_effect)
def _(tx: Transaction, number: int, effect: str) -> list[Row]:
    tx.change("findings", number, effect=effect)
    return []


@answers(findings._SQL.quarantine, account_row)
def _(tx: Transaction, account: int) -> list[Row]:
    tx.change("accounts", account, status=accounts.Status.QUARANTINED.value)
    return []


@answers(losses._SQL.balances)
def _(tx: Transaction, ids: list[int]) -> list[Row]:
    return [
        {
            **only(pool, "account_id", "credit_type_id")[0],
            "units": pool["remaining"] + pool["held"] - pool["debt"],
        }
        for pool in tx.rows("pools")
        if pool["account_id"] in ids
    ]


@answers(losses._SQL.charges)
def _(tx: Transaction, ids: list[bytes], *_: bytes) -> list[Row]:
    columns = ("id", "account_id", "credit_type_id", "held")
    found = (tx.get("charges", hold) for hold in ids)
    return [
        row
        for charge in found
        if charge is not None and charge["state"] == ChargeState.OPEN
        for row in only(charge, *columns)
    ]


@answers(verify._SQL.dead_facts)
def _(tx: Transaction) -> list[Row]:
    found = [row for row in tx.rows("dead_facts") if row["resolved_at"] is None]
    found.sort(key=lambda row: (row["shard"], row["epoch"], row["q"]))
    return [
        {
            "account_id": row["account_id"],
            "detail": f"fact {row['epoch']}-{row['q']} of shard {row['shard']} broke a rule: "
            f"{row['why']}",
        }
        for row in found
    ]
