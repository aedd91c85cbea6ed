"""What a soak looks at every few seconds, and whether it stays where it is."""

import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from bench.processes import memory_bytes, open_files
from tests.served import Served

_METRIC = re.compile(r'^(farebox_\w+)(?:{name="(\w+)"})? (\S+)$', re.MULTILINE)
ANSWER_LIMIT_S = 30


@dataclass(frozen=True)
class Processes:
    """Who is looked at, by process id."""

    workers: Sequence[int]
    steward: int
    redis: int

    @classmethod
    def of(cls, served: Served) -> "Processes":
        """Find them."""
        children = served.children()
        workers = [pid for name, pid in children.items() if name.startswith("gateway.worker")]
        return cls(workers, children["gateway.steward"], served.store_pid("valkey"))


@dataclass(frozen=True)
class Sample:
    """
    One look. Memory is what is resident; of several workers, together.

    Attributes:
        at_s: Since the load began.
        requests: Heads that reached the backend so far.
        p99_ms: Of the steady load, since the look before.
        unsettled: Requests whose end Postgres does not show yet.
        open_holds: Without an ending yet, in Redis.
        unposted: Facts in the journal that are not in Postgres yet.
        upstream: Connections to the backend.
    """

    at_s: float
    requests: int
    p99_ms: float
    worker_mb: float
    steward_mb: float
    redis_mb: float
    worker_files: int
    steward_files: int
    unsettled: int
    open_holds: int
    unposted: int
    open_requests: int
    upstream: int


def look(
    served: Served,
    processes: Processes,
    *,
    at_s: float,
    requests: int,
    upstream: int,
    took_s: Sequence[float],
) -> Sample:
    """Look once; asks the admin listener and reads /proc."""
    told = metrics(served)
    return Sample(
        at_s=round(at_s, 1),
        requests=requests,
        p99_ms=round(took_s[int(len(took_s) * 0.99)] * 1_000, 1) if took_s else 0.0,
        worker_mb=_megabytes(processes.workers),
        steward_mb=_megabytes([processes.steward]),
        redis_mb=_megabytes([processes.redis]),
        worker_files=open_files(processes.workers),
        steward_files=open_files([processes.steward]),
        unsettled=told["farebox_worker_gauge unsettled"],
        open_holds=told["farebox_open_holds"],
        unposted=told["farebox_unposted_facts"],
        open_requests=told["farebox_open_requests"],
        upstream=upstream,
    )


def metrics(served: Served) -> dict[str, int]:
    """Return the gauges that have at most a name, as `metric name`."""
    asked = urllib.request.Request(
        f"{served.running.admin_url}/metrics", headers=served.admin_headers
    )
    with urllib.request.urlopen(asked, timeout=ANSWER_LIMIT_S) as answer:
        text = answer.read().decode()
    return {
        f"{metric} {name}".rstrip(): int(float(value))
        for metric, name, value in _METRIC.findall(text)
    }


def mb_per_million(samples: Sequence[Sample], memory: str) -> float:
    """Return the slope of the second half of a run: MB for each million requests."""
    half = samples[len(samples) // 2 :]
    if len({sample.requests for sample in half}) < 2:
        return 0.0
    found = linear_regression(
        [sample.requests / 1e6 for sample in half], [getattr(sample, memory) for sample in half]
    )
    return found.slope


def _megabytes(pids: Sequence[int]) -> float:
    return round(memory_bytes(pids) / 1e6, 1)
