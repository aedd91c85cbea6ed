"""CPU per request of Farebox and its peers: a fixed price, a small answer, connections kept."""

import asyncio
from contextlib import AsyncExitStack
from statistics import median

from bench.found import Found
from bench.peers import PEERS, Peer
from bench.processes import memory_bytes
from bench.run import Run
from bench.stage import stage
from bench.turns import Rounds, charged, in_turns, table
from bench.upstream import Upstream

USUAL, MANY, ONE = 32, 256, 1
"""Connections: what is compared, where growth shows, and where latency does."""

SHORT = 3
"""A round is cut into so many, in turns with the peers': what a machine is like from minute to
minute moves a request more than what is compared. Ratios are those of each, and then the median."""

GROWTH_ROUNDS = 15
"""Of Farebox alone, few connections and many in turns: a round of either moves by a tenth, and
among its peers the one with few comes first, when the steward has nothing left to post."""


async def cpu(run: Run) -> Found:
    """Measure every peer at every number of connections, and count what each has charged."""
    found = Found(
        said="CPU of the processes that carry requests, user and system; a GET at a fixed price of"
        " 1, 191 bytes answered. `backend` is the one behind all of them, alone."
    )
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(stage(run.folder))
        peers = {name: await stack.enter_async_context(PEERS[name](shared)) for name in run.peers}
        run.say("warming up")
        [warm] = await in_turns(peers, shared.upstream, connections=[USUAL], rounds=1, seconds=1)
        measured = {}
        if ONE in run.connections:
            run.say("1 connection")  # first: after many, the steward posts for a while
            [measured[ONE]] = await in_turns(
                peers,
                shared.upstream,
                connections=[ONE],
                rounds=run.rounds * SHORT,
                seconds=run.seconds // SHORT,
            )
        more = [at for at in run.connections if at != ONE]
        if more:
            run.say(" and ".join(f"{at:,}" for at in more) + " connections")
            seen = await in_turns(
                peers,
                shared.upstream,
                connections=more,
                rounds=run.rounds * SHORT,
                seconds=run.seconds // SHORT,
            )
            measured |= dict(zip(more, seen, strict=True))
        growing = await _alone(run, peers, shared.upstream)
        for connections, by_peer in measured.items():
            plural = "" if connections == ONE else "s"
            found.tables.append(table(f"{connections} connection{plural}", by_peer))
        if growing:
            found.tables.append(table("Farebox alone, in turns", growing))
        forwarded = {
            name: sum(one[name].forwarded for one in (warm, *measured.values()))
            for name in run.peers
        }
        slack = USUAL + run.rounds * SHORT * sum(run.connections)
        if growing:
            forwarded["farebox"] += sum(seen.forwarded for seen in growing.values())
            slack += _growth_rounds(run) * (USUAL + MANY)
        found.counts = await charged(peers, forwarded, price=1, slack=slack)
        found.notes = [
            f"memory of {name} afterwards: {memory_bytes(peer.pids) / 1e6:.0f} MB"
            for name, peer in peers.items()
        ]
        ours = peers.get("farebox")
        if ours is not None:
            found.figures = _figures(measured)
            if growing:
                few, many = growing.values()
                found.figures["growth"] = (many.against(few) - 1) * 100
            found.figures["bytes per charge"] = await _bytes_per_charge(ours, forwarded["farebox"])
    if USUAL in measured:
        usual = measured[USUAL].items()
        found.shown = {name: seen.us_per_request for name, seen in usual}
    return found


async def _alone(run: Run, peers: dict[str, Peer], upstream: Upstream) -> dict[str, Rounds]:
    """Measure Farebox at the usual connections and at many, in turns, where both are asked for."""
    if "farebox" not in peers or not {USUAL, MANY} <= set(run.connections):
        return {}
    run.say("Farebox alone, in turns")
    seen = await in_turns(
        {"farebox": peers["farebox"]},
        upstream,
        connections=[USUAL, MANY],
        rounds=_growth_rounds(run),
        seconds=run.seconds // SHORT,
    )
    few, many = (one["farebox"] for one in seen)
    return {f"{USUAL} connections": few, f"{MANY} connections": many}


def _growth_rounds(run: Run) -> int:
    return run.rounds if run.quick else GROWTH_ROUNDS


def _figures(measured: dict[int, dict[str, Rounds]]) -> dict[str, float]:
    """Ratios against whichever peers were there."""
    figures = {}
    if usual := measured.get(USUAL):
        ours = usual["farebox"]
        for peer in ("nginx+lua", "hello", "simple"):
            if peer in usual:
                figures[f"cpu {peer}"] = ours.against(usual[peer])
    if (one := measured.get(ONE)) and {"backend", "nginx+lua"} <= one.keys():
        figures["latency"] = _added(one)
    return figures


def _added(one: dict[str, Rounds]) -> float:
    """Our added median latency against nginx + Lua's: of each round, and of those the median."""
    names = ("farebox", "nginx+lua", "backend")
    ours, lua, alone = ([load.median_s for load in one[name].loads] for name in names)
    return median(
        (here - least) / max(there - least, 1e-6)
        for here, there, least in zip(ours, lua, alone, strict=True)
    )


async def _bytes_per_charge(ours: Peer, charges: int) -> float:
    assert ours.stored_bytes is not None
    return await asyncio.to_thread(ours.stored_bytes) / max(charges, 1)
