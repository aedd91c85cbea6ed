"""
Work that takes longer than anybody waits for an answer: begun, looked at, ended.

A job only reads. It lives in the process that answers admins and is forgotten with it; then it is
begun again.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from gateway.models import Answer, Time
from gateway.operations.health import Report
from gateway.operations.now import utc_now
from gateway.operations.observed import ObservedAnswer
from gateway.operations.replay_answer import Replay
from gateway.routes import problem_of
from ledger.errors import Conflict, NotFound
from ledger.ports import Clock

Kind = Literal["replay", "observed", "verify", "reconcile"]
State = Literal["running", "done", "failed", "cancelled"]
Result = Replay | ObservedAnswer | Report

MOST_RUNNING = 2
"""The process that answers admins posts as well; two at once leave it time for that."""

MOST_KEPT = 20
"""Jobs that are over, each with its text and its result; the oldest is forgotten first."""

_log = logging.getLogger(__name__)


class JobRow(Answer):
    """A job: who began it, and how far it is."""

    id: str
    kind: Kind
    actor: str
    state: State
    done: Annotated[int, Field(description="Rows read so far; 0 where they are not counted.")]
    share: Annotated[float | None, Field(description="Of the whole, 0 to 1; null: unknown.")]
    began_at: Time
    ended_at: Time | None
    problem: Annotated[str | None, Field(description="Why it failed.")]


class JobAnswer(JobRow):
    """A job with what it found; null until it is done."""

    result: Result | None


class JobList(Answer):
    """The jobs of this gateway, newest first."""

    items: list[JobRow]


@dataclass(slots=True)
class Progress:
    """How far a job is; told by the work, read by whoever looks."""

    done: int = 0
    share: float | None = None

    def __call__(self, done: int, share: float | None = None) -> None:
        """Say that so many rows are read, which is this share of all."""
        self.done, self.share = done, share


Work = Callable[[Progress], Awaitable[Result]]


@dataclass(slots=True)
class Job:
    """
    One job.

    text: What it was begun with, such as a price file that is tried; empty where there is none.
    """

    id: str
    kind: Kind
    actor: str
    text: str
    progress: Progress
    began_at: datetime
    ended_at: datetime | None = None
    state: State = "running"
    problem: str | None = None
    result: Result | None = None

    def answer(self) -> JobAnswer:
        """Describe it, with its result."""
        return JobAnswer(**self._row(), result=self.result)

    def row(self) -> JobRow:
        """Describe it for a list."""
        return JobRow(**self._row())

    def _row(self) -> dict[str, Any]:
        names = ("id", "kind", "actor", "state", "began_at", "ended_at", "problem")
        shown = {name: getattr(self, name) for name in names}
        return {**shown, "done": self.progress.done, "share": self.progress.share}


class Jobs:
    """
    The jobs of one process.

    Use as `async with Jobs(clock) as jobs`: what still runs at the end is cancelled.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for job in [*self._tasks]:
            await self.cancel(job)

    def begin(self, kind: Kind, work: Work, *, actor: str, text: str = "") -> Job:
        """
        Begin a job.

        Raises:
            Conflict: `jobs-busy`: as many run as may at once. Nothing was begun.

        """
        if len(self._tasks) >= MOST_RUNNING:
            raise Conflict("jobs-busy", f"{MOST_RUNNING} jobs run already; wait until one ends")
        progress = Progress()
        job = Job(f"job_{secrets.token_hex(8)}", kind, actor, text, progress, utc_now(self._clock))
        self._jobs[job.id] = job
        task = asyncio.create_task(self._run(job, work), name=job.id)
        self._tasks[job.id] = task
        over = [one for one in self._jobs if one not in self._tasks]
        for one in over[: max(0, len(over) - MOST_KEPT)]:
            del self._jobs[one]
        return job

    def get(self, job: str) -> Job:
        """
        Return a job.

        Raises:
            NotFound: There is none, or it was forgotten.

        """
        found = self._jobs.get(job)
        if found is None:
            raise NotFound(f"no job {job}: it is over, or the gateway was restarted; begin again")
        return found

    def listed(self) -> list[Job]:
        """Return the jobs, newest first."""
        return [*self._jobs.values()][::-1]

    async def cancel(self, job: str) -> Job:
        """End a job before it is done. A repeat is harmless."""
        found = self.get(job)
        task = self._tasks.get(job)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            self._over(found, "cancelled")
        return found

    async def _run(self, job: Job, work: Work) -> None:
        try:
            job.result = await work(job.progress)
        except asyncio.CancelledError:
            self._over(job, "cancelled")
        except Exception as error:  # noqa: BLE001 - whoever looks at the job is told
            job.problem = _told(job, error)
            self._over(job, "failed")
        else:
            self._over(job, "done")

    def _over(self, job: Job, state: State) -> None:
        """Note an end, once: who is cancelled before the first turn never comes to its own."""
        if self._tasks.pop(job.id, None) is not None:
            job.state, job.ended_at = state, utc_now(self._clock)


def _told(job: Job, error: Exception) -> str:
    """Say why a job failed; the log has what nobody expected."""
    problem = problem_of(error)
    if problem.name == "internal-error":
        _log.error("%s (%s) failed", job.kind, job.id, exc_info=error)
    return problem.detail
