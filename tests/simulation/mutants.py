"""
The protocol with one mechanism removed at a time: what the simulator must notice.

A mutant is a piece of a script, or of a function of the ledger, replaced by another. A piece
that is not found any more is an error, so a mutant cannot outlive what it removes.
"""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from ledger import accounts, controls, fence, posting, shards
from ledger.audit_jobs import Auditor
from ledger.fence import Fence
from ledger.loader import Loader
from ledger.poster import Poster
from ledger.pusher import Pusher
from ledger.scripts import Scripts, _script
from ledger.settler import Settler
from ledger.sweeper import Sweeper

Change = tuple[Any, str, str, str]
"""Where a function is, its name, the piece, and what stands there instead."""


@dataclass(frozen=True)
class Mutant:
    """
    What is removed, in words and in code.

    expected: Whether it must be noticed. False: what else there is makes up for it, wholly or
        in all but the rarest histories; a run still says so if it is noticed.
    why: What makes up for it.
    """

    name: str
    removed: str
    lua: tuple[tuple[str, str], ...] = ()
    python: tuple[Change, ...] = ()
    expected: bool = True
    why: str = ""


NO_WATERMARK = ("if not (q >= watermark) then", "if false then")
NO_CHAIN_IN_ACK = ("if entry_chain ~= ARGV[3] then", "if false then")
NO_CHAIN_IN_POSTING = (
    posting,
    "_continuing",
    "if entry.previous != last_chain:",
    "if False:",
)
NO_INCARNATION = (
    fence,
    "judge",
    "row.epoch == 0 or row.incarnation != incarnation",
    "row.epoch == 0",
)
NO_POSITION = (Poster, "step", "or meta.q < row.last_q", "")

MUTANTS = (
    Mutant(
        "control numbers",
        "a control is applied whether or not it was before",
        lua=(
            ("if control.cseq <= account[2] then", "if false then"),
            ("if control.cseq > account[2] + 1 then", "if false then"),
        ),
    ),
    Mutant(
        "fence, chain and detectors",
        "nobody notices that Redis lost something",
        lua=(NO_WATERMARK, NO_CHAIN_IN_ACK),
        python=(NO_CHAIN_IN_POSTING, NO_INCARNATION, NO_POSITION),
    ),
    Mutant(
        "chain",
        "posting takes what has the next number, whatever it follows; detectors off",
        lua=(NO_WATERMARK, NO_CHAIN_IN_ACK),
        python=(NO_CHAIN_IN_POSTING, NO_POSITION),
    ),
    Mutant(
        "chain in ACK",
        "the window is opened by a position alone",
        lua=(NO_CHAIN_IN_ACK,),
        expected=False,
        why="posting compares the chain of every entry; the window alone opens a moment too early",
    ),
    Mutant(
        "epoch in posting",
        "entries of an epoch that has ended are posted",
        python=((posting, "_post", "if any(entry.epoch != row", "if False and any(entry.epoch != row"),),
        expected=False,
        why="position and chain begin anew with each epoch, so an older entry hardly ever fits",
    ),
    Mutant(
        "load token",
        "a snapshot is written although another process has loaded meanwhile",
        lua=(("if redis.call('GET', KEYS[5]) ~= ARGV[4] then", "if false then"),),
        expected=False,
        why=(
            "an account that is there is never overwritten, nor loaded from an older "
            "epoch's snapshot"
        ),
    ),
    Mutant(
        "load token and presence",
        "a snapshot overwrites an account that is there",
        lua=(
            ("if redis.call('GET', KEYS[5]) ~= ARGV[4] then", "if false then"),
            ("if redis.call('HEXISTS', KEYS[3], 'a' .. account_id) == 1 then", "if false then"),
        ),
    ),
    Mutant(
        "snapshot after LOAD_BEGIN",
        "the snapshot is read before the token is set",
        python=(
            (
                Loader,
                "_try",
                "token = self._chance.randbytes(TOKEN_BYTES)",
                "token = self._chance.randbytes(TOKEN_BYTES); early = await self._snapshot(account)",
            ),
            (Loader, "_try", "snapshot = await self._snapshot(account)\n    fields", "snapshot = early\n    fields"),
        ),
        expected=False,
        why=(
            "as with the token: between snapshot and write another would have to load and "
            "forget it"
        ),
    ),
    Mutant(
        "settle until confirmed",
        "a settlement is forgotten when Redis has it",
        python=((Settler, "_booked", "self._kept.append(settlement)", "pass"),),
    ),
    Mutant(
        "Postgres read before LATE",
        "what Redis does not know is booked late without asking",
        python=(
            (
                Settler,
                "_look_up",
                "epoch, state, last_q = await self._charge_state(settlement.hold_id)",
                "epoch, state, last_q = self._shard.epoch, None, 2**60",
            ),
        ),
    ),
    Mutant(
        "waiting for the position",
        "a hold that Postgres has not come to yet counts as unknown to it",
        python=((Settler, "_go_on", "last_q < settlement.q", "False"),),
        expected=False,
        why=(
            "Redis forgets an ending only when Postgres has it, so it knows all that "
            "Postgres has yet to read"
        ),
    ),
    Mutant(
        "LATE in its epoch only",
        "a late capture is sent in an epoch that Postgres was not asked about",
        python=((Settler, "_send_late", "epoch=epoch", "epoch=None"),),
        expected=False,
        why="an epoch would have to begin between the answer of Postgres and the next tick",
    ),
    Mutant(
        "commit before trim",
        "the journal is acknowledged and trimmed before it is posted",
        python=(
            (
                Poster,
                "_post",
                "batch = whole_batch(tail)",
                (
                    "batch = whole_batch(tail); last = batch[-1]; "
                    "self._row = replace(row, last_q=last.last_q, last_chain=last.chain); "
                    "await self._acknowledge(link); self._row = row"
                ),
            ),
            (Poster, "_acknowledge", "telling, KEPT_FACTS", "telling, 0"),
        ),
    ),
    Mutant(
        "window",
        "holds are granted however much is not posted",
        lua=(
            ("windows[w + 1] - windows[w + 3] + price > windows[w + 4]", "false"),
            ("held - windows[w + 3] + ceiling > windows[w + 4]", "false"),
        ),
    ),
    Mutant(
        "overdue sweep",
        "holds whose gateway is gone stay open",
        python=((Sweeper, "expire_holds", "now_ms, expired = self._clock.now_ms(), 0", "return 0"),),
    ),
    Mutant(
        "sessions",
        "a hold is accepted under a session that this epoch does not know",
        lua=(("return session_highest == nil and 'NEWID' or 'CORRUPT'", "session_highest = 0"),),
        expected=False,
        why="an id carries the microsecond, so a repeat in another epoch needs the very same one",
    ),
    Mutant(
        "rising ids",
        "a late copy of a hold opens it again",
        lua=(
            ("if n <= session_highest then", "if false then"),
            (" or n <= session_highest", ""),
        ),
    ),
    Mutant(
        "late ids are used up",
        "a hold may begin after its work was booked late",
        lua=(("  pass(id)\n", ""),),
        expected=False,
        why=(
            "a hold would have to be under way for longer than its work, its loss and its "
            "late capture"
        ),
    ),
    Mutant(
        "one ending",
        "a hold that was closed stays open in Redis",
        lua=(
            (
                (
                    "  local mark = spack('<c1c1I6', 'D', outcome, captured)\n"
                    "  hold_states[id] = mark\n  put_hold(id, mark)"
                ),
                "",
            ),
            (
                "holds_written[count + 1], holds_written[count + 2] = id, mark",
                "",
            ),
        ),
    ),
    Mutant(
        "compare-and-set of the epoch",
        "whoever fences ends whatever epoch it is",
        python=(
            (shards, "advance", "!= from_epoch:", "== -1:"),
        ),
        expected=False,
        why="an epoch only opens forward; one more of them costs a moment and no fact",
    ),
    Mutant(
        "open holds at the start",
        "an epoch begins as if nothing was held",
        python=((Fence, "_open", "units.get(credit_type, 0)", "0"),),
    ),
    Mutant(
        "names of orders",
        "an order that is repeated is carried out again",
        python=((controls, "add", "source_id or uuid", "uuid"),),
    ),
    Mutant(
        "incarnation",
        "a new server is not noticed when connecting",
        python=(NO_INCARNATION,),
    ),
    Mutant(
        "watermark",
        "a gateway does not notice that Redis went back",
        lua=(NO_WATERMARK,),
        expected=False,
        why="posting notices by position and chain within one cycle",
    ),
    Mutant(
        "epoch of the snapshot",
        "an account is loaded from an older epoch's state",
        lua=(("if sunpack('<d', ARGV[2]) ~= epoch then", "if false then"),),
        expected=False,
        why="the load runs under the guard of its own epoch, and reads after it began",
    ),
    Mutant(
        "freeze",
        "an epoch goes on while it is being ended",
        python=((Fence, "_freeze", "await self._scripts", "return\n    await self._scripts"),),
        expected=False,
        why="what comes behind the salvaged part has no future, and its gateways present it again",
    ),
    Mutant(
        "salvage",
        "what is not posted when an epoch ends is thrown away",
        python=((Fence, "_salvage", "after_q = row.last_q", "return\n    after_q = row.last_q"),),
        expected=False,
        why=(
            "gateways that live present it again; where one died too, the loss stays "
            "within the window"
        ),
    ),
    Mutant(
        "retention",
        "the journal keeps nothing that Postgres has acknowledged",
        python=((Poster, "_acknowledge", "telling, KEPT_FACTS", "telling, 0"),),
    ),
    Mutant(
        "Redis in a later epoch",
        "a Postgres that lost an epoch opens it anew, as if Redis had lost it",
        python=((fence, "judge", "meta.epoch > row.epoch", "False"),),
    ),
    Mutant(
        "Redis that was told more",
        "a Postgres that went back is not noticed where the journal has a gap",
        python=(
            (
                Fence,
                "_left_behind",
                "meta.epoch != row.epoch or meta.posted_q <= row.last_q",
                "True",
            ),
        ),
        expected=False,
        why="with 20,000 facts kept, no journal of these worlds has such a gap",
    ),
    Mutant(
        "epochs above all seen",
        "what a person gives up ends with an epoch that Redis has had",
        python=((shards, "advance", "held, above", "held, 0"),),
        expected=False,
        why="whoever asks again gets the next number, until it is above all that Redis has seen",
    ),
    Mutant(
        "quarantine",
        "an account whose facts break rules goes on in Redis",
        python=(
            (
                posting,
                "_quarantine",
                "for account_id in sorted(first.keys() & books.quarantined):",
                "for account_id in ():",
            ),
        ),
        expected=False,
        why="the account's facts go on to die one by one, each kept; nothing is booked wrong",
    ),
    Mutant(
        "blocking",
        "a freeze whose number Redis has used for something else is taken for applied",
        python=((Pusher, "_push", "status is accounts.Status.QUARANTINED and", "False and"),),
        expected=False,
        why="as without quarantine: what the account does dies, is kept, and is never booked wrong",
    ),
    Mutant(
        "blocking in its epoch only",
        "an account may be blocked after its release",
        python=((Pusher, "_block", "if blame.in_this_epoch:", "if True:"),),
    ),
    Mutant(
        "release in a later epoch only",
        "an account is released while Redis counts what Postgres refused",
        python=((accounts, "release", "if blame.in_this_epoch:", "if False:"),),
        expected=False,
        why="the operator of these worlds begins an epoch before each release",
    ),
    Mutant(
        "audit begins anew",
        "the audit takes what a Postgres lost for a break in the chain",
        python=(
            (Auditor, "batches", "not await walk.still_there(connection)", "False"),
        ),
    ),
    Mutant(
        "two clocks",
        "a caller whose clock is far from Redis' is served",
        lua=(("if not (now - caller_ms <= MAX_SKEW_MS and caller_ms - now <= MAX_SKEW_MS) then", "if false then"),),
        expected=False,
        why="only the edges of deadlines and lots move; no sum does",
    ),
    Mutant(
        "clock that never goes back",
        "Redis' clock may go back",
        lua=(("if now < clock then", "if false then"),),
        expected=False,
        why="only the edges of deadlines and lots move; no sum does",
    ),
    Mutant(
        "settling when memory is full",
        "a full Redis refuses endings too",
        lua=(("#!lua flags=allow-oom", "#!lua"),),
        expected=False,
        why="a settlement is asked again until there is room",
    ),
)  # fmt: skip


@contextmanager
def applied(mutant: Mutant) -> Iterator[Scripts]:
    """Let the ledger be this mutant as long as the block runs; yields its scripts."""
    with ExitStack() as stack:
        for owner, name, piece, instead in mutant.python:
            function = getattr(owner, name)
            replacement = _changed(function, piece, instead)
            stack.enter_context(patch.object(owner, name, replacement))
        yield mutated(mutant)


def mutated(mutant: Mutant) -> Scripts:
    """Return the scripts with the mutant's pieces replaced."""
    scripts = Scripts()
    for piece, instead in mutant.lua:
        found = False
        for name in scripts.names:
            text = scripts[name].text
            if piece in text:
                found = True
                scripts._scripts[name] = _script(name, text.replace(piece, instead))
        if not found:
            raise AssertionError(f"{mutant.name}: no script has {piece!r}")
    return scripts


def _changed(function: Any, piece: str, instead: str) -> Any:
    source = getattr(function, "mutated_source", None)
    source = source or textwrap.dedent(inspect.getsource(function))
    if piece not in source:
        raise AssertionError(f"{function.__qualname__} has no {piece!r}")
    source = source.replace(piece, instead)
    made: dict[str, Any] = {}
    exec(compile(source, function.__code__.co_filename, "exec"), function.__globals__, made)
    changed = made[function.__name__]
    changed.mutated_source = source
    return changed
