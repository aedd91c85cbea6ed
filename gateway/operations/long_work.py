"""What is done as a job, because it may read a day's or a month's charges."""

from gateway.operations import health, observed, prices, replays
from gateway.operations.desk import Desk
from gateway.operations.jobs import Job, Jobs, Progress
from gateway.operations.now import utc_now
from gateway.operations.observed import ObservedAnswer, ObservedQuery
from gateway.operations.replay_answer import Replay, ReplayQuery
from ledger.ports import Clock


def begin_replay(jobs: Jobs, desk: Desk, text: str, query: ReplayQuery, clock: Clock) -> Job:
    """
    Begin to reprice recorded charges with a text; the job keeps the text.

    Raises:
        Problem: `invalid-input`: it is not a price file. Nothing was begun.
        Conflict: `jobs-busy`.

    """
    prices.checked(text, None)
    now = utc_now(clock)

    async def work(progress: Progress) -> Replay:
        return await replays.replay(desk, text, query, now=now, progress=progress)

    return jobs.begin("replay", work, actor=desk.actor, text=text)


def begin_observed(jobs: Jobs, desk: Desk, query: ObservedQuery, clock: Clock) -> Job:
    """Begin to report what observed requests would have come to."""
    now = utc_now(clock)

    async def work(progress: Progress) -> ObservedAnswer:
        return await observed.report(desk.ledger.database, query, now=now, progress=progress)

    return jobs.begin("observed", work, actor=desk.actor)


def begin_verify(jobs: Jobs, desk: Desk) -> Job:
    """Begin to check that the ledger in Postgres adds up."""

    async def work(_: Progress) -> health.Report:
        return await health.verify(desk)

    return jobs.begin("verify", work, actor=desk.actor)


def begin_reconcile(jobs: Jobs, desk: Desk) -> Job:
    """Begin to check that Redis and the ledger say the same."""

    async def work(_: Progress) -> health.Report:
        return await health.reconcile(desk)

    return jobs.begin("reconcile", work, actor=desk.actor)
