"""
What Prometheus is told, over all workers.

The hot path adds to plain integers. Each second a worker writes its sums to a file of its own;
the steward's admin listener reads all files and adds them up. The files of workers that
have ended still count, so a counter does not fall when a worker is restarted; `serve` empties
the folder when it starts.
"""

import json
import logging
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ledger.ports import Clock

FLUSH_EVERY_S = 1.0
ALIVE_FOR_S = 10.0  # a gauge of a worker that has not written for so long is no longer true
MAX_SERIES = 2_000  # routes x classes x reasons of a large price file; beyond it: route "other"
BUCKETS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
_BUCKETS_US = [1_000 * limit_ms for limit_ms in BUCKETS_MS]

_log = logging.getLogger(__name__)
_Numbers = Callable[[], Mapping[str, int]]

HELP = {
    "farebox_requests_total": "Requests answered, by route, status class and reason.",
    "farebox_captured_total": "Credits captured, smallest units, by credit type.",
    "farebox_uncollected_total": "Cost above the hold that was not taken, by credit type.",
    "farebox_request_seconds": "Time from the request's head to the end of its answer.",
    "farebox_open_requests": "Requests being served now.",
    "farebox_webhook_deliveries_total": "Deliveries of Stripe's, by what they were answered.",
    "farebox_worker_gauge": "What a worker holds at the moment, by name.",
    "farebox_ledger_up": "1 if both stores answered and the shard has its state.",
    "farebox_failing_jobs": "Jobs of this gateway's steward that failed when they last ran.",
    "farebox_open_holds": "Holds without an ending yet, over all gateways.",
    "farebox_unposted_facts": "Facts of the journal that Postgres has not acknowledged.",
    "farebox_window_used": "Units held or spent that Postgres has not, by credit type.",
    "farebox_findings": "Findings of the audit that nobody has resolved, by check.",
    "farebox_halted": "1 while a finding keeps the shard from taking new holds.",
    "farebox_window": "How far farebox_window_used may go before holds are refused.",
}


class Metrics:
    """One worker's counters."""

    def __init__(self) -> None:
        self.open_requests = 0
        self._requests: Counter[tuple[str, int, str]] = Counter()
        self._captured: Counter[str] = Counter()
        self._uncollected: Counter[str] = Counter()
        self._buckets = [0] * (len(BUCKETS_MS) + 1)
        self._duration_us = 0

    def request(self, route: str, status: int, reason: str, duration_us: int) -> None:
        """Count one answered request; status 0 where the client left without an answer."""
        self.count((route, status // 100, reason), duration_us)

    def count(self, series: tuple[str, int, str], duration_us: int) -> None:
        """Count one answered request under its route, status class and reason."""
        if series in self._requests:
            self._requests[series] += 1
        else:
            self._count(series)
        self._buckets[bisect_left(_BUCKETS_US, duration_us)] += 1
        self._duration_us += duration_us

    def refused(self, status: int, reason: str) -> None:
        """Count what was refused before it was a request; it took no time worth a bucket."""
        self._count(("", status // 100, reason))

    def _count(self, series: tuple[str, int, str]) -> None:
        if len(self._requests) >= MAX_SERIES and series not in self._requests:
            series = ("other", *series[1:])
        self._requests[series] += 1

    def settled(self, credit_type: str, captured: int, uncollected: int) -> None:
        """Add what a request's settlement takes and what it could not take."""
        self._captured[credit_type] += captured
        if uncollected:
            self._uncollected[credit_type] += uncollected

    def snapshot(
        self, gauges: Mapping[str, int], deliveries: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """Return the sums so far as what JSON can carry."""
        return {
            "requests": [[*key, count] for key, count in self._requests.items()],
            "captured": dict(self._captured),
            "uncollected": dict(self._uncollected),
            "buckets": self._buckets,
            "duration_us": self._duration_us,
            "open": self.open_requests,
            "gauges": dict(gauges),
            "deliveries": dict(deliveries or {}),
        }


class MetricsFile:
    """Writes one worker's sums where the steward finds them."""

    def __init__(
        self,
        folder: Path,
        metrics: Metrics,
        *,
        gauges: _Numbers,
        deliveries: _Numbers = dict,
        clock: Clock,
    ) -> None:
        self._path = folder / f"{os.getpid()}.{clock.now_ms()}.json"
        self._metrics = metrics
        self._gauges = gauges
        self._deliveries = deliveries
        self._clock = clock

    async def run(self) -> None:
        """Write each second, for ever."""
        while True:
            await self._clock.sleep(FLUSH_EVERY_S)
            self.flush()

    def flush(self) -> None:
        """Write now: to the side, then renamed, so that a reader never sees half a file."""
        document = self._metrics.snapshot(self._gauges(), self._deliveries())
        document["at_ms"] = self._clock.now_ms()
        aside = self._path.with_suffix(".new")
        try:
            aside.write_text(json.dumps(document))
            aside.replace(self._path)
        except OSError as error:
            _log.warning("metrics cannot be written to %s: %s", self._path, error)


def exposition(folder: Path, *, now_ms: int) -> str:
    """Return the sums of all workers in Prometheus' text format."""
    return render(list(_documents(folder)), now_ms=now_ms)


def _documents(folder: Path) -> Iterable[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield json.loads(path.read_text())
        except FileNotFoundError:
            continue  # the folder was emptied meanwhile


def render(documents: list[dict[str, Any]], *, now_ms: int) -> str:
    """Add up the workers' documents; gauges only of those that still write."""
    alive = [one for one in documents if now_ms - one["at_ms"] <= ALIVE_FOR_S * 1000]
    requests: Counter[tuple[str, int, str]] = Counter()
    captured: Counter[str] = Counter()
    uncollected: Counter[str] = Counter()
    gauges: Counter[str] = Counter()
    deliveries: Counter[str] = Counter()
    buckets = [0] * (len(BUCKETS_MS) + 1)
    for one in documents:
        for route, status_class, reason, count in one["requests"]:
            requests[route, status_class, reason] += count
        captured.update(one["captured"])
        uncollected.update(one["uncollected"])
        deliveries.update(one["deliveries"])
        buckets = [sum(pair) for pair in zip(buckets, one["buckets"], strict=True)]
    for one in alive:
        gauges.update(one["gauges"])
    lines = [
        *family("farebox_requests_total", "counter", _request_samples(requests)),
        *family("farebox_captured_total", "counter", _by("credit_type", captured)),
        *family("farebox_uncollected_total", "counter", _by("credit_type", uncollected)),
        *family("farebox_request_seconds", "histogram", _histogram(buckets, documents)),
        *family("farebox_open_requests", "gauge", [("", {}, sum(one["open"] for one in alive))]),
        *family("farebox_worker_gauge", "gauge", _by("name", gauges)),
        *family("farebox_webhook_deliveries_total", "counter", _by("answer", deliveries)),
    ]
    return "\n".join(lines) + "\n"


_Sample = tuple[str, dict[str, str], float]


def _request_samples(requests: Mapping[tuple[str, int, str], int]) -> Iterable[_Sample]:
    for (route, status_class, reason), count in sorted(requests.items()):
        status = f"{status_class}xx" if status_class else "none"
        yield "", {"route": route, "status": status, "reason": reason}, count


def _by(label: str, counts: Mapping[str, int]) -> Iterable[_Sample]:
    for value, count in sorted(counts.items()):
        yield "", {label: value}, count


def _histogram(buckets: list[int], documents: list[dict[str, Any]]) -> Iterable[_Sample]:
    total = 0
    for limit_ms, count in zip(BUCKETS_MS, buckets, strict=False):
        total += count
        yield "_bucket", {"le": f"{limit_ms / 1000:g}"}, total
    total += buckets[-1]
    yield "_bucket", {"le": "+Inf"}, total
    yield "_sum", {}, sum(one["duration_us"] for one in documents) / 1e6
    yield "_count", {}, total


def family(name: str, kind: str, samples: Iterable[_Sample]) -> Iterable[str]:
    """Write one metric: its help, its type, and its samples (suffix, labels, value)."""
    yield f"# HELP {name} {HELP[name]}"
    yield f"# TYPE {name} {kind}"
    for suffix, labels, value in samples:
        inside = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        yield f"{name}{suffix}{{{inside}}} {value}" if inside else f"{name}{suffix} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
