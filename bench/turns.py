"""
CPU per request of several peers, in turns within one run, so that a busy minute hits all alike.

Requests per second and latency depend on who shares the cores; CPU time repeats within 5 to 10 %.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.found import Count, Table
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

    def against(self, those: "Rounds") -> float:
        """CPU per request against that of others: the ratio of each round, of these the median."""
        return median(mine / other for mine, other in zip(self.us, those.us, strict=True))

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


async def in_turns(
    peers: dict[str, Peer],
    upstream: Upstream,
    *,
    connections: Sequence[int],
    rounds: int,
    seconds: int,
) -> list[dict[str, Rounds]]:
    """
    Measure each peer at these numbers of connections, one right after the other, so often.

    Returns:
        What was found at each of the numbers, by peer.

    """
    found: list[dict[str, Rounds]] = [{name: Rounds() for name in peers} for _ in connections]
    for _ in range(rounds):
        for name, peer in peers.items():
            for at, seen in zip(connections, found, strict=True):
                await _round(peer, upstream, seen[name], at, seconds)
    return found


async def _round(
    peer: Peer, upstream: Upstream, found: Rounds, connections: int, seconds: int
) -> None:
    forwarded = upstream.answered()
    before = cpu_s(peer.pids)
    beside = {name: cpu_s(pids) for name, pids in peer.others.items()}
    seen = await asyncio.to_thread(
        load,
        peer.url,
        connections=connections,
        seconds=seconds,
        headers=peer.headers,
        script=peer.script,
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


HEADS = ("peer", "CPU µs/request", "rounds", "Farebox is", "median", "p99", "requests", "errors")


def table(title: str, found: dict[str, Rounds], ours: str = "farebox") -> Table:
    """Show what each peer did, and how many times as much `ours` costs."""
    shown = Table(title, HEADS)
    for name, seen in found.items():
        others = "".join(f", {other} {seen.other(other):.1f}" for other in seen.others_us)
        ratio = found[ours].against(seen) if ours in found else None
        shown.lines.append(
            (
                name,
                f"{seen.us_per_request:.1f}{others}",
                " ".join(f"{us:.1f}" for us in seen.us),
                "" if ratio is None or name == ours else f"{ratio:.2f} x",
                f"{seen.median_s * 1e3:.2f} ms",
                f"{seen.p99_s * 1e3:.1f} ms",
                f"{seen.requests:,}",
                f"{seen.errors:,}",
            )
        )
    return shown


async def charged(
    peers: dict[str, Peer], forwarded: dict[str, int], *, price: int, slack: int
) -> list[Count]:
    """
    Count what each gateway has taken against what reached the backend.

    Args:
        peers: By name; who bills nobody is left out.
        forwarded: Requests of each that reached the backend.
        price: Of one request.
        slack: Requests that wrk may have left under way, in all rounds together.

    """
    return [
        Count(
            f"units {name} charged, of requests that reached the backend"
            f" ({slack * price} may be under way when wrk leaves)",
            forwarded[name] * price,
            await asyncio.to_thread(peer.charged),
            slack * price,
        )
        for name, peer in peers.items()
        if peer.charged is not None
    ]
