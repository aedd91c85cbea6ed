"""A shard with something of everything in it, and for every script a call that changes it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

import redis

from ledger.account_record import AccountRecord, Lot, Pool, account_field
from ledger.facts import Control, HoldFact
from ledger.ids import hold_id
from ledger.limits import Tally, pack_tallies, tally_field, window_id
from ledger.lines import (
    ack_args,
    control_args,
    dials_args,
    drop_session_args,
    load_begin_args,
    load_end_args,
    load_limits_args,
    observed_line,
    open_args,
    renew_line,
    session_args,
    settle_line,
)
from ledger.records import KeyRecord, Meta, read_hold, session_field
from ledger.scripts import HEAD, Reply, keys_of, read_reply
from tests.ledger.journal_audit import JournalAudit
from tests.ledger.script_rig import ACCOUNT, KEY, SESSION, TYPE, Rig

IDLE, UNLOADED = 6, 13
"""A session, and an account that somebody is loading."""
TOKEN = b"a token"
TOLD_AT_ONCE = 100
ACCEPTED = frozenset({b"OK", b"HELD", b"PASS", b"DONE", b"RENEWED", b"LOADED"})


@dataclass(frozen=True)
class Call:
    """One EVALSHA, whole: the head is the first of the arguments."""

    name: str
    keys: tuple[str, ...]
    args: tuple[bytes, ...]

    def having(self, at: int, value: bytes) -> "Call":
        """The same with another argument; 0 is the head."""
        return replace(self, args=(*self.args[:at], value, *self.args[at + 1 :]))

    def after_head(self, *args: bytes) -> "Call":
        """The same head with other arguments."""
        return replace(self, args=(self.args[0], *args))


class HostileShard:
    """Comes back to the same state after every call that changed it."""

    def __init__(self, url: str, namespace: str) -> None:
        self.rig = rig = Rig(url, namespace)
        self.calls = 0
        rig.open()
        rig.load()
        rig.grant(9, 1_000)
        rig.grant(10, 50, priority=101, expiry_ms=rig.now + 5)
        self.opened, self.closed = rig.hold(400), rig.hold(30)
        rig.tick(settle_line(self.closed, 10, 1, 200))
        rig.answer("session", session_args(IDLE))
        rig.at(rig.now + 10)  # lot 10 is due
        rig.answer("load_begin", load_begin_args(UNLOADED, TOKEN), account=UNLOADED)
        rig.client.persist(rig.keys.token(rig.epoch, UNLOADED))
        self.state = self.dump()
        self._backup = {key: rig.client.dump(key) for key in self.state}

    def valid(self, name: str) -> Call:
        """A call of this script that changes something."""
        return Call(
            name,
            keys_of(self.rig.keys, self.rig.epoch, UNLOADED),
            (self.head(), *self._valid_args(name)),
        )

    def head(self, **values: float) -> bytes:
        """As of a gateway that does everything right, but for `values`."""
        right = {"epoch": 1, "watermark": 1, "clock_ms": self.rig.now, "session": SESSION}
        return HEAD.pack(*(right | values).values())

    def hold_line(self, **values: object) -> bytes:
        return self.rig.hold_line(5, hold_id(1_000, SESSION), **values)  # type: ignore[arg-type]

    def snapshot(self) -> AccountRecord:
        """What Postgres has of the account that is not loaded."""
        return AccountRecord(1, 3, 4, (Pool(TYPE, 0, 0, (Lot(70, 1, 2**47, 500),)),))

    def held(self) -> HoldFact:
        """A hold of that account."""
        fact = read_hold(self.rig.client.hget(self.rig.keys.holds(1), self.opened))
        assert isinstance(fact, HoldFact)
        return replace(fact, hold_id=hold_id(7, 2), account=UNLOADED)

    def load_end_args(self, **values: object) -> list[bytes]:
        right = {
            "record": self.snapshot(),
            "keys": [(71, KeyRecord(1, UNLOADED, 3))],
            "holds": [self.held()],
            "controls": [Control("g", 4, TYPE, 72, 8, 1)],
        }
        return load_end_args(1, UNLOADED, TOKEN, **(right | values))  # type: ignore[arg-type]

    def _valid_args(self, name: str) -> Sequence[bytes]:
        rig, here = self.rig, ACCOUNT.to_bytes(7, "little")
        balances = rig.keys.balances(1)
        match name:
            case "tick":
                return [self.hold_line(), settle_line(self.opened, 100, 1, 200)]
            case "tick_settling":
                return [
                    settle_line(self.opened, 100, 1, 200),
                    renew_line(self.opened, rig.now + 10**6),
                    observed_line(
                        hold_id(8, 2),
                        account=ACCOUNT,
                        key=KEY,
                        credit_type=TYPE,
                        amount=4,
                        version=1,
                        rule=2,
                        status=200,
                    ),
                ]
            case "ack":
                entry = rig.entries[-1]
                return ack_args(entry.last_q, entry.chain, [self.closed], 0)
            case "block" | "expire_lots":
                return [here]
            case "control":
                grant = Control("g", rig.account().cseq + 1, TYPE, 60, 8, 1)
                return control_args(
                    ACCOUNT, [grant, replaced(grant, kind="w", cseq=grant.cseq + 1)]
                )
            case "dials":
                return dials_args(77, [(TYPE, 78), (9, 79)])
            case "drop_session":
                return drop_session_args(IDLE, rig.client.hget(balances, session_field(IDLE)))
            case "freeze":
                return []
            case "load_begin":
                return load_begin_args(UNLOADED, b"another token")
            case "load_end":
                return self.load_end_args()
            case "load_limits":
                tally = Tally(window_id("Q", "day"), "Q", 20_000, 5)
                return load_limits_args(1, {tally_field("a", UNLOADED): pack_tallies([tally])})
            case "open":
                return open_args(2, 77, [(TYPE, 5, 78), (9, 0, 79)], 1)
            case "session":
                return session_args(99)
            case "unload":
                raw = rig.client.hget(balances, account_field(ACCOUNT))
                return [here, raw, KEY.to_bytes(7, "little")]
        raise AssertionError(f"{name}.lua has no call here")

    def tell(self, call: Call) -> Reply | redis.ResponseError:
        """What the server answers."""
        self.calls += 1
        script = self.rig.scripts[call.name]
        try:
            return read_reply(
                self.rig.client.evalsha(script.sha, len(call.keys), *call.keys, *call.args)
            )
        except redis.exceptions.ResponseError as refused:
            return refused

    def refuses(self, *calls: Call) -> None:
        """Fail unless each of these is refused, and all together change nothing."""
        for first in range(0, len(calls), TOLD_AT_ONCE):
            some = calls[first : first + TOLD_AT_ONCE]
            for call in some:
                answer = self.tell(call)
                assert not accepted(answer), (call, answer)
            if self.dump() != self.state:
                self._find_the_one(some)

    def _find_the_one(self, calls: Sequence[Call]) -> None:
        self.restore()
        for call in calls:
            answer = self.tell(call)
            assert self.dump() == self.state, (call, answer)
        raise AssertionError(f"these together changed something: {calls}")

    def dump(self) -> dict[bytes, object]:
        return self.rig.dump(tokens=True)

    def restore(self) -> None:
        """Go back to the state before."""
        now, client = self.dump(), self.rig.client
        for key in now.keys() | self.state.keys():
            if now.get(key) != self.state.get(key):
                client.delete(key)
                if key in self.state:
                    client.restore(key, 0, self._backup[key])

    def check(self) -> None:
        """What is there can be read, and its facts add up to it."""
        rig, audit = self.rig, JournalAudit()
        meta = Meta.unpack(rig.client.get(rig.keys.meta))
        if meta.epoch != 1:
            return  # OPEN: a new epoch has nothing yet
        for field, raw in rig.client.hgetall(rig.keys.balances(1)).items():
            if field[:1] == b"k":
                KeyRecord.unpack(raw)
            elif field[:1] == b"a":
                AccountRecord.unpack(raw)
        for raw in rig.client.hvals(rig.keys.holds(1)):
            read_hold(raw)
        entries = rig.entries
        assert (meta.q, meta.chain) == (entries[-1].last_q, entries[-1].chain)
        if entries[0].first_q > 1:
            return  # trimmed: the rest adds up to nothing
        for entry in entries:
            audit.follow(entry)
        audit.check_windows(meta)
        if rig.client.hexists(rig.keys.balances(1), account_field(ACCOUNT)):
            audit.check_pools(ACCOUNT, rig.account().pools)


def accepted(answer: Reply | redis.ResponseError) -> bool:
    """Whether any part of the call was done."""
    if isinstance(answer, redis.ResponseError):
        return False
    if not answer.answers:
        return answer.word == "OK"
    return any(isinstance(one, int) or one.split()[0] in ACCEPTED for one in answer.answers)


def replaced(control: Control, **values: object) -> Control:
    """The control with other values."""
    return replace(control, **values)  # type: ignore[arg-type]


def double(number: float) -> bytes:
    return struct.pack("<d", number)
