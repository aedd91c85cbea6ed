"""The steward runs its jobs while elected, and none stops another."""

import asyncio
import logging

import pytest

from ledger.election import Election
from ledger.steward import Job, Steward
from tests.ledger.quick_clock import QuickClock
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_failing_job_is_tried_again_and_stops_no_other(empty_database_url: str) -> None:
    clock = QuickClock()
    runs = {"bad": 0, "good": 0}
    mended = asyncio.Event()

    async def bad() -> None:
        runs["bad"] += 1
        if not mended.is_set():
            raise ConnectionError("the store is away")

    async def good() -> None:
        runs["good"] += 1

    steward = Steward(
        Election(empty_database_url, "shard 0", clock),
        [Job("bad", 1, bad), Job("good", 1, good)],
        clock,
    )
    working = asyncio.create_task(steward.run())
    await until(lambda: runs["bad"] > 5 and runs["good"] > 5)
    assert steward.failures == {"bad": "ConnectionError: the store is away"}
    mended.set()
    await until(lambda: steward.failures == {})
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert not steward.elected


async def test_what_is_expected_to_fail_is_one_line_in_the_log(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ledger")
    clock = QuickClock()

    async def refused() -> None:
        raise LookupError("somebody else is away")

    jobs = [Job("bought", 1, refused, (LookupError,)), Job("odd", 1, refused)]
    steward = Steward(Election(empty_database_url, "shard 0", clock), jobs, clock)
    working = asyncio.create_task(steward.run())
    await until(lambda: len(steward.failures) == 2)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)

    traced = {
        record.getMessage().split()[0]: record.exc_info is not None
        for record in caplog.records
        if "tried again" in record.getMessage()
    }
    assert traced == {"bought": False, "odd": True}


async def test_a_second_steward_takes_over_when_the_first_is_gone(empty_database_url: str) -> None:
    clock = QuickClock()
    worked: list[str] = []

    def steward(name: str) -> Steward:
        async def work() -> None:
            worked.append(name)

        election = Election(empty_database_url, "shard 0", clock)
        return Steward(election, [Job("work", 1, work)], clock)

    first, second = steward("first"), steward("second")
    first_task = asyncio.create_task(first.run())
    await until(lambda: first.elected)
    second_task = asyncio.create_task(second.run())
    await until(lambda: len(worked) > 3)
    assert set(worked) == {"first"}
    first_task.cancel()
    await until(lambda: "second" in worked)
    second_task.cancel()
    await asyncio.gather(first_task, second_task, return_exceptions=True)


async def test_a_job_that_loses_its_cancellation_does_not_hold_up_the_next_term(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncpg, whose connection is lost just then, raises an error of its own instead."""
    caplog.set_level(logging.INFO, "ledger")
    clock = QuickClock()
    running, terms = 0, 0

    async def stubborn() -> None:
        nonlocal running, terms
        running, terms = running + 1, terms + 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if terms == 1:
                raise ConnectionError("played: release() called on a free connection") from None
            raise
        finally:
            running -= 1

    election = Election(empty_database_url, "shard 0", clock)
    steward = Steward(election, [Job("stubborn", 1, stubborn)], clock)
    working = asyncio.create_task(steward.run())
    await until(lambda: running)
    await election.resign()
    await until(lambda: caplog.messages.count("elected steward") == 2 and running)
    assert running == 1
    working.cancel()
    await until(working.done)
    assert running == 0
