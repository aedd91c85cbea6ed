"""
The ledger's statements, each by its own text, as functions on the rows of `postgres.py`.

A statement whose text changes is not known here any more, and says so at once. That these
answer as Postgres does is what `test_played_postgres.py` compares.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger import (
    audit,
    books_store,
    charge_rows,
    charges,
    control_rows,
    controls,
    credit_types,
    grants,
    partitions,
    posting,
    reaches,
    reconcile,
    reconcile_limits,
    shards,
    snapshot,
    sweeper,
)
from ledger.facts import NEVER
from ledger.grants import LIVE_LOTS
from ledger.ids import HOLD_ID_BYTES
from tests.simulation.postgres import Row, Statement, Transaction

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATEMENTS: dict[str, Statement] = {}
WAITING = ("scheduled", "pending", "queued")
Locks = Callable[..., Iterable[tuple[str, Any]]]


def tables() -> dict[str, dict[Any, Row]]:
    """What the migrations leave behind."""
    names = (
        "accounts", "api_keys", "audit", "batch_lines", "batches", "charges", "control_requests",
        "controls", "credit_types", "dead_facts", "findings", "grant_reaches", "grants", "hold_uses", "key_caps", "limit_uses",
        "movements", "overtaken_endings", "pools", "price_rules", "shards",
    )  # fmt: skip
    made: dict[str, dict[Any, Row]] = {name: {} for name in names}
    made["shards"][0] = {
        "id": 0, "epoch": 0, "incarnation": "", "last_q": 0, "last_chain": "0" * 16,
        "last_sha": bytes(32), "open_at_start": {}, "clock_ms": 0,
    }  # fmt: skip
    return made


def answers(text: str, locks: Locks | None = None) -> Callable[[Any], Any]:
    def register(run: Any) -> Any:
        STATEMENTS[text] = Statement(run, locks)
        return run

    return register


def elements(array: str) -> list[Any]:
    """The elements of an array that is sent as text."""
    return [int(one) if one.lstrip("-").isdigit() else one for one in array[1:-1].split(",") if one]


def only(row: Row | None, *columns: str) -> list[Row]:
    return [] if row is None else [{column: row[column] for column in columns}]


def utc(now_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=now_ms)


def shard_row(_tx: Transaction, shard: int, *_: Any) -> list[tuple[str, Any]]:
    return [("shards", shard)]


def account_row(_tx: Transaction, account: int, *_: Any) -> list[tuple[str, Any]]:
    return [("accounts", account)]


_SHARD = ("id", "epoch", "incarnation", "last_q", "last_chain", "open_at_start", "clock_ms")


@answers(shards._SQL.read)
def _(tx: Transaction, shard: int) -> list[Row]:
    return only(tx.get("shards", shard), *_SHARD)


@answers(shards._SQL.lock_epoch, shard_row)
def _(tx: Transaction, shard: int) -> list[Row]:
    return only(tx.get("shards", shard), "epoch")


@answers(shards._SQL.advance, shard_row)
def _(tx: Transaction, shard: int, incarnation: str, held: Any, above: int) -> list[Row]:
    before = tx.get("shards", shard)
    assert before is not None
    row = tx.change(
        "shards",
        shard,
        epoch=max(before["epoch"], above) + 1,
        incarnation=incarnation,
        last_q=0,
        last_chain="0" * 16,
        open_at_start=held,
    )
    return only(row, *_SHARD)


@answers(shards._SQL.open_holds)
def _(tx: Transaction, shard: int) -> list[Row]:
    count, units = Counter[int](), Counter[int]()
    for charge in open_charges(tx, shard):
        count[charge["credit_type_id"]] += 1
        units[charge["credit_type_id"]] += charge["held"]
    return [
        {"credit_type_id": number, "count": count[number], "units": units[number]}
        for number in sorted(count)
    ]


@answers(shards._SQL.next_session)
def _(tx: Transaction) -> list[Row]:
    return [{"nextval": tx.next("session_numbers")}]


def open_charges(tx: Transaction, shard: int) -> Iterable[Row]:
    for charge in tx.rows("charges"):
        if charge["state"] == 1 and charge["account_id"] is not None:
            account = tx.get("accounts", charge["account_id"])
            if account is not None and account["shard"] == shard:
                yield charge


@answers(posting._SQL.lock_shard, shard_row)
def _(tx: Transaction, shard: int) -> list[Row]:
    return only(tx.get("shards", shard), "epoch", "last_q", "last_chain", "last_sha")


@answers(posting._SQL.advance, shard_row)
def _(tx: Transaction, shard: int, *values: Any) -> list[Row]:
    names = ("last_q", "last_chain", "last_sha", "clock_ms")
    tx.change("shards", shard, **dict(zip(names, values, strict=True)))
    return []


_CHARGE = (
    "id", "account_id", "key_id", "credit_type_id", "held", "state", "price_version", "rule",
    "opened_epoch", "opened_q", "opened_aseq", "captured", "balance_after", "closed_epoch",
    "closed_q", "closed_aseq", "deadline_ms", "reason", "status", "written_off", "allocation",
    "units", "measured", "record", "uncollected", "duration_ms", "note",
)  # fmt: skip


@answers(posting._SQL.newest_charge)
def _(tx: Transaction, first: bytes, last: bytes) -> list[Row]:
    ids = [row["id"] for row in tx.rows("charges") if first <= row["id"] <= last]
    return [{"id": max(ids)}] if ids else []


@answers(posting._SQL.charges)
def _(tx: Transaction, ids: list[bytes], *_: bytes) -> list[Row]:
    return [row for hold in ids for row in only(tx.get("charges", hold), *_CHARGE)]


@answers(
    posting._SQL.lock_accounts,
    lambda _tx, ids: [("accounts", account) for account in sorted(elements(ids))],
)
def _(tx: Transaction, ids: str) -> list[Row]:
    columns = ("id", "status", "aseq", "cseq_applied", "cseq_head")
    return [
        row
        for number in sorted(elements(ids))
        for row in only(tx.get("accounts", number), *columns)
    ]


@answers(posting._SQL.pools)
def _(tx: Transaction, ids: str) -> list[Row]:
    return [
        row
        for pool in tx.rows("pools")
        if pool["account_id"] in elements(ids)
        for row in only(pool, *books_store._POOL_COLUMNS)
    ]


@answers(posting._SQL.grants)
def _(tx: Transaction, ids: str) -> list[Row]:
    columns = (
        "id", "account_id", "credit_type_id", "kind", "amount", "remaining", "held", "clawed",
        "expired", "state",
    )  # fmt: skip
    return [row for number in elements(ids) for row in only(tx.get("grants", number), *columns)]


@answers(posting._SQL.credit_types)
def _(tx: Transaction) -> list[Row]:
    return [{"id": row["id"]} for row in tx.rows("credit_types")]


_CONTROL = (
    "cseq", "kind", "credit_type_id", "object_id", "amount", "priority", "expires_ms", "flags",
    "reach_id",
)  # fmt: skip


@answers(posting._SQL.controls)
def _(tx: Transaction, accounts: list[int], numbers: list[int]) -> list[Row]:
    return [
        row
        for wanted in zip(accounts, numbers, strict=True)
        for row in only(tx.get("controls", wanted), "account_id", *_CONTROL, "entry_kind")
    ]


@answers(posting._SQL.routes)
def _(tx: Transaction, versions: list[int], rules: list[int]) -> list[Row]:
    return [
        row
        for wanted in zip(versions, rules, strict=True)
        for row in only(tx.get("price_rules", wanted), "version", "rule", "route")
    ]


_USE_COLUMNS = books_store._USE_COLUMNS


@answers(posting._SQL.limit_uses)
def _(tx: Transaction, *columns: list[Any]) -> list[Row]:
    wanted = zip(*columns, strict=True)
    return [row for use in wanted for row in only(tx.get("limit_uses", use), *_USE_COLUMNS)]


@answers(posting._SQL.save_limit_uses)
def _(tx: Transaction, *columns: list[Any]) -> list[Row]:
    for values in zip(*columns, strict=True):
        before = tx.get("limit_uses", values[:4])
        row = dict(zip(_USE_COLUMNS, values, strict=True))
        if before is not None:
            row["account_id"] = before["account_id"]
        tx.put("limit_uses", values[:4], row)
    return []


@answers(posting._SQL.save_hold_uses)
def _(tx: Transaction, *columns: list[Any]) -> list[Row]:
    for hold, account, uses in zip(*columns, strict=True):
        if tx.get("hold_uses", hold) is None:
            tx.put("hold_uses", hold, {"hold_id": hold, "account_id": account, "uses": uses})
    return []


@answers(posting._SQL.drop_hold_uses)
def _(tx: Transaction, holds: list[bytes]) -> list[Row]:
    for hold in holds:
        # Nothing is ever deleted here: a row without uses is no row.
        tx.change("hold_uses", hold, uses=b"")
    return []


@answers(posting._SQL.save_accounts)
def _(tx: Transaction, *columns: str) -> list[Row]:
    for number, status, aseq, applied in zip(*map(elements, columns), strict=True):
        tx.change("accounts", number, status=status, aseq=aseq, cseq_applied=applied)
    return []


@answers(posting._SQL.insert_pool)
def _(tx: Transaction, *row: int) -> list[Row]:
    tx.insert(
        "pools", row[:2], {"floor": 0} | dict(zip(books_store._POOL_COLUMNS, row, strict=True))
    )
    return []


@answers(posting._SQL.save_pools)
def _(tx: Transaction, *columns: str) -> list[Row]:
    for row in zip(*map(elements, columns), strict=True):
        tx.change("pools", row[:2], **dict(zip(books_store._POOL_COLUMNS, row, strict=True)))
    return []


@answers(posting._SQL.save_grants)
def _(tx: Transaction, *columns: str) -> list[Row]:
    names = books_store._GRANT_COLUMNS
    for row in zip(*map(elements, columns), strict=True):
        tx.change("grants", row[0], **dict(zip(names, row, strict=True)))
    return []


@answers("COPY charges")
def _(tx: Transaction, records: list[tuple[Any, ...]], columns: tuple[str, ...]) -> list[Row]:
    for record in records:
        row = read_json(dict(zip(columns, record, strict=True)))
        tx.insert("charges", row["id"], {"refunded": 0} | row)
    return []


@answers(posting._SQL.close_charges)
def _(tx: Transaction, *args: Any) -> list[Row]:
    names = charge_rows.COLUMNS
    changed = ("id", *names[names.index("state") :])
    for values in zip(*args[:-2], strict=True):
        row = read_json(dict(zip(changed, values, strict=True)))
        tx.change("charges", row["id"], deadline_ms=None, **row)
    return []


def read_json(row: Row) -> Row:
    """A row of charges as it was sent, with the values of its JSON."""
    texts = {column: row[column] for column in ("units", "measured", "record")}
    return row | {name: text and json.loads(text) for name, text in texts.items()}


@answers(posting._SQL.insert_movement)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "account_id", "aseq", "id", "credit_type_id", "kind", "amount", "balance_after", "cseq",
        "grant_id", "epoch", "q", "at",
    )  # fmt: skip
    tx.insert("movements", values[:2], dict(zip(names, values, strict=True)))
    return []


@answers(posting._SQL.insert_dead)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = ("shard", "epoch", "q", "account_id", "fact", "why")
    row = dict(zip(names, values, strict=True)) | {"at": None, "resolved_at": None}
    tx.insert("dead_facts", values[:3], row)
    return []


@answers(posting._SQL.attribute_dead)
def _(tx: Transaction, shard: int, epoch: int, nobodys: list[int]) -> list[Row]:
    dead = [row for row in tx.rows("dead_facts") if (row["shard"], row["epoch"]) == (shard, epoch)]
    for q in nobodys:
        row = tx.get("dead_facts", (shard, epoch, q))
        assert row is not None
        for hold in dead:
            if (
                hold["q"] < q
                and hold["account_id"] is not None
                and hold["fact"][:1] == b"H"
                and hold["fact"][3:15] == row["fact"][3:15]
            ):
                tx.change("dead_facts", (shard, epoch, q), account_id=hold["account_id"])
    return []


@answers(posting._SQL.insert_overtaken)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = ("charge_id", "account_id", "epoch", "q", "aseq", "balance_after")
    tx.insert("overtaken_endings", values[0], dict(zip(names, values, strict=True)))
    return []


@answers(posting._SQL.insert_batch)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "shard", "epoch", "q_from", "q_to", "chain", "clock_ms", "sha", "seal", "first_charge",
        "last_charge", "charges_sha", "controls", "others_sha",
    )  # fmt: skip
    tx.insert("batches", values[:3], dict(zip(names, values, strict=True)))
    return []


@answers(posting._SQL.insert_line)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = ("shard", "epoch", "q_from", "credit_type_id", "book", "route", "amount")
    tx.insert("batch_lines", values[:6], dict(zip(names, values, strict=True)))
    return []


@answers(controls._SQL.lock_account, account_row)
def _(tx: Transaction, account: int) -> list[Row]:
    return only(tx.get("accounts", account), "cseq_head")


@answers(controls._SQL.asked_before)
def _(tx: Transaction, source: str, source_id: str) -> list[Row]:
    row = tx.get("control_requests", (source, source_id))
    return only(row, "account_id", "request", "cseq", "object_id")


@answers(
    controls._SQL.reserve,
    lambda _tx, source, source_id, *_: [("control_requests", (source, source_id))],
)
def _(tx: Transaction, source: str, source_id: str, account: int, request: str) -> list[Row]:
    if tx.get("control_requests", (source, source_id)) is not None:
        return []
    row = {
        "source": source, "source_id": source_id, "account_id": account, "request": request,
        "cseq": None, "object_id": None,
    }  # fmt: skip
    tx.insert("control_requests", (source, source_id), row)
    return [{"?column?": True}]


@answers(controls._SQL.answer)
def _(tx: Transaction, source: str, source_id: str, cseq: Any, object_id: Any) -> list[Row]:
    tx.change("control_requests", (source, source_id), cseq=cseq, object_id=object_id)
    return []


@answers(controls._SQL.insert)
def _(tx: Transaction, account: int, cseq: int, kind: str, *values: Any) -> list[Row]:
    names = (
        "credit_type_id", "object_id", "amount", "priority", "expires_ms", "flags", "actor",
        "source", "source_id", "entry_kind", "description", "reference", "metadata", "reach_id",
    )  # fmt: skip
    row = {"account_id": account, "cseq": cseq, "kind": kind}
    tx.insert("controls", (account, cseq), row | dict(zip(names, values, strict=True)))
    return []


@answers(controls._SQL.raise_head)
def _(tx: Transaction, account: int, cseq: int) -> list[Row]:
    tx.change("accounts", account, cseq_head=cseq)
    return []


@answers(charges._SQL.reaches_of_lots)
def _(tx: Transaction, lots: list[int]) -> list[Row]:
    granted = [row for row in tx.rows("grants") if row["id"] in lots]
    found = (tx.get("grant_reaches", row["reach_id"]) for row in granted)
    return [{"routes": None if row is None else row["routes"]} for row in found]


@answers(reaches._SQL.above)
def _(tx: Transaction, beyond: int) -> list[Row]:
    rows = sorted(tx.rows("grant_reaches"), key=lambda row: row["id"])
    return [found for row in rows if row["id"] > beyond for found in only(row, "id", "routes")]


@answers(reaches._SQL.find)
def _(tx: Transaction, sha256: bytes) -> list[Row]:
    return [{"id": row["id"]} for row in tx.rows("grant_reaches") if row["sha256"] == sha256]


@answers(reaches._SQL.lock, lambda _tx: [("grant_reaches", 0)])
def _(_tx: Transaction) -> list[Row]:
    return []


@answers(reaches._SQL.add)
def _(tx: Transaction, sha256: bytes, routes: list[str], most: int) -> list[Row]:
    highest = max((row["id"] for row in tx.rows("grant_reaches")), default=0)
    if highest >= most:
        return []
    row = {"id": highest + 1, "sha256": sha256, "routes": routes}
    tx.insert("grant_reaches", highest + 1, row)
    return [{"id": highest + 1}]


@answers(control_rows._SQL.type_known)
def _(tx: Transaction, number: int) -> list[Row]:
    return [{"exists": tx.get("credit_types", number) is not None}]


@answers(control_rows._SQL.before_grant)
def _(tx: Transaction, account: int, number: int, reference: str | None) -> list[Row]:
    mine = [row for row in tx.rows("grants") if row["account_id"] == account]
    pool = tx.get("pools", (account, number))
    return [
        {
            "type_known": tx.get("credit_types", number) is not None,
            "reference_used": reference is not None
            and any(row["reference"] == reference for row in mine),
            "total": (pool["remaining"] + pool["held"] if pool else 0)
            + sum(
                row["amount"] - row["clawed"]
                for row in mine
                if row["credit_type_id"] == number and row["state"] in WAITING
            ),
            "now": utc(tx.now_ms),
        }
    ]


@answers(control_rows._SQL.most_debt)
def _(tx: Transaction, account: int, number: int) -> list[Row]:
    pool = tx.get("pools", (account, number))
    asked = sum(
        row["amount"]
        for row in pending(tx, account)
        if row["kind"] == "w" and row["credit_type_id"] == number
    )
    return [{"most": (pool["debt"] if pool else 0) + asked}]


@answers(control_rows._SQL.insert_grant)
def _(tx: Transaction, *values: Any) -> list[Row]:
    names = (
        "account_id", "credit_type_id", "kind", "amount", "priority", "effective_at", "expires_ms",
        "state", "charge_id", "description", "reference", "metadata", "actor", "reach_id",
    )  # fmt: skip
    row = {"id": tx.next("grants"), "remaining": 0, "held": 0, "clawed": 0, "expired": 0}
    tx.insert("grants", row["id"], row | dict(zip(names, values, strict=True)))
    return only(row, "id")


@answers(control_rows._SQL.lock_grant)
def _(tx: Transaction, account: int, grant: int) -> list[Row]:
    row = tx.get("grants", grant)
    if row is None or row["account_id"] != account:
        return []
    return only(
        row, "credit_type_id", "amount", "clawed", "priority", "expires_ms", "state", "reach_id"
    )


@answers(control_rows._SQL.cut_grant)
def _(tx: Transaction, grant: int, cut: int) -> list[Row]:
    row = tx.get("grants", grant)
    assert row is not None
    clawed = row["clawed"] + cut
    tx.change(
        "grants", grant, clawed=clawed, state="clawed" if clawed == row["amount"] else row["state"]
    )
    return []


@answers(control_rows._SQL.enter_grant)
def _(tx: Transaction, grant: int) -> list[Row]:
    tx.change("grants", grant, state="pending")
    return []


@answers(controls._SQL.pending)
def _(tx: Transaction, account: int, limit: int) -> list[Row]:
    return [row for found in pending(tx, account)[:limit] for row in only(found, *_CONTROL)]


def pending(tx: Transaction, account: int) -> list[Row]:
    row = tx.get("accounts", account)
    if row is None:
        return []
    numbers = range(row["cseq_applied"] + 1, row["cseq_head"] + 1)
    found = (tx.get("controls", (account, number)) for number in numbers)
    return [control for control in found if control is not None]


@answers(controls._SQL.waiting_accounts)
def _(tx: Transaction, shard: int, after: int, limit: int) -> list[Row]:
    waiting = sorted(
        row["id"]
        for row in tx.rows("accounts")
        if row["shard"] == shard and row["cseq_head"] > row["cseq_applied"] and row["id"] > after
    )
    return [{"id": number} for number in waiting[:limit]]


@answers(snapshot._SQL.account)
def _(tx: Transaction, account: int) -> list[Row]:
    row = tx.get("accounts", account)
    if row is None:
        return []
    shard = tx.get("shards", row["shard"])
    assert shard is not None
    applied = [
        (one["cseq"], one["object_id"])
        for one in tx.rows("controls")
        if (one["account_id"], one["kind"]) == (account, "p") and one["cseq"] <= row["cseq_applied"]
    ]
    return [
        {
            **only(row, "status", "aseq", "cseq_applied")[0],
            "epoch": shard["epoch"],
            "plan": max(applied)[1] if applied else None,
        }
    ]


@answers(snapshot._SQL.pools)
def _(tx: Transaction, account: int) -> list[Row]:
    pools = [row for row in tx.rows("pools") if row["account_id"] == account]
    pools.sort(key=lambda row: row["credit_type_id"])
    return [row for pool in pools for row in only(pool, "credit_type_id", "debt", "floor")]


@answers(snapshot._SQL.lots)
def _(tx: Transaction, account: int) -> list[Row]:
    columns = ("id", "credit_type_id", "priority", "expires_ms", "remaining", "reach_id")
    return [
        row
        for grant in tx.rows("grants")
        if grant["account_id"] == account and grant["state"] == "live"
        if grant["remaining"] > 0 or grant["reach_id"] is not None
        for row in only(grant, *columns)
    ]


@answers(snapshot._SQL.keys)
def _(tx: Transaction, account: int) -> list[Row]:
    keys = [
        row
        for row in tx.rows("api_keys")
        if row["account_id"] == account and row["status"] == 1 and row["expires_ms"] > tx.now_ms
    ]
    keys.sort(key=lambda row: row["id"])
    return [row for key in keys for row in only(key, "id", "scopes", "expires_ms")]


@answers(snapshot._SQL.key_caps)
def _(tx: Transaction, account: int) -> list[Row]:
    mine = {row["id"] for row in tx.rows("api_keys") if row["account_id"] == account}
    caps = (row for row in tx.rows("key_caps") if row["key_id"] in mine)
    return [one for row in caps for one in only(row, "key_id", "credit_type_id", "per", "units")]


@answers(snapshot._SQL.limit_uses)
def _(tx: Transaction, account: int) -> list[Row]:
    uses = (row for row in tx.rows("limit_uses") if row["account_id"] in (account, 0))
    columns = _USE_COLUMNS[:-1]
    return [one for row in uses if row["used"] > 0 for one in only(row, *columns)]


@answers(snapshot._SQL.hold_uses)
def _(tx: Transaction, account: int) -> list[Row]:
    lent = (row for row in tx.rows("hold_uses") if row["account_id"] == account)
    return [one for row in lent if row["uses"] for one in only(row, "hold_id", "uses")]


@answers(snapshot._SQL.open_holds)
def _(tx: Transaction, account: int) -> list[Row]:
    columns = (
        "id", "key_id", "credit_type_id", "held", "price_version", "rule", "deadline_ms",
        "opened_aseq", "balance_after", "allocation",
    )  # fmt: skip
    mine = [row for row in tx.rows("charges") if row["account_id"] == account and row["state"] == 1]
    mine.sort(key=lambda row: row["id"])
    return [row for charge in mine for row in only(charge, *columns)]


@answers(charges._SQL.standing)
def _(tx: Transaction, hold: bytes, shard: int) -> list[Row]:
    row, charge = tx.get("shards", shard), tx.get("charges", hold)
    if row is None:
        return []
    state = None if charge is None else charge["state"]
    return [{"epoch": row["epoch"], "last_q": row["last_q"], "state": state}]


@answers(charges._SQL.closed_of)
def _(tx: Transaction, ids: bytes, *_: bytes) -> list[Row]:
    each = [ids[at : at + HOLD_ID_BYTES] for at in range(0, len(ids), HOLD_ID_BYTES)]
    closed = sorted(row["id"] for row in in_state(tx, each, (2, 3, 5, 6)))
    return [{"string_agg": b"".join(closed) or None}]


@answers(charges._SQL.ended_of)
def _(tx: Transaction, ids: list[bytes], *_: bytes) -> list[Row]:
    return in_state(tx, ids, (2, 3, 4, 5, 6))


def in_state(tx: Transaction, ids: list[bytes], states: tuple[int, ...]) -> list[Row]:
    found = (tx.get("charges", hold) for hold in ids)
    return [{"id": row["id"]} for row in found if row is not None and row["state"] in states]


@answers(
    charges._SQL.lock_account_of,
    lambda tx, hold: [
        ("accounts", row["account_id"]) for row in [tx.get("charges", hold)] if row is not None
    ],
)
def _(tx: Transaction, hold: bytes) -> list[Row]:
    return [] if tx.get("charges", hold) is None else [{"?column?": True}]


@answers(charges._SQL.refund_before)
def _(tx: Transaction, source_id: str) -> list[Row]:
    row = tx.get("control_requests", ("refund", source_id))
    if row is None or row["object_id"] is None:
        return []
    grant = tx.get("grants", row["object_id"])
    assert grant is not None
    return [{"grant_id": grant["id"], "cseq": row["cseq"], "amount": grant["amount"]}]


@answers(charges._SQL.lock_charge, lambda _tx, hold: [("charges", hold)])
def _(tx: Transaction, hold: bytes) -> list[Row]:
    columns = ("account_id", "credit_type_id", "captured", "refunded", "allocation")
    return [row | {"now": utc(tx.now_ms)} for row in only(tx.get("charges", hold), *columns)]


@answers(charges._SQL.raise_refunded)
def _(tx: Transaction, hold: bytes, amount: int) -> list[Row]:
    row = tx.get("charges", hold)
    assert row is not None
    tx.change("charges", hold, refunded=row["refunded"] + amount)
    return []


@answers(audit._SQL.write)
def _(tx: Transaction, actor: str, action: str, target: str, _detail: Any) -> list[Row]:
    number = tx.next("audit")
    row = {"id": number, "actor": actor, "action": action, "target": target}
    tx.insert("audit", number, row)
    return []


@answers(credit_types._SQL.windows)
def _(tx: Transaction) -> list[Row]:
    halted = any(
        row["resolved_at"] is None and row["effect"] == "shard" for row in tx.rows("findings")
    )
    rows = sorted(tx.rows("credit_types"), key=lambda row: row["id"])
    return [{"id": row["id"], "window_units": 0 if halted else row["window_units"]} for row in rows]


@answers(credit_types._SQL.chosen_windows)
def _(tx: Transaction) -> list[Row]:
    rows = sorted(tx.rows("credit_types"), key=lambda row: row["id"])
    return [row for found in rows for row in only(found, "id", "window_units")]


@answers(partitions._SQL.hold_still)
def _(tx: Transaction) -> list[Row]:
    return []  # here all charges lie in one table


@answers(controls._SQL.applied)
def _(tx: Transaction, account: int, cseq: int) -> list[Row]:
    row = tx.get("accounts", account)
    return [] if row is None else [{"applied": row["cseq_applied"] >= cseq}]


@answers(credit_types._SQL.set_windows)
def _(tx: Transaction, numbers: list[int], units: list[int]) -> list[Row]:
    for number, window in zip(numbers, units, strict=True):
        tx.change("credit_types", number, window_units=window)
    return []


@answers(credit_types._SQL.raise_windows)
def _(tx: Transaction, numbers: list[int], units: list[int]) -> list[Row]:
    for number, window in zip(numbers, units, strict=True):
        row = tx.get("credit_types", number)
        if row is not None and row["window_units"] < window:
            tx.change("credit_types", number, window_units=window)
    return []


@answers(sweeper._SQL.overdue)
def _(tx: Transaction, shard: int, now_ms: int, *place: Any) -> list[Row]:
    *after, limit = place
    overdue = [
        row
        for row in open_charges(tx, shard)
        if row["deadline_ms"] < now_ms and (row["deadline_ms"], row["id"]) > tuple(after)
    ]
    overdue.sort(key=lambda row: (row["deadline_ms"], row["id"]))
    return [
        row for found in overdue[:limit] for row in only(found, "id", "account_id", "deadline_ms")
    ]


@answers(sweeper._SQL.with_due_lots)
def _(tx: Transaction, _shard: int, now_ms: int, after: int, limit: int) -> list[Row]:
    due = {
        row["account_id"]
        for row in tx.rows("grants")
        if row["state"] == "live"
        and row["remaining"] > 0
        and row["expires_ms"] <= now_ms
        and row["expires_ms"] < NEVER
        and row["account_id"] > after
    }
    return [{"account_id": number} for number in sorted(due)[:limit]]


@answers(grants._SQL.due)
def _(tx: Transaction, _shard: int, now: datetime, lots: int, limit: int) -> list[Row]:
    assert lots == LIVE_LOTS
    waiting: dict[tuple[int, int, bool], list[Row]] = {}
    used = Counter[tuple[int, int, bool]]()
    for row in tx.rows("grants"):
        pool = row["account_id"], row["credit_type_id"], row["reach_id"] is not None
        if row["state"] == "queued" or (row["state"] == "scheduled" and row["effective_at"] <= now):
            waiting.setdefault(pool, []).append(row)
        elif row["state"] == "pending" or (row["state"] == "live" and row["remaining"] > 0):
            used[pool] += 1
    due = []
    for pool, rows in waiting.items():
        rows.sort(key=lambda row: (row["priority"], row["expires_ms"], row["id"]))
        due += [(pool[0], place, row["id"]) for place, row in enumerate(rows[: lots - used[pool]])]
    return [{"id": grant, "account_id": account} for account, _, grant in sorted(due)[:limit]]


@answers(reconcile._SQL.open_holds)
def _(tx: Transaction, shard: int) -> list[Row]:
    units = Counter[tuple[int, int]]()
    for charge in open_charges(tx, shard):
        units[charge["account_id"], charge["credit_type_id"]] += charge["held"]
    return [
        {"account_id": account, "credit_type_id": number, "units": held}
        for (account, number), held in units.items()
    ]


@answers(reconcile._SQL.key)
def _(tx: Transaction, number: int) -> list[Row]:
    row = tx.get("api_keys", number)
    if row is None:
        return []
    account = tx.get("accounts", row["account_id"])
    assert account is not None
    waiting = account["cseq_head"] > account["cseq_applied"]
    return [{**only(row, "account_id", "scopes", "status", "expires_ms")[0], "pending": waiting}]


@answers(reconcile_limits._SQL.limit_uses)
def _(tx: Transaction, *columns: list[Any]) -> list[Row]:
    wanted = set(zip(*columns, strict=True))
    uses = (row for row in tx.rows("limit_uses"))
    return [
        one
        for row in uses
        if (row["whose"], row["owner"], row["route"]) in wanted
        for one in only(row, *_USE_COLUMNS[:-1])
    ]


@answers(reconcile_limits._SQL.next_limit_uses)
def _(tx: Transaction, whose: str, owner: int, route: bytes, limit: int) -> list[Row]:
    places = {
        (row["whose"], row["owner"], row["route"], row["account_id"])
        for row in tx.rows("limit_uses")
        if row["used"] > 0 and (row["whose"], row["owner"], row["route"]) > (whose, owner, route)
    }
    names = ("whose", "owner", "route", "account")
    return [dict(zip(names, place, strict=True)) for place in sorted(places)[:limit]]
