"""What limits should do, in plain Python: a part of the model of one shard."""

from ledger.limits import Limit, Loan, Tally, tally_field
from tests.ledger.tick_lines import HoldLine


class ModelledLimits:
    """The limits of one epoch, and what open holds must give back to them."""

    def __init__(self) -> None:
        self.tallies: dict[bytes, dict[bytes, Tally]] = {}
        self.lent: dict[bytes, list[Loan]] = {}
        self.lenders: dict[bytes, list[tuple[bytes, bytes]]] = {}

    def refusal(self, line: HoldLine, tat_us: int, now: int) -> str:
        """The answer of the limit that keeps it longest; empty if all let it pass."""
        waits = [(self._wait(_own(line), tat_us, line.weight, now), 0)] if line.rate[0] else []
        for number, limit in enumerate(line.limits or (), 1):
            waits.append((self._wait(limit, self._value(line, limit), line.weight, now), number))
        longest, number = max(waits, key=lambda wait: (wait[0], -wait[1]), default=(0, 0))
        if longest <= 0:
            return ""
        return f"LIMITED {longest}" + ("" if line.limits is None else f" {number}")

    def use(self, line: HoldLine, tat_us: int, now: int) -> int:
        """Count one that passes; give the key's own rate."""
        for limit in line.limits or ():
            value = self._value(line, limit)
            if limit.kind == "R":
                self._put(line, limit, max(value, now * 1000) + line.weight * limit.most, now)
            elif not line.only_check:
                self._put(line, limit, value + 1, now)
                loan = Loan(limit.whose, limit.route, limit.id, "F", 1)
                self.lent.setdefault(line.hold_id, []).append(loan)
                lender = (_field(line, limit), limit.id)
                self.lenders.setdefault(line.hold_id, []).append(lender)
        return max(tat_us, now * 1000) + line.weight * line.rate[0] if line.rate[0] else tat_us

    def standing(self, line: HoldLine, tat_us: int, now: int) -> str:
        """What is left of each, and when all of it is back."""
        if line.limits is None:
            return ""
        told = [_of_rate(_own(line), tat_us, now)] if line.rate[0] else []
        for limit in line.limits:
            value = self._value(line, limit)
            told.append(
                _of_rate(limit, value, now)
                if limit.kind == "R"
                else (max(limit.most - value, 0), 0)
            )
        return "".join(f" {left} {reset}" for left, reset in told)

    def give_back(self, hold: bytes, now: int) -> None:
        """A hold has ended, however."""
        self.lent.pop(hold, None)
        for field, limit in self.lenders.pop(hold, []):
            tally = self.tallies[field][limit]
            self.tallies[field][limit] = tally._replace(value=tally.value - 1)
            self._forget(field, now)

    def _wait(self, limit: Limit, value: int, weight: int, now: int) -> int:
        if limit.kind == "F":
            return 1000 if value >= limit.most else 0
        return -(-(value + (weight - 1) * limit.most - limit.burst - now * 1000) // 1000)

    def _value(self, line: HoldLine, limit: Limit) -> int:
        tally = self.tallies.get(_field(line, limit), {}).get(limit.id)
        return tally.value if tally else 0

    def _put(self, line: HoldLine, limit: Limit, value: int, now: int) -> None:
        field = _field(line, limit)
        self.tallies.setdefault(field, {})[limit.id] = Tally(limit.id, limit.kind, 0, value)
        self._forget(field, now)

    def _forget(self, field: bytes, now: int) -> None:
        """What counts nothing any more goes when its neighbour changes."""
        self.tallies[field] = {
            one.id: one
            for one in self.tallies[field].values()
            if one.value > (now * 1000 if one.kind == "R" else 0)
        }


def _own(line: HoldLine) -> Limit:
    return Limit("k", bytes(4), b"own.", "R", *line.rate)


def _field(line: HoldLine, limit: Limit) -> bytes:
    owner = {"k": line.key, "a": line.account, "e": 0}[limit.whose]
    return tally_field(limit.whose, owner, limit.route)


def _of_rate(limit: Limit, tat_us: int, now: int) -> tuple[int, int]:
    ahead = max(tat_us - now * 1000, 0)
    left = (limit.burst + limit.most - ahead) // limit.most
    return max(left, 0), -(-ahead // 1_000_000)
