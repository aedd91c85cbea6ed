"""Waiting until a steward has done all of its jobs, and until a candidate has seen another elected."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ledger.election import Election
from ledger.steward import Job, Steward
from tests.failpoints.run import BriskClock, until

ENDLESS = "posting"
"""The one job that is never done."""


class Rounds:
    """Notes what a steward does, from before it is run."""

    def __init__(self, steward: Steward) -> None:
        self._names = {job.name for job in steward._jobs} - {ENDLESS}
        self._left: set[str] = set()
        steward._jobs = tuple(replace(job, run=self._noted(job)) for job in steward._jobs)

    async def all_done(self) -> None:
        """Return when every job has begun after this call, and ended well."""
        left = self._left = set(self._names)
        await until(lambda: not left)

    def _noted(self, job: Job) -> Callable[[], Awaitable[object]]:
        async def run() -> object:
            left = self._left
            done = await job.run()
            left.discard(job.name)
            return done

        return run


class Waiting(BriskClock):
    """The clock of a candidate, by which it is seen to wait for the post."""

    def __init__(self, election: Election) -> None:
        self.waited = False
        election._clock = self

    async def sleep(self, seconds: float) -> None:
        self.waited = True
        await super().sleep(seconds)
