"""
The one background process: everything that moves without a request, while it is elected.

Posting, control push, sweeps, partitions and findings are jobs here. Each runs alone, again
and again; a job that fails is tried again later and stops no other. Only one steward per
shard works at a time to save work: a second one at work is harmless.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ledger.election import Election
from ledger.outage import OUTAGE
from ledger.ports import Clock

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
"""A store that is away for hours is asked this often; the first retries are quicker."""

TERM_CHECK_S = 1.0
"""How often a working steward makes sure that it is still elected."""

CANCEL_AGAIN_S = 0.5
"""A job ends in a turn or two of the loop; one that has not by then did not hear it."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    Something done again and again: `run`, then a rest of `every_s` seconds.

    Attributes:
        expected: What may fail besides the stores; it is said in one line, as their outage is.

    """

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]
    expected: tuple[type[Exception], ...] = ()


class Steward:
    """Runs the jobs while it holds the post, stands for it again when it lost it."""

    def __init__(self, election: Election, jobs: Sequence[Job], clock: Clock) -> None:
        self._election = election
        self._jobs = tuple(jobs)
        self._clock = clock
        self.elected = False
        self.failures: dict[str, str] = {}
        """Job -> why it failed last; a job that works again is no longer here."""

    async def run(self) -> None:
        """Work until cancelled. Cancelling is safe at any point: every job may be cut off."""
        while True:
            async with self._election:
                self.elected = True
                log.info("elected steward")
                try:
                    await self._work()
                finally:
                    self.elected = False
            log.warning("no longer steward: the connection that held the post was lost")

    async def _work(self) -> None:
        jobs = [asyncio.create_task(self._repeat(job), name=job.name) for job in self._jobs]
        try:
            while await self._election.still_elected():
                await self._clock.sleep(TERM_CHECK_S)
        finally:
            await _end(jobs)

    async def _repeat(self, job: Job) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await job.run()
            except Exception as failure:  # noqa: BLE001 - a fault in one job must not stop posting
                self._failed(job, failure)
                await self._clock.sleep(retry_s)
                retry_s = min(retry_s * 2, LONGEST_RETRY_S)
            else:
                if self.failures.pop(job.name, None) is not None:
                    log.info("%s works again", job.name)
                retry_s = FIRST_RETRY_S
                await self._clock.sleep(job.every_s)

    def _failed(self, job: Job, failure: Exception) -> None:
        """Say each new reason once: a store that is away would fill the log."""
        reason = f"{type(failure).__name__}: {failure}"
        if self.failures.get(job.name) != reason:
            unexpected = None if isinstance(failure, (*OUTAGE, *job.expected)) else failure
            log.warning("%s will be tried again: %s", job.name, reason, exc_info=unexpected)
        self.failures[job.name] = reason


async def _end(jobs: Sequence["asyncio.Task[None]"]) -> None:
    """
    End the jobs, whatever it takes: as long as one goes on, nobody is steward, and nobody posts.

    A cancellation can be lost: while a connection to Postgres breaks, asyncpg may raise an error
    of its own in its place, which looks like any failure that is tried again.
    """
    working = set(jobs)
    while working:
        for job in working:
            job.cancel()
        _, working = await asyncio.wait(working, timeout=CANCEL_AGAIN_S)
