"""All children together: started side by side, ended in order, cut off only when asked twice."""

import asyncio
import os
import signal
import textwrap
from pathlib import Path

import pytest

from gateway.child import ChildFailed, Job
from gateway.supervisor import Supervisor, until_signalled
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio

SOURCE = """
    import asyncio, signal
    from gateway.parent import Parent
    parent = Parent()
    async def main():
        done = asyncio.Event()
        parent.on_stop(done.set)
        if parent.orders.get("never ready"):
            raise SystemExit(3)
        parent.ready(name=parent.orders["name"])
        await done.wait()
        if parent.orders.get("drains for ever"):
            open(parent.orders["trace"], "a").write("draining ")
            await asyncio.sleep(3600)
        open(parent.orders["trace"], "a").write(parent.orders["name"] + " ")
    asyncio.run(main())
"""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "a_supervised_child.py").write_text(textwrap.dedent(SOURCE))
    return tmp_path / "trace"


class SlowClock(SystemClock):
    """Ten seconds pass between any two looks."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 10
        return self.now


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(clock=SystemClock(), say=lambda _: None)


def job(name: str, trace: Path, *, cut_off: bool = True, **orders: object) -> Job:
    told = {"name": name, "trace": str(trace), **orders}
    return Job(name, "a_supervised_child", told, may_be_cut_off=cut_off)


def ended(trace: Path) -> list[str]:
    """What the children wrote so far, in order."""
    return trace.read_text().split() if trace.exists() else []


async def test_each_tells_what_it_has_to_tell(supervisor: Supervisor, trace: Path) -> None:
    async with supervisor.running(job("a", trace), job("b", trace), stop_limit_s=10) as told:
        assert told == [{"name": "a"}, {"name": "b"}]
        assert supervisor.child("b").pid is not None
    assert sorted(ended(trace)) == ["a", "b"]


async def test_one_that_is_never_ready_ends_the_others(supervisor: Supervisor, trace: Path) -> None:
    jobs = job("a", trace), job("b", trace, **{"never ready": True})
    with pytest.raises(ChildFailed, match="the b ended with status 3"):
        async with supervisor.running(*jobs, stop_limit_s=10):
            pytest.fail("b is not there")
    assert [child.pid for child in supervisor.children] == [None, None]


async def test_the_first_signal_ends_the_work_in_order(supervisor: Supervisor, trace: Path) -> None:
    async def work() -> None:
        async with (
            supervisor.running(job("first", trace), stop_limit_s=10),
            supervisor.running(job("second", trace), stop_limit_s=10),
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    await until_signalled(work(), supervisor)
    assert ended(trace) == ["second", "first"]


async def test_the_second_signal_cuts_off_whoever_may_be(
    supervisor: Supervisor, trace: Path
) -> None:
    """A worker that drains for ever is killed; the stores' keeper still ends in order."""
    supervisor.clock = SlowClock()

    async def second_signal() -> None:
        while not ended(trace):  # noqa: ASYNC110 - a process outside this loop
            await asyncio.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    async def work() -> None:
        async with (
            supervisor.running(job("keeper", trace, cut_off=False), stop_limit_s=60),
            supervisor.running(job("worker", trace, **{"drains for ever": True}), stop_limit_s=60),
        ):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    hurry = asyncio.create_task(second_signal())
    await until_signalled(work(), supervisor)
    await hurry
    assert ended(trace) == ["draining", "keeper"]


async def test_two_signals_at_once_are_one(supervisor: Supervisor, trace: Path) -> None:
    async def work() -> None:
        async with supervisor.running(job("worker", trace), stop_limit_s=10):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    await until_signalled(work(), supervisor)
    assert ended(trace) == ["worker"]


async def test_an_error_of_the_work_comes_out(supervisor: Supervisor) -> None:
    async def work() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await until_signalled(work(), supervisor)
