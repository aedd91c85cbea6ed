"""The Redis of the simulator answers as a real one does: same commands, same replies, same data."""

import random
import socket
import struct
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import hiredis
import pytest

from ledger.account_record import AccountRecord, account_field
from ledger.facts import Control
from ledger.ids import hold_id
from ledger.keys import Keys
from ledger.limits import ALL_ROUTES, Limit, limits_block
from ledger.lines import (
    Rate,
    ack_args,
    control_args,
    dials_args,
    drop_session_args,
    hold_line,
    late_line,
    load_begin_args,
    load_end_args,
    observed_line,
    open_args,
    renew_line,
    session_args,
    settle_line,
)
from ledger.records import KeyRecord, Meta
from ledger.scripts import HEAD, SETTLING, Scripts, keys_of
from tests.ledger.script_rig import in_words
from tests.simulation.loop import START_S, PlayedLoop
from tests.simulation.servers import Server
from tests.simulation.store import Store

SCRIPTS = Scripts()
LIMITS = limits_block(
    [
        Limit("k", ALL_ROUTES, b"fly.", "F", 3),
        Limit("a", b"road", b"fly.", "F", 5),
        Limit("e", ALL_ROUTES, b"rate", "R", 900_000, 3_600_000),
    ],
    weight=2,
)
"""One of each field: in which order several stand there is the interpreter's own business."""
SEEDS = range(1, 9)
COMMANDS, CALLS = 150, 150
A_DAY_MS = 86_400_000
CLOCK = struct.Struct("<d")
CLOCK_AT = 32
"""Where the meta record has the clock: four doubles stand before it."""


class Error(Exception):
    """An error reply."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Error) and str(self).split()[0] == str(other).split()[0]

    __hash__ = None  # type: ignore[assignment]


class Both:
    """A real server and a played one, given the same commands."""

    def __init__(self, url: str, namespace: str) -> None:
        address = urlsplit(url)
        if address.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(address.path)
        else:
            self._socket = socket.create_connection((address.hostname, address.port or 6379))
        self._loop = PlayedLoop()
        self._played = Server("played", self._loop, SCRIPTS, random.Random(1), Store())
        self._real_reader = hiredis.Reader(replyError=Error)
        self._played_reader = hiredis.Reader(replyError=Error)
        self.prefix = namespace
        self.said: Counter[bytes] = Counter()

    def close(self) -> None:
        self._socket.close()
        self._loop.close()

    def set_time(self) -> int:
        """Make the played server's time the real one's; return it, in milliseconds."""
        seconds, _ = self._real(("TIME",))
        self._loop._played_s = float(int(seconds) - START_S)
        return int(seconds) * 1_000

    def call(self, *args: str | bytes | int) -> Any:
        real, played = self._real(args), self._ask_played(args)
        if str(args[0]) == "HSCAN":
            real, played = _sorted_fields(real), _sorted_fields(played)
        assert played == real, args
        if isinstance(real, list):
            self.said.update(word.split()[0] for word in real if isinstance(word, bytes) and word)
            if str(args[0]) == "EVALSHA":
                lines = args[len(args) - len(real[2:]) :]
                numbers = [
                    one for one in zip(lines, real[2:], strict=True) if isinstance(one[1], int)
                ]
                self.said.update(in_words(*one).split()[0].encode() for one in numbers)
        return real

    def _real(self, args: tuple[Any, ...]) -> Any:
        self._socket.sendall(hiredis.pack_command(args))
        while (reply := self._real_reader.gets()) is False:
            self._real_reader.feed(self._socket.recv(65_536))
        return reply

    def _ask_played(self, args: tuple[Any, ...]) -> Any:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in args]
        self._played_reader.feed(self._played.execute(words))
        return self._played_reader.gets()


def _sorted_fields(reply: Any) -> Any:
    if isinstance(reply, Error):
        return reply
    flat = reply[1]
    return sorted(zip(flat[::2], flat[1::2], strict=True))


@pytest.fixture
def both(each_redis_url: str, namespace: str) -> Any:
    both = Both(each_redis_url, namespace)
    yield both
    both.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_commands_answer_as_on_a_real_server(both: Both, seed: int) -> None:
    """Strings, hashes and streams under few names, so that kinds and fields meet."""
    chance = random.Random(seed)
    keys = [f"{both.prefix}:{seed}:{number}" for number in range(3)]
    position = 0
    for _ in range(COMMANDS):
        key, field = chance.choice(keys), f"f{chance.randrange(4)}"
        value = chance.randbytes(chance.randrange(5))
        position += chance.choice((-1, 1, 1, 2))
        at = f"{chance.choice((1, 1, 2))}-{max(position, 1)}"
        command: tuple[str | bytes | int, ...] = chance.choice(
            (
                ("SET", key, value),
                ("SET", key, value, "PX", 100_000),
                ("GET", key),
                ("DEL", key),
                ("UNLINK", key, chance.choice(keys)),
                ("HSET", key, field, value, "other", b""),
                ("HSETNX", key, field, value),
                ("HGET", key, field),
                ("HEXISTS", key, field),
                ("HLEN", key),
                ("HMGET", key, field, "other", "none"),
                ("HDEL", key, field, "none"),
                ("HSCAN", key, 0, "MATCH", "f*", "COUNT", 500),
                ("XADD", key, at, "f", value),
                ("XADD", key, at, "f", value),
                ("XRANGE", key, at, "+", "COUNT", 3),
                ("XRANGE", key, f"({at}", "+"),
                ("XRANGE", key, at, at),
                ("XTRIM", key, "MINID", at),
            )
        )
        both.call(*command)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_scripts_answer_as_on_a_real_server(both: Both, seed: int) -> None:
    """Scripts with lines of all kinds, right and wrong; and every byte they leave behind."""
    chance = random.Random(seed)
    keys = Keys(f"{both.prefix}:{seed}")
    now = both.set_time() + A_DAY_MS
    for name in SCRIPTS.names:
        both.call("SCRIPT", "LOAD", SCRIPTS[name].text)

    def run(name: str, args: list[bytes], session: int = 0, account: int | None = None) -> Any:
        watermark = 1_000_000 if chance.random() < 0.02 else 0
        clock = now + (A_DAY_MS if chance.random() < 0.02 else 0)
        head = HEAD.pack(1, watermark, clock, session)
        named = keys_of(keys, 1, account)
        return both.call("EVALSHA", SCRIPTS[name].sha, len(named), *named, head, *args)

    def set_clock() -> None:
        # Ahead of both servers: so the scripts take this one, which is the same for both.
        meta = bytearray(both._real(("GET", keys.meta)))
        meta[CLOCK_AT : CLOCK_AT + CLOCK.size] = CLOCK.pack(now)
        both.call("SET", keys.meta, bytes(meta))

    run("open", open_args(1, 10_000, [(1, 0, 300)], 0))
    set_clock()
    run("session", session_args(5))
    cseq, holds, n = {1: 0, 2: 0}, [hold_id(1, 5)], 1
    for account in cseq:
        run("load_begin", load_begin_args(account, b"one"), account=account)
        empty = AccountRecord(1, 0, 0, ())
        args = load_end_args(
            1, account, b"one", record=empty, keys=[(account, KeyRecord(1, account, 3))],
            holds=[], controls=[Control("g", 1, 1, account, 400, 9)],
        )  # fmt: skip
        if run("load_end", args, account=account)[-1] == b"LOADED":
            cseq[account] = 1
    for _ in range(CALLS):
        account = chance.choice((1, 1, 2))
        hold, amount = chance.choice(holds[-9:]), chance.randrange(20)
        n += chance.choice((0, 1, 1, 1))
        kind = chance.randrange(14)
        if kind < 7:
            new = hold_id(n, chance.choice((5, 5, 5, 5, 5, 6)))
            holds.append(new)
            known = {
                "account": account, "key": chance.choice((account, account, account, 9)), "credit_type": 1,
                "version": 1, "rule": 0,
            }  # fmt: skip
            deadline = now + chance.choice((-1_000, 10_000))
            lines = [
                hold_line(
                    new, ceiling=amount, deadline_ms=deadline, **known,
                    rate=Rate(*chance.choice(((0, 0), (1_000_000, 2_000_000)))),
                ),
                hold_line(new, ceiling=amount, deadline_ms=deadline, **known),
                hold_line(new, ceiling=amount, deadline_ms=deadline, **known, detail=b"kept"),
                hold_line(new, ceiling=amount, deadline_ms=deadline, **known, limits=LIMITS),
                hold_line(new, ceiling=1, deadline_ms=deadline, only_check=True, **known),
                settle_line(hold, amount // 2, chance.choice((1, 1, 20, 40, 99)), 200, b"{}"),
                settle_line(hold, 0, chance.choice((20, 40))),
                late_line(hold, amount=amount, reason=1, **known),
                renew_line(hold, now + 20_000),
                observed_line(new, amount=amount, status=200, **known),
                b"?",
            ]  # fmt: skip
            chosen = chance.sample(lines, chance.randrange(1, 4))
            only_settles = all(line[:1] not in b"HK" for line in chosen)
            run(SETTLING if only_settles else "tick", chosen, session=5)
        elif kind == 7:
            token = chance.choice((b"one", b"two"))
            run("load_begin", load_begin_args(account, token), account=account)
        elif kind == 8:
            token = chance.choice((b"one", b"two"))
            args = load_end_args(
                1, account + 1, token, record=empty, keys=[], holds=[], controls=[],
            )  # fmt: skip
            run("load_end", args, account=account + 1)
        elif kind in (9, 10):
            number = cseq[account] + chance.choice((0, 1, 1, 1, 2))
            control = Control(
                chance.choice("gggwfk"), number, 1, chance.randrange(1, 6), chance.randrange(1, 90),
                chance.choice((1, 9)), chance.choice((now + 1, now + 90_000, 2**48 - 1)),
            )  # fmt: skip
            if run("control", control_args(account, [control]))[-1] == b"OK":
                cseq[account] = number
        elif kind == 11:
            both.call("HGET", keys.balances(1), account_field(account))
            run("expire_lots", [account.to_bytes(7, "little")])
            run("dials", dials_args(10_000, [(1, chance.choice((100, 300)))]))
        elif kind == 12:
            raw = both.call("GET", keys.meta)
            position = Meta.unpack(raw)
            run(
                "ack",
                ack_args(
                    position.q, position.chain, chance.sample(holds, 1), chance.choice((0, 9))
                ),
            )
        else:
            run("drop_session", drop_session_args(6, b""))
            now += chance.choice((1, 6_000))
            set_clock()
    run("freeze", [])
    both.call("GET", keys.meta)
    both.call("XRANGE", keys.journal(1), "0-1", "+")
    for key in (keys.balances(1), keys.holds(1)):
        both.call("HSCAN", key, 0, "COUNT", 10_000)
    assert both.said[b"HELD"] > 2, both.said
    assert both.said[b"DONE"] > 2, both.said
