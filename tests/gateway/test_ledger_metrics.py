"""The ledger's gauges for Prometheus."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.ledger_metrics import ledger_exposition, render_ledger
from ledger import findings
from ledger.findings import Finding
from ledger.ledger import Ledger, LedgerOptions
from ledger.records import Meta, TypeMeta

pytestmark = pytest.mark.anyio

STATE = Meta(
    epoch=2,
    q=50,
    posted_q=44,
    journal_cap=1_000,
    clock_ms=0,
    open_holds=3,
    frozen=False,
    chain="0" * 16,
    types=(TypeMeta(1, held=900, returned=700, posted=600, window=1_000),),
)


def values(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_shows_how_far_redis_is_ahead_of_postgres() -> None:
    assert values(render_ledger(STATE, {1: "calling"}, {})) == {
        "farebox_ledger_up": 1,
        "farebox_open_holds": 3,
        "farebox_unposted_facts": 6,
        "farebox_window_used calling": 300,
        "farebox_window calling": 1_000,
    }


def test_it_names_the_jobs_that_fail() -> None:
    found = values(render_ledger(None, {}, {"posting": "OSError: gone"}))
    assert found == {"farebox_ledger_up": 0, "farebox_failing_jobs posting": 1}


async def test_a_store_that_is_away_is_shown_and_no_error(database_url: str) -> None:
    ledger = await Ledger.open(LedgerOptions(database_url, "unix:///nowhere/redis.sock"))
    try:
        assert values(await ledger_exposition(ledger, {})) == {"farebox_ledger_up": 0}
    finally:
        await ledger.aclose()


async def test_findings_are_counted_and_a_halt_is_shown(
    database_url: str, redis_url: str, namespace: str
) -> None:
    ledger = await Ledger.open(LedgerOptions(database_url, redis_url, namespace))
    try:
        found = values(await ledger_exposition(ledger, {}))
        assert found["farebox_halted"] == 0
        async with ledger.database.connection() as connection:
            await findings.record(
                connection,
                [Finding("batch-chain", None, "played"), Finding("batch-rows", None, "played")],
            )
        found = values(await ledger_exposition(ledger, {}))
    finally:
        await ledger.aclose()
    assert found["farebox_halted"] == 1
    assert found["farebox_findings batch-chain"] == found["farebox_findings batch-rows"] == 1
