"""
Break the scripts, one line at a time, and see the state machine notice.

    python -m tests.ledger.lua_mutants              all of them, as a table
    python -m tests.ledger.lua_mutants window ack   those whose name has one of these words in it

Ends with status 1 if one of them survives. A mutant that nobody can tell from the original says
that the line is superfluous, or that the machine is too tame.
"""

import argparse
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

import redis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.stores import EmbeddedRedis
from ledger.errors import LedgerError
from ledger.scripts import SETTLING, Script, Scripts, resolved, without_holds
from tests.ledger.shard_machine import ShardMachine, Tally

MOST_HISTORIES, STEPS = 300, 100


@dataclass(frozen=True)
class Mutant:
    """One text of one file, there exactly once, replaced."""

    what: str
    file: str
    text: str
    instead: str


MUTANTS = (
    Mutant(
        "tick: hold without the window check",
        "parts/hold",
        "windows[w + 1] - windows[w + 3] + price > windows[w + 4] or ",
        "",
    ),
    Mutant(
        "tick: hold without the balance check",
        "parts/hold",
        "if not (available >= price) then",
        "if false then",
    ),
    Mutant(
        "tick: hold without journal room",
        "parts/hold",
        "\n      or fact_count > room - 2 * open_holds - SPARE_FACTS",
        "",
    ),
    Mutant(
        "tick: a repeated id holds again",
        "parts/hold",
        "if n <= session_highest then",
        "if false then",
    ),
    Mutant(
        "tick: another account's key",
        "parts/hold",
        "key_account ~= account_id or ",
        "",
    ),
    Mutant(
        "tick: hold by a plan that the account is not on",
        "parts/hold",
        "if plan and plan ~= (account.plan or 0) then",
        "if false then",
    ),
    Mutant(
        "tick: hold asks for the plan of lines that have none",
        "parts/hold",
        "if plan and plan ~= (account.plan or 0) then",
        "if plan ~= (account.plan or 0) then",
    ),
    Mutant(
        "control: a plan is forgotten",
        "parts/control",
        "    account.plan = control.object > 0 and control.object or nil\n",
        "",
    ),
    Mutant(
        "account: kept as one that is on no plan",
        "parts/account",
        "account[4] ~= 1 or account.plan or account.reaches",
        "account[4] ~= 1 or account.reaches",
    ),
    Mutant(
        "account: the plan is not read",
        "parts/records",
        "account.plan, at = sunpack('<I4', raw, at)",
        "account.plan, at = 1, at + 4",
    ),
    Mutant(
        "tick: a due lot is still spent",
        "parts/hold",
        "  expire_due(account_id, account, p)\n",
        "",
    ),
    Mutant(
        "tick: a due lot counts as the balance",
        "parts/hold",
        "balance = available + account[p + 2] --",
        "balance = available + account[p + 2] + due --",
    ),
    Mutant(
        "tick: the key as it was before this call",
        "parts/hold",
        "had_a_line and written(balances_written, key_field) or ",
        "",
    ),
    Mutant(
        "tick: a hold of this call is not known to it",
        "parts/states",
        "hold_states[id] or written(holds_written, id)",
        "hold_states[id]",
    ),
    Mutant(
        "tick: settle gives back twice",
        "parts/close_hold",
        "local debt, left = account[p + 1], price - captured",
        "local debt, left = account[p + 1], 2 * (price - captured)",
    ),
    Mutant(
        "tick: settle forgets the debt",
        "parts/close_hold",
        "local paid = debt < left and debt or left",
        "local paid = 0",
    ),
    Mutant(
        "tick: settle leaves no mark",
        "parts/close_hold",
        "put_hold(id, mark)\n",
        "",
    ),
    Mutant(
        "tick: settle of more than was held",
        "parts/settle",
        "elseif captured > price then",
        "elseif false then",
    ),
    Mutant(
        "tick: expiry before the deadline",
        "parts/settle",
        "elseif outcome == 'x' and sunpack('<I6', raw, 43) > now then",
        "elseif false then",
    ),
    Mutant(
        "tick: late beyond the balance",
        "parts/late",
        "math.max(math.min(amount, available_in(account, p) - units), 0)",
        "amount",
    ),
    Mutant(
        "tick: late without the window",
        "parts/late",
        "windows[w + 1] - windows[w + 3] + taken > windows[w + 4] or ",
        "",
    ),
    Mutant("tick: a hold may begin after it was booked late", "parts/late", "  pass(id)\n", ""),
    Mutant(
        "tick: renew brings a deadline forward",
        "parts/renew",
        "if deadline > sunpack('<I6', raw, 43) then",
        "if true then",
    ),
    Mutant(
        "tick: observed without journal room",
        "parts/observed",
        "fact_count > room - 2 * open_holds - SPARE_FACTS",
        "false",
    ),
    Mutant("guard: no epoch", "parts/guard", "if epoch ~= caller_epoch then", "if false then"),
    Mutant("guard: no watermark", "parts/guard", "if not (q >= watermark) then", "if false then"),
    Mutant("guard: no freeze", "parts/guard", "if frozen == 1 then", "if false then"),
    Mutant("guard: a clock that goes back", "parts/guard", "if now < clock then", "if false then"),
    Mutant("guard: no clock of the caller", "parts/guard", "<= MAX_SKEW_MS and", "<= 9e15 and"),
    Mutant(
        "journal: not chained",
        "parts/commit",
        "spack('<c16dI4HB', chain, ",
        "spack('<c16dI4HB', string.rep('0', 16), ",
    ),
    Mutant(
        "journal: aseq stays",
        "parts/saying",
        "account[3] = account[3] + 1",
        "account[3] = account[3]",
    ),
    Mutant(
        "ack: added up, not absolute",
        "ack",
        "    windows[w + 3] = returned\n",
        "    windows[w + 3] = windows[w + 3] + returned\n",
    ),
    Mutant(
        "ack: an older one counts back",
        "ack",
        "if w and returned > windows[w + 3] then",
        "if w then",
    ),
    Mutant("ack: any chain will do", "ack", "if entry_chain ~= ARGV[3] then", "if false then"),
    Mutant(
        "ack: open holds are removed too",
        "ack",
        "if value and byte(value) == CLOSED_MARK then",
        "if value then",
    ),
    Mutant(
        "ack: trims what is to be kept", "ack", "math.max(acknowledged - keep, 0)", "acknowledged"
    ),
    Mutant(
        "control: applied again",
        "parts/control",
        "if control.cseq <= account[2] then",
        "if false then",
    ),
    Mutant(
        "control: one may be missing",
        "parts/control",
        "if control.cseq > account[2] + 1 then",
        "if false then",
    ),
    Mutant(
        "control: a grant pays no debt",
        "parts/control",
        "local paid = math.min(account[p + 1], control.amount)",
        "local paid = 0",
    ),
    Mutant(
        "control: what is clawed back and gone is forgiven",
        "parts/control",
        "  account[p + 1] = account[p + 1] + left\n",
        "",
    ),
    Mutant("load_begin: no look whether it is loaded", "load_begin", "== 1 then", "== 2 then"),
    Mutant(
        "load_end: no look whether it is loaded",
        "load_end",
        "if redis.call('HEXISTS', KEYS[3], 'a' .. account_id) == 1 then",
        "if false then",
    ),
    Mutant(
        "load_end: any token will do",
        "load_end",
        "if redis.call('GET', KEYS[5]) ~= ARGV[4] then",
        "if false then",
    ),
    Mutant(
        "load_end: a snapshot of any epoch",
        "load_end",
        "if sunpack('<d', ARGV[2]) ~= epoch then",
        "if false then",
    ),
    Mutant(
        "load_end: the snapshot's holds over newer ones",
        "load_end",
        "if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 0 then",
        "if true then",
    ),
    Mutant("load_end: the token stays", "load_end", "redis.call('DEL', KEYS[5])\n", ""),
    Mutant(
        "unload: though it moved since",
        "unload",
        "if stored and stored ~= ARGV[3] then",
        "if false then",
    ),
    Mutant("unload: the keys stay", "unload", "unpack(fields))", "fields[1])"),
    Mutant("block: nothing is blocked", "block", "local FROZEN = 2", "local FROZEN = 1"),
    Mutant(
        "expire_lots: only the first pool",
        "expire_lots",
        "for _ = 1, account[4] do",
        "for _ = 1, math.min(1, account[4]) do",
    ),
    Mutant("session: a number opened twice", "session", "HSETNX", "HSET"),
    Mutant(
        "drop_session: though it was used since",
        "drop_session",
        "if stored and stored ~= ARGV[3] then",
        "if false then",
    ),
    Mutant("dials: a new window forgets what is held", "dials", "if not w then", "if true then"),
    Mutant("open: an older epoch", "open", "if before and before >= epoch then", "if false then"),
    Mutant(
        "open: without what Postgres had open",
        "open",
        "credit_type, held, 0, 0, units",
        "credit_type, 0, 0, 0, units",
    ),
    Mutant(
        "freeze: of any epoch",
        "freeze",
        "if epoch ~= sunpack('<d', ARGV[1]) then",
        "if false then",
    ),
    Mutant(
        "limits: a rate that lets all through",
        "parts/limits",
        "      wait = math.ceil((value + (weight - 1) * limit.a - limit.b - now * 1000) / 1000)",
        "      wait = 0",
    ),
    Mutant(
        "limits: a request counts as one, whatever its weight",
        "parts/limits",
        "now * 1000) + weight * limit.a",
        "now * 1000) + limit.a",
    ),
    Mutant(
        "limits: any number in flight",
        "parts/limits",
        "wait = value >= limit.a and IN_FLIGHT_RETRY_MS or 0",
        "wait = 0",
    ),
    Mutant(
        "limits: in flight for ever",
        "parts/close_hold",
        "if loans <= #raw then",
        "if false then",
    ),
    Mutant(
        "limits: an account's are a key's",
        "parts/tallies",
        "whose == 'k' and key_id or whose == 'a' and account_id or EVERYONE",
        "key_id",
    ),
    Mutant(
        "limits: one route's are another's",
        "parts/tallies",
        "whose .. owner .. route",
        "whose .. owner .. '    '",
    ),
    Mutant(
        "limits: a check flies",
        "parts/limits",
        "    elseif only_check then",
        "    elseif false then",
    ),
    Mutant(
        "limits: those used up are never forgotten",
        "parts/tallies",
        "local least = kind == A_RATE and now * 1000 or 0",
        "local least = 0",
    ),
    Mutant(
        "limits: a quota for ever",
        "parts/limits",
        "value + weight > limit.a and",
        "value > limit.a and",
    ),
    Mutant(
        "limits: a void keeps the quota",
        "parts/loans",
        "if outcome == 'c' and kind ~= 'F' then",
        "if kind ~= 'F' then",
    ),
    Mutant(
        "limits: a capture gives the quota back",
        "parts/loans",
        "amount - captured or 0",
        "amount - captured or amount",
    ),
    Mutant(
        "limits: yesterday's use is today's",
        "parts/tallies",
        "if PERIODIC[byte(raw, at + 4)] and window ~= period_of(id).number then",
        "if false then",
    ),
    Mutant(
        "limits: what comes back late counts for today",
        "parts/loans",
        "if counted_in == window and whole(value) then",
        "if whole(value) then",
    ),
    Mutant(
        "limits: an allowance beside credits",
        "parts/hold",
        "price = allowance and 0 or ceiling",
        "price = ceiling",
    ),
    Mutant(
        "limits: a cap is not asked",
        "parts/limits",
        "if cap.spent + price > cap.most then",
        "if false then",
    ),
    Mutant(
        "limits: a cap of another type",
        "parts/caps",
        " and byte(raw, at + 2) == credit_type then",
        " then",
    ),
    Mutant(
        "limits: late work spends no cap",
        "parts/late",
        "  spend_late(id, account_id, key_id, credit_type, taken)\n",
        "",
    ),
    Mutant(
        "control: a key put again loses its caps",
        "parts/control",
        "scopes = bit.bor(scopes, bit.band(byte(known, 9), CAPPED))",
        "",
    ),
    Mutant("control: a lifted cap stays", "parts/control", "    drop_use(field, id)\n", ""),
    Mutant(
        "claims: a key for every hold",
        "parts/hold",
        "answer = claim and claims().kept_by_owner(claim, id)",
        "answer = nil",
    ),
    Mutant(
        "claims: a key is not written",
        "parts/hold",
        "  claims().take(claim, id, account_id, 0)\n",
        "",
    ),
    Mutant(
        "claims: captured, and the key is free",
        "parts/claims",
        "elseif outcome == 'c' or outcome == 'l' then",
        "elseif outcome == 'l' then",
    ),
    Mutant(
        "claims: given back, and the key is kept",
        "parts/claims",
        "    elseif outcome or owner_id == known",
        "    elseif owner_id == known",
    ),
    Mutant(
        "claims: any request under the key",
        "parts/claims",
        "if owner and owner.fingerprint ~= claim.fingerprint then",
        "if false then",
    ),
    Mutant(
        "claims: what only Postgres knows is taken for nothing",
        "parts/claims",
        "return told_of('ASK', owner_id)",
        "return nil",
    ),
    Mutant(
        "claims: what Postgres knows is not heard",
        "parts/claims",
        "local known = claim.there > 0 and claim.known",
        "local known = false",
    ),
    Mutant(
        "claims: an older word of Postgres over a late booking",
        "parts/claims",
        "owner and owner.late == 1 or ",
        "",
    ),
    Mutant(
        "claims: late work is taken beside the key's owner",
        "parts/late",
        "local taken = p and not others and",
        "local taken = p and",
    ),
    Mutant(
        "claims: late work does not wait for Postgres",
        "parts/late",
        "if others == 'CORRUPT' or others and sub(others, 1, 3) == 'ASK' then",
        "if others == 'CORRUPT' then",
    ),
    Mutant(
        "claims: late work takes no key",
        "parts/late",
        "    claims().take(claim, id, account_id, 1)\n",
        "",
    ),
    Mutant("load_limits: over what is newer", "load_limits", "HSETNX", "HSET"),
    Mutant(
        "load_limits: of another epoch",
        "load_limits",
        "~= epoch then",
        "~= epoch and false then",
    ),
    Mutant(
        "reach: a limited lot is for every route",
        "parts/reach",
        "if reach and not (reach <= highest and within_reach(line, at, reach)) then",
        "if false then",
    ),
    Mutant(
        "reach: nobody is told of a new one",
        "parts/reach",
        "unknown = unknown or reach > highest",
        "unknown = false",
    ),
    Mutant(
        "reach: taken from lots of other routes",
        "parts/taking",
        " and not (barred and barred[account[k]])",
        "",
    ),
    Mutant(
        "reach: available is what other routes have",
        "parts/hold",
        "    available = available - units\n",
        "",
    ),
    Mutant(
        "reach: late work takes from other routes",
        "parts/late",
        "available_in(account, p) - units",
        "available_in(account, p)",
    ),
    Mutant(
        "reach: a hold forgets the reach of its lots",
        "parts/hold",
        "      lent = lent .. lend_reaches(account, allocation)\n",
        "",
    ),
    Mutant(
        "reach: what comes back is for every route",
        "parts/close_hold",
        "local reach = reach_lent(raw, loans, lots[k])",
        "local reach = nil",
    ),
    Mutant(
        "reach: limited lots burn last",
        "parts/lots",
        "later = reaches[id] ~= nil",
        "later = reaches[id] == nil",
    ),
    Mutant(
        "reach: a grant is for every route",
        "parts/control",
        "control.expiry, rest, reach)",
        "control.expiry, rest)",
    ),
    Mutant(
        "reach: a repeat is told of other routes' credits",
        "parts/hold_extras",
        "left = available_in(account, p) - units",
        "left = available_in(account, p)",
    ),
    Mutant(
        "plain hold: without the window check",
        "parts/plain_hold",
        "held - windows[w + 3] + ceiling > windows[w + 4] or ",
        "",
    ),
    Mutant(
        "plain hold: without the balance check",
        "parts/plain_hold",
        " or remaining < ceiling or ",
        " or ",
    ),
    Mutant(
        "plain hold: without journal room",
        "parts/plain_hold",
        "\n    or fact_count > room - 2 * open_holds - SPARE_FACTS",
        "",
    ),
    Mutant(
        "plain hold: a repeated id holds again",
        "parts/plain_hold",
        " or n <= session_highest",
        "",
    ),
    Mutant(
        "plain hold: another session's id",
        "parts/plain_hold",
        "or id_session ~= session or ",
        "or ",
    ),
    Mutant(
        "plain hold: another account's key",
        "parts/plain_hold",
        "or key_account ~= account_id or ",
        "or ",
    ),
    Mutant(
        "plain hold: a key that is revoked",
        "parts/plain_hold",
        " or key_status ~= 1",
        "",
    ),
    Mutant(
        "plain hold: a key without the scope",
        "parts/plain_hold",
        "scopes % 2 == 0 or ",
        "",
    ),
    Mutant(
        "plain hold: a key's caps are not asked",
        "parts/plain_hold",
        " or scopes >= HAS_CAPS",
        "",
    ),
    Mutant(
        "plain hold: a key faster than its rate",
        "parts/plain_hold",
        " or interval > 0 and tat > now_us + burst",
        "",
    ),
    Mutant(
        "plain hold: an account that is frozen",
        "parts/plain_hold",
        "or ends ~= PLAIN_ACTIVE or ",
        "or ends < PLAIN_ACTIVE or ",
    ),
    Mutant(
        "plain hold: from lots of another type",
        "parts/plain_hold",
        " or account_type ~= held_type",
        "",
    ),
    Mutant(
        "plain hold: a due lot is still spent",
        "parts/plain_hold",
        "or soonest <= now or ",
        "or ",
    ),
    Mutant(
        "plain hold: what stands behind the line is not asked",
        "parts/plain_hold",
        "if scope ~= SCOPE_CALL or ",
        "if ",
    ),
    Mutant(
        "plain hold: the account as it was before this call",
        "parts/plain_hold",
        "  account_raw = balances_written[place + 1]\n",
        "",
    ),
    Mutant(
        "plain hold: the key as it was before this call",
        "parts/plain_hold",
        "key_place, key_raw = i, balances_written[i + 1]",
        "key_place = i",
    ),
    Mutant(
        "plain hold: over what the call has taken apart",
        "parts/plain_hold",
        "if place == false or ",
        "if ",
    ),
    Mutant(
        "plain hold: aseq stays",
        "parts/plain_hold",
        "aseq, remaining, balance = aseq + 1, ",
        "aseq, remaining, balance = aseq, ",
    ),
    Mutant(
        "plain settle: gives back twice",
        "parts/plain_settle",
        "aseq, remaining = aseq + 1, remaining + left",
        "aseq, remaining = aseq + 1, remaining + 2 * left",
    ),
    Mutant(
        "plain settle: gives back to another lot",
        "parts/plain_settle",
        " or from_lot ~= lot",
        "",
    ),
    Mutant(
        "plain settle: all from the first of several lots",
        "parts/plain_settle",
        " or from_lots ~= 1 or from_lot ~= lot or amount ~= price",
        " or from_lot ~= lot",
    ),
    Mutant(
        "plain settle: to a lot that is due",
        "parts/plain_settle",
        "or soonest <= now or ",
        "or ",
    ),
    Mutant(
        "plain settle: a void or an expiry captures",
        "tick",
        "reason < FIRST_VOID and reason >= FIRST_CAPTURE and mark",
        "mark",
    ),
    Mutant(
        "plain settle: more than was held",
        "tick",
        " and captured <= price then",
        " then",
    ),
    Mutant(
        "plain settle: a hold that this call has closed",
        "parts/plain_settle",
        " or hold_states[id] ~= nil then",
        " then",
    ),
    Mutant(
        "plain settle: leaves no mark",
        "parts/plain_settle",
        "holds_written[count + 1], holds_written[count + 2] = id, mark\n",
        "",
    ),
    Mutant(
        "plain settle: the account as it was before this call",
        "parts/plain_settle",
        "place and balances_written[place + 1] or read[at_account]",
        "read[at_account]",
    ),
    Mutant(
        "plain settle: over what the call has taken apart",
        "parts/plain_settle",
        "if place == false or ",
        "if ",
    ),
    Mutant(
        "tick: taken apart as it was before this call",
        "parts/states",
        "raw = fresh[field] and balances_written[fresh[field] + 1] or raw",
        "raw = raw",
    ),
    Mutant(
        "account: the current lot's remaining of when it was packed",
        "parts/account",
        "account[12 + 4 * before], rest, soonest = remaining,",
        "rest, soonest =",
    ),
    Mutant(
        "account: the last lot to expire is the first",
        "parts/account",
        "account[k + 2] < soonest then",
        "account[k + 2] > soonest then",
    ),
    Mutant("tick: holds although memory is full", "tick", "#!lua\n", "#!lua flags=allow-oom\n"),
    Mutant("control: refused when memory is full", "control", "#!lua flags=allow-oom\n", "#!lua\n"),
)


class MutantScripts(Scripts):
    """All scripts, those broken that have the mutant's text."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__()
        folder = files("ledger") / "lua"
        source = (folder / f"{mutant.file}.lua").read_text("utf-8")
        if source.count(mutant.text) != 1:
            raise SystemExit(f"{mutant.file}.lua does not have once: {mutant.text!r}")
        if mutant.file.startswith("parts/"):
            broken_source = source.replace(mutant.text, mutant.instead)
            whole = (resolved(folder, source), resolved(folder, broken_source))
            broken = {script.name: script.text.replace(*whole) for script in self._scripts.values()}
            whole = (without_holds(whole[0]), without_holds(whole[1]))
            broken[SETTLING] = self[SETTLING].text.replace(*whole)
        else:
            names = {mutant.file, f"{mutant.file}_settling"} & set(self._scripts)
            # Its own text follows what it includes, where the same may stand.
            broken = {
                name: mutant.instead.join(self[name].text.rsplit(mutant.text, 1)) for name in names
            }
        for name, text in broken.items():
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self._scripts[name] = Script(name, text, sha)


def noticed(url: str, mutant: Mutant, most: int = MOST_HISTORIES) -> tuple[Tally, str]:
    """Return what it took, and the assertion or error that told; empty if nobody noticed."""
    tally = Tally()
    try:
        run_state_machine_as_test(
            partial(ShardMachine, url, tally, MutantScripts(mutant)),
            settings=settings(
                max_examples=most,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                verbosity=Verbosity.quiet,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except (AssertionError, ValueError, redis.RedisError, LedgerError, KeyError) as told:
        lines = str(told).strip().splitlines()
        return tally, f"{type(told).__name__} {lines[0] if lines else ''}".strip()
    return tally, ""


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.ledger.lua_mutants")
    options.add_argument("words", nargs="*", help="only mutants whose name has one of these")
    words = options.parse_args().words
    survived = 0
    with tempfile.TemporaryDirectory(prefix="farebox-mutants-") as folder:
        server = EmbeddedRedis(Path(folder))
        server.start()
        try:
            for mutant in MUTANTS:
                if words and not any(word in mutant.what for word in words):
                    continue
                tally, why = noticed(server.url, mutant)
                survived += not why
                histories, steps = tally.failed_after or (tally.histories, tally.steps)
                took = f"{histories} histories, {steps} steps" if why else "SURVIVED"
                print(f"{mutant.what:55} {took:32} {why[:60]}", flush=True)
        finally:
            server.stop()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
