"""
The scripts on a real server, called one by one, at a time the test chooses.

A script's clock is the later of the server's and the one in the meta record, so a rig that
lives a day ahead decides what time it is by writing that record.
"""

import struct
from collections.abc import Mapping, Sequence

import redis

from ledger.account_record import AccountRecord, account_field
from ledger.claims import Claim
from ledger.facts import Control, HoldFact
from ledger.ids import hold_id
from ledger.journal_entry import Entry, read_entry
from ledger.keys import Keys
from ledger.lines import (
    ack_args,
    control_args,
    hold_line,
    load_begin_args,
    load_end_args,
    open_args,
    session_args,
)
from ledger.records import (
    ClosedHold,
    KeyRecord,
    Meta,
    SessionRecord,
    key_field,
    read_hold,
    session_field,
)
from ledger.scripts import HEAD, Reply, Scripts, keys_of, read_reply

SCRIPTS = Scripts()
A_DAY_MS = 86_400_000
ACCOUNT, KEY, TYPE, SESSION = 12, 7, 1, 5
WINDOW, JOURNAL_CAP = 100_000, 10_000


class Rig:
    """One shard in an epoch of its own."""

    def __init__(self, url: str, namespace: str, scripts: Scripts = SCRIPTS) -> None:
        self.scripts = scripts
        self.client = redis.Redis.from_url(url)
        self.keys = Keys(namespace)
        self.epoch = 1
        seconds, _ = self.client.time()
        self.now = seconds * 1000 + A_DAY_MS
        self.skew_ms = 0  # of the caller's clock
        self.n = 0
        self.cseq: dict[int, int] = {}
        loads = self.client.pipeline(transaction=False)
        for name in scripts.names:
            loads.script_load(scripts[name].text)
        loads.execute()

    def close(self) -> None:
        keys = list(self.client.scan_iter(f"{self.keys.namespace}:*", count=1_000))
        if keys:
            self.client.delete(*keys)
        self.client.close()

    def run(
        self,
        name: str,
        args: Sequence[bytes] = (),
        *,
        session: int = 0,
        watermark: int = 0,
        account: int | None = None,
        epoch: int | None = None,
        keys_epoch: int | None = None,
        clock_ms: int | None = None,
        claims: Sequence[Claim] = (),
    ) -> Reply:
        """One call; see `command`."""
        command = self.command(
            name,
            args,
            session=session,
            watermark=watermark,
            account=account,
            epoch=epoch,
            keys_epoch=keys_epoch,
            clock_ms=clock_ms,
            claims=claims,
        )
        try:
            return read_reply(self.client.evalsha(*command))
        except redis.exceptions.NoScriptError:
            self.client.script_load(self.scripts[name].text)
            return read_reply(self.client.evalsha(*command))

    def command(
        self,
        name: str,
        args: Sequence[bytes] = (),
        *,
        session: int = 0,
        watermark: int = 0,
        account: int | None = None,
        epoch: int | None = None,
        keys_epoch: int | None = None,
        clock_ms: int | None = None,
        claims: Sequence[Claim] = (),
    ) -> tuple[object, ...]:
        """What EVALSHA is given; keys are those of the epoch unless `keys_epoch` names another."""
        epoch = self.epoch if epoch is None else epoch
        keys = keys_of(self.keys, epoch if keys_epoch is None else keys_epoch, account, claims)
        clock_ms = self.now + self.skew_ms if clock_ms is None else clock_ms
        head = HEAD.pack(epoch, watermark, clock_ms, session)
        return (self.scripts[name].sha, len(keys), *keys, head, *args)

    def answer(self, name: str, args: Sequence[bytes] = (), *, account: int | None = None) -> str:
        """The one answer of a script that has one."""
        reply = self.run(name, args, account=account)
        assert reply.word == "OK", reply
        return reply.answers[0].decode()

    def tick(
        self, *lines: bytes, session: int = SESSION, claims: Sequence[Claim] = ()
    ) -> list[str]:
        reply = self.run("tick", lines, session=session, claims=claims)
        assert reply.word == "OK", reply
        return said(lines, reply)

    def open(
        self, *, window: int = WINDOW, cap: int = JOURNAL_CAP, held: int = 0, holds: int = 0
    ) -> None:
        """An epoch with one credit type and one session."""
        answer = self.answer("open", open_args(self.epoch, cap, [(TYPE, held, window)], holds))
        assert answer == "OK"
        self.at(self.now)
        assert self.answer("session", session_args(SESSION)) == "OK"

    def at(self, now_ms: int) -> None:
        """Let it be this time (never earlier than before)."""
        self.now = now_ms
        self.client.setrange(self.keys.meta, 32, struct.pack("<d", now_ms))

    def load(
        self,
        account: int = ACCOUNT,
        *,
        record: AccountRecord | None = None,
        keys: Sequence[tuple[int, KeyRecord]] | None = None,
        holds: Sequence[HoldFact] = (),
        controls: Sequence[Control] = (),
        reaches: Mapping[int, int] | None = None,
    ) -> str:
        """Load an account, as a loader would."""
        if keys is None:
            keys = [(KEY, KeyRecord(1, account, 3))]
        record = record or AccountRecord(1, 0, 0, ())
        assert (
            self.answer("load_begin", load_begin_args(account, b"token"), account=account) == "OK"
        )
        args = load_end_args(
            self.epoch,
            account,
            b"token",
            record=record,
            keys=keys,
            holds=holds,
            controls=controls,
            reaches=reaches,
        )
        return self.answer("load_end", args, account=account)

    def control(self, kind: str, account: int = ACCOUNT, **values: int) -> str:
        """Apply the next control of the account."""
        cseq = self.account(account).cseq + 1
        control = Control(kind, cseq, **values)
        return self.answer("control", control_args(account, [control]))

    def grant(self, lot: int, amount: int, account: int = ACCOUNT, **values: int) -> None:
        values = {"credit_type": TYPE, "object_id": lot, "amount": amount, "priority": 100} | values
        assert self.control("g", account, **values) == "OK"

    def mint(self, session: int = SESSION) -> bytes:
        self.n += 1
        return hold_id(self.n, session)

    def hold_line(self, ceiling: int, hold: bytes | None = None, **values: object) -> bytes:
        values = {
            "account": ACCOUNT,
            "key": KEY,
            "credit_type": TYPE,
            "ceiling": ceiling,
            "version": 1,
            "rule": 2,
            "deadline_ms": self.now + 60_000,
        } | values
        return hold_line(hold or self.mint(), **values)  # type: ignore[arg-type]

    def hold(self, ceiling: int, **values: object) -> bytes:
        """A hold that must be granted; returns its id."""
        line = self.hold_line(ceiling, **values)  # type: ignore[arg-type]
        (answer,) = self.tick(line)
        assert answer.startswith("HELD"), answer
        return line[3:15]

    def ack(self, entry: Entry, ids: Sequence[bytes] = (), keep: int = 0) -> str:
        return self.answer("ack", ack_args(entry.last_q, entry.chain, ids, keep))

    @property
    def meta(self) -> Meta:
        return Meta.unpack(self.client.get(self.keys.meta))

    def account(self, account: int = ACCOUNT) -> AccountRecord:
        raw = self.client.hget(self.keys.balances(self.epoch), account_field(account))
        return AccountRecord.unpack(raw)

    def key(self, key: int = KEY) -> KeyRecord:
        return KeyRecord.unpack(self.client.hget(self.keys.balances(self.epoch), key_field(key)))

    def session(self, session: int = SESSION) -> SessionRecord:
        raw = self.client.hget(self.keys.balances(self.epoch), session_field(session))
        return SessionRecord.unpack(raw)

    def kept(self, hold: bytes) -> HoldFact | ClosedHold | None:
        raw = self.client.hget(self.keys.holds(self.epoch), hold)
        return None if raw is None else read_hold(raw)

    def lots(self, account: int = ACCOUNT) -> dict[int, int]:
        """What remains in each lot of the first pool, in burn order."""
        return {lot.lot: lot.remaining for lot in self.account(account).pools[0].lots}

    @property
    def entries(self) -> list[Entry]:
        rows = self.client.xrange(self.keys.journal(self.epoch))
        return [
            read_entry(entry_id, *field) for entry_id, fields in rows for field in fields.items()
        ]

    @property
    def facts(self) -> list[object]:
        return [fact for entry in self.entries for fact in entry.facts]

    def dump(self, *, tokens: bool = False) -> dict[bytes, object]:
        """Everything the shard keeps, to show that a call changed nothing; tokens end by themselves."""
        found = self.client.scan_iter(f"{self.keys.namespace}:*", count=1_000)
        keys = [key for key in found if tokens or b":t:" not in key]
        types = self.client.pipeline(transaction=False)
        for key in keys:
            types.type(key)
        contents = self.client.pipeline(transaction=False)
        # Not DUMP: the order of a hash's fields is the server's own business.
        for key, kind in zip(keys, types.execute(), strict=True):
            match kind:
                case b"string":
                    contents.get(key)
                case b"hash":
                    contents.hgetall(key)
                case b"stream":
                    contents.xrange(key)
                case _:
                    contents.smembers(key)
        return dict(zip(keys, contents.execute(), strict=True))


def in_words(line: bytes, answer: bytes | int) -> str:
    """What a line is answered; a number alone says that it did what nearly all do."""
    if isinstance(answer, bytes):
        return answer.decode()
    return f"HELD {answer}" if line.startswith(b"H") else f"DONE c {answer}"


def said(lines: Sequence[bytes], reply: Reply) -> list[str]:
    """What a reply answers, in words: one answer for each line of a tick."""
    if all(isinstance(answer, bytes) for answer in reply.answers):
        return [answer.decode() for answer in reply.answers]
    return [in_words(*one) for one in zip(lines, reply.answers, strict=True)]
