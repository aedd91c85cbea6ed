"""
CPU per request of each peer, in turns within one run, so that a busy minute hits all alike.

Requests per second and latency depend on who shares the cores; CPU time repeats within 5 to 10 %.
"""

import asyncio
from dataclasses import dataclass, field
from statistics import median

from bench.peers import Peer
from bench.processes import cpu_s
from bench.upstream import Upstream
from bench.wrk import Load, load

REST_S = 0.3
"""wrk leaves with requests under way; a busy gateway still sends those to the backend."""


@dataclass
class Rounds:
    """
    What one peer did at one number of connections.

    us: CPU microseconds per request of the processes that carry requests, one per round.
    others_us: the same of what works beside them.
    forwarded: requests that reached the backend.
    """

    loads: list[Load] = field(default_factory=list)
    us: list[float] = field(default_factory=list)
    others_us: dict[str, list[float]] = field(default_factory=dict)
    forwarded: int = 0

    @property
    def us_per_request(self) -> float:
        return median(self.us)

    def other(self, name: str) -> float:
        return median(self.others_us[name])

    @property
    def requests(self) -> int:
        return sum(load.requests for load in self.loads)

    @property
    def errors(self) -> int:
        return sum(load.errors for load in self.loads)

    @property
    def median_s(self) -> float:
        return median(load.median_s for load in self.loads)

    @property
    def p99_s(self) -> float:
        return median(load.p99_s for load in self.loads)


async def measure(
    peers: dict[str, Peer], upstream: Upstream, *, connections: int, rounds: int, seconds: int
) -> dict[str, Rounds]:
    found = {name: Rounds() for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            await _round(peer, upstream, found[name], connections, seconds)
    return found


async def _round(
    peer: Peer, upstream: Upstream, found: Rounds, connections: int, seconds: int
) -> None:
    forwarded = upstream.answered()
    before = cpu_s(peer.pids)
    beside = {name: cpu_s(pids) for name, pids in peer.others.items()}
    seen = await asyncio.to_thread(
        load, peer.url, connections=connections, seconds=seconds, headers=peer.headers
    )
    if not seen.requests:
        raise RuntimeError(f"{peer.url} answered nothing")
    found.loads.append(seen)
    found.us.append((cpu_s(peer.pids) - before) / seen.requests * 1e6)
    for name, pids in peer.others.items():
        spent = (cpu_s(pids) - beside[name]) / seen.requests * 1e6
        found.others_us.setdefault(name, []).append(spent)
    found.forwarded += (
        upstream.answered() - forwarded - 1
    )  # the first look is counted by the second
