"""The lines of a tick as values, and as the gateway would send them."""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.claims import Claim, There
from ledger.limits import Limit, limits_block
from ledger.lines import (
    Rate,
    hold_line,
    late_line,
    observed_line,
    renew_line,
    settle_line,
)
from ledger.reach_bytes import reaches_block


@dataclass(frozen=True)
class Within:
    """Which reaches have the line's route, as far as its gateway knows them."""

    highest: int
    having: frozenset[int]

    @property
    def block(self) -> bytes:
        return reaches_block(self.highest, self.having)


@dataclass(frozen=True)
class HoldLine:
    """A hold or check line as values; `rate` is interval and burst in microseconds."""

    hold_id: bytes
    account: int
    key: int
    credit_type: int
    ceiling: int
    deadline_ms: int
    scope: int = 1
    rate: tuple[int, int] = (0, 0)
    only_check: bool = False
    limits: tuple[Limit, ...] | None = None
    weight: int = 1
    reaches: Within | None = None
    plan: int | None = None
    claim: tuple[Claim, There] | None = None


@dataclass(frozen=True)
class SettleLine:
    hold_id: bytes
    captured: int
    reason: int


@dataclass(frozen=True)
class LateLine:
    hold_id: bytes
    account: int
    key: int
    credit_type: int
    amount: int
    reaches: Within | None = None
    claim: tuple[Claim, There] | None = None


@dataclass(frozen=True)
class RenewLine:
    hold_id: bytes
    deadline_ms: int


@dataclass(frozen=True)
class ObservedLine:
    hold_id: bytes
    credit_type: int
    amount: int


Line = HoldLine | SettleLine | LateLine | RenewLine | ObservedLine


def claims_of(lines: Iterable[Line]) -> list[Claim]:
    """What lines claim, in their order: their keys go along."""
    return [line.claim[0] for line in lines if isinstance(line, HoldLine | LateLine) and line.claim]


def _block(claim: tuple[Claim, There] | None) -> bytes:
    return b"" if claim is None else claim[1].block(claim[0])


def packed(line: Line) -> bytes:
    """The line as the gateway would send it."""
    match line:
        case HoldLine():
            return hold_line(
                line.hold_id,
                account=line.account,
                key=line.key,
                credit_type=line.credit_type,
                ceiling=line.ceiling,
                version=1,
                rule=2,
                deadline_ms=line.deadline_ms,
                scope=line.scope,
                rate=Rate(*line.rate),
                limits=b"" if line.limits is None else limits_block(line.limits, line.weight),
                reaches=b"" if line.reaches is None else line.reaches.block,
                plan=line.plan,
                claim=_block(line.claim),
                only_check=line.only_check,
            )
        case SettleLine():
            return settle_line(line.hold_id, line.captured, line.reason, 200)
        case LateLine():
            return late_line(
                line.hold_id,
                account=line.account,
                key=line.key,
                credit_type=line.credit_type,
                amount=line.amount,
                version=1,
                rule=2,
                reason=1,
                status=200,
                reaches=b"" if line.reaches is None else line.reaches.block,
                claim=_block(line.claim),
            )
        case RenewLine():
            return renew_line(line.hold_id, line.deadline_ms)
        case ObservedLine():
            return observed_line(
                line.hold_id,
                account=0,
                key=0,
                credit_type=line.credit_type,
                amount=line.amount,
                version=1,
                rule=2,
                status=200,
            )
