"""
Redis, played: what the scripts would write for one account, one fact per call.

A model of an account's pools (lots in burn order, give-back, debt, expiry, controls) that
shares no code with the fold, so that the two can be held against each other.
"""

from dataclasses import dataclass, field

from ledger.facts import (
    NEVER,
    Allocated,
    Control,
    ControlFact,
    HoldFact,
    LateFact,
    LotAmount,
    LotExpired,
    SettleFact,
    WholeCapture,
)

LIVE_LOTS = 32


@dataclass
class PlayedPool:
    debt: int = 0
    lots: dict[int, list[int]] = field(default_factory=dict)  # id -> priority, expiry, remaining

    @property
    def balance(self) -> int:
        return sum(lot[2] for lot in self.lots.values()) - self.debt

    def order(self) -> list[int]:
        return sorted(self.lots, key=lambda lot: (*self.lots[lot][:2], lot))


class Player:
    """One account in Redis."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.aseq = 0
        self.cseq = 0
        self.frozen = False
        self.pools: dict[int, PlayedPool] = {}
        self.holds: dict[bytes, HoldFact] = {}

    def pool(self, credit_type: int) -> PlayedPool:
        return self.pools.setdefault(credit_type, PlayedPool())

    def hold(
        self,
        hold_id: bytes,
        price: int,
        credit_type: int = 1,
        *,
        rule: int = 0,
        detail: bytes = b"",
    ) -> HoldFact:
        pool = self.pool(credit_type)
        fact = HoldFact(
            hold_id=hold_id,
            account=self.account,
            key=1,
            credit_type=credit_type,
            price=price,
            version=1,
            rule=rule,
            deadline_ms=4_000_000_000_000,
            allocation=self._take(pool, price),
            aseq=self._next(),
            balance=pool.balance,
            detail=detail,
        )
        self.holds[hold_id] = fact
        return fact

    def settle(
        self, hold_id: bytes, captured: int, reason: int = 1, status: int = 200, detail: bytes = b""
    ) -> SettleFact | WholeCapture:
        held = self.holds.pop(hold_id)
        if captured == held.price:
            return WholeCapture(hold_id, reason, status, detail)
        pool = self.pool(held.credit_type)
        back = held.price - captured
        paid = min(pool.debt, back)
        pool.debt -= paid
        back -= paid
        given = []
        for lot, priority, expiry, amount in reversed(held.allocation):
            part = min(amount, back)
            if part:
                pool.lots.setdefault(lot, [priority, expiry, 0])[2] += part
                given.append(LotAmount(lot, part))
                back -= part
        return SettleFact(
            hold_id=hold_id,
            outcome="c" if reason < 20 else "v" if reason < 40 else "x",
            captured=captured,
            reason=reason,
            status=status,
            account=self.account,
            credit_type=held.credit_type,
            aseq=self._next(),
            balance=pool.balance,
            debt_paid=paid,
            given_back=tuple(given),
            detail=detail,
        )

    def late(self, hold_id: bytes, amount: int, credit_type: int = 1) -> LateFact:
        pool = self.pool(credit_type)
        taken = max(min(amount, pool.balance), 0)
        return LateFact(
            hold_id=hold_id,
            account=self.account,
            key=1,
            credit_type=credit_type,
            taken=taken,
            written_off=amount - taken,
            version=1,
            rule=0,
            reason=42,
            status=200,
            allocation=self._take(pool, taken),
            aseq=self._next(),
            balance=pool.balance,
        )

    def expire_lot(self, lot: int, credit_type: int = 1) -> LotExpired:
        pool = self.pool(credit_type)
        amount, pool.lots[lot][2] = pool.lots[lot][2], 0
        return LotExpired(self.account, credit_type, lot, amount, self._next(), pool.balance)

    def control(self, line: bytes) -> ControlFact:
        control = Control.unpack(line)
        assert control.cseq == self.cseq + 1
        self.cseq = control.cseq
        if control.kind in "ge":
            return self._grant(control)
        if control.kind == "w":
            return self._claw_back(control)
        if control.kind == "f":
            self.frozen = bool(control.flags)
        return ControlFact(self.account, control, self._next(), 0, "a")

    def _grant(self, control: Control) -> ControlFact:
        pool = self.pool(control.credit_type)
        paid = min(pool.debt, control.amount)
        rest = control.amount - paid
        if rest and sum(lot[2] > 0 for lot in pool.lots.values()) >= LIVE_LOTS:
            return ControlFact(self.account, control, self._next(), pool.balance, "q")
        pool.debt -= paid
        if rest:
            pool.lots[control.object_id] = [control.priority, control.expiry_ms, rest]
        return ControlFact(self.account, control, self._next(), pool.balance, "a", debt_paid=paid)

    def _claw_back(self, control: Control) -> ControlFact:
        pool = self.pool(control.credit_type)
        left, taken = control.amount, []
        for lot in sorted(pool.order(), key=lambda lot: lot != control.object_id):
            part = min(left, pool.lots[lot][2])
            if part:
                pool.lots[lot][2] -= part
                left -= part
                taken.append(LotAmount(lot, part))
        pool.debt += left
        return ControlFact(
            self.account,
            control,
            self._next(),
            pool.balance,
            "a",
            debt_added=left,
            taken=tuple(taken),
        )

    def _take(self, pool: PlayedPool, amount: int) -> tuple[Allocated, ...]:
        allocation = []
        for lot in pool.order():
            part = min(amount, pool.lots[lot][2])
            if part:
                pool.lots[lot][2] -= part
                amount -= part
                allocation.append(Allocated(lot, *pool.lots[lot][:2], part))
        assert amount == 0, "the script would have refused this"
        return tuple(allocation)

    def _next(self) -> int:
        self.aseq += 1
        return self.aseq


__all__ = ["LIVE_LOTS", "NEVER", "PlayedPool", "Player"]
