"""
The rules of the state machine: what may happen to a shard, in any order.

At least one for every script in `ledger/lua`, and for what comes from outside: time, memory,
clocks that jump, clients of another epoch, a server that forgets the scripts.
"""

import sys
from random import Random

import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ledger.account_record import AccountRecord
from ledger.facts import NEVER, Control
from ledger.limits import pack_tallies
from ledger.lines import (
    ack_args,
    control_args,
    dials_args,
    drop_session_args,
    load_begin_args,
    load_end_args,
    load_limits_args,
    open_args,
)
from ledger.records import SessionRecord
from ledger.scripts import SETTLING, Scripts
from tests.ledger import model as modelled
from tests.ledger.drawn_lines import LATER_TYPE, PLANS, REACHES, DrawnLines
from tests.ledger.script_rig import A_DAY_MS, SCRIPTS
from tests.ledger.tick_lines import HoldLine, LateLine, Line, SettleLine, claims_of, packed
from tests.ledger.twin import (
    ACCOUNTS,
    PLAIN,
    Tally,
    Twin,
    account_id,
    key_record,
    pool_records,
    session_bytes,
)

SLOTS = (0, 1)
MOST_SKEW_MS = 5_000
KEEP_ALL = 10**6
GUARDED = sorted(set(SCRIPTS.names) - {"freeze", "open"})
MONTHS_MS = 90 * A_DAY_MS

accounts = st.sampled_from(ACCOUNTS)
not_plain = st.sampled_from([account for account in ACCOUNTS if account != PLAIN])
slots = st.sampled_from(SLOTS)
picks = st.integers(0, 999)
seeds = st.integers(0, 2**32 - 1)


class ShardMachine(Twin, RuleBasedStateMachine):
    """One shard and its model."""

    def __init__(self, url: str, tally: Tally, scripts: Scripts = SCRIPTS) -> None:
        super().__init__()
        self.begin(url, tally, scripts)
        self.lines = DrawnLines(self.model, self.audit)
        self.lots = 0
        self.log: dict[int, list[Control]] = {account: [] for account in ACCOUNTS}
        self.sessions = 0
        self.retired: list[int] = []
        self.last: tuple[list[Line], int, list[str]] | None = None
        self.begin_epoch()
        for account in ACCOUNTS:
            self.order(account, Control("k", 0, 0, 10 * account, 1, flags=1))
            self.order(account, Control("g", 0, 1, self.lot(), 300, 1))
            reach = 0 if account == PLAIN else account
            self.order(account, Control("g", 0, 1, self.lot(), 100, 1, reach=reach))
        for account in (*ACCOUNTS[:2], PLAIN):
            self.load(account)

    def teardown(self) -> None:
        if isinstance(sys.exc_info()[1], Exception) and self.tally.failed_after is None:
            self.tally.failed_after = (self.tally.histories, self.tally.steps)
        self.rig.client.config_set("maxmemory", 0)
        self.rig.close()

    # The hot path.

    @rule(slot=slots, seed=seeds, lines=st.integers(1, 10))
    def tick(self, slot: int, seed: int, lines: int) -> None:
        """Lines by chance, mostly sensible ones: drawn one by one they would hardly meet."""
        chance = Random(f"{seed} {len(self.lines.minted)} {self.model.q}")
        session = self.current[slot]
        if chance.random() < 0.05 and self.retired:
            session = chance.choice(self.retired)
        self.send(session, [self.lines.draw(session, chance) for _ in range(lines)], chance)

    @rule(slot=slots, seed=seeds)
    def busy_tick(self, slot: int, seed: int) -> None:
        self.tick(slot, seed, 16)

    @rule(slot=slots, seed=seeds, lines=st.integers(1, 12))
    def plain_tick(self, slot: int, seed: int, lines: int) -> None:
        """What nearly every tick is; sometimes what is not plain stands between."""
        session, chance = self.current[slot], Random(f"{seed} {len(self.lines.minted)}")
        drawn = [self.lines.plain(session, chance) for _ in range(lines)]
        if chance.random() < 0.2:
            drawn.insert(chance.randrange(lines), self.lines.draw(session, chance))
        self.send(session, drawn, chance)

    @rule(slot=slots, seed=seeds, what=st.sampled_from(("plan", "key", "scope", "window", "due")))
    def not_plain_for_a_while(self, slot: int, seed: int, what: str) -> None:
        """A plan, a key, a window or a lot by which what was plain passes no more; and again."""
        session, chance = self.current[slot], Random(f"{seed} {len(self.lines.minted)}")
        self.load(PLAIN)
        for now in (True, False):
            if what == "window":
                self.turn_dials(cap=300, window=10 if now else 900, credit_type=1)
            elif what == "due" and not now:
                self.go_to(self.rig.now + 1_000)
            else:
                key = 10 * PLAIN, 2 if now and what == "key" else 1, 0, NEVER
                controls = {
                    "plan": Control("p", 0, object_id=int(now)),
                    "key": Control("k", 0, 0, *key, 1),
                    "scope": Control("k", 0, 0, *key, 2 if now else 1),
                    "due": Control("g", 0, 1, self.lot(), 50, 0, self.rig.now + 1_000),
                }
                self.order(PLAIN, controls[what])
                self.push(PLAIN, 0)
            self.agree()
            self.send(session, [self.lines.plain(session, chance) for _ in range(4)], chance)

    @rule(slot=slots, account=accounts, seed=seeds)
    def over_midnight(self, slot: int, account: int, seed: int) -> None:
        """What began yesterday fails today, where others have begun."""
        session, chance = self.current[slot], Random(seed)
        first = self.lines.of_a_quota(session, account)
        self.send(session, [first], chance)
        self.go_to(self.rig.now + A_DAY_MS)
        self.send(session, [self.lines.of_a_quota(session, account)], chance)
        self.send(session, [SettleLine(first.hold_id, 0, 20)], chance)

    @rule(slot=slots, account=not_plain, reach=st.sampled_from(REACHES), seed=seeds)
    def all_of_a_lot_comes_back(self, slot: int, account: int, reach: int, seed: int) -> None:
        """A lot that is held to the last unit is forgotten with the account, but not its reach."""
        session, chance = self.current[slot], Random(seed)
        self.load(account)
        self.order(account, Control("g", 0, 1, self.lot(), 7, 0, reach=reach))
        self.push(account, 0)
        hold = self.lines.within_reach(session, account, reach, 7)
        self.send(session, [hold], chance)
        self.unload(account, moved=False)
        self.load(account)
        self.send(session, [SettleLine(hold.hold_id, 0, 20)], chance)

    @rule(slot=slots, account=accounts, seed=seeds, acknowledged=st.booleans())
    def late_under_a_key(self, slot: int, account: int, seed: int, *, acknowledged: bool) -> None:
        """A hold expires; another wants its key, and has read so, but it is booked late before."""
        session, chance = self.current[slot], Random(seed)
        first = self.lines.of_a_claim(session, account)
        self.send(session, [first], chance)
        self.go_to(self.rig.now + 1_000)
        self.send(session, [SettleLine(first.hold_id, 0, 40)], chance)
        self.agree()
        if not self.lines.may_be_late(first.hold_id):
            return
        second = self.lines.of_a_claim(session, account)
        self.send(session, [self.lines.late_with_its_claim(first)], chance)
        self.agree()
        if acknowledged and self.model.journal:
            args = ack_args(self.model.q, self.audit.chains[-1], [first.hold_id], KEEP_ALL)
            assert self.ask("ack", args) == self.model.ack(self.model.q, [first.hold_id], KEEP_ALL)
        self.send(session, [second], chance)

    @rule(seed=seeds, ticks=st.integers(2, 6))
    def traffic(self, seed: int, ticks: int) -> None:
        """Both gateways, one after the other."""
        for n in range(ticks):
            self.tick(n % 2, seed + n, 4)
            self.agree()

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        """The same call again: what was granted or ended is answered, not done again."""
        assert self.last is not None
        lines, session, answers = self.last
        lines = [
            line
            for line in lines
            if not isinstance(line, LateLine) or self.lines.may_be_late(line.hold_id)
        ]
        q = self.model.q
        self.send(session, lines, Random(q))
        if all(answer.split()[0] in ("HELD", "DONE", "RENEWED") for answer in answers):
            assert self.model.q == q

    # Accounts come and go.

    @rule(
        account=accounts,
        older=st.sampled_from((0, 0, 0, 0, 1)),
        back=st.sampled_from((0, 0, 0, 0, 1, -1)),
    )
    def load(self, account: int, older: int = 0, back: int = 0) -> None:
        self.begin_load(account, b"token")
        self.end_load(account, b"token", older, back)

    @rule(account=accounts, token=st.sampled_from((b"token", b"another")))
    def begin_load(self, account: int, token: bytes) -> None:
        answer = self.ask("load_begin", load_begin_args(account, token), account=account)
        assert answer == self.model.load_begin(account, token)
        if answer == "OK":
            # Its five seconds are real ones: how long the test takes must not matter.
            token_key, pipe = self.token_key(account), self.rig.client.pipeline(transaction=False)
            pipe.pttl(token_key).persist(token_key)
            left_ms, _ = pipe.execute()
            assert 0 < left_ms <= MOST_SKEW_MS

    @rule(
        account=accounts,
        token=st.sampled_from((b"token", b"token", b"another")),
        older=st.sampled_from((0, 0, 0, 1)),
        back=st.integers(-1, 2),
    )
    def end_load(
        self, account: int, token: bytes, older: int, back: int, *, load_limits: bool = True
    ) -> None:
        """With controls that the account has already, or with one missing, as `back` says."""
        stored = self.model.stored.get(account, modelled.Account())
        pools = [
            pool._replace(lots=tuple(lot for lot in pool.lots if lot.remaining))
            for pool in pool_records(stored.pools)
        ]
        record = AccountRecord(stored.status, stored.cseq, stored.aseq, tuple(pools), stored.plan)
        keys = [
            (number, key_record(key))
            for number, key in self.model.stored_keys.items()
            if key.account == account
        ]
        holds = [hold for hold in self.model.stored_holds.values() if hold.account == account]
        if load_limits:
            self.load_limits(account, 0)
        pending = self.log[account][max(stored.cseq - back, 0) :]
        epoch = self.model.epoch - older
        args = load_end_args(
            epoch,
            account,
            token,
            record=record,
            keys=keys,
            holds=holds,
            controls=pending,
            reaches=self.model.reaches_of(account),
        )
        answer = self.ask("load_end", args, account=account)
        assert answer == self.model.load_end(account, token, epoch, pending)

    @rule(account=accounts, older=st.sampled_from((0, 0, 1)))
    def load_limits(self, account: int, older: int) -> None:
        """A loader comes first, again, or far too late."""
        epoch = self.model.epoch - older
        tallies = {
            field: pack_tallies(known.values())
            for field, known in self.model.tallies_of(account).items()
        }
        answer = self.ask("load_limits", load_limits_args(epoch, tallies))
        assert answer == self.model.load_limits(account, epoch)

    @rule(account=accounts)
    def token_times_out(self, account: int) -> None:
        self.seen = []
        self.rig.client.delete(self.token_key(account))
        self.model.tokens.pop(account, None)

    @rule(account=accounts, moved=st.booleans())
    def unload(self, account: int, *, moved: bool) -> None:
        raw = self.raw_account(account)
        keys = [n for n, key in self.model.keys.items() if key.account == account]
        packed_keys = b"".join(key.to_bytes(7, "little") for key in keys)
        if moved and raw:
            read = raw[:5] + b"?" + raw[6:]  # another aseq
            assert self.ask("unload", [account_id(account), read, packed_keys]) == "CHANGED"
        else:
            answer = self.ask("unload", [account_id(account), raw, packed_keys])
            assert answer == self.model.unload(account)

    @rule(account=accounts, really=st.sampled_from((False, False, True)))
    def block(self, account: int, *, really: bool) -> None:
        if not really:
            return  # a blocked account has little left to go wrong
        assert self.ask("block", [account_id(account)]) == self.model.block(account)

    @rule(account=accounts)
    def expire_lots(self, account: int) -> None:
        assert self.ask("expire_lots", [account_id(account)]) == self.model.expire_lots(account)

    # What Postgres orders.

    @rule(
        account=accounts,
        kind=st.sampled_from("gggggewwfkccpp"),
        credit_type=st.sampled_from((1, 1, 2, LATER_TYPE)),
        amount=st.integers(1, 300),
        priority=st.integers(0, 2),
        lives_ms=st.sampled_from((None, 1_000, 5_000, MONTHS_MS)),
        pick=picks,
        send=st.booleans(),
        reach=st.sampled_from((0, 0, *REACHES)),
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
        reach: int = 0,
    ) -> None:
        if account == PLAIN:
            kind, credit_type, reach = kind if kind in "gewfk" else "g", 1, 0
        expiry = NEVER if lives_ms is None else self.rig.now + lives_ms
        lot = credit_type, self.lot(), amount, priority, expiry
        control = Control(kind, 0, *lot, reach=reach if kind in "ge" else 0)
        if kind == "w":
            control = Control("w", 0, credit_type, 1 + pick % self.lots, amount * (1 + pick % 4))
        elif kind == "f":
            control = Control("f", 0, flags=int(pick % 3 == 0))
        elif kind == "k":
            expiry = NEVER if pick % 12 else self.rig.now + 60_000
            control = Control(
                "k", 0, 0, 10 * account, 1 + int(pick % 10 == 0), 0, expiry, 1 + pick % 2
            )
        elif kind == "p":
            control = Control("p", 0, object_id=PLANS[pick % 3])
        elif kind == "c":
            cap = (amount % 60, pick % 3, NEVER, int(pick // 3 % 3 > 0))
            control = Control("c", 0, credit_type, 10 * account, *cap)
            if pick % 4 == 0:
                control = Control("s", 0, credit_type, 10 * account, amount % 60, pick % 3, expiry)
        self.order(account, control)
        if send:
            self.push(account, 0)

    @rule(account=accounts, lifts=st.booleans())
    def cap(self, account: int, *, lifts: bool) -> None:
        """One cap of the account's key is set anew, or lifted."""
        self.order(account, Control("c", 0, 1, 10 * account, 40, 2, NEVER, int(not lifts)))
        self.push(account, 0)

    @rule(account=accounts, back=st.integers(-1, 2))
    def push(self, account: int, back: int) -> None:
        """Send what is pending, with some sent before, or with a gap."""
        known = self.model.accounts.get(account)
        first = max((known.cseq if known else 0) - back, 0)
        controls = self.log[account][first:]
        answers = self.call("control", control_args(account, controls))
        assert answers == self.model.control(account, controls)

    # What posting tells.

    @precondition(lambda self: self.model.journal)
    @rule(
        pick=picks,
        ids=st.lists(picks, max_size=5),
        fork=st.booleans(),
        keep=st.sampled_from((KEEP_ALL, KEEP_ALL, 5, 0)),
    )
    def acknowledge(self, pick: int, ids: list[int], keep: int, *, fork: bool) -> None:
        """Any entry there is, or was: late, early, again, or of another history."""
        if pick % 10 == 9:
            args = ack_args(self.model.q + pick, "0" * 16, [], keep)
            assert self.ask("ack", args) == "OLD"
            return
        at = pick % len(self.model.entries)
        last_q, named = self.model.entries[at][0], [self.lines.hold_at(one) for one in ids]
        if fork and pick % 4 == 0:
            there = last_q >= self.model.kept_from
            answer = self.ask("ack", ack_args(last_q, "f" * 16, named, keep))
            assert answer == ("FORK" if there else "OLD")
        else:
            answer = self.ask("ack", ack_args(last_q, self.audit.chains[at], named, keep))
            assert answer == self.model.ack(last_q, named, keep)

    @precondition(lambda self: self.model.journal)
    @rule(ids=st.lists(picks, max_size=3))
    def acknowledge_all(self, ids: list[int]) -> None:
        last_q = self.model.entries[-1][0]
        named = [self.lines.hold_at(one) for one in ids]
        args = ack_args(last_q, self.audit.chains[-1], named, KEEP_ALL)
        assert self.ask("ack", args) == self.model.ack(last_q, named, KEEP_ALL)

    # Connections, dials, epochs.

    @rule(slot=slots, again=st.booleans())
    def open_session(self, slot: int, *, again: bool = False) -> None:
        """A gateway connects anew; a number is never used twice."""
        if again and self.current[slot] in self.model.sessions:
            self.ask_session(self.current[slot])
            return
        if self.current[slot]:
            self.retired.append(self.current[slot])
        self.sessions += 1
        self.current[slot] = self.sessions
        self.ask_session(self.sessions)

    @precondition(lambda self: self.retired)
    @rule(pick=picks, used_since=st.booleans())
    def drop_session(self, pick: int, *, used_since: bool) -> None:
        session = (self.retired[-3:] + self.current)[pick % 3]
        read = self.model.sessions.get(session, SessionRecord(0, 0))
        if used_since:
            read = SessionRecord(read.highest, read.used_ms - 1)
        raw = session_bytes(read)
        answer = self.ask("drop_session", drop_session_args(session, raw))
        assert answer == self.model.drop_session(session, read)

    @rule(
        cap=st.integers(110, 300),
        window=st.integers(100, 900),
        credit_type=st.sampled_from((1, 1, 1, 2, LATER_TYPE)),
    )
    def turn_dials(self, *, cap: int, window: int, credit_type: int) -> None:
        answer = self.ask("dials", dials_args(cap, [(credit_type, window)]))
        assert answer == self.model.dials(cap, {credit_type: window})

    @rule(pick=picks)
    def begin_epoch(self, pick: int = 7) -> None:
        if pick % 10 != 7:
            return  # seldom, and not where Hypothesis likes to begin
        if self.rig.epoch:
            self.stop_epoch()
            self.model.begin()
        self.rig.epoch += 1
        self.audit.begin_epoch()
        windows = [(n, window.held, window.window) for n, window in self.model.windows.items()]
        args = open_args(self.rig.epoch, self.model.cap, windows, self.model.open)
        assert self.ask("open", args) == "OK"
        self.go_to(self.rig.now)
        assert self.ask("open", open_args(self.rig.epoch, 5, [(1, 5, 5)], 5)) == "OLD"
        assert self.ask("open", open_args(max(self.rig.epoch - 1, 1), 5, [], 0)) == "OLD"
        for slot in SLOTS:
            self.open_session(slot)
        for account in ACCOUNTS[: pick % 3]:
            self.load(account)

    def stop_epoch(self) -> None:
        """Freeze it; then nobody writes any more, whatever he has."""
        assert self.run("freeze").word == "OK"
        before = self.rig.dump()
        for name in GUARDED:
            if not (self.full and name == "tick"):
                assert self.run(name, self.in_force(name), account=3).word == "FROZEN"
        assert self.run("freeze").word == "OK"
        assert self.rig.dump() == before

    # Whoever must not be let in.

    @rule(
        name=st.sampled_from(GUARDED),
        wrong=st.sampled_from(("stale", "crossed", "future", "regress", "ahead", "behind")),
        skew_ms=st.sampled_from((1, 5_000, A_DAY_MS, MONTHS_MS)),
    )
    def outsider(self, name: str, wrong: str, skew_ms: int) -> None:
        """A client of another epoch, of another history, or with another clock changes nothing."""
        if self.full and name == "tick":
            return  # refused before it starts
        here, args, before = self.rig.epoch, self.in_force(name), self.rig.dump()
        assert self.run("freeze", epoch=here - 1, keys_epoch=here).word == "STALE"
        match wrong:
            case "stale":
                word = self.run(name, args, account=3, epoch=here - 1).word
            case "crossed":
                word = self.run(name, args, account=3, epoch=here - 1, keys_epoch=here).word
            case "future":
                word = self.run(name, args, account=3, epoch=here + 1).word
            case "regress":
                word = self.run(name, args, account=3, watermark=self.model.q + 1).word
            case _:
                off = skew_ms + MOST_SKEW_MS
                clock_ms = self.rig.now + (off if wrong == "ahead" else -off)
                word = self.run(name, args, account=3, clock_ms=clock_ms).word
        words = {"stale": "STALE", "crossed": "STALE", "future": "STALE", "regress": "REGRESS"}
        assert word == words.get(wrong, "SKEW")
        assert self.rig.dump() == before

    # Time, memory, and what the server knows by heart.

    @rule(by_ms=st.sampled_from((0, 1, 400, 400, 1_000, 4_000, 5_001, 60_000, A_DAY_MS, MONTHS_MS)))
    def time_passes(self, by_ms: int) -> None:
        self.go_to(self.rig.now + by_ms)

    @rule(skew_ms=st.integers(-MOST_SKEW_MS, MOST_SKEW_MS))
    def clock_of_a_gateway_jumps(self, skew_ms: int) -> None:
        """Up to five seconds, either way: it is the shard's clock that counts, and it stays."""
        self.rig.skew_ms = skew_ms

    @rule()
    def memory_becomes_full(self) -> None:
        self.tally.filled += not self.full
        self.full = True
        self.rig.client.config_set("maxmemory", 1)

    @precondition(lambda self: self.full)
    @rule()
    def memory_is_freed(self) -> None:
        self.full = False
        self.rig.client.config_set("maxmemory", 0)

    @rule()
    def scripts_are_forgotten(self) -> None:
        self.rig.client.script_flush()

    # How they are made.

    def send(self, session: int, lines: list[Line], chance: Random) -> None:
        if self.full and chance.random() < 0.7:
            lines = [line for line in lines if not isinstance(line, HoldLine)]
        settles = not any(isinstance(line, HoldLine) for line in lines)
        name = SETTLING if settles and (self.full or chance.random() < 0.5) else "tick"
        args = [packed(line) for line in lines]
        if self.full and name == "tick":
            self.refused_for_memory(lines, session)
            return
        answers = self.call(name, args, session=session, claims=claims_of(lines))
        assert answers == self.model.tick(session, lines)
        self.last = (lines, session, answers)
        for line, answer in zip(lines, answers, strict=True):
            if isinstance(line, HoldLine) and answer.startswith("HELD"):
                window = self.model.windows[line.credit_type]
                newly = self.model.holds[line.hold_id] in self.model.facts
                assert not newly or window.held - window.posted <= window.window

    def refused_for_memory(self, lines: list[Line], session: int) -> None:
        args, claims = [packed(line) for line in lines], claims_of(lines)
        before = self.rig.dump()
        try:
            reply = self.run("tick", args, session=session, claims=claims)
        except redis.exceptions.OutOfMemoryError:
            self.tally.answers["tick", "OOM"] += 1
            assert self.rig.dump() == before
        else:
            raise AssertionError(f"a hold with no memory left: {reply}")

    def order(self, account: int, control: Control) -> None:
        """Postgres numbers a control."""
        values = {name: getattr(control, name) for name in Control.__slots__}
        values["cseq"] = len(self.log[account]) + 1
        self.log[account].append(Control(**values))

    def lot(self) -> int:
        self.lots += 1
        return self.lots

    @invariant()
    def agreed(self) -> None:
        self.tally.steps += 1
        self.agree()
