"""
What the scripts should do, in plain Python: pools, lots, holds, controls, the window.

It knows nothing of packing, chains or Redis. Every call gives the answers and the facts
that the real script must give, word for word.
"""

import copy
from dataclasses import dataclass, field, replace

from ledger.account_record import LIVE_LOTS, Lot
from ledger.claims import Claim
from ledger.facts import (
    MAX_AMOUNT,
    Allocated,
    ClaimFact,
    Control,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotAmount,
    LotExpired,
    ObservedFact,
    SettleFact,
    UseFact,
    WholeCapture,
)
from ledger.ids import minted_us, session_of
from ledger.limits import Loan
from ledger.lines import CAPPED
from ledger.records import ClosedHold, SessionRecord
from tests.ledger.modelled_claims import ModelledClaims
from tests.ledger.modelled_limits import ModelledLimits, Tallies
from tests.ledger.tick_lines import (
    HoldLine,
    LateLine,
    Line,
    ObservedLine,
    RenewLine,
    SettleLine,
    Within,
)

SPARE_FACTS = 100


def usable(lot: Lot, within: Within | None) -> bool:
    """Whether a line may use the lot: it is not limited, or to a reach that has the line's route."""
    return not lot.reach or (within is not None and lot.reach in within.having)


@dataclass
class Pool:
    debt: int = 0
    floor: int = 0
    lots: list[Lot] = field(default_factory=list)

    @property
    def balance(self) -> int:
        return sum(lot.remaining for lot in self.lots) - self.debt

    def filled(self, *, limited: bool) -> int:
        return sum(lot.remaining > 0 for lot in self.lots if (lot.reach > 0) == limited)

    @property
    def is_limited(self) -> bool:
        return any(lot.reach for lot in self.lots)

    def available(self, now: int, within: Within | None = None) -> int:
        """Of what a line may use."""
        live = sum(
            lot.remaining for lot in self.lots if lot.expiry_ms > now and usable(lot, within)
        )
        return live - self.debt - self.floor

    def unknown(self, now: int, within: Within | None) -> bool:
        """Whether something is left in a live lot whose reach the line's gateway does not know."""
        highest = within.highest if within else 0
        return any(
            lot.reach > highest for lot in self.lots if lot.remaining and lot.expiry_ms > now
        )

    def add(self, lot: Lot) -> None:
        if len(self.lots) >= LIVE_LOTS:
            self.lots = [one for one in self.lots if one.remaining]
        self.lots = sorted([*self.lots, lot], key=lambda one: one.burn_order)

    def change(self, number: int, by: int) -> None:
        self.lots = [
            lot._replace(remaining=lot.remaining + by) if lot.lot == number else lot
            for lot in self.lots
        ]

    def has(self, number: int) -> bool:
        return any(lot.lot == number for lot in self.lots)


@dataclass
class Account:
    status: int = 1
    cseq: int = 0
    aseq: int = 0
    pools: dict[int, Pool] = field(default_factory=dict)
    plan: int = 0

    @property
    def is_limited(self) -> bool:
        return any(pool.is_limited for pool in self.pools.values())


@dataclass
class Key:
    number: int
    status: int
    account: int
    scopes: int
    expiry_ms: int
    tat_us: int = 0


@dataclass
class Window:
    window: int
    held: int = 0
    returned: int = 0
    posted: int = 0


class Model:
    """One shard."""

    def __init__(self, now: int, cap: int, windows: dict[int, int]) -> None:
        self.now = now
        self.epoch = 0
        self.cap = cap
        self.windows = {number: Window(units) for number, units in windows.items()}
        self.stored: dict[int, Account] = {}  # what Postgres has: all facts, of all epochs
        self.stored_keys: dict[int, Key] = {}
        self.stored_holds: dict[bytes, HoldFact] = {}
        self.stored_tallies: Tallies = {}
        self.lent_reaches: dict[bytes, dict[int, int]] = {}
        """Hold -> reach of each limited lot it took from; of holds that have ended, too."""
        self.begin()

    def begin(self) -> None:
        """Begin an epoch: everything was posted, nothing is loaded."""
        if self.epoch:
            self.stored |= copy.deepcopy(self.accounts)
            self.stored_tallies = self.limits.lasting(self.stored_tallies)
            self.stored_keys |= copy.deepcopy(self.keys)
            # Of accounts that nobody loaded, but for those that ended here all the same.
            unloaded = {
                i: h
                for i, h in self.stored_holds.items()
                if h.account not in self.accounts and i not in self.holds
            }
            self.stored_holds = unloaded | self.open_holds
        self.epoch += 1
        self.q = self.posted_q = 0
        self.open = len(self.stored_holds)
        for number, window in self.windows.items():
            held = sum(h.price for h in self.stored_holds.values() if h.credit_type == number)
            self.windows[number] = Window(window.window, held)
        self.accounts: dict[int, Account] = {}
        self.keys: dict[int, Key] = {}
        self.sessions: dict[int, SessionRecord] = {}
        self.tokens: dict[int, bytes] = {}  # of accounts that somebody is loading
        self.holds: dict[bytes, HoldFact | ClosedHold] = {}
        self.claims = ModelledClaims()
        self.limits = ModelledLimits()  # rates and what is in flight begin anew with an epoch
        self.entries: list[tuple[int, dict[int, int], list[Fact]]] = []
        self.kept_from = 0  # what ended before this fact is trimmed away
        self.facts: list[Fact] = []

    @property
    def open_holds(self) -> dict[bytes, HoldFact]:
        return {i: hold for i, hold in self.holds.items() if isinstance(hold, HoldFact)}

    @property
    def journal(self) -> list[tuple[int, dict[int, int], list[Fact]]]:
        """The entries that are still there."""
        return [entry for entry in self.entries if entry[0] >= self.kept_from]

    # One call: what it adds to the journal is one entry.

    def tick(self, session: int, lines: list[Line]) -> list[str]:
        self.facts = []
        answers = [self._line(session, line) for line in lines]
        self._end_entry()
        return answers

    def control(self, account: int, controls: list[Control]) -> list[str]:
        self.facts = []
        answers = [self._control(account, control) for control in controls]
        self._end_entry()
        return answers

    def load_begin(self, account: int, token: bytes) -> str:
        if account in self.accounts:
            return "LOADED"
        self.tokens[account] = token
        return "OK"

    def load_limits(self, account: int, epoch: int) -> str:
        """What Postgres has of quotas, allowances and caps; what is there already stays."""
        if epoch != self.epoch:
            return "STALE"
        self.limits.tallies = self.tallies_of(account) | self.limits.tallies
        return "OK"

    def reaches_of(self, account: int) -> dict[int, int]:
        """Of limited lots that the account's holds took from, as Postgres has them."""
        holds = (hold for hold in self.stored_holds.values() if hold.account == account)
        lent = (self.lent_reaches.get(hold.hold_id, {}) for hold in holds)
        return {lot: reach for of_hold in lent for lot, reach in of_hold.items()}

    def tallies_of(self, account: int) -> Tallies:
        """Of the account, its key and everyone."""
        owners = {b"la": account, b"lk": 10 * account, b"le": 0}
        starts = tuple(kind + owner.to_bytes(7, "little") for kind, owner in owners.items())
        return {
            field: dict(known)
            for field, known in self.stored_tallies.items()
            if field.startswith(starts)
        }

    def load_end(self, account: int, token: bytes, epoch: int, pending: list[Control]) -> str:
        """What Postgres has of the account is written, then what was pending is applied."""
        self.facts = []
        if account in self.accounts:
            return "LOADED"
        if self.tokens.get(account) != token:
            return "TOKEN"
        if epoch != self.epoch:
            return "STALE"
        record = copy.deepcopy(self.stored.get(account, Account()))
        for pool in record.pools.values():
            pool.lots = [lot for lot in pool.lots if lot.remaining]
        if pending and pending[0].cseq > record.cseq + 1:
            return "CORRUPT"
        self.accounts[account] = record
        self.keys |= {
            number: copy.deepcopy(key)
            for number, key in self.stored_keys.items()
            if key.account == account
        }
        # What this epoch knows of a hold is newer than what Postgres has.
        self.holds = {
            i: hold for i, hold in self.stored_holds.items() if hold.account == account
        } | self.holds
        for control in pending:
            self._control(account, control)
        self._end_entry()
        del self.tokens[account]
        return "LOADED"

    def unload(self, account: int) -> str:
        """Postgres has all that happened to the account; nothing is lost but speed."""
        if account in self.accounts:
            self.stored[account] = self.accounts.pop(account)
            gone = {n: key for n, key in self.keys.items() if key.account == account}
            self.stored_keys |= gone
            self.keys = {n: key for n, key in self.keys.items() if n not in gone}
            self.stored_holds = {
                i: hold for i, hold in self.stored_holds.items() if hold.account != account
            } | {i: hold for i, hold in self.open_holds.items() if hold.account == account}
        return "OK"

    def block(self, account: int) -> str:
        if account not in self.accounts:
            return "NOTLOADED"
        self.accounts[account].status = 2
        return "OK"

    def expire_lots(self, number: int) -> str:
        self.facts = []
        account = self.accounts.get(number)
        if account is None:
            return "NOTLOADED"
        for credit_type in account.pools:
            self._expire(number, account, credit_type)
        self._end_entry()
        return "OK"

    def open_session(self, session: int) -> str:
        if session in self.sessions:
            return "KNOWN"
        self.sessions[session] = SessionRecord(0, self.now)
        return "OK"

    def drop_session(self, session: int, read: SessionRecord) -> str:
        known = self.sessions.get(session)
        if known is not None and known != read:
            return "CHANGED"
        self.sessions.pop(session, None)
        return "OK"

    def dials(self, cap: int, windows: dict[int, int]) -> str:
        self.cap = cap
        for number, units in windows.items():
            self.windows.setdefault(number, Window(units)).window = units
        return "OK"

    def ack(self, last_q: int, ids: list[bytes], keep: int) -> str:
        """An acknowledgement of this position, by someone who knows its chain."""
        returned = {entry[0]: entry[1] for entry in self.journal}.get(last_q)
        if returned is None:
            return "OLD"
        for number, units in returned.items():
            window = self.windows[number]
            window.posted = max(window.posted, units)
        self.posted_q = max(self.posted_q, last_q)
        for hold in ids:
            if isinstance(self.holds.get(hold), ClosedHold):
                del self.holds[hold]
                self.stored_holds.pop(hold, None)  # Postgres had closed it, else it were not named
        self.kept_from = max(self.kept_from, last_q - keep)
        return "OK"

    def _end_entry(self) -> None:
        if self.facts:
            self.q += len(self.facts)
            returned = {number: window.returned for number, window in self.windows.items()}
            self.entries.append((self.q, returned, list(self.facts)))

    def _line(self, session: int, line: Line) -> str:
        match line:
            case HoldLine():
                return self._hold(session, line)
            case SettleLine():
                return self._settle(line)
            case LateLine():
                return self._late(line)
            case RenewLine():
                return self._renew(line)
            case ObservedLine():
                if self._room() < SPARE_FACTS:
                    return "BUSY"
                self.facts.append(
                    ObservedFact(line.hold_id, 0, 0, line.credit_type, line.amount, 1, 2, 200)
                )
                return "OK"

    def _room(self) -> int:
        """Facts that fit beside the two that every open hold may still need."""
        return self.cap - 2 * self.open - (self.q + len(self.facts) - self.posted_q)

    def _hold(self, session: int, line: HoldLine) -> str:
        if not line.only_check:
            if session_of(line.hold_id) != session or session == 0:
                return "BADLINE"
            if session not in self.sessions:
                return "NEWID"
            if minted_us(line.hold_id) <= self.sessions[session].highest:
                known = self.holds.get(line.hold_id)
                if not isinstance(known, HoldFact):
                    return "GONE"
                named = self.accounts.get(line.account)
                pool = named.pools.get(line.credit_type) if named else None
                word = "HELD" if known.price else "FREE"
                if named and pool and named.is_limited:
                    return f"{word} {pool.available(self.now, line.reaches)}"
                return f"{word} {known.balance - (pool.floor if pool else 0)}"
        account = self.accounts.get(line.account)
        if account is None:
            return "NOACCOUNT"
        if account.status != 1:
            return "BLOCKED"
        key = self.keys.get(line.key)
        if (
            key is None
            or key.account != line.account
            or key.status != 1
            or key.expiry_ms <= self.now
        ):
            return "BADKEY"
        if key.scopes & line.scope != line.scope:
            return "SCOPE"
        if line.plan not in (None, account.plan):
            return f"PLAN {account.plan}"
        if line.claim and (refusal := self.claims.kept_by(line.claim, line.hold_id, self.holds)):
            return refusal
        if refusal := self.limits.refusal(line, key.tat_us, self.now):
            return refusal
        window = self.windows.get(line.credit_type)
        if window is None:
            return "NOTYPE"
        pool = account.pools.get(line.credit_type)
        if pool and pool.unknown(self.now, line.reaches):
            return "NEWREACH"
        available = pool.available(self.now, line.reaches) if pool else 0
        free = not line.only_check and self.limits.allowance(line, self.now) is not None
        price = 0 if free else line.ceiling
        if not line.only_check:
            if refusal := self.limits.capped(key, line, price, self.now):
                return refusal
            if price and available < price:
                return f"INSUFFICIENT {available}{self._standing(line, key)}"
            if price > window.window:
                return f"TOOLARGE {window.window}"
            used = window.held - window.posted + price
            if used > window.window or self._room() < SPARE_FACTS:
                return "BUSY"
        key.tat_us, uses = self.limits.use(key, line, price, self.now)
        if line.only_check:
            return f"PASS {available}{self._standing(line, key)}"
        allocation: tuple[Allocated, ...] = ()
        if pool is not None:
            self._expire(line.account, account, line.credit_type)
            allocation = self._take(pool, price, line.reaches)
            self._lend_reaches(line.hold_id, pool, allocation)
        window.held += price
        self.open += 1
        self.sessions[session] = SessionRecord(minted_us(line.hold_id), self.now)
        account.aseq += 1
        fact = HoldFact(
            line.hold_id,
            line.account,
            line.key,
            line.credit_type,
            price,
            1,
            2,
            line.deadline_ms,
            account.aseq,
            pool.balance if pool else 0,
            allocation,
        )
        self.facts.append(fact)
        self.holds[line.hold_id] = fact
        self._say_used(line.hold_id, line.account, line.key, back=False, uses=uses)
        if line.claim:
            self._claim(line.claim[0], line.hold_id, late=False)
        word = "HELD" if price else "FREE"
        return f"{word} {available - price}{self._standing(line, key)}"

    def _say_used(
        self, hold: bytes, account: int, key: int, *, back: bool, uses: list[Loan]
    ) -> None:
        if uses:
            self.facts.append(UseFact(hold, account, key, back, tuple(uses)))

    def _claim(self, claim: Claim, hold: bytes, *, late: bool) -> None:
        self.claims.take(claim, hold, late=late)
        self.facts.append(ClaimFact(hold, claim.account, claim.key_hash, claim.fingerprint))

    def _standing(self, line: HoldLine, key: Key) -> str:
        return self.limits.standing(line, key.tat_us, self.now)

    def _lend_reaches(self, hold: bytes, pool: Pool, allocation: tuple[Allocated, ...]) -> None:
        """Remember what a hold took from limited lots: it comes back to the same, even if they go."""
        reaches = {lot.lot: lot.reach for lot in pool.lots if lot.reach}
        lent = {part.lot: reaches[part.lot] for part in allocation if part.lot in reaches}
        if lent:
            self.lent_reaches[hold] = lent

    def _take(self, pool: Pool, amount: int, within: Within | None) -> tuple[Allocated, ...]:
        parts = []
        for lot in pool.lots:
            live = lot.expiry_ms > self.now and usable(lot, within)
            part = min(amount, lot.remaining) if live else 0
            if part:
                amount -= part
                parts.append(Allocated(lot.lot, lot.priority, lot.expiry_ms, part))
                pool.change(lot.lot, -part)
        return tuple(parts)

    def _expire(self, number: int, account: Account, credit_type: int, spared: int = 0) -> None:
        pool = account.pools[credit_type]
        for lot in pool.lots:
            if lot.remaining and lot.expiry_ms <= self.now and lot.lot != spared:
                pool.change(lot.lot, -lot.remaining)
                account.aseq += 1
                self.facts.append(
                    LotExpired(
                        number, credit_type, lot.lot, lot.remaining, account.aseq, pool.balance
                    )
                )

    def _settle(self, line: SettleLine) -> str:
        outcome = "c" if line.reason < 20 else "x" if line.reason == 40 else "v"
        if outcome != "c" and line.captured:
            return "BADLINE"
        known = self.holds.get(line.hold_id)
        if known is None:
            return "NOHOLD"
        if isinstance(known, ClosedHold):
            if known.outcome == "x" and line.captured:
                return "EXPIRED"
            return f"DONE {known.outcome} {known.captured}"
        if line.captured > known.price:
            return f"TOOMUCH {known.price}"
        if outcome == "x" and known.deadline_ms > self.now:
            return "EARLY"
        return self._close(known, outcome, line.captured, line.reason)

    def _close(self, hold: HoldFact, outcome: str, captured: int, reason: int) -> str:
        if captured == hold.price and outcome == "c":
            self.facts.append(WholeCapture(hold.hold_id, reason, 200))
        else:
            account = self.accounts.get(hold.account)
            if account is None:
                return "NOACCOUNT"
            pool = account.pools.setdefault(hold.credit_type, Pool())
            paid = min(pool.debt, hold.price - captured)
            pool.debt -= paid
            rest = hold.price - captured - paid
            given = []
            for part in reversed(hold.allocation):
                back = min(rest, part.amount)
                if back:
                    if pool.has(part.lot):
                        pool.change(part.lot, back)
                    else:
                        reach = self.lent_reaches.get(hold.hold_id, {}).get(part.lot, 0)
                        pool.add(Lot(part.lot, part.priority, part.expiry_ms, back, reach))
                    given.append(LotAmount(part.lot, back))
                    rest -= back
            account.aseq += 1
            self.facts.append(
                SettleFact(
                    hold.hold_id,
                    outcome,
                    captured,
                    reason,
                    200,
                    hold.account,
                    hold.credit_type,
                    account.aseq,
                    pool.balance,
                    paid,
                    tuple(given),
                )
            )
            self._expire(hold.account, account, hold.credit_type)
        back = self.limits.give_back(hold, outcome, captured, self.now)
        self._say_used(hold.hold_id, hold.account, hold.key, back=True, uses=back)
        self.windows[hold.credit_type].returned += hold.price
        self.open -= 1
        self.holds[hold.hold_id] = ClosedHold(outcome, captured)
        return f"DONE {outcome} {captured}"

    def _late(self, line: LateLine) -> str:
        known = self.holds.get(line.hold_id)
        if isinstance(known, HoldFact):
            return self._close(known, "c", min(line.amount, known.price), 1)
        if known is not None and known.outcome != "x":
            return f"DONE {known.outcome} {known.captured}"
        account = self.accounts.get(line.account)
        if account is None:
            return "NOACCOUNT"
        window = self.windows.get(line.credit_type)
        if window is None:
            return "NOTYPE"
        others = line.claim and self.claims.kept_by(line.claim, line.hold_id, self.holds)
        if others and others.startswith("ASK"):
            return others
        pool = account.pools.get(line.credit_type)
        if pool and pool.unknown(self.now, line.reaches):
            return "NEWREACH"
        available = pool.available(self.now, line.reaches) if pool and not others else 0
        taken = max(min(line.amount, available), 0)
        if window.held - window.posted + taken > window.window or self._room() < 0:
            return "BUSY"
        allocation: tuple[Allocated, ...] = ()
        if pool:
            self._expire(line.account, account, line.credit_type)
            allocation = self._take(pool, taken, line.reaches)
        window.held += taken
        window.returned += taken
        account.aseq += 1
        self.facts.append(
            LateFact(
                line.hold_id,
                line.account,
                line.key,
                line.credit_type,
                taken,
                line.amount - taken,
                1,
                2,
                1,
                200,
                account.aseq,
                pool.balance if pool else 0,
                allocation,
            )
        )
        self.holds[line.hold_id] = ClosedHold("l", taken)
        session = session_of(line.hold_id)
        if session in self.sessions:  # the hold must not begin any more
            highest = max(self.sessions[session].highest, minted_us(line.hold_id))
            self.sessions[session] = SessionRecord(highest, self.now)
        if line.claim and not others:
            self._claim(line.claim[0], line.hold_id, late=True)
        key = self.keys.get(line.key)
        if key is not None and key.account == line.account:
            uses = self.limits.spend_late(key, line, taken, self.now)
            self._say_used(line.hold_id, line.account, line.key, back=False, uses=uses)
        return f"DONE l {taken}"

    def _renew(self, line: RenewLine) -> str:
        known = self.holds.get(line.hold_id)
        if not isinstance(known, HoldFact):
            return "NOHOLD"
        deadline = max(known.deadline_ms, line.deadline_ms)
        self.holds[line.hold_id] = replace(known, deadline_ms=deadline)
        return "RENEWED"

    def _control(self, number: int, control: Control) -> str:
        account = self.accounts.get(number)
        if account is None:
            return "NOTLOADED"
        if control.cseq <= account.cseq:
            return "OLD"
        if control.cseq > account.cseq + 1:
            return "GAP"
        values: dict[str, object] = {"balance": 0, "result": "a"}
        match control.kind:
            case "g" | "e":
                values |= self._grant(account, control)
            case "w":
                values |= self._clawback(number, account, control)
            case "f":
                account.status = 1 + control.flags
            case "k":
                old = self.keys.get(control.object_id)
                self.keys[control.object_id] = Key(
                    control.object_id,
                    control.amount,
                    number,
                    control.flags | (old.scopes & CAPPED if old else 0),
                    control.expiry_ms,
                    old.tat_us if old else 0,
                )
            case "p":
                account.plan = control.object_id
            case "s":
                self.limits.set_spent(control, self.now)
            case "c":
                capped = self.limits.set_cap(control, self.now)
                key = self.keys.get(control.object_id)
                if key is not None:
                    key.scopes = key.scopes & ~CAPPED | capped
        account.cseq = control.cseq
        account.aseq += 1
        self.facts.append(ControlFact(number, control, account.aseq, **values))  # type: ignore[arg-type]
        return "OK"

    def _grant(self, account: Account, control: Control) -> dict[str, object]:
        pool = account.pools.setdefault(control.credit_type, Pool())
        assert pool.balance + control.amount <= MAX_AMOUNT
        paid = min(pool.debt, control.amount)
        rest = control.amount - paid
        if rest and pool.filled(limited=control.reach > 0) >= LIVE_LOTS:
            return {"balance": pool.balance, "result": "q"}
        pool.debt -= paid
        if rest:
            place = control.priority, control.expiry_ms
            pool.add(Lot(control.object_id, *place, rest, control.reach))
        return {"balance": pool.balance, "debt_paid": paid}

    def _clawback(self, number: int, account: Account, control: Control) -> dict[str, object]:
        pool = account.pools.setdefault(control.credit_type, Pool())
        self._expire(number, account, control.credit_type, control.object_id)
        left, taken = control.amount, []
        for lot in sorted(pool.lots, key=lambda lot: lot.lot != control.object_id):
            part = min(left, lot.remaining)
            if part:
                left -= part
                pool.change(lot.lot, -part)
                taken.append(LotAmount(lot.lot, part))
        pool.debt += left
        return {"balance": pool.balance, "debt_added": left, "taken": tuple(taken)}
