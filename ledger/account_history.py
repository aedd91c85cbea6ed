"""
An account's balances, rebuilt from its single charges and movements alone.

The history is replayed in the order of the account's facts, as Redis decided them: what a hold
takes, what an ending gives back (debt first), what a grant adds (debt first), what a clawback
leaves as debt. What comes out must be what is stored, fact by fact where a balance was written
down, pool by pool and lot by lot at the end. Pure: rows in, sentences out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.allocation import read_allocation
from ledger.books import ChargeState
from ledger.database import Connection, Queries
from ledger.findings import Finding

_SQL = Queries("account_history")

POOL_TOTALS = (
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
"""What is rebuilt of a pool."""


@dataclass(slots=True)
class History:
    """The rows of one account, of which no charge was dropped by retention."""

    account: Mapping[str, Any]
    pools: Sequence[Mapping[str, Any]]
    grants: Sequence[Mapping[str, Any]]
    charges: Sequence[Mapping[str, Any]]
    movements: Sequence[Mapping[str, Any]]
    overtaken: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class _Pool:
    """A pool as it comes out of the history."""

    totals: Counter[str] = field(default_factory=Counter)
    entered: Counter[int] = field(default_factory=Counter)
    """Lot -> what a grant put into it, without what went to debt."""
    ordered: Counter[int] = field(default_factory=Counter)
    """Lot -> what the grant was when it entered; the rest was clawed back before."""
    used: Counter[int] = field(default_factory=Counter)
    """Lot -> what was taken from it for good."""
    lots_known: bool = True

    @property
    def balance(self) -> int:
        return self.totals["remaining"] - self.totals["debt"]

    def pay_debt(self, amount: int) -> int:
        """Put in an amount, debt first; return what went to debt."""
        paid = min(self.totals["debt"], amount)
        self.totals["debt"] -= paid
        self.totals["remaining"] += amount - paid
        return paid


@dataclass(frozen=True, slots=True)
class _Step:
    """One fact of the account: its number, its pool, and the balance written down, if it was."""

    aseq: int
    credit_type: int
    what: str
    row: Mapping[str, Any]
    balance: int | None


async def check(connection: Connection, account_ids: Sequence[int]) -> list[Finding]:
    """Rebuild these accounts and say where what is stored differs; one snapshot is the caller's."""
    found: list[Finding] = []
    own: dict[str, defaultdict[int, list[Mapping[str, Any]]]] = {}
    for name in ("pools", "grants", "charges", "movements", "overtaken"):
        own[name] = defaultdict(list)
        for row in await connection.fetch(getattr(_SQL, name), list(account_ids)):
            own[name][row["account_id"]].append(row)
    for account in await connection.fetch(_SQL.account, list(account_ids)):
        rows = {name: of_account[account["id"]] for name, of_account in own.items()}
        found += [
            Finding("account-history", account["id"], detail)
            for detail in differences(History(account, **rows))
        ]
    return found


def differences(history: History) -> list[str]:
    """Replay a history and say what is stored otherwise; at most one thing of each fact."""
    if _too_old(history):
        return []
    steps = sorted(_steps(history), key=lambda step: step.aseq)
    found = _gaps(history, steps)
    pools: dict[int, _Pool] = {row["credit_type_id"]: _Pool() for row in history.pools}
    for step in steps:
        pool = pools.setdefault(step.credit_type, _Pool())
        _take(pool, step)
        if step.balance is not None and step.balance != pool.balance:
            found.append(
                f"fact {step.aseq} leaves a balance of {pool.balance}, {step.balance} is stored"
            )
    _whole_captures(history, pools)
    for row in history.pools:
        pool = pools[row["credit_type_id"]]
        found += [
            f"pool {row['credit_type_id']}: {name} is {row[name]}, not {pool.totals[name]}"
            for name in POOL_TOTALS
            if row[name] != pool.totals[name]
        ]
    for grant in history.grants:
        pool = pools.setdefault(grant["credit_type_id"], _Pool())
        found += _lot(pool, grant)
    return found


def _too_old(history: History) -> bool:
    """Whether a charge was collected late before the release that keeps how it had expired."""
    kept = {row["charge_id"] for row in history.overtaken}
    return any(
        row["state"] == ChargeState.LATE
        and row["opened_aseq"] != row["closed_aseq"]
        and row["id"] not in kept
        for row in history.charges
    )


def _steps(history: History) -> Iterable[_Step]:
    for row in history.movements:
        yield _Step(row["aseq"], row["credit_type_id"], "moved", row, row["balance_after"])
    types = {row["id"]: row for row in history.charges}
    for row in history.overtaken:
        charge = types.get(row["charge_id"])
        if charge is not None:
            yield _Step(
                row["aseq"], charge["credit_type_id"], "overtaken", charge, row["balance_after"]
            )
    for row in history.charges:
        opened, closed = row["opened_aseq"], row["closed_aseq"]
        late = row["state"] == ChargeState.LATE
        if opened is not None and not (late and opened == closed):
            # Its balance is overwritten by that of an ending, unless that moved none.
            balance = row["balance_after"] if closed is None else None
            yield _Step(opened, row["credit_type_id"], "held", row, balance)
        if closed is not None:
            what = "late" if late else "ended"
            yield _Step(closed, row["credit_type_id"], what, row, row["balance_after"])


def _gaps(history: History, steps: Sequence[_Step]) -> list[str]:
    """I2: numbers without gap or repeat; controls that move no balance left nothing but theirs."""
    account = history.account
    moved = sum(row["cseq"] is not None for row in history.movements)
    silent = account["cseq_applied"] - moved
    numbers = {step.aseq for step in steps}
    found = []
    if len(numbers) != len(steps):
        twice = sorted(n for n, times in Counter(step.aseq for step in steps).items() if times > 1)
        found.append(f"fact {twice[0]} is there more than once")
    if len(steps) + silent != account["aseq"]:
        found.append(
            f"{len(steps) + silent} facts are accounted for, the last is {account['aseq']}"
        )
    if numbers and not 1 <= min(numbers) <= max(numbers) <= account["aseq"]:
        found.append(f"fact {max(numbers)} is after the last, {account['aseq']}")
    return found


def _take(pool: _Pool, step: _Step) -> None:
    row, totals = step.row, pool.totals
    match step.what:
        case "held":
            totals["remaining"] -= row["held"]
            totals["held"] += row["held"]
        case "ended":
            totals["held"] -= row["held"]
            totals["captured"] += row["captured"]
            paid = pool.pay_debt(row["held"] - row["captured"])
            _use(pool, row, row["captured"] + paid)
        case "overtaken":
            totals["held"] -= row["held"]
            if pool.pay_debt(row["held"]):
                pool.lots_known = False  # which lots paid is no longer written anywhere
        case "late":
            totals["remaining"] -= row["captured"]
            totals["captured"] += row["captured"]
            totals["written_off"] += row["written_off"] or 0
            _use(pool, row, row["captured"])
        case _:
            _move(pool, row)


def _move(pool: _Pool, row: Mapping[str, Any]) -> None:
    totals, amount, lot = pool.totals, row["amount"], row["grant_id"]
    if row["kind"] == "expiry":
        totals["remaining"] += amount
        totals["expired"] -= amount
    elif amount > 0:
        totals["refunded" if row["kind"] == "refund" else "granted"] += amount
        paid = pool.pay_debt(amount)
        pool.entered[lot] += amount - paid
        pool.ordered[lot] += amount
    else:
        taken = min(totals["remaining"], -amount)
        totals["remaining"] -= taken
        totals["debt"] += -amount - taken
        totals["clawed"] -= amount


def _use(pool: _Pool, row: Mapping[str, Any], amount: int) -> None:
    """Take an amount from the lots of a charge, those that burn first."""
    for part in read_allocation(row["allocation"]):
        used = min(part.amount, amount)
        pool.used[part.lot] += used
        amount -= used


def _whole_captures(history: History, pools: dict[int, _Pool]) -> None:
    """Book what was captured whole: it has no number, since it moves no balance."""
    for row in history.charges:
        if row["state"] == ChargeState.CAPTURED and row["closed_aseq"] is None:
            pool = pools.setdefault(row["credit_type_id"], _Pool())
            pool.totals["held"] -= row["held"]
            pool.totals["captured"] += row["captured"]
            _use(pool, row, row["captured"])


def _lot(pool: _Pool, grant: Mapping[str, Any]) -> list[str]:
    """I3 by lot: what entered, and is neither used, taken back nor expired, is there or held."""
    if not pool.lots_known:
        return []
    lot = grant["id"]
    clawed = grant["clawed"]
    if lot in pool.ordered:
        clawed -= grant["amount"] - pool.ordered[lot]
    elif grant["remaining"] + grant["held"] + grant["expired"] == 0:
        return []  # it never entered
    left = pool.entered[lot] - pool.used[lot] - clawed - grant["expired"]
    if left == grant["remaining"] + grant["held"]:
        return []
    return [
        f"lot {lot} has {grant['remaining']} and {grant['held']} held, its history leaves {left}"
    ]
