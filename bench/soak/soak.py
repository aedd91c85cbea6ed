"""
One soak, from the start of the gateway to its audits.

First the peak is measured, then the load is a share of it: nine tenths on kept connections, the
rest clients that come once and often vanish (`strays.py`).
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import open_files
from bench.soak.backend import PRICES, Backend, backend
from bench.soak.samples import Processes, Sample, look, mb_per_million
from bench.soak.steady import Steady, steady
from bench.soak.strays import Strays, straying
from bench.soak.truth import Check, audit, back_to, books, quiet
from tests.served import Served, command, funded, log_of, serving
from tests.websockets import WsBackend, ws_backend

CREDITS = 1_000_000_000_000
CONNECTIONS = 64
PEAK_S = 5
WARM_S = 2
STRAYS = 0.1
"""Of the load. Each of them opens a connection, so it costs several requests on a kept one."""

PER_SOCKET, PER_MESSAGE = 4, 1
POOLED = 10
"""Connections to Postgres that a process may open in the course of time: `MOST_CONNECTIONS`."""

MOST_MB_PER_MILLION = 5.0
ENOUGH_REQUESTS = 500_000
"""In the second half of a run, before its slope says more than the allocator's steps."""

LOG_BYTES = 100_000_000
"""Of the access log, which is emptied then: millions of lines that nobody reads."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """
    What to do.

    Attributes:
        share: Of the measured peak.
        per_s: Requests a second instead; no peak is measured.
    """

    seconds: float
    share: float = 0.5
    per_s: float | None = None
    every_s: float = 10.0
    workers: int = 1
    seed: int = 1


@dataclass
class Found:
    """What came out of it."""

    peak_per_s: float = 0.0
    per_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    strays: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that must hold does."""
        return all(check.holds for check in self.checks)

    def slopes(self) -> dict[str, float]:
        """Return MB per million requests in the second half, by process."""
        return {
            name: round(mb_per_million(self.samples, f"{name}_mb"), 2)
            for name in ("worker", "steward", "redis")
        }


@dataclass
class _Run:
    """What all steps of a run need."""

    served: Served
    api: Backend
    echo: WsBackend
    processes: Processes
    key: str
    poor_key: str
    sockets: int = 0

    def count_sockets(self) -> None:
        """Count handshakes, and forget their heads: they would grow for as long as we run."""
        self.sockets += len(self.echo.heads)
        self.echo.heads.clear()
        self.echo.closes.clear()

    def requests(self) -> int:
        """How many have reached the backends."""
        self.count_sockets()
        return self.api.heads.total() + self.sockets

    def upstream(self) -> int:
        """How many connections the gateway has to them."""
        return len(self.api.connections) + len(self.echo.open)

    def earned(self) -> dict[str, int]:
        """What must have been charged, by path."""
        self.count_sockets()
        messages = self.echo.messages["/socket"]
        return {
            **self.api.earned(),
            "/socket": PER_SOCKET * self.sockets + PER_MESSAGE * messages,
        }


async def soak(folder: Path, plan: Plan, *, say: Say) -> Found:
    """Run a gateway under load as planned; `say` gets a line for every step and sample."""
    async with backend() as api, ws_backend() as echo:
        variables = {"API": api.url, "ECHO": echo.url}
        flags = ("--workers", str(plan.workers))
        async with serving(folder, PRICES, *flags, variables=variables) as served:
            run = _Run(
                served,
                api,
                echo,
                Processes.of(served),
                (await funded(served, CREDITS))["X-Api-Key"],
                await _penniless(served),
            )
            found = Found()
            await _load(run, plan, found, say)
            await _check(run, found)
            return found


async def _penniless(served: Served) -> str:
    """Make an account without credits; returns its key."""
    account = (await command(served, "account", "create", "poor"))["id"]
    return str((await command(served, "key", "create", account))["key"])


async def _load(run: _Run, plan: Plan, found: Found, say: Say) -> None:
    """Warm up, find the peak, and keep to the share of it, with a sample now and then."""
    files = _files(run)
    async with _steadily(run, None) as load:
        say(row(await _look(run, 0, 0, load)))
        await asyncio.sleep(WARM_S)
        if plan.per_s is None:
            before = run.requests()
            await asyncio.sleep(PEAK_S)
            found.peak_per_s = (run.requests() - before) / PEAK_S
    found.checks.append(_answered(load, "at the peak"))
    found.per_s = plan.per_s or found.peak_per_s * plan.share
    say(f"peak {found.peak_per_s:,.0f} requests/s; the load is {found.per_s:,.0f}")
    found.checks.append(await quiet(run.served))
    strays = Strays(run.served.url, run.key, run.poor_key, random.Random(plan.seed))
    loop = asyncio.get_running_loop()
    began, first = loop.time(), run.requests()
    unanswered: list[str] = []
    async with (
        _steadily(run, found.per_s * (1 - STRAYS)) as load,
        straying(strays, per_s=found.per_s * STRAYS),
    ):
        while (passed_s := loop.time() - began) < plan.seconds:
            await asyncio.sleep(min(plan.every_s, plan.seconds - passed_s))
            try:
                sample = await _look(run, loop.time() - began, run.requests() - first, load)
            except OSError as away:
                unanswered.append(str(away))
                say(f"the admin listener does not answer: {away}")
                continue
            found.samples.append(sample)
            say(row(sample))
            await asyncio.to_thread(_shorten, log_of(run.served.folder))
    found.strays = dict(strays.ended)
    found.checks += [
        _answered(load, "under load"),
        Check(
            "no stray saw what it should not", not strays.wrong, _some(strays.wrong) or "none did"
        ),
        Check("every look was answered", not unanswered, _some(unanswered) or "all were"),
        await quiet(run.served),
        await back_to(run.upstream, 0, "kept connections to the backend are given up"),
        await back_to(
            lambda: _files(run),
            files + POOLED * len(run.processes.workers),
            "file descriptors of the workers are back",
        ),
    ]


async def _look(run: _Run, at_s: float, requests: int, load: Steady) -> Sample:
    return await asyncio.to_thread(
        look,
        run.served,
        run.processes,
        at_s=at_s,
        requests=requests,
        upstream=run.upstream(),
        took_s=load.latencies_s(),
    )


async def _check(run: _Run, found: Found) -> None:
    """Hold what was charged against what was earned, and look whether memory was flat."""
    same = Processes.of(run.served) == run.processes
    found.checks += [
        Check("no process died", same, "all live" if same else run.served.log[-2_000:]),
        *await books(run.served, run.earned()),
        await audit(run.served, "verify"),
        await audit(run.served, "reconcile"),
        flat(found.samples),
    ]


def flat(samples: list[Sample]) -> Check:
    """Look whether the workers' memory stays where it is, once enough requests were made."""
    what = f"memory of the workers grows by less than {MOST_MB_PER_MILLION:.0f} MB per million"
    slope = mb_per_million(samples, "worker_mb")
    half = samples[len(samples) // 2 :]
    made = half[-1].requests - half[0].requests if half else 0
    seen = f"{slope:+.2f} MB per million, over {made:,} requests"
    if made < ENOUGH_REQUESTS:
        return Check(what, holds=True, seen=f"{seen}: too few to tell")
    return Check(what, slope < MOST_MB_PER_MILLION, seen)


def _steadily(run: _Run, per_s: float | None) -> AbstractAsyncContextManager[Steady]:
    return steady(run.served.url, "/fixed", run.key, connections=CONNECTIONS, per_s=per_s)


def _files(run: _Run) -> int:
    try:
        return open_files(run.processes.workers)
    except FileNotFoundError:
        return 0  # a process died, which is a check of its own


def _answered(load: Steady, when: str) -> Check:
    others = {status: count for status, count in load.answered.items() if status != 200}
    seen = f"{load.answered[200]:,} served, others {others or 0}, {load.broken} broken off"
    return Check(f"the steady load {when} is served", not others and not load.broken, seen)


def _some(sentences: list[str]) -> str:
    more = f" ... {len(sentences):,} in all" if len(sentences) > 5 else ""
    return "; ".join(sentences[:5]) + more


def _shorten(log: Path) -> None:
    """Empty the access log once it is long; what is no line of it is said here first."""
    if log.stat().st_size < LOG_BYTES:
        return
    with log.open("r", errors="replace") as lines:
        for line in lines:
            if not line.startswith("{"):
                sys.stderr.write(line)
    os.truncate(log, 0)


HEAD = (
    f"{'s':>6}{'requests':>12}{'p99 ms':>8}{'worker':>8}{'steward':>8}{'redis':>7}  MB"
    f"{'files':>7}{'unsettled':>10}{'holds':>7}{'unposted':>9}{'upstream':>9}"
)


def row(sample: Sample) -> str:
    """Return a sample as a line of the table."""
    return (
        f"{sample.at_s:>6.0f}{sample.requests:>12,}{sample.p99_ms:>8.1f}{sample.worker_mb:>8.1f}"
        f"{sample.steward_mb:>8.1f}{sample.redis_mb:>7.1f}    {sample.worker_files:>7}"
        f"{sample.unsettled:>10}{sample.open_holds:>7}{sample.unposted:>9}{sample.upstream:>9}"
    )
