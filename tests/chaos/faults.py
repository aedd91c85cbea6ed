"""
The faults, and the schedule that a seed makes of them.

A fault has a beginning and an end; between the two something is broken, after the end nothing
is. Whatever a fault has to choose is chosen by the schedule, so that a seed says it all.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.chaos.fleet import Fleet, Gateway, send
from tests.chaos.judge import Judge
from tests.chaos.tcp_proxy import TcpProxy

SHORTEST_S = 0.2
LOST_AT_ONCE = 3  # answers lost by one fault
LOST_LIMIT_S = 20.0
TAILS = (1, 50, 700, 5_000, 60_000)
"""Bytes that an append-only file may lose: within a record, some records, seconds of them."""

KILLS_OF_ONE_WORKER = 3
"""`serve` waits longer before each start of a worker that keeps dying, up to 30 s."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come. `gateways`: whom it hits, where it does not hit a store itself."""

    kind: str
    gateways: tuple[str, ...]
    seconds: float
    bytes_lost: int = 0
    delay_s: float = 0.0

    def __str__(self) -> str:
        more = f" of {'+'.join(self.gateways)}" if self.kind not in STORES else ""
        tail = f", {self.bytes_lost} bytes of its file" if self.bytes_lost else ""
        slow = f", {self.delay_s:.2f} s each way" if self.delay_s else ""
        return f"{self.kind}{more} for {self.seconds:.1f} s{tail}{slow}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault may touch."""

    fleet: Fleet
    judge: Judge
    plan: Planned

    @property
    def gateways(self) -> list[Gateway]:
        return [self.fleet.gateway(name) for name in self.plan.gateways]


Fault = Callable[[Scene], AbstractAsyncContextManager[None]]


# Processes that are killed.


@asynccontextmanager
async def kill_worker(scene: Scene) -> AsyncIterator[None]:
    """`serve` starts another one by itself."""
    for gateway in scene.gateways:
        async with scene.judge.killing([gateway.name]):
            send(signal.SIGKILL, (await gateway.pids("worker"))[:1])
    yield


@asynccontextmanager
async def kill_steward(scene: Scene) -> AsyncIterator[None]:
    for gateway in scene.gateways:
        send(signal.SIGKILL, await gateway.pids("steward"))
    yield


@asynccontextmanager
async def kill_gateway(scene: Scene) -> AsyncIterator[None]:
    """All of its processes in one moment."""
    async with scene.judge.killing(list(scene.plan.gateways)):
        await asyncio.gather(*(gateway.kill() for gateway in scene.gateways))
    yield
    await asyncio.gather(*(gateway.start() for gateway in scene.gateways))


@asynccontextmanager
async def kill_parent(scene: Scene) -> AsyncIterator[None]:
    """Its children see it, settle what they served, and end: nothing may be lost."""
    for gateway in scene.gateways:
        assert gateway.served is not None
        send(signal.SIGKILL, await gateway.pids("parent"))
        await asyncio.to_thread(gateway.served.process.wait)
    yield
    await asyncio.gather(*(gateway.start() for gateway in scene.gateways))


@asynccontextmanager
async def restart(scene: Scene) -> AsyncIterator[None]:
    """In order, as for a new release: nothing may be lost. It drains while the rest goes on."""
    for gateway in scene.gateways:
        gateway.tell_to_end()
    yield
    await asyncio.gather(*(gateway.end() for gateway in scene.gateways))
    await asyncio.gather(*(gateway.start() for gateway in scene.gateways))


@asynccontextmanager
async def kill_redis(scene: Scene) -> AsyncIterator[None]:
    await asyncio.to_thread(scene.fleet.redis.kill)
    yield
    await asyncio.to_thread(scene.fleet.redis.start)


@asynccontextmanager
async def lose_tail(scene: Scene) -> AsyncIterator[None]:
    await asyncio.to_thread(scene.fleet.redis.kill)
    scene.fleet.lose_tail(scene.plan.bytes_lost)
    yield
    await asyncio.to_thread(scene.fleet.redis.start)


@asynccontextmanager
async def kill_both(scene: Scene) -> AsyncIterator[None]:
    """Gateways and Redis in one breath, and the tail of its file: what only they knew is gone."""
    async with scene.judge.killing(list(scene.plan.gateways)):
        killing = [gateway.kill() for gateway in scene.gateways]
        await asyncio.gather(*killing, asyncio.to_thread(scene.fleet.redis.kill))
    scene.fleet.lose_tail(scene.plan.bytes_lost)
    yield
    await asyncio.to_thread(scene.fleet.redis.start)
    await asyncio.gather(*(gateway.start() for gateway in scene.gateways))


@asynccontextmanager
async def kill_postgres(scene: Scene) -> AsyncIterator[None]:
    await asyncio.to_thread(scene.fleet.postgres.kill)
    yield
    await asyncio.to_thread(scene.fleet.postgres.start)


# Processes that stand still.


def pause(role: str) -> Fault:
    @asynccontextmanager
    async def paused(scene: Scene) -> AsyncIterator[None]:
        pids = [pid for gateway in scene.gateways for pid in await gateway.pids(role)]
        scene.fleet.pause(pids)
        try:
            yield
        finally:
            scene.fleet.go_on(pids)

    return paused


@asynccontextmanager
async def pause_redis(scene: Scene) -> AsyncIterator[None]:
    pid = scene.fleet.redis.pid
    scene.fleet.pause([pid])
    try:
        yield
    finally:
        scene.fleet.go_on([pid])


@asynccontextmanager
async def pause_postgres(scene: Scene) -> AsyncIterator[None]:
    scene.fleet.pause([scene.fleet.postgres.pid])
    pids = await scene.fleet.postgres_pids()
    scene.fleet.pause(pids)
    try:
        yield
    finally:
        scene.fleet.go_on(reversed(pids))


# The network between gateways and a store.


def network(store: str, do: Callable[[TcpProxy, Planned], None]) -> Fault:
    @asynccontextmanager
    async def disturbed(scene: Scene) -> AsyncIterator[None]:
        proxies: list[TcpProxy] = [getattr(gateway, store) for gateway in scene.gateways]
        for between in proxies:
            do(between, scene.plan)
        try:
            yield
        finally:
            for between in proxies:
                between.heal()

    return disturbed


def lose(store: str, *, answer: bool) -> Fault:
    """Lose the next answers, or the next questions, wherever they are."""

    @asynccontextmanager
    async def losing(scene: Scene) -> AsyncIterator[None]:
        proxies: list[TcpProxy] = [getattr(gateway, store) for gateway in scene.gateways]
        goal = sum(between.lost for between in proxies) + LOST_AT_ONCE
        for between in proxies:
            between.lost_answers = LOST_AT_ONCE if answer else 0
            between.lost_questions = 0 if answer else LOST_AT_ONCE
        try:
            with suppress(TimeoutError):  # a store that is asked seldom loses fewer
                async with asyncio.timeout(LOST_LIMIT_S):
                    while sum(one.lost for one in proxies) < goal:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            assert sum(one.lost for one in proxies) > goal - LOST_AT_ONCE, "nothing was lost"
            yield
        finally:
            for between in proxies:
                between.heal()

    return losing


def _delay(between: TcpProxy, plan: Planned) -> None:
    between.delay_s = plan.delay_s


def _cut(between: TcpProxy, _: Planned) -> None:
    between.cut()


def _swallow(between: TcpProxy, _: Planned) -> None:
    between.swallow()


FAULTS: dict[str, Fault] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of a steward": kill_steward,
    "kill -9 of a whole gateway": kill_gateway,
    "kill -9 of the parent alone": kill_parent,
    "restart in order": restart,
    "kill -9 of Redis": kill_redis,
    "kill -9 of Redis, its file cut": lose_tail,
    "kill -9 of gateways and Redis at once, its file cut": kill_both,
    "kill -9 of Postgres": kill_postgres,
    "SIGSTOP of the workers": pause("worker"),
    "SIGSTOP of the steward": pause("steward"),
    "SIGSTOP of a whole gateway": pause("whole"),
    "SIGSTOP of Redis": pause_redis,
    "SIGSTOP of Postgres": pause_postgres,
    "slow network to Redis": network("redis", _delay),
    "slow network to Postgres": network("postgres", _delay),
    "connections to Redis cut": network("redis", _cut),
    "connections to Postgres cut": network("postgres", _cut),
    "connections to Redis half open": network("redis", _swallow),
    "connections to Postgres half open": network("postgres", _swallow),
    "answers of Redis lost": lose("redis", answer=True),
    "questions to Redis lost": lose("redis", answer=False),
    "COMMIT done, answer lost": lose("postgres", answer=True),
    "COMMIT lost": lose("postgres", answer=False),
}
STORES = frozenset(
    kind
    for kind in FAULTS
    if kind.endswith((" of Redis", " of Postgres", "of Redis, its file cut"))
)
EVERYBODY = frozenset({"COMMIT done, answer lost", "COMMIT lost"})
"""Only the elected steward commits often, so these wait at every gateway."""

ALONE = frozenset({"kill -9 of gateways and Redis at once, its file cut"})
"""Two faults in itself: the bound of its loss is only known where no third comes to it."""


def stands_in_the_way(plan: Planned) -> bool:
    """Whether a gateway could not be started before this has ended: it is no process of one."""
    return plan.kind in STORES or " to " in plan.kind or "lost" in plan.kind.lower()


def schedule(seed: int, faults: int, gateways: list[str], longest_s: float) -> list[list[Planned]]:
    """
    Return what happens, in order: mostly one fault, in each fifth place two at once.

    Every kind comes before any comes again, in an order that differs each time round.
    """
    chance = random.Random(f"chaos {seed}")
    kinds: list[str] = []
    worker_kills: dict[str, int] = dict.fromkeys(gateways, 0)

    def draw() -> Planned:
        if not kinds:
            kinds.extend(chance.sample(sorted(FAULTS), len(FAULTS)))
        return _planned(kinds.pop(), chance, gateways, longest_s, worker_kills)

    groups: list[list[Planned]] = []
    while (left := faults - sum(map(len, groups))) > 0:
        first = draw()
        if left > 1 and first.kind not in ALONE and chance.random() < 0.25:
            second = draw()
            if second.kind in ALONE or _clash(first, second):
                groups += [[first], [second]]
            else:
                groups.append([first, second])
        else:
            groups.append([first])
    return groups


def _planned(
    kind: str,
    chance: random.Random,
    gateways: list[str],
    longest_s: float,
    worker_kills: dict[str, int],
) -> Planned:
    some = tuple(chance.sample(gateways, chance.choice([1, 1, 1, len(gateways)])))
    one = some[:1]
    if kind == "kill -9 of a worker":
        worker_kills[one[0]] += 1
        if worker_kills[one[0]] > KILLS_OF_ONE_WORKER:
            kind = "kill -9 of a whole gateway"
    whole = ("kill -9 of a whole gateway", "restart in order", "kill -9 of the parent alone")
    hit = tuple(gateways) if kind in EVERYBODY else some
    if kind.startswith(("kill -9 of a worker", "kill -9 of the parent")):
        hit = one
    if kind in whole or kind in ALONE:
        worker_kills |= dict.fromkeys(hit, 0)
    seconds = SHORTEST_S * (longest_s / SHORTEST_S) ** (chance.random() ** 2)
    return Planned(
        kind,
        hit,
        seconds,
        bytes_lost=chance.choice(TAILS) if "file cut" in kind else 0,
        delay_s=0.02 + chance.random() * 0.4 if kind.startswith("slow") else 0.0,
    )


def _clash(first: Planned, second: Planned) -> bool:
    """Whether both need the same thing whole: a process that was killed cannot be told to stop."""
    if first.kind == second.kind:
        return True
    for store in ("Redis", "Postgres"):
        of_store = [one for one in (first, second) if one.kind in STORES and store in one.kind]
        if len(of_store) == 2:
            return True
        to_store = [one for one in (first, second) if one.kind not in STORES and store in one.kind]
        lost = any("lost" in one.kind for one in (first, second))
        if len(to_store) == 2 or (lost and (of_store or to_store)):
            return True
    ending = [one for one in (first, second) if one.kind.startswith(("kill", "restart"))]
    processes = [one for one in (first, second) if not stands_in_the_way(one)]
    return bool(
        ending and len(processes) == 2 and set(first.gateways) & set(second.gateways)
    ) or any(one.kind in EVERYBODY for one in (first, second))
