"""One seed from beginning to end: chaos, healing, rest, and what was found."""

import asyncio
import contextlib
import gc
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from zlib import crc32

from ledger import account_history
from ledger.batch_walk import Walk
from ledger.database import Database
from ledger.errors import AccountFrozen, InsufficientCredits, LedgerError
from ledger.hold_order import HoldOrder
from ledger.reasons import Reason
from ledger.scripts import Scripts
from ledger.verify import one_snapshot
from tests.simulation import faults, runbook
from tests.simulation.checks import check, quiet
from tests.simulation.loop import Endless
from tests.simulation.world import CREDITS, KEYS, Member, World

SCRIPTS = Scripts()
PROBE_LIMIT_S = 30.0
QUIET_LIMIT_S = 150.0
LOOK_S = 0.25
ROUNDS_OF_BURIAL = 10
RECONCILIATIONS = 3


@dataclass
class Outcome:
    """What came of a seed; the same seed always gives the same."""

    seed: int
    findings: list[str]
    stats: Counter[str]
    story: list[str]
    digest: int
    statements: list[Any]


def simulate(
    seed: int, *, scripts: Scripts = SCRIPTS, tell: bool = False, record: bool = False
) -> Outcome:
    """
    Run a seed. Deterministic, whatever the hash seed of this interpreter.

    Args:
        seed: Decides everything.
        scripts: The ledger's, or a mutant's.
        tell: Write the story down.
        record: Write down what Postgres is asked, one connection after the other.

    """
    world = World(seed, scripts, tell=tell)
    if record:
        world.postgres.log = []
    collecting = gc.isenabled()
    gc.disable()  # collecting would end the coroutines of dead processes at odd moments
    try:
        with patch("ledger.ledger.Scripts", lambda: scripts), _listening(world):
            world.loop.set_exception_handler(lambda _, told: _unexpected(world, told))
            try:
                world.loop.run_until_complete(_live(world))
            except Endless as endless:
                world.wrong(f"no end: {endless}")
            except Exception as error:  # noqa: BLE001 - with the seed, whatever it is
                world.wrong(f"{type(error).__name__}: {error}")
            digest = crc32(b"%d" % world.loop.steps, world.digest)
            statements, world.postgres.log = world.postgres.log or [], None
            _bury(world)
    finally:
        world.loop.close()
        if collecting:
            gc.enable()
    world.stats["seeds"] = 1
    world.stats["seconds"] = int(world.loop.time())
    return Outcome(seed, world.findings, world.stats, world.story or [], digest, statements)


async def _live(world: World) -> None:
    plan, chance = world.plan, world.chance
    world.say(f"seed {world.seed}: {plan}")
    for _ in range(plan.gateways):
        world.join("gateway")
    for _ in range(plan.stewards):
        world.join("steward")
    world.join("operator", runbook.follow)
    if plan.bad_weather:
        faults.bad_network(world)
    rates = {
        world.request: plan.requests_per_s,
        world.sell: 1.5,
        lambda: faults.strike(world): plan.faults_per_s,
    }
    total = sum(rates.values())
    until = world.loop.time() + plan.chaos_s
    while world.loop.time() < until:
        await asyncio.sleep(chance.expovariate(total))
        [happens] = chance.choices(list(rates), list(rates.values()))
        happens()
    faults.heal(world)
    await asyncio.sleep(0.5)
    await _probe(world)
    await _rest(world)


async def _probe(world: World) -> None:
    """Every gateway serves every account again, soon."""
    began = world.loop.time()
    limit = began + PROBE_LIMIT_S
    probes = [
        world.loop.spawn(gateway.process, _ask(world, gateway, account, limit))
        for gateway in world.alive("gateway")
        for account in range(1, world.plan.accounts + 1)
    ]
    await asyncio.wait(probes)
    world.stats["probe_ms"] = int(1_000 * (world.loop.time() - began))
    for probe in probes:
        if (told := probe.result()) is not None:
            world.wrong(told)


async def _ask(world: World, gateway: Member, account: int, limit: float) -> str | None:
    order = HoldOrder(account, account, CREDITS, 1, 1, 0, lifetime_ms=2_000)
    said = "it has not started"
    while world.loop.time() < limit:
        try:
            if gateway.ledger is not None:
                async with gateway.ledger.holds.hold(order) as held:
                    held.void(Reason.STATUS, 500)
                return None
        except (InsufficientCredits, AccountFrozen):
            return None
        except LedgerError as error:
            said = str(error)
        await asyncio.sleep(0.5)
    return f"{gateway.name} does not serve account {account} {PROBE_LIMIT_S} s after: {said}"


async def _rest(world: World) -> None:
    began = world.loop.time()
    while (moving := quiet(world)) is not None:
        if world.loop.time() - began > QUIET_LIMIT_S:
            world.wrong(f"no rest after {QUIET_LIMIT_S} s: {moving}")
            break
        await asyncio.sleep(LOOK_S)
    world.stats["rest_s"] = int(world.loop.time() - began)
    check(world)
    await _audit(world)
    for attempt in range(RECONCILIATIONS if not world.findings else 0):
        auditor = world.join("gateway")  # it has no connection that was half open yet
        await asyncio.sleep(LOOK_S)
        assert auditor.ledger is not None
        looking = world.loop.spawn(auditor.process, auditor.ledger.reconcile())
        await asyncio.wait([looking])
        if looking.exception() is None:
            for finding in looking.result():
                world.wrong(f"reconciliation: {finding.check} {finding.detail}")
            return
        if attempt == RECONCILIATIONS - 1:
            world.wrong(f"no reconciliation: {looking.exception()}")


async def _audit(world: World) -> None:
    """Recompute all batches with their seals, and each account's history, as `verify` does."""
    async with Database(world.postgres).connection() as connection, one_snapshot(connection):
        found = await Walk(KEYS.shard).to_the_end(connection)
        found += await account_history.check(connection, list(world.postgres.tables["accounts"]))
    for finding in found:
        world.wrong(f"audit: {finding.check} {finding.detail}")


def _bury(world: World) -> None:
    """End every task, so that nothing of this world runs in another."""
    world.network.mood.calm()
    world.master.watch = None
    for member in [*world.members, *world.dead]:
        member.process.dead = False
        world.loop.resume(member.process)
    world.postgres.go_down(hangs=False)
    world.master.stop()
    world.loop.set_exception_handler(lambda *_: None)
    for _ in range(ROUNDS_OF_BURIAL):
        tasks = [task for task in asyncio.all_tasks(world.loop) if not task.done()]
        for task in tasks:
            task.cancel()  # a wait that ends this moment may swallow it: hence the rounds
        if not tasks:
            return
        with contextlib.suppress(Endless):
            world.loop.run_until_complete(asyncio.wait(tasks, timeout=1.0))
    for task in asyncio.all_tasks(world.loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def _unexpected(world: World, told: dict[str, Any]) -> None:
    world.wrong(f"{told.get('message')}: {told.get('exception')!r}")


class _Ears(logging.Handler):
    """Hears what the ledger says: all of it for the story, what nobody expected as a finding."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO if world.story is not None else logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.stats[f"log_{record.levelname.lower()}"] += 1
        if record.levelno >= logging.CRITICAL or record.exc_info:
            self._world.wrong(logging.Formatter().format(record))
        elif self._world.story is not None:
            self._world.say(record.getMessage())


@contextlib.contextmanager
def _listening(world: World) -> Any:
    logger, ears = logging.getLogger("ledger"), _Ears(world)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(ears)
    logger.setLevel(ears.level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ears)
        logger.setLevel(level)
        logger.propagate = propagate
