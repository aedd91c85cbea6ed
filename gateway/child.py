"""The parent's side of a child process: started, waited for, started again, ended in order."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.ports import Clock

START_LIMIT_S = 90
"""A first `initdb` on a slow machine is the longest anybody needs before it is ready."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Between two starts of a child that keeps dying: doubled each time, to keep the log readable."""

HEALTHY_AFTER_S = 60.0
"""A child that lived so long has recovered: its next death is the first again."""


class ChildFailed(Exception):
    """A child ended before it was ready; what it printed says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    What a child does.

    Attributes:
        name: As the operator reads it in a line about a restart.
        module: Run as `python -P -m module`: the current folder is never on `sys.path`.
        orders: Told to it in one line of JSON.
        descriptors: Inherited under the same numbers; the orders name them.
        restart: Whether another takes its place when it dies.
        may_be_cut_off: Whether it may be killed when somebody is in a hurry.
    """

    name: str
    module: str
    orders: Mapping[str, Any]
    descriptors: Sequence[int] = field(default=())
    restart: bool = True
    may_be_cut_off: bool = True


class Child:
    """One job that is being done: by this process, or by the next when it dies."""

    def __init__(self, job: Job, *, clock: Clock, say: Callable[[str], None]) -> None:
        """Say what it will do; `say` gets a line whenever the operator should know."""
        self.job = job
        self._clock = clock
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set when nobody does the job any more: told to stop, or died without `restart`."""

    @property
    def pid(self) -> int | None:
        """The process that does the job now, if one does."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and alive else None

    async def start(self) -> dict[str, Any]:
        """
        Start it, and keep it; returns what the first one told when it was ready.

        Raises:
            ChildFailed: The first one died or was not ready within `START_LIMIT_S`; none runs.

        """
        try:
            told = await self._spawn()
        except ChildFailed:
            self._hang_up()
            raise
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.job.name}")
        return told

    async def stop(self, limit_s: float) -> None:
        """End it with SIGTERM, or SIGKILL after `limit_s`, and start no other."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self.pid is not None:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(limit_s):
                    await self._until_ended()
            except TimeoutError:
                self._say(f"the {self.job.name} did not stop within {limit_s:.0f} s; killing it")
                self.signal(signal.SIGKILL)
                await self._until_ended()
        self._hang_up()
        self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that does the job now, if one does."""
        if self._process is not None:
            self._process.send_signal(number)

    async def _keep(self) -> None:
        """Start another whenever one dies, with a growing pause."""
        pause_s = FIRST_PAUSE_S
        while True:
            since = self._clock.monotonic()
            how = _ending(await self._until_ended())
            if not self.job.restart:
                self._say(f"the {self.job.name} {how}")
                self.ended.set()
                return
            if self._clock.monotonic() - since > HEALTHY_AFTER_S:
                pause_s = FIRST_PAUSE_S
            self._say(f"the {self.job.name} {how}; starting another in {pause_s:.1f} s")
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            # One that was not ready has ended: the next round says so and tries again.
            with contextlib.suppress(ChildFailed):
                await self._spawn()

    async def _spawn(self) -> dict[str, Any]:
        """Start one process and wait until it is ready; returns what it told."""
        self._hang_up()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - brief; our own modules, no shell
                [sys.executable, "-P", "-m", self.job.module],
                stdin=theirs.fileno(),
                pass_fds=tuple(self.job.descriptors),
                start_new_session=True,  # Ctrl-C is for the parent, which ends all in order
            )
        try:
            async with asyncio.timeout(START_LIMIT_S):
                answer = await self._converse(self._channel)
        except TimeoutError:
            answer = b""
            self._say(f"the {self.job.name} was not ready within {START_LIMIT_S} s")
        if not answer.endswith(b"\n"):
            self.signal(signal.SIGKILL)
            code = await self._until_ended()
            raise ChildFailed(f"the {self.job.name} {_ending(code)} before it was ready")
        told: dict[str, Any] = json.loads(answer)
        return told

    async def _converse(self, channel: socket.socket) -> bytes:
        """Give the orders, read the answer; without a line end, the child is gone."""
        loop = asyncio.get_running_loop()
        answer = b""
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(channel, json.dumps(dict(self.job.orders)).encode() + b"\n")
            while not answer.endswith(b"\n"):
                part = await loop.sock_recv(channel, 4_096)
                if not part:
                    break
                answer += part
        return answer

    async def _until_ended(self) -> int:
        """
        Wait for the process' end and return its exit status.

        The kernel closes its end of the channel then; SIGCHLD and asyncio's own child
        watching are not used, because sending a signal may reap the process before them.
        """
        assert self._process is not None
        assert self._channel is not None
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(self._channel, 4_096):
                pass
        return await asyncio.to_thread(self._process.wait)

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with status {code}"
    return f"was killed by {signal.Signals(-code).name}"
