"""Child processes: ready before they count, replaced when they die, ended in order."""

import asyncio
import os
import signal
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.child import Child, ChildFailed, Job
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio

READY = """
    import asyncio, os
    from gateway.parent import Parent
    parent = Parent()
    async def main():
        done = asyncio.Event()
        parent.on_stop(done.set)
        parent.ready(pid=os.getpid(), orders=parent.orders)
        await done.wait()
        open(parent.orders["trace"], "a").write("ended in order\\n")
    asyncio.run(main())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module that a child can run; returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(source: str) -> str:
        (tmp_path / "a_child.py").write_text(textwrap.dedent(source))
        return "a_child"

    return write


@pytest.fixture
def said() -> list[str]:
    return []


def child(job: Job, said: list[str], clock: SystemClock | None = None) -> Child:
    return Child(job, clock=clock or SystemClock(), say=said.append)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a process outside this loop
            await asyncio.sleep(0.02)


async def test_a_child_gets_its_orders_and_says_when_it_is_ready(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    worker = child(Job("worker", module(READY), {"trace": str(tmp_path / "t")}), said)
    told = await worker.start()
    assert told == {"pid": worker.pid, "orders": {"trace": str(tmp_path / "t")}}
    await worker.stop(10)


async def test_a_stopped_child_ends_in_order_and_is_not_replaced(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    worker = child(Job("worker", module(READY), {"trace": str(tmp_path / "t")}), said)
    await worker.start()
    await worker.stop(10)
    assert (tmp_path / "t").read_text() == "ended in order\n"
    assert worker.pid is None
    assert said == []


async def test_a_killed_child_is_replaced(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    worker = child(Job("worker", module(READY), {"trace": str(tmp_path / "t")}), said)
    told = await worker.start()
    os.kill(told["pid"], signal.SIGKILL)
    await until(lambda: worker.pid not in (None, told["pid"]))
    assert said == ["the worker was killed by SIGKILL; starting another in 0.5 s"]
    await worker.stop(10)


async def test_the_pause_between_restarts_grows_to_its_limit(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    """A child that is ready once and then never again is tried ever more slowly."""
    paused: list[float] = []
    enough = asyncio.Event()

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            paused.append(seconds)
            if len(paused) == 9:
                enough.set()
                await asyncio.Event().wait()

    source = """
        import os
        from gateway.parent import Parent
        parent = Parent()
        if os.path.exists(parent.orders["trace"]):
            raise SystemExit(3)
        open(parent.orders["trace"], "w").close()
        parent.ready()
    """
    worker = child(Job("worker", module(source), {"trace": str(tmp_path / "t")}), said, Clock())
    await worker.start()
    async with asyncio.timeout(60):
        await enough.wait()
    assert paused == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    await worker.stop(10)


async def test_a_child_that_is_never_ready_is_an_error(
    module: Callable[[str], str], said: list[str]
) -> None:
    worker = child(Job("worker", module("raise SystemExit(4)"), {}), said)
    with pytest.raises(ChildFailed, match="the worker ended with status 4 before it was ready"):
        await worker.start()
    assert worker.pid is None


async def test_a_child_that_does_not_stop_is_killed(
    module: Callable[[str], str], said: list[str]
) -> None:
    source = """
        import signal, time
        from gateway.parent import Parent
        parent = Parent()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        parent.ready()
        time.sleep(60)
    """
    worker = child(Job("worker", module(source), {}), said)
    await worker.start()
    await worker.stop(0.1)
    assert worker.pid is None
    assert said == ["the worker did not stop within 0 s; killing it"]


async def test_a_child_whose_job_must_not_be_restarted_ends_it(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    keeper = child(
        Job("keeper", module(READY), {"trace": str(tmp_path / "t")}, restart=False), said
    )
    told = await keeper.start()
    os.kill(told["pid"], signal.SIGKILL)
    async with asyncio.timeout(30):
        await keeper.ended.wait()
    assert said == ["the keeper was killed by SIGKILL"]
    await keeper.stop(1)


async def test_a_child_ends_in_order_when_its_parent_is_gone(
    module: Callable[[str], str], said: list[str], tmp_path: Path
) -> None:
    """As after kill -9 of the parent: the channel ends, no signal comes."""
    worker = child(
        Job("worker", module(READY), {"trace": str(tmp_path / "t")}, restart=False), said
    )
    await worker.start()
    worker._channel.shutdown(socket.SHUT_WR)
    await until(lambda: worker.pid is None)
    assert (tmp_path / "t").read_text() == "ended in order\n"
    await worker.stop(1)


async def test_a_child_inherits_the_descriptors_its_job_names(
    module: Callable[[str], str], said: list[str]
) -> None:
    source = """
        import os
        from gateway.parent import Parent
        parent = Parent()
        os.write(parent.orders["pipe"], b"here")
        parent.ready()
    """
    reading, writing = os.pipe()
    worker = child(Job("w", module(source), {"pipe": writing}, [writing], restart=False), said)
    await worker.start()
    assert os.read(reading, 4) == b"here"
    os.close(reading)
    os.close(writing)
    await worker.stop(1)
