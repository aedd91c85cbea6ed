"""Counters of all workers, added up for Prometheus."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import ALIVE_FOR_S, MAX_SERIES, Metrics, MetricsFile, exposition, render
from ledger.ports import SystemClock


def samples(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def document(metrics: Metrics, at_ms: int = 0, **gauges: int) -> dict[str, object]:
    return metrics.snapshot(gauges) | {"at_ms": at_ms}


def test_requests_are_counted_by_route_status_and_reason() -> None:
    metrics = Metrics()
    metrics.request("search", 200, "delivered", 1_500)
    metrics.request("search", 204, "delivered", 1_500)
    metrics.request("search", 0, "client-gone", 1_500)
    found = samples(render([document(metrics)], now_ms=0))
    key = "farebox_requests_total[('reason', '{}'), ('route', 'search'), ('status', '{}')]"
    assert found[key.format("delivered", "2xx")] == 2
    assert found[key.format("client-gone", "none")] == 1


def test_durations_are_a_histogram() -> None:
    metrics = Metrics()
    for ms in (1, 3, 100_000):
        metrics.request("a", 200, "delivered", ms * 1000)
    found = samples(render([document(metrics)], now_ms=0))
    assert found["farebox_request_seconds_bucket[('le', '0.001')]"] == 1
    assert found["farebox_request_seconds_bucket[('le', '0.005')]"] == 2
    assert found["farebox_request_seconds_bucket[('le', '+Inf')]"] == 3
    assert found["farebox_request_seconds_count"] == 3
    assert found["farebox_request_seconds_sum"] == 100.004


def test_workers_are_added_up(tmp_path: Path) -> None:
    clock = SystemClock()
    for captured in (3, 4):
        metrics = Metrics()
        metrics.settled("credits", captured, 1)
        folder = tmp_path / f"{captured}"
        folder.mkdir()
        MetricsFile(folder, metrics, gauges=dict, clock=clock).flush()
        (written,) = folder.glob("*.json")
        written.rename(tmp_path / f"{captured}.json")
    found = samples(exposition(tmp_path, now_ms=clock.now_ms()))
    assert found["farebox_captured_total[('credit_type', 'credits')]"] == 7
    assert found["farebox_uncollected_total[('credit_type', 'credits')]"] == 2


def test_a_worker_that_ended_still_counts_but_holds_nothing() -> None:
    metrics = Metrics()
    metrics.settled("credits", 3, 0)
    metrics.open_requests = 2
    long_ago = document(metrics, at_ms=0, unsettled=5)
    found = samples(render([long_ago], now_ms=int(ALIVE_FOR_S * 1000) + 1))
    assert found["farebox_captured_total[('credit_type', 'credits')]"] == 3
    assert found["farebox_open_requests"] == 0
    assert not any(name.startswith("farebox_worker_gauge") for name in found)


def test_series_are_limited() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 5):
        metrics.request(f"route-{number}", 200, "delivered", 0)
    found = samples(render([document(metrics)], now_ms=0))
    key = "farebox_requests_total[('reason', 'delivered'), ('route', 'other'), ('status', '2xx')]"
    assert found[key] == 5


def test_names_of_routes_are_escaped() -> None:
    metrics = Metrics()
    metrics.request('odd "name"\\', 200, "delivered", 0)
    assert any('odd "name"\\' in name for name in samples(render([document(metrics)], now_ms=0)))


def test_no_workers_is_an_empty_exposition(tmp_path: Path) -> None:
    assert samples(exposition(tmp_path, now_ms=0))["farebox_open_requests"] == 0
