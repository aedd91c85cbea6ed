import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.awake import apart, awake
from bench.processes import children_of

if sys.platform != "linux":
    pytest.skip("the bench reads /proc", allow_module_level=True)


def test_a_core_stays_awake_by_what_gives_way_to_everything() -> None:
    core = max(os.sched_getaffinity(0))
    before = set(children_of(os.getpid()))

    with awake([core]):
        [pid] = set(children_of(os.getpid())) - before
        until = time.monotonic() + 10
        while os.sched_getscheduler(pid) != os.SCHED_IDLE and time.monotonic() < until:
            time.sleep(0.01)
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
        assert os.sched_getaffinity(pid) == {core}

    assert not Path(f"/proc/{pid}").exists()


def test_that_a_core_fell_asleep_is_said() -> None:
    with pytest.raises(RuntimeError, match="kept awake"):
        kept_awake_until_it_ends(10**6)  # there is no such core


def kept_awake_until_it_ends(core: int) -> None:
    before = set(children_of(os.getpid()))
    with awake([core]):
        [pid] = set(children_of(os.getpid())) - before
        until = time.monotonic() + 10
        while not has_ended(pid) and time.monotonic() < until:
            time.sleep(0.01)


def has_ended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="there is one core")
def test_what_is_measured_has_a_core_that_who_drives_it_keeps_off() -> None:
    cores = os.sched_getaffinity(0)
    measured = subprocess.Popen(["sleep", "60"])
    try:
        with apart(measured.pid):
            assert len(os.sched_getaffinity(measured.pid)) == 1
            assert os.sched_getaffinity(0) == cores - os.sched_getaffinity(measured.pid)
        assert os.sched_getaffinity(0) == cores
    finally:
        measured.kill()
        measured.wait()
