"""
The scripts against the model: any calls in any order give the same answers and facts.

FAREBOX_EXAMPLES sets how many histories are tried (each of up to 40 calls). A history that
fails is shown as it is; FAREBOX_SHRINK=1 makes it small first, which takes minutes.
"""

import os
from collections import Counter, defaultdict
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from ledger.facts import (
    NEVER,
    Control,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    SettleFact,
    WholeCapture,
)
from ledger.ids import hold_id
from ledger.lines import (
    Rate,
    ack_args,
    control_args,
    dials_args,
    hold_line,
    late_line,
    observed_line,
    open_args,
    renew_line,
    session_args,
    settle_line,
)
from ledger.records import AccountRecord, KeyRecord, read_entry
from ledger.records import Pool as PoolRecord
from tests.ledger.model import (
    HoldLine,
    LateLine,
    Line,
    Model,
    ObservedLine,
    RenewLine,
    SettleLine,
)
from tests.ledger.script_rig import Rig

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "40"))
STEPS = 40
PHASES = [Phase.generate, Phase.shrink] if os.environ.get("FAREBOX_SHRINK") else [Phase.generate]
ACCOUNTS, TYPES, SESSIONS = (1, 2, 3), (1, 2), (1, 2)
CAP, WINDOW = 200, 600
REASONS = (1, 5, 20, 26, 40)

accounts = st.sampled_from(ACCOUNTS)
picks = st.integers(0, 999)
seeds = st.integers(0, 2**32 - 1)


class ShardMachine(RuleBasedStateMachine):
    """One shard and its model, told the same."""

    def __init__(self, url: str) -> None:
        super().__init__()
        ShardMachine.made += 1
        self.rig = Rig(url, f"model{os.getpid()}x{ShardMachine.made}")
        self.rig.epoch = 0
        self.model = Model(self.rig.now, CAP, dict.fromkeys(TYPES, WINDOW))
        self.minted: list[bytes] = []
        self.lots = 0
        self.log: dict[int, list[Control]] = {account: [] for account in ACCOUNTS}
        self.prices: dict[bytes, tuple[int, int, int]] = {}
        self.endings: dict[bytes, str] = {}
        self.sums: defaultdict[tuple[int, int], Counter[str]] = defaultdict(Counter)
        self.last: tuple[list[Line], int, list[str]] | None = None
        self.open_epoch()
        for account in ACCOUNTS:
            self.order(account, Control("k", 0, 0, 10 * account, 1, flags=1))
            self.order(account, Control("g", 0, 1, self.lot(), 300, 1))
        for account in ACCOUNTS[:2]:
            self.load(account)

    made = 0

    def teardown(self) -> None:
        self.rig.close()

    # What a test history is made of.

    @rule(session=st.sampled_from(SESSIONS), seed=seeds, lines=st.integers(1, 10))
    def tick(self, session: int, seed: int, lines: int) -> None:
        """Lines by chance, mostly sensible ones: drawn one by one they would hardly meet."""
        session += 10 * self.rig.epoch  # a number is never used again in a later epoch
        chance = Random(f"{seed} {len(self.minted)} {self.model.q}")
        self.send(session, [self.line(session, chance) for _ in range(lines)])

    @rule(session=st.sampled_from(SESSIONS), seed=seeds)
    def busy_tick(self, session: int, seed: int) -> None:
        self.tick(session, seed, 16)

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        """The same call again: what was granted or ended is answered, not done again."""
        assert self.last is not None
        lines, session, answers = self.last
        lines = [
            line
            for line in lines
            if not isinstance(line, LateLine) or self.may_be_late(line.hold_id)
        ]
        q = self.model.q
        self.send(session, lines)
        if all(answer.split()[0] in ("HELD", "DONE", "RENEWED") for answer in answers):
            assert self.model.q == q

    @rule(account=accounts)
    def load(self, account: int) -> None:
        stored = self.model.stored.get(account)
        pending = self.log[account][stored.cseq if stored else 0 :]
        if account in self.model.accounts:
            return
        record = AccountRecord(1, 0, 0, ())
        if stored:
            pools = [
                PoolRecord(number, pool.debt, pool.floor, tuple(pool.lots))
                for number, pool in stored.pools.items()
            ]
            record = AccountRecord(stored.status, stored.cseq, stored.aseq, tuple(pools))
        keys = [
            (number, KeyRecord(key.status, key.account, key.scopes, key.expiry_ms, key.tat_us))
            for number, key in self.model.stored_keys.items()
            if key.account == account
        ]
        holds = [hold for hold in self.model.stored_holds.values() if hold.account == account]
        answer = self.rig.load(account, record=record, keys=keys, holds=holds, controls=pending)
        assert answer == self.model.load(account, pending)
        self.compare()

    @rule(
        account=accounts,
        kind=st.sampled_from("gggggewwfk"),
        credit_type=st.sampled_from((1, 1, 2)),
        amount=st.integers(1, 300),
        priority=st.integers(0, 2),
        lives_ms=st.sampled_from((None, 1_000, 5_000)),
        pick=picks,
        send=st.booleans(),
    )
    def new_control(
        self,
        *,
        account: int,
        kind: str,
        credit_type: int,
        amount: int,
        priority: int,
        lives_ms: int | None,
        pick: int,
        send: bool,
    ) -> None:
        expiry = NEVER if lives_ms is None else self.rig.now + lives_ms
        control = Control(kind, 0, credit_type, self.lot(), amount, priority, expiry)
        if kind == "w":
            control = Control("w", 0, credit_type, 1 + pick % self.lots, amount)
        elif kind == "f":
            control = Control("f", 0, flags=int(pick % 3 == 0))
        elif kind == "k":
            control = Control(
                "k", 0, 0, 10 * account, 1 + int(pick % 5 == 0), 0, NEVER, 1 + pick % 2
            )
        self.order(account, control)
        if send:
            self.push(account, 0)

    @rule(account=accounts, back=st.integers(-1, 2))
    def push(self, account: int, back: int) -> None:
        """Send what is pending, with some sent before, or with a gap."""
        known = self.model.accounts.get(account)
        first = max((known.cseq if known else 0) - back, 0)
        controls = self.log[account][first:]
        reply = self.rig.run("control", control_args(account, controls))
        assert [word.decode() for word in reply.answers] == self.model.control(account, controls)
        self.compare()

    @rule(by_ms=st.sampled_from((0, 1, 400, 1_000, 4_000, 60_000)))
    def time_passes(self, by_ms: int) -> None:
        self.rig.at(self.rig.now + by_ms)
        self.model.now = self.rig.now

    @precondition(lambda self: self.model.entries)
    @rule(pick=picks, ids=st.lists(picks, max_size=5), fork=st.booleans())
    def acknowledge(self, pick: int, ids: list[int], *, fork: bool) -> None:
        entry = pick % len(self.model.entries)
        named = [self.hold_at(one) for one in ids]
        chain = "f" * 16 if fork and pick % 4 == 0 else self.chains[entry]
        args = ack_args(self.model.entries[entry][0], chain, named, 10**6)
        if chain == self.chains[entry]:
            assert self.rig.answer("ack", args) == "OK"
            self.model.ack(entry, named)
        else:
            assert self.rig.answer("ack", args) == "FORK"
        self.compare()

    @rule(ids=st.lists(picks, max_size=3))
    def acknowledge_all(self, ids: list[int]) -> None:
        if self.model.entries:
            self.acknowledge(len(self.model.entries) - 1, ids, fork=False)

    @rule(session=st.sampled_from(SESSIONS))
    def open_session(self, session: int) -> None:
        session += 10 * self.rig.epoch
        known = session in self.model.sessions
        answer = self.rig.answer("session", session_args(session))
        assert answer == ("KNOWN" if known else "OK")
        self.model.sessions.setdefault(session, 0)

    @rule(cap=st.integers(110, 300), window=st.integers(100, 900))
    def turn_dials(self, *, cap: int, window: int) -> None:
        assert self.rig.answer("dials", dials_args(cap, [(1, window)])) == "OK"
        self.model.cap, self.model.windows[1].window = cap, window
        self.compare()

    @rule(pick=picks)
    def open_epoch(self, pick: int = 7) -> None:
        if pick % 10 != 7:
            return  # seldom, and not where Hypothesis likes to begin
        if self.rig.epoch:
            assert self.rig.run("freeze").word == "OK"
            assert self.rig.run("tick").word == "FROZEN"
            self.model.begin()
        self.rig.epoch += 1
        windows = [(n, window.held, window.window) for n, window in self.model.windows.items()]
        args = open_args(self.rig.epoch, self.model.cap, windows, self.model.open)
        assert self.rig.answer("open", args) == "OK"
        self.rig.at(self.rig.now)
        self.chains: list[str] = []
        for session in SESSIONS:
            self.open_session(session)
        self.compare()
        for account in ACCOUNTS[: pick % 3]:
            self.load(account)

    # How they are made.

    def order(self, account: int, control: Control) -> None:
        """Postgres numbers a control."""
        values = {name: getattr(control, name) for name in Control.__slots__}
        values["cseq"] = len(self.log[account]) + 1
        self.log[account].append(Control(**values))

    def lot(self) -> int:
        self.lots += 1
        return self.lots

    def hold_at(self, pick: int) -> bytes:
        """One of the holds asked for lately, or one that never was."""
        recent = self.minted[-12:]
        return recent[pick % len(recent)] if recent and pick % 17 else b"never existed"[:12]

    def line(self, session: int, chance: Random) -> Line:
        hold = self.hold_at(chance.randrange(1000))
        opened = [one for one, kept in self.model.holds.items() if isinstance(kept, HoldFact)]
        if opened and chance.random() < 0.7:
            hold = chance.choice(opened)
        account = chance.choice(list(self.model.accounts) or ACCOUNTS)
        if chance.random() < 0.05:
            account = chance.choice(ACCOUNTS)
        credit_type = chance.choices((1, 2, 3), (80, 15, 5))[0]
        amount = chance.choice((chance.randint(1, 20), chance.randint(1, 200)))
        kind = chance.choices("HSKLRO", (40, 35, 4, 6, 8, 3))[0]
        match kind:
            case "H" | "K":
                if chance.random() < 0.03:
                    session += 1
                new = hold_id(len(self.minted) + 1, session)
                if kind == "H":
                    self.minted.append(new)
                return HoldLine(
                    new,
                    account,
                    10 * (account if chance.random() < 0.95 else 1),
                    credit_type,
                    amount,
                    self.rig.now + chance.choice((0, 500, 60_000)),
                    2 if chance.random() < 0.05 else 1,
                    chance.choice(((0, 0), (0, 0), (0, 0), (5_000_000, 5_000_000))),
                    kind == "K",
                )
            case "S":
                known = self.model.holds.get(hold)
                price = known.price if isinstance(known, HoldFact) else 50
                reason = chance.choice(REASONS)
                captured = chance.choice((price, price // 2, price // 3, amount, 0))
                sensible = reason < 20 or chance.random() < 0.05
                return SettleLine(hold, captured if sensible else 0, reason)
            case "L" if self.may_be_late(hold):
                account, credit_type, _ = self.prices.get(hold, (account, credit_type, 0))
                return LateLine(hold, account, 10 * account, credit_type, amount)
            case "R":
                return RenewLine(hold, self.rig.now + chance.choice((0, 100, 90_000)))
            case _:
                return ObservedLine(hold, credit_type, amount)

    def may_be_late(self, hold: bytes) -> bool:
        """Whether a gateway that loaded the account and asked Postgres would book it late."""
        if hold in self.model.holds:
            return True
        open_elsewhere = hold in self.prices and hold not in self.endings
        return not open_elsewhere and self.endings.get(hold, "x") == "x"

    def send(self, session: int, lines: list[Line]) -> None:
        reply = self.rig.run("tick", [packed(line) for line in lines], session=session)
        answers = [answer.decode() for answer in reply.answers]
        assert answers == self.model.tick(session, lines)
        self.last = (lines, session, answers)
        self.compare()
        for line, answer in zip(lines, answers, strict=True):
            if isinstance(line, HoldLine) and answer.startswith("HELD"):
                window = self.model.windows[line.credit_type]
                newly = self.model.holds[line.hold_id] in self.model.facts
                assert not newly or window.held - window.posted <= window.window

    # What must be so after every call.

    def compare(self) -> None:
        """The real shard says the same as the model, and the facts add up by themselves."""
        rig, model = self.rig, self.model
        meta = rig.meta
        assert (meta.epoch, meta.q, meta.posted_q, meta.open_holds, meta.journal_cap) == (
            model.epoch,
            model.q,
            model.posted_q,
            model.open,
            model.cap,
        )
        assert {one.credit_type: one[1:] for one in meta.types} == {
            number: (one.held, one.returned, one.posted, one.window)
            for number, one in model.windows.items()
        }
        for number, account in model.accounts.items():
            real = rig.account(number)
            assert (real.status, real.cseq, real.aseq) == (
                account.status,
                account.cseq,
                account.aseq,
            )
            pools = {pool.credit_type: pool for pool in real.pools}
            for credit_type, pool in account.pools.items():
                kept = pools.pop(credit_type, None)
                # An empty pool is kept once something was put into it.
                kept = kept or PoolRecord(credit_type, 0, 0, ())
                assert kept == PoolRecord(credit_type, pool.debt, pool.floor, tuple(pool.lots))
            assert not any(pool.lots or pool.debt for pool in pools.values())
        for number, key in model.keys.items():
            assert rig.key(number) == KeyRecord(
                key.status, key.account, key.scopes, key.expiry_ms, key.tat_us
            )
        for session, highest in model.sessions.items():
            assert rig.session(session).highest == highest
        kept_holds = rig.client.hkeys(rig.keys.holds(rig.epoch))
        assert {hold: rig.kept(hold) for hold in kept_holds} == model.holds
        self.follow()
        self.add_up(meta)

    def follow(self) -> None:
        """The journal has one new entry per call that did something, chained to the last."""
        done = len(self.chains)
        after = self.model.entries[done - 1][0] if done else 0
        rows = self.rig.client.xrange(
            self.rig.keys.journal(self.rig.epoch), f"({self.rig.epoch}-{after}"
        )
        assert len(rows) == len(self.model.entries) - done
        for (entry_id, fields), (last_q, _, facts) in zip(
            rows, self.model.entries[done:], strict=True
        ):
            entry = read_entry(entry_id, fields[b"f"])
            assert entry.previous == (self.chains[-1] if self.chains else "0" * 16)
            assert (entry.last_q, list(entry.facts)) == (last_q, facts)
            self.chains.append(entry.chain)
            for fact in entry.facts:
                self.account_for(fact)

    def account_for(self, fact: Fact) -> None:
        """Sum up by hand what each fact moved, and see that every hold ends once."""
        match fact:
            case HoldFact():
                assert fact.hold_id not in self.prices
                self.prices[fact.hold_id] = (fact.account, fact.credit_type, fact.price)
                self.sums[fact.account, fact.credit_type]["held"] += fact.price
            case SettleFact() | WholeCapture():
                assert fact.hold_id not in self.endings
                outcome = fact.outcome if isinstance(fact, SettleFact) else "c"
                self.endings[fact.hold_id] = outcome
                account, credit_type, price = self.prices[fact.hold_id]
                captured = fact.captured if isinstance(fact, SettleFact) else price
                self.sums[account, credit_type]["held"] -= price
                self.sums[account, credit_type]["used"] += captured
            case LateFact():
                assert self.endings.get(fact.hold_id, "x") == "x"
                self.endings[fact.hold_id] = "l"
                self.sums[fact.account, fact.credit_type]["used"] += fact.taken
                assert fact.taken == sum(part.amount for part in fact.allocation)
            case LotExpired():
                self.sums[fact.account, fact.credit_type]["used"] += fact.amount
            case ControlFact():
                sums = self.sums[fact.account, fact.control.credit_type]
                if fact.control.kind in "ge" and fact.result == "a":
                    sums["given"] += fact.control.amount
                elif fact.control.kind == "w":
                    sums["given"] -= fact.control.amount

    def add_up(self, meta: Any) -> None:
        """Credits are conserved, and the window knows what is open."""
        for number in self.model.accounts:
            for pool in self.rig.account(number).pools:
                sums = self.sums[number, pool.credit_type]
                assert sums["given"] == pool.balance + sums["held"] + sums["used"]
        for one in meta.types:
            held = sum(
                price
                for hold, (_, credit_type, price) in self.prices.items()
                if credit_type == one.credit_type and hold not in self.endings
            )
            assert one.held - one.returned == held


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


@pytest.mark.slow
def test_the_scripts_do_what_the_model_does(each_redis_url: str) -> None:
    run_state_machine_as_test(
        partial(ShardMachine, each_redis_url),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
