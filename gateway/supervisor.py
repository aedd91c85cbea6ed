"""All children of one parent: started side by side, ended in order, or at once when asked twice."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gateway.child import Child, Job
from ledger.ports import Clock

ONE_SIGNAL_S = 1.0
"""Programs like `timeout` signal a process and then its group: that is one wish, not two."""


class Supervisor:
    """The children that run, in the order in which they were started."""

    def __init__(self, *, clock: Clock, say: Callable[[str], None]) -> None:
        """Start nobody yet; `say` gets a line whenever the operator should know."""
        self.clock = clock
        self.say = say
        self.children: list[Child] = []

    @asynccontextmanager
    async def running(self, *jobs: Job, stop_limit_s: float) -> AsyncIterator[list[dict[str, Any]]]:
        """
        Have the jobs done for as long as the block runs; yields what each told when ready.

        Raises:
            ChildFailed: One was never ready; the others are ended.

        """
        started = [Child(job, clock=self.clock, say=self.say) for job in jobs]
        self.children += started
        try:
            yield list(await asyncio.gather(*(child.start() for child in started)))
        finally:
            await asyncio.gather(*(child.stop(stop_limit_s) for child in started))

    def child(self, name: str) -> Child:
        """Return the child that does the job of that name."""
        return next(child for child in self.children if child.job.name == name)

    def hurry(self) -> None:
        """End at once all who may be cut off; the others go on ending in order."""
        for child in self.children:
            if child.job.may_be_cut_off:
                child.signal(signal.SIGKILL)


async def until_signalled(work: Coroutine[Any, Any, None], supervisor: Supervisor) -> None:
    """
    Do the work until it is done or a signal comes.

    The first SIGINT or SIGTERM cancels it, so that it ends in order; the next ones kill
    what still drains.
    """
    task = asyncio.ensure_future(work)
    clock = supervisor.clock
    first: float | None = None

    def signalled() -> None:
        nonlocal first
        if first is None:
            first = clock.monotonic()
            supervisor.say("ending: requests in flight are finished first")
            task.cancel()
        elif clock.monotonic() - first >= ONE_SIGNAL_S:
            supervisor.say("ending now")
            supervisor.hurry()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    with contextlib.suppress(asyncio.CancelledError):
        await task
