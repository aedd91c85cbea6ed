"""
Cores that do not fall asleep.

A process that waits lets its core go: a virtual one goes back to its host, which gives it to
others, and comes back to cold caches. What waits often loses more by it than what hardly waits.
Beside something of the lowest priority, which gives way at once, the core stays where it is. What
that changed is in bench/README.md.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_SPIN = """
import os, signal, sys
from collections import deque
from itertools import repeat
signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it, or is gone
core, parent = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    deque(repeat(None, 5_000_000), maxlen=0)
"""


@contextmanager
def awake(cores: Iterable[int]) -> Iterator[None]:
    """
    Keep these cores awake meanwhile.

    Raises:
        RuntimeError: One was not kept awake until the end, so what was measured does not count.

    """
    spinning = [
        subprocess.Popen([sys.executable, "-S", "-E", "-c", _SPIN, str(core), str(os.getpid())])
        for core in cores
    ]
    try:
        yield
        if any(process.poll() is not None for process in spinning):
            raise RuntimeError("a core could not be kept awake")
    finally:
        for process in spinning:
            process.terminate()
        for process in spinning:
            process.wait()


@contextmanager
def apart(pid: int) -> Iterator[None]:
    """Keep a process's main thread on a core of its own, awake, and this thread off it."""
    cores = os.sched_getaffinity(0)
    if len(cores) == 1:
        yield
        return
    own = {max(cores)}
    os.sched_setaffinity(pid, own)
    os.sched_setaffinity(0, cores - own)
    try:
        with awake(own):
            yield
    finally:
        os.sched_setaffinity(0, cores)
