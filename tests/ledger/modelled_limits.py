"""What limits should do, in plain Python: a part of the model of one shard."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ledger.facts import Control, HoldFact
from ledger.limits import Limit, Loan, Tally, tally_field, window_number
from ledger.lines import CAPPED
from tests.ledger.tick_lines import HoldLine, LateLine

A_DAY = timedelta(days=1)
LASTING = "QACc"
Tallies = dict[bytes, dict[bytes, Tally]]


class Key(Protocol):
    number: int
    scopes: int
    tat_us: int


@dataclass(frozen=True)
class Cap:
    """A key's cap, and where what it counts stands."""

    id: bytes
    most: int


class ModelledLimits:
    """The limits of one epoch, and what open holds must give back to them."""

    def __init__(self) -> None:
        self.tallies: Tallies = {}
        self.lent: dict[bytes, list[Loan]] = {}

    def refusal(self, line: HoldLine, tat_us: int, now: int) -> str:
        """The answer of the limit that keeps it longest; empty if all let it pass."""
        waits = [(self._wait(line, _own(line), tat_us, now), 0)] if line.rate[0] else []
        for number, limit in enumerate(line.limits or (), 1):
            waits.append((self._wait(line, limit, self._value(line, limit, now), now), number))
        longest, number = max(waits, key=lambda wait: (wait[0], -wait[1]), default=(0, 0))
        if longest <= 0:
            return ""
        return f"LIMITED {longest}" + ("" if line.limits is None else f" {number}")

    def allowance(self, line: HoldLine, now: int) -> Limit | None:
        """The first allowance with room for it; what costs nothing needs none."""
        for limit in (line.limits or ()) if line.ceiling else ():
            if limit.kind == "A" and self._value(line, limit, now) + line.weight <= limit.most:
                return limit
        return None

    def capped(self, key: Key, line: HoldLine, price: int, now: int) -> str:
        """The answer of the cap that lasts longest; empty if all leave room."""
        full = [
            cap.id
            for cap in self._caps(key, line.credit_type)
            if price and self._used(_of_key(key), cap.id, now) + price > cap.most
        ]
        if not full:
            return ""
        total = [cap for cap in full if cap[1] == 0]
        ends = {cap[1]: _ends(cap[1], now) - now for cap in full if cap[1]}
        which = 0 if total else max(ends, key=lambda per: (ends[per], -per))
        return f"CAPPED {0 if total else ends[which]} {line.credit_type} {which}"

    def use(self, key: Key, line: HoldLine, price: int, now: int) -> tuple[int, list[Loan]]:
        """Count one that passes; give the key's own rate, and what is lasting of its loans."""
        loans, lasting = [], []
        allowance = None if line.only_check else self.allowance(line, now)
        for limit in line.limits or ():
            value, field = self._value(line, limit, now), _field(line, limit)
            if limit.kind == "R":
                count = max(value, now * 1000) + line.weight * limit.most
                self._put(field, limit.id, "R", count, now)
            elif limit.kind == "F" and not line.only_check:
                self._put(field, limit.id, "F", value + 1, now)
                loans.append(Loan(limit.whose, limit.route, limit.id, "F", 0, 1))
            elif not line.only_check and (limit.kind == "Q" or limit is allowance):
                self._put(field, limit.id, limit.kind, value + line.weight, now)
                number = window_number(limit.id, now)
                loan = Loan(limit.whose, limit.route, limit.id, limit.kind, number, line.weight)
                lasting.append(loan)
        if price and not line.only_check:
            lasting += self._spend(key, line.credit_type, price, now)
        if loans or lasting:
            self.lent[line.hold_id] = loans + lasting
        rate = line.rate[0]
        tat = max(key.tat_us, now * 1000) + line.weight * rate if rate else key.tat_us
        return tat, lasting

    def spend_late(self, key: Key, line: LateLine, taken: int, now: int) -> list[Loan]:
        """Count against the caps what was collected after its hold had expired."""
        return self._spend(key, line.credit_type, taken, now)

    def standing(self, line: HoldLine, tat_us: int, now: int) -> str:
        """What is left of each, and when all of it is back."""
        if line.limits is None:
            return ""
        told = [_of_rate(_own(line), tat_us, now)] if line.rate[0] else []
        for limit in line.limits:
            value = self._value(line, limit, now)
            if limit.kind == "R":
                told.append(_of_rate(limit, value, now))
            elif limit.kind != "A":
                reset = -(-(_ends(limit.id[1], now) - now) // 1000) if limit.kind == "Q" else 0
                told.append((max(limit.most - value, 0), reset))
        return "".join(f" {left} {reset}" for left, reset in told)

    def give_back(self, hold: HoldFact, outcome: str, captured: int, now: int) -> list[Loan]:
        """A hold has ended; what failed gives all of it back, what was captured what it did not spend."""
        lasting = []
        for loan in self.lent.pop(hold.hold_id, []):
            owner = {"k": hold.key, "a": hold.account, "e": 0}[loan.whose]
            field = tally_field(loan.whose, owner, loan.route)  # type: ignore[arg-type]
            back = loan.amount
            if outcome == "c" and loan.kind != "F":
                back = loan.amount - captured if loan.kind == "C" else 0
            tally = self.tallies.get(field, {}).get(loan.id)
            if back and tally is not None and tally.window == loan.window:
                self.tallies[field][loan.id] = tally._replace(value=max(tally.value - back, 0))
            if back and loan.kind != "F":
                lasting.append(loan._replace(amount=back))
        return lasting

    def set_cap(self, control: Control, now: int) -> int:
        """Set or lift a cap; give the key's flag."""
        field = tally_field("k", control.object_id)
        cap = b"c" + bytes((control.priority, control.credit_type, 0))
        if control.flags:
            self._put(field, cap, "c", control.amount, now)
        elif cap in self.tallies.get(field, {}):
            del self.tallies[field][cap]
        known = self.tallies.get(field, {}).values()
        return CAPPED if any(one.kind == "c" for one in known) else 0

    def set_spent(self, control: Control, now: int) -> None:
        """Begin with what a key had spent, if that window is not over."""
        if now < control.expiry_ms:
            limit = b"C" + bytes((control.priority, control.credit_type, 0))
            self._put(tally_field("k", control.object_id), limit, "C", control.amount, now)

    def lasting(self, before: Tallies) -> Tallies:
        """What Postgres has of it, with what it had of those who were not loaded."""
        kept = {field: dict(known) for field, known in before.items()}
        for field, known in self.tallies.items():
            kept[field] = {one.id: one for one in known.values() if one.kind in LASTING}
        return {field: known for field, known in kept.items() if known}

    def _spend(self, key: Key, credit_type: int, units: int, now: int) -> list[Loan]:
        loans = []
        for cap in self._caps(key, credit_type):
            field = _of_key(key)
            self._put(field, cap.id, "C", self._used(field, cap.id, now) + units, now)
            loans.append(Loan("k", bytes(4), cap.id, "C", window_number(cap.id, now), units))
        return loans

    def _caps(self, key: Key, credit_type: int) -> list[Cap]:
        if not key.scopes & CAPPED:
            return []
        known = self.tallies.get(_of_key(key), {}).values()
        caps = [one for one in known if one.kind == "c" and one.id[2] == credit_type]
        return [Cap(b"C" + one.id[1:], one.value) for one in sorted(caps)]

    def _wait(self, line: HoldLine, limit: Limit, value: int, now: int) -> int:
        weight = line.weight
        match limit.kind:
            case "F":
                return 1000 if value >= limit.most else 0
            case "Q":
                return _ends(limit.id[1], now) - now if value + weight > limit.most else 0
            case "A":
                return 0
        return -(-(value + (weight - 1) * limit.most - limit.burst - now * 1000) // 1000)

    def _value(self, line: HoldLine, limit: Limit, now: int) -> int:
        return self._used(_field(line, limit), limit.id, now)

    def _used(self, field: bytes, limit: bytes, now: int) -> int:
        tally = self.tallies.get(field, {}).get(limit)
        if tally is None or (tally.kind in "QAC" and tally.window != window_number(limit, now)):
            return 0
        return tally.value

    def _put(self, field: bytes, limit: bytes, kind: str, value: int, now: int) -> None:
        window = window_number(limit, now) if kind in "QAC" else 0
        if limit not in self.tallies.setdefault(field, {}):
            self._forget(field, now)
        self.tallies[field][limit] = Tally(limit, kind, window, value)

    def _forget(self, field: bytes, now: int) -> None:
        """What counts nothing any more goes when a new one comes."""

        def counts(one: Tally) -> bool:
            if one.kind in "QAC":
                return one.value > 0 and one.window == window_number(one.id, now)
            return one.kind == "c" or one.value > (now * 1000 if one.kind == "R" else 0)

        self.tallies[field] = {one.id: one for one in self.tallies[field].values() if counts(one)}


def _own(line: HoldLine) -> Limit:
    return Limit("k", bytes(4), b"own.", "R", *line.rate)


def _of_key(key: Key) -> bytes:
    return tally_field("k", key.number)


def _field(line: HoldLine, limit: Limit) -> bytes:
    owner = {"k": line.key, "a": line.account, "e": 0}[limit.whose]
    return tally_field(limit.whose, owner, limit.route)


def _of_rate(limit: Limit, tat_us: int, now: int) -> tuple[int, int]:
    ahead = max(tat_us - now * 1000, 0)
    left = (limit.burst + limit.most - ahead) // limit.most
    return max(left, 0), -(-ahead // 1_000_000)


def _ends(per: int, now: int) -> int:
    """When the day (1) or month (2) ends, in milliseconds."""
    day = datetime.fromtimestamp(now // 1000, UTC).replace(hour=0, minute=0, second=0) + A_DAY
    while per == 2 and day.day != 1:
        day += A_DAY
    return int(day.timestamp()) * 1000
