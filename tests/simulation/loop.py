"""
An event loop whose time is played: it jumps to what is due next and never waits.

Every callback belongs to a process, by its context. A process can be paused, which parks its
callbacks until it goes on, or killed, which parks them for good: no `except`, no `finally`
runs, exactly as after SIGKILL. What belongs to none is the world: networks, servers, faults.
"""

import asyncio
import contextvars
import heapq
from collections.abc import Awaitable, Callable
from typing import Any

START_S = 1_800_000_000
MOST_STEPS = 3_000_000
"""Of one run; more means that something goes in circles without time passing."""


class Process:
    """Something that can be paused or killed; its parts share nothing with other processes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.paused = False
        self.parked: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    @property
    def stopped(self) -> bool:
        return self.dead or self.paused


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process | None:
    """Whose callback is running."""
    return _PROCESS.get()


class Endless(Exception):
    """Nothing can happen any more, or things happen without end."""


class PlayedLoop(asyncio.BaseEventLoop):
    """Runs everything of one simulated world; `connector` makes its connections."""

    def __init__(self) -> None:
        super().__init__()
        self._played_s = 0.0
        self.steps = 0
        self.connector: Callable[..., Awaitable[Any]] | None = None
        self.world = contextvars.copy_context()

    def time(self) -> float:
        return self._played_s

    def spawn(self, process: Process, work: Any, name: str | None = None) -> "asyncio.Task[Any]":
        """Begin a coroutine as a part of this process."""
        task = self.create_task(work, name=name, context=process.context.copy())
        process.tasks.append(task)
        return task

    def later(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Let the world do something."""
        self.call_at(when, callback, *args, context=self.world)

    def resume(self, process: Process) -> None:
        """Let a paused process go on where it stood."""
        process.paused = False
        parked, process.parked = process.parked, []
        self._ready.extend(parked)

    def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        assert self.connector is not None
        return self.connector(factory)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        task = super().create_task(coro, name=name, context=context)
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if process is not None and context is None:
            process.tasks.append(task)  # a dead one's tasks must not be collected half way
        return task

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless(f"{MOST_STEPS} steps, at {self._played_s:.3f} s")
        scheduled, ready = self._scheduled, self._ready
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise Endless("nothing is left to happen")
            self._played_s = max(self._played_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._played_s:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(_PROCESS)
            if process is not None and process.stopped:
                process.parked.append(handle)
            else:
                handle._run()

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _write_to_self(self) -> None:
        """There is one thread."""

    def _process_events(self, event_list: Any) -> None:
        """There are no files."""


class PlayedClock:
    """The machine's clock of one process; `skew_ms` is how wrong it goes."""

    def __init__(self, loop: PlayedLoop) -> None:
        self._loop = loop
        self.skew_ms = 0

    def now_us(self) -> int:
        return int((START_S + self._loop.time()) * 1_000_000) + self.skew_ms * 1_000

    def now_ms(self) -> int:
        return self.now_us() // 1_000

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
