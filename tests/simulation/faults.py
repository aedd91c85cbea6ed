"""What goes wrong, one function each; a world draws from them while its chaos lasts."""

from collections.abc import Callable
from dataclasses import replace

from ledger.account_record import AccountRecord, account_field
from tests.simulation.loop import current_process
from tests.simulation.store import Store
from tests.simulation.world import KEYS, Member, World

ROLLED_BACK = (0, 1, 3, 8, 20)
"""Writes that a crash takes back: the end of the append-only file."""

LOST_COMMITS = (1, 2, 5, 15, 50)
"""Of Postgres, in a failover: a busy steward makes ten a second."""


def kill_gateway(world: World) -> None:
    """SIGKILL, and a new one a little later."""
    if (gateway := world.some("gateway")) is not None:
        _die(world, gateway)


def kill_steward(world: World) -> None:
    """The same for who posts, sweeps and pushes."""
    if (steward := world.some("steward")) is not None:
        _die(world, steward)


def pause(world: World) -> None:
    """SIGSTOP, and SIGCONT a while later; what arrives meanwhile waits."""
    if (member := world.some(world.chance.choice(("gateway", "steward")))) is not None:
        _pause(world, member)


def pause_stewards(world: World) -> None:
    """Nobody posts for a while."""
    for member in world.alive("steward"):
        _pause(world, member)


def stumble(world: World) -> None:
    """
    Stop, or die, between two statements, with whatever is locked or read; Redis may crash then.

    The moments that count are short; waiting for them by chance would take many more seeds.
    """
    kind = world.chance.choice(("gateway", "steward", "steward"))
    left = world.chance.randrange(40)

    def on_trip() -> None:
        nonlocal left
        process = current_process()
        member = next((one for one in world.alive(kind) if one.process is process), None)
        if member is None or world.healed:
            return
        left -= 1
        if left > 0:
            return
        world.postgres.on_trip = None
        if world.chance.random() < 0.2:
            world.loop.later(world.loop.time(), _die, world, member)
        else:
            _pause(world, member)
        if world.chance.random() < 0.7:
            world.loop.later(world.loop.time() + 0.001, _happen, world, crash_redis)

    world.postgres.on_trip = on_trip


def _die(world: World, member: Member) -> None:
    if member in world.members:
        world.kill(member)
        _later(world, 1.0, lambda: world.join(member.kind))


def _pause(world: World, member: Member) -> None:
    if member.process.paused:
        return
    member.process.paused = True
    long_s = world.chance.choice((0.1, 0.6, 3.0))
    world.say(f"is paused for {long_s} s", member.name)

    def resume() -> None:
        if not member.process.dead:
            world.say("goes on", member.name)
            world.loop.resume(member.process)

    _later(world, long_s, resume, exactly=True)


def crash_redis(world: World) -> None:
    """A restart that loses the last writes, or everything; the script cache with them."""
    old = world.master
    store, told = _older(world)
    world.routes.master = world.new_server(store)
    old.stop()
    world.say(f"crashes and comes back {told}", old.name)
    if world.chance.random() < 0.3:
        server = world.master
        server.refusal = "LOADING Redis is loading the dataset in memory"
        _later(world, 1.0, lambda: setattr(server, "refusal", None))


def relapse(world: World) -> None:
    """Crash, and crash again when the new epoch has hardly begun and nobody posts."""
    crash_redis(world)
    again_s = world.loop.time() + world.chance.uniform(0.05, 0.6)
    for fault in (pause_stewards, crash_redis):
        world.loop.later(again_s, _happen, world, fault)
        again_s += world.chance.choice((0.001, 0.02))


def split_brain(world: World) -> None:
    """A replica that was behind becomes master, while the old one goes on serving some."""
    old = world.master
    store, told = _older(world)
    server = world.routes.master = world.new_server(store)
    cut_off = [member for member in world.members if world.chance.random() < 0.5]
    for member in cut_off:
        world.routes.stale[member.name] = old
    world.say(
        f"is promoted {told}; {', '.join(member.name for member in cut_off) or 'nobody'} "
        f"still reaches {old.name}",
        server.name,
    )
    if world.chance.random() < 0.3:
        old.cut_all()

    def end() -> None:
        world.say("the old master is gone", old.name)
        for name in [name for name, stale in world.routes.stale.items() if stale is old]:
            del world.routes.stale[name]
        old.stop()

    _later(world, world.chance.choice((0.2, 1.0, 4.0)), end)


def swap_data(world: World) -> None:
    """The data set changes under living connections, as REPLICAOF and back does."""
    server = world.master
    server.store, told = _older(world)
    world.say(f"its data set is replaced {told}", server.name)


def flush(world: World) -> None:
    """FLUSHALL: everything is gone, the scripts stay."""
    _diverges(world)
    world.master.store.do_flushall()
    world.master.store.finish()
    world.say("is flushed", world.master.name)


def forget_scripts(world: World) -> None:
    """SCRIPT FLUSH."""
    world.master.forget_scripts()
    world.say("forgets its scripts", world.master.name)


def cut(world: World) -> None:
    """All connections to Redis break."""
    world.say("loses all its connections", world.master.name)
    world.master.cut_all()


def fill_memory(world: World) -> None:
    """Memory is full for a while."""
    server = world.master
    server.full = True
    world.say("is full", server.name)
    _later(world, world.chance.uniform(0.2, 3), lambda: setattr(server, "full", False))


def postgres_outage(world: World) -> None:
    """Postgres is away for a while, or takes questions and does not answer."""
    hangs = world.chance.random() < 0.3
    world.postgres.go_down(hangs=hangs)
    world.say("hangs" if hangs else "is down", "postgres")

    def end() -> None:
        if world.postgres.trouble.down:
            world.say("is back", "postgres")
            world.postgres.come_back()

    _later(world, world.chance.choice((0.3, 2.0, 6.0)), end)


def postgres_failover(world: World) -> None:
    """A standby takes over that lacks the last commits."""
    commits = world.chance.choice(LOST_COMMITS)
    world.went_back(commits, sequences=world.chance.random() < 0.3)


def corrupt_account(world: World) -> None:
    """Redis has an account otherwise than its facts say: what comes of it is poison."""
    master, meta = world.master, world.master.meta()
    field = account_field(world.chance.randint(1, world.plan.accounts))
    raw = None if meta is None else master.store.do_hget(KEYS.balances(meta.epoch).encode(), field)
    if meta is None or raw is None:
        return
    record = AccountRecord.unpack(raw)
    if record.pools and record.pools[0].lots and world.chance.random() < 0.7:
        lots = list(record.pools[0].lots)
        lots[0] = lots[0]._replace(remaining=lots[0].remaining + 7)
        pool = record.pools[0]._replace(lots=tuple(lots))
        record = replace(record, pools=(pool, *record.pools[1:]))
    else:
        record = replace(record, aseq=record.aseq + 1)
    master.store.do_hset(KEYS.balances(meta.epoch).encode(), field, record.pack())
    master.store.finish()
    world.poisoned = world.corrupted = True
    world.say(f"has another {record} than it should", master.name)


def bad_network(world: World) -> None:
    """Messages are late, very late, or lost, and replies vanish."""
    mood, trouble, chance = world.network.mood, world.postgres.trouble, world.chance
    mood.late, mood.very_late = chance.choice((0.0, 0.1, 0.5)), chance.choice((0.0, 0.01, 0.05))
    mood.lost, mood.silent = chance.choice((0.0, 0.02, 0.1)), chance.choice((0.0, 0.01))
    trouble.late, trouble.broken = chance.choice((0.0, 0.1, 0.3)), chance.choice((0.0, 0.01, 0.05))
    world.say(f"{mood} {trouble}", "network")


def wrong_clock(world: World) -> None:
    """One process' clock jumps, by less than what is taken for a fault or by more."""
    member = world.some(world.chance.choice(("gateway", "steward")))
    if member is not None:
        member.clock.skew_ms = world.chance.choice((0, -3_000, 3_000, 900, 60_000))
        world.say(f"its clock is {member.clock.skew_ms} ms off", member.name)


def wrong_redis_clock(world: World) -> None:
    """Redis' clock jumps, also backwards."""
    server = world.master
    server.skew_ms = world.chance.choice((-4_000, -1_000, 900, 4_000, 30_000, -60_000))
    world.say(f"its clock is {server.skew_ms} ms off", server.name)
    _later(world, 3.0, lambda: setattr(server, "skew_ms", 0))


FAULTS: dict[Callable[[World], None], int] = {
    kill_gateway: 6,
    kill_steward: 4,
    pause: 5,
    pause_stewards: 2,
    stumble: 6,
    crash_redis: 4,
    relapse: 3,
    split_brain: 3,
    swap_data: 3,
    flush: 1,
    forget_scripts: 1,
    cut: 2,
    fill_memory: 1,
    postgres_outage: 3,
    postgres_failover: 1,
    corrupt_account: 1,
    bad_network: 3,
    wrong_clock: 1,
    wrong_redis_clock: 1,
}
"""How often each, beside the others."""


def strike(world: World) -> None:
    """Let something go wrong, sometimes two things, in the middle of a burst of requests."""
    for _ in range(world.chance.choice((0, 0, 2, 6))):
        world.loop.later(world.loop.time() + world.chance.uniform(0, 0.004), world.request)
    delay_s = 0.003
    for fault in world.chance.choices(
        list(FAULTS), list(FAULTS.values()), k=world.chance.choice((1, 1, 2))
    ):
        world.loop.later(world.loop.time() + delay_s, _happen, world, fault)
        delay_s += world.chance.choice((0, 0.001, 0.02))


def _happen(world: World, fault: Callable[[World], None]) -> None:
    if not world.healed:
        world.stats["faults"] += 1
        world.stats[fault.__name__] += 1
        fault(world)


def heal(world: World) -> None:
    """Everything is well again: who is dead is replaced, who is paused goes on."""
    world.healed = True
    world.say("everything is healed")
    world.network.mood.calm()
    world.postgres.trouble.late = world.postgres.trouble.broken = 0.0
    world.postgres.come_back()
    for server in [world.master, *world.routes.stale.values()]:
        server.refusal, server.full, server.skew_ms = None, False, 0
        for wire in [wire for wire in server.wires if wire.silent]:
            wire.cut("half open")
    for server in set(world.routes.stale.values()):
        server.stop()
    world.routes.stale.clear()
    for member in list(world.members):
        member.clock.skew_ms = 0
        if member.process.paused:
            world.loop.resume(member.process)
    for kind, wanted in (("gateway", world.plan.gateways), ("steward", world.plan.stewards)):
        for _ in range(wanted - len(world.alive(kind))):
            world.join(kind)


def _older(world: World) -> tuple[Store, str]:
    """An earlier state of the master's data set, and how to say so."""
    _diverges(world)
    if world.chance.random() < 0.12:
        return Store(), "empty"
    writes = world.chance.choice(ROLLED_BACK)
    return world.master.store.rolled_back(writes), f"without its last {writes} writes"


def _diverges(world: World) -> None:
    """Note that what this epoch booked from some point on may have no future."""
    meta = world.master.meta()
    if meta is not None:
        world.diverges(meta.epoch)


def _later(
    world: World, most_s: float, then: Callable[[], Member | None], *, exactly: bool = False
) -> None:
    delay_s = most_s if exactly else most_s * world.chance.random()
    world.loop.later(world.loop.time() + delay_s, then)
