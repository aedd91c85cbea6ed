"""
A shard on a real server and the model of it: every call goes to both.

The answers must be the model's word for word, and afterwards all that the shard keeps must be
what the model has: `agree` looks at every byte of it.
"""

import os
import struct
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import redis
from redis.client import Pipeline

from ledger.account_record import AccountRecord, Pool, account_field
from ledger.claims import Claim
from ledger.facts import Control
from ledger.ids import hold_id
from ledger.journal_entry import read_entry
from ledger.limits import read_loans, read_tallies, tally_field
from ledger.lines import (
    ack_args,
    control_args,
    dials_args,
    drop_session_args,
    load_begin_args,
    load_end_args,
    load_limits_args,
    session_args,
)
from ledger.reach_bytes import OF_A_LOT
from ledger.records import KeyRecord, Meta, SessionRecord, key_field, read_hold, session_field
from ledger.scripts import SETTLING, Reply, Scripts, read_reply
from tests.ledger import model as modelled
from tests.ledger.journal_audit import JournalAudit
from tests.ledger.model import Model
from tests.ledger.script_rig import SCRIPTS, Rig, said
from tests.ledger.tick_lines import HoldLine, ObservedLine, packed

ACCOUNTS, TYPES = (1, 2, 3, 4), (1, 2)
PLAIN = 4
"""An account that has credits of one type, for every route, and no plan: as nearly all are."""
CLAIMS = [Claim(account, bytes([key]) * 16, b"") for account in ACCOUNTS for key in (7, 8)]
"""The keys that are used, whatever for."""
CAP, WINDOW, FLOOR = 200, 600, 7
NEVER_MINTED = b"never existed"[:12]
WRITERS = frozenset({"tick", SETTLING, "control", "load_end", "expire_lots", "open"})


class Tally:
    """What the histories of one run were made of."""

    def __init__(self) -> None:
        self.histories = 0
        self.steps = 0
        self.calls: Counter[str] = Counter()
        """Script calls by name."""
        self.answers: Counter[tuple[str, str]] = Counter()
        self.failed_after: tuple[int, int] | None = None
        """Histories and steps up to the first failure; what fails is run a few times more."""
        self.filled = 0
        """How often memory became full."""
        self.calls_while_full: Counter[str] = Counter()

    def __str__(self) -> str:
        """Every answer seen, to judge whether the histories were interesting."""
        answers: defaultdict[str, list[str]] = defaultdict(list)
        for (name, answer), times in sorted(self.answers.items()):
            answers[name].append(f"{answer} {times}")
        lines = [
            f"{name} {self.calls[name]}: {', '.join(answers[name])}" for name in sorted(answers)
        ]
        return "\n  ".join([f"{self.histories} histories, {self.steps} steps", *lines])


class Twin:
    """One shard and its model."""

    def begin(self, url: str, tally: Tally, scripts: Scripts = SCRIPTS) -> None:
        """Start with a shard of its own in which nothing is."""
        tally.histories += 1
        self.tally = tally
        self.rig = Rig(url, f"model{os.getpid()}x{id(tally):x}x{tally.histories}", scripts)
        self.rig.epoch = 0
        self.model = Model(self.rig.now, CAP, dict.fromkeys(TYPES, WINDOW))
        self.model.stored[3] = modelled.Account(pools={1: modelled.Pool(floor=FLOOR)})
        self.audit = JournalAudit()
        self.full = False
        self.seen: list[Any] = []
        """What the last call left behind; empty if something else has changed the shard since."""
        self.current = [0, 0]
        """The session of either gateway."""

    def run(
        self,
        name: str,
        args: Sequence[bytes] = (),
        *,
        session: int = 0,
        claims: Sequence[Claim] = (),
        **more: int | None,
    ) -> Reply:
        """One call, counted; what it left behind is read in the same breath."""
        self.tally.calls[name] += 1
        self.tally.calls_while_full[name] += self.full
        pipe = self.rig.client.pipeline(transaction=False)
        pipe.evalsha(*self.rig.command(name, args, session=session, claims=claims, **more))
        self._look(pipe)
        raw, *self.seen = pipe.execute(raise_on_error=False)
        if isinstance(raw, redis.exceptions.NoScriptError):
            self.rig.client.script_load(self.rig.scripts[name].text)
            return self.run(name, args, session=session, claims=claims, **more)
        if isinstance(raw, Exception):
            raise raw
        reply = read_reply(raw)
        self.tally.answers[name, reply.word] += 1
        return reply

    def _look(self, pipe: Pipeline) -> None:
        """Ask for all that the shard keeps; of the journal what is new since `agree`."""
        keys, epoch, done = self.rig.keys, self.rig.epoch, len(self.audit.chains)
        after = self.model.entries[done - 1][0] if done else 0
        pipe.get(keys.meta)
        pipe.hgetall(keys.balances(epoch))
        pipe.hgetall(keys.holds(epoch))
        pipe.xlen(keys.journal(epoch))
        pipe.xrange(keys.journal(epoch), f"({epoch}-{after}")
        for account in ACCOUNTS:
            pipe.get(self.token_key(account))
        for claim in CLAIMS:
            pipe.get(keys.claim(epoch, claim.account, claim.key_hash))

    def call(
        self,
        name: str,
        args: Sequence[bytes] = (),
        *,
        session: int = 0,
        account: int | None = None,
        claims: Sequence[Claim] = (),
    ) -> list[str]:
        """The answers to one call that the guard must let pass."""
        reply = self.run(name, args, session=session, account=account, claims=claims)
        assert reply.word == "OK", reply
        assert reply.q == self.model.q or name in WRITERS
        answers = said(args, reply)
        self.tally.answers.update((name, answer.split()[0]) for answer in answers)
        return answers

    def ask(self, name: str, args: Sequence[bytes], *, account: int | None = None) -> str:
        [answer] = self.call(name, args, account=account)
        return answer

    def ask_session(self, session: int) -> None:
        assert self.ask("session", session_args(session)) == self.model.open_session(session)

    def go_to(self, now_ms: int) -> None:
        """Let it be this time. The rig writes that into the shard, for which there is room."""
        if self.full:
            self.rig.client.config_set("maxmemory", 0)
        self.seen = []
        self.rig.at(now_ms)
        self.model.now = now_ms
        if self.full:
            self.rig.client.config_set("maxmemory", 1)

    def in_force(self, name: str) -> list[bytes]:
        """Arguments with which this script would do something now."""
        account = next(iter(self.model.accounts), 1)
        known = self.model.accounts.get(account)
        cseq = known.cseq + 1 if known else 1
        session = self.current[0]
        read = self.model.sessions.get(session, SessionRecord(0, 0))
        at = len(self.model.entries) - 1
        match name:
            case "tick":
                unheard = hold_id(2**40, session)
                return [packed(HoldLine(unheard, account, 10 * account, 1, 1, self.rig.now))]
            case "tick_settling":
                return [packed(ObservedLine(NEVER_MINTED, 1, 1))]
            case "ack":
                last_q = self.model.entries[at][0] if at >= 0 else 1
                chain = self.audit.chains[at] if at >= 0 else "0" * 16
                return ack_args(last_q, chain, list(self.model.holds), 0)
            case "block" | "expire_lots":
                return [account_id(account)]
            case "control":
                return control_args(account, [Control("g", cseq, 1, 2**30, 5)])
            case "dials":
                return dials_args(5, [(1, 5)])
            case "drop_session":
                return drop_session_args(session, session_bytes(read))
            case "load_begin":
                return load_begin_args(3, b"an outsider's")
            case "load_end":
                token = self.model.tokens.get(3, b"token")
                record = AccountRecord(1, 0, 0, ())
                return load_end_args(
                    self.rig.epoch, 3, token, record=record, keys=[], holds=[], controls=[]
                )
            case "load_limits":
                return load_limits_args(self.rig.epoch, {tally_field("a", 9): bytes(17)})
            case "session":
                return session_args(2**31)
            case "unload":
                return [account_id(account), self.raw_account(account), b""]
        raise AssertionError(f"{name}.lua has no call here, and no rule")

    def raw_account(self, account: int) -> bytes:
        balances = self.rig.keys.balances(self.rig.epoch)
        return self.rig.client.hget(balances, account_field(account)) or b""

    def token_key(self, account: int) -> str:
        return self.rig.keys.token(self.rig.epoch, account)

    # What must be so after every step.

    def agree(self) -> None:
        """The shard keeps what the model has and nothing else, and the facts add up by themselves."""
        model, done = self.model, len(self.audit.chains)
        if not self.seen:
            pipe = self.rig.client.pipeline(transaction=False)
            self._look(pipe)
            self.seen = pipe.execute()
        raw_meta, balances, holds, length, rows, *others = self.seen
        tokens, owners = others[: len(ACCOUNTS)], others[len(ACCOUNTS) :]
        self.seen = []
        meta = Meta.unpack(raw_meta)
        self.agree_on_meta(meta)
        assert {hold: read_hold(raw) for hold, raw in holds.items()} == model.holds
        loans = {hold: read_loans(raw) for hold, raw in holds.items() if raw[:1] == b"H"}
        lent = {
            i: [one for one in all_lent if one.kind != OF_A_LOT] for i, all_lent in loans.items()
        }
        assert {
            hold: of_limits for hold, of_limits in lent.items() if of_limits
        } == model.limits.lent
        for hold, all_lent in loans.items():
            reaches = {one.amount: one.window for one in all_lent if one.kind == OF_A_LOT}
            assert reaches == model.lent_reaches.get(hold, {})
        assert {a: t for a, t in zip(ACCOUNTS, tokens, strict=True) if t} == model.tokens
        assert owners == [model.claims.kept(claim) for claim in CLAIMS]
        assert length == len(model.journal)
        for row, expected in zip(rows, model.entries[done:], strict=True):
            entry = read_entry(row[0], *next(iter(row[1].items())))
            assert (entry.last_q, list(entry.facts)) == (expected[0], expected[2])
            self.audit.follow(entry)
        self.audit.check_windows(meta)
        self.agree_on_balances(balances)

    def agree_on_meta(self, meta: Meta) -> None:
        model = self.model
        assert (meta.epoch, meta.q, meta.posted_q, meta.open_holds, meta.journal_cap) == (
            model.epoch,
            model.q,
            model.posted_q,
            model.open,
            model.cap,
        )
        assert (meta.clock_ms, meta.frozen) == (model.now, False)
        assert {one.credit_type: one[1:] for one in meta.types} == {
            number: (one.held, one.returned, one.posted, one.window)
            for number, one in model.windows.items()
        }

    def agree_on_balances(self, balances: dict[bytes, bytes]) -> None:
        model = self.model
        for account, known in model.accounts.items():
            real = AccountRecord.unpack(balances.pop(account_field(account)))
            assert (real.status, real.cseq, real.aseq) == (known.status, known.cseq, known.aseq)
            assert real.plan == known.plan
            pools = {pool.credit_type: pool for pool in real.pools}
            for expected in pool_records(known.pools):
                # An empty pool is kept once something was put into it.
                empty = Pool(expected.credit_type, 0, 0, ())
                assert pools.pop(expected.credit_type, empty) == expected
            assert not any(pool.lots or pool.debt for pool in pools.values())
            self.audit.check_pools(account, real.pools)
        for number, key in model.keys.items():
            assert KeyRecord.unpack(balances.pop(key_field(number))) == key_record(key)
        for session, record in model.sessions.items():
            assert SessionRecord.unpack(balances.pop(session_field(session))) == record
        fields = [field for field in balances if field[:1] == b"l"]
        tallies = {field: read_tallies(balances.pop(field)) for field in fields}
        assert tallies == model.limits.tallies
        assert balances == {}


def account_id(account: int) -> bytes:
    return account.to_bytes(7, "little")


def session_bytes(record: SessionRecord) -> bytes:
    return struct.pack("<dd", record.highest, record.used_ms)


def pool_records(pools: dict[int, modelled.Pool]) -> list[Pool]:
    return [
        Pool(credit_type, pool.debt, pool.floor, tuple(pool.lots))
        for credit_type, pool in pools.items()
    ]


def key_record(key: modelled.Key) -> KeyRecord:
    return KeyRecord(key.status, key.account, key.scopes, key.expiry_ms, key.tat_us)
