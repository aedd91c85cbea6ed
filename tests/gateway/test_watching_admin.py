"""The admin's routes for looking: overview, system and jobs, over HTTP and described."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.operations import jobs as jobs_module
from gateway.operations.health import Report
from gateway.operations.jobs import Job, Jobs, Progress
from ledger.errors import Conflict, NotFound
from ledger.fact_bytes import pack_fact
from ledger.facts import HoldFact
from ledger.findings import Finding, record
from ledger.ids import hold_id
from ledger.ports import SystemClock
from tests.charging import Stores
from tests.control import PRICES, Control, control
from tests.selling import Market, selling

pytestmark = pytest.mark.anyio

YAML = {"content-type": "application/yaml"}
LIMIT_S = 10.0


@pytest.fixture
async def running(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Control]:
    async with control(Stores(database_url, redis_url, namespace)) as running:
        yield running


@pytest.fixture
async def market(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Market]:
    async with selling(Stores(database_url, redis_url, namespace)) as running:
        yield running


async def ended(ctl: Control, job: str) -> Any:
    async with asyncio.timeout(LIMIT_S):
        while True:
            shown = (await ctl.admin.get(f"/jobs/{job}")).json()
            if shown["state"] != "running":
                return shown
            await asyncio.sleep(0.02)


async def test_the_overview_counts_what_was_called_and_taken(running: Control) -> None:
    customer = await running.gateway.customer(credits=100)
    for path in ("/v1/products/B1", "/v1/products/B2", "/v1/made", "/seen"):
        await running.called(customer, path)
    charge = await running.called(customer)
    await running.admin.post(f"/charges/{charge}/refunds", json={"amount": 1, "reason": "odd"})
    await running.posted()

    shown = (await running.admin.get("/overview")).json()

    assert shown["total"] == {
        "requests": 5, "charged": 3, "uncharged": 1, "observed": 1, "open": 0, "failed": 0,
        "given_back": 1,
    }  # fmt: skip
    [taken] = [row for row in shown["types"] if row["captured"]]
    assert (taken["credit_type"], taken["captured"], taken["refunded"]) == ("credits", 6, 1)
    assert sum(hour["requests"] for hour in shown["hours"]) == 5
    assert shown["latency"]["median_ms"] is not None
    assert (shown["money"], shown["halted"]) == (None, False)
    assert shown["posting"]["posted_at"] is not None


async def test_failures_of_the_upstream_count_as_failed(
    database_url: str, redis_url: str, namespace: str
) -> None:
    prices = PRICES.replace("{api}", "http://127.0.0.1:9")  # nobody listens on discard
    async with control(Stores(database_url, redis_url, namespace), prices) as running:
        customer = await running.gateway.customer(credits=100)
        await running.called(customer)

        total = (await running.admin.get("/overview")).json()["total"]

    assert (total["requests"], total["uncharged"], total["failed"]) == (1, 1, 1)


async def test_the_overview_says_what_waits_for_a_person(running: Control) -> None:
    async with running.gateway.ledger.database.connection() as connection:
        await record(connection, [Finding("usage-below-zero", None, "odd")])
        fact = HoldFact(hold_id(7, 1), 1, 1, 1, 40, 1, 0, 1, 9, 60, ())
        await connection.execute(
            "INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why)"
            " VALUES (0, 0, 5, NULL, $1, 'odd')",
            pack_fact(fact),
        )

    waiting = (await running.admin.get("/overview")).json()["waiting"]

    assert waiting["findings"]["usage-below-zero"] == 1  # an audit may have found the fact, too
    assert waiting["dead_facts"] == 1


async def test_the_overview_shows_money_where_something_is_sold(market: Market) -> None:
    buyer = await market.buyer()
    await market.bought(buyer)

    shown = (await market.admin.get("/overview")).json()

    [total] = shown["money"]["totals"]
    assert (total["currency"], total["revenue_minor"]) == ("usd", 1000)
    assert shown["waiting"]["orders"] == 0


@pytest.mark.parametrize(
    "span",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
    ],
)
async def test_an_overview_of_no_time_or_too_much_is_refused(
    running: Control, span: dict[str, str]
) -> None:
    refused = await running.admin.get("/overview", params=span)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "from"


async def test_the_system_shows_epoch_windows_and_posting(running: Control) -> None:
    customer = await running.gateway.customer(credits=100)
    await running.called(customer)
    await running.posted()

    shown = (await running.admin.get("/system")).json()

    [shard] = shown["shards"]
    assert (shard["epoch"], shard["redis_epoch"], shard["open_holds"]) == (1, 1, 0)
    assert shard["posted_fact"] == shard["redis_fact"] > 0
    assert shard["posting"]["lag_s"] == 0
    windows = {row["credit_type"]: row for row in shard["windows"]}
    assert (windows["credits"]["window"], windows["credits"]["used"]) == (1_000_000, 0)
    assert (shown["halted"], shown["failing_jobs"], shown["dead_facts"]) == (False, [], 0)


async def test_a_replay_as_a_job_answers_as_the_route_does(running: Control) -> None:
    customer = await running.gateway.customer(credits=100)
    await running.called(customer)
    await running.posted()
    text = PRICES.replace("price: 2, name: product", "price: 5, name: product")
    text = text.replace("{api}", "http://127.0.0.1:9")

    begun = await running.admin.post("/jobs/replay", content=text, headers=YAML)
    shown = await ended(running, begun.json()["id"])

    assert (begun.status_code, shown["state"], shown["kind"]) == (202, "done", "replay")
    assert (shown["actor"], shown["done"], shown["problem"]) == ("root", 1, None)
    [total] = shown["result"]["totals"]
    assert (total["before"], total["after"]) == (2, 5)
    listed = (await running.admin.get("/jobs")).json()["items"]
    assert [row["id"] for row in listed] == [shown["id"]]


async def test_a_text_that_is_no_price_file_begins_nothing(running: Control) -> None:
    refused = await running.admin.post("/jobs/replay", content="version: 9", headers=YAML)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"].startswith("line 1")
    assert (await running.admin.get("/jobs")).json() == {"items": []}


@pytest.mark.parametrize("kind", ["verify", "reconcile", "observed"])
async def test_checks_and_reports_run_as_jobs(running: Control, kind: str) -> None:
    begun = await running.admin.post(f"/jobs/{kind}")
    shown = await ended(running, begun.json()["id"])

    assert (shown["state"], shown["kind"]) == ("done", kind)
    if kind != "observed":
        assert shown["result"] == {"clean": True, "findings": []}


async def test_a_job_that_fails_says_why_in_words(running: Control) -> None:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    begun = await running.admin.post("/jobs/observed", params=span)
    shown = await ended(running, begun.json()["id"])

    assert (shown["state"], shown["problem"]) == ("failed", "from: at most 31 days at once")


async def test_an_unknown_job_is_not_found(running: Control) -> None:
    for answer in (
        await running.admin.get("/jobs/job_nobody"),
        await running.admin.delete("/jobs/job_nobody"),
    ):
        assert answer.status_code == 404


async def until_over(job: Job) -> Job:
    async with asyncio.timeout(LIMIT_S):
        while job.state == "running":  # noqa: ASYNC110 - there is nothing to be woken by
            await asyncio.sleep(0)
    return job


async def never(progress: Progress) -> Report:
    progress(7, 0.5)
    await asyncio.Event().wait()
    raise AssertionError("it was to be cancelled")


async def at_once(_: Progress) -> Report:
    return Report(clean=True, findings=[])


async def test_only_so_many_jobs_run_at_once_and_each_can_be_ended() -> None:
    async with Jobs(SystemClock()) as jobs:
        first, second = (jobs.begin("verify", never, actor="ann") for _ in range(2))
        with pytest.raises(Conflict):
            jobs.begin("verify", never, actor="ann")
        await asyncio.sleep(0)
        assert (first.answer().done, first.answer().share) == (7, 0.5)

        await jobs.cancel(first.id)
        await jobs.cancel(first.id)

        assert (first.state, second.state) == ("cancelled", "running")
        assert first.ended_at is not None
        jobs.begin("verify", never, actor="ann")
    assert second.state == "cancelled"


async def test_old_jobs_are_forgotten_and_running_ones_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_module, "MOST_KEPT", 2)
    async with Jobs(SystemClock()) as jobs:
        running = jobs.begin("verify", never, actor="ann")
        over = []
        for _ in range(4):
            job = jobs.begin("verify", at_once, actor="ann")
            over.append(await until_over(job))

        with pytest.raises(NotFound):
            jobs.get(over[0].id)
        assert jobs.get(running.id) is running
        assert jobs.get(over[-1].id) is over[-1]


async def test_what_nobody_foresaw_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(_: Progress) -> Report:
        raise ZeroDivisionError("a secret")

    async with Jobs(SystemClock()) as jobs:
        job = await until_over(jobs.begin("verify", breaks, actor="ann"))

    assert job.state == "failed"
    assert "a secret" not in (job.problem or "")
    assert "a secret" in caplog.text
