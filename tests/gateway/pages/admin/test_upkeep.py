"""The admin's pages for upkeep: alerts, findings, facts, system, jobs, audit log, admins."""

import asyncio
import re

import pytest

from gateway.operations.recovery import LostAnswer, LostRow, RebuildAnswer, RebuildDraft
from ledger.findings import Finding, record
from tests.control import Control
from tests.gateway.pages.admin.looking import Looking, forms_of, text_of

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0


async def ended(looking: Looking, place: str) -> str:
    """What a job's page says when it is over."""
    async with asyncio.timeout(LIMIT_S):
        page = await looking.get(place)
        while "data-poll" in page.text:
            await asyncio.sleep(0.02)
            page = await looking.get(place)
    return text_of(page)


async def audited(running: Control, action: str) -> list[tuple[str, str]]:
    rows = (await running.admin.get("/audit", params={"limit": 100})).json()["items"]
    return [(row["actor"], row["target"]) for row in rows if row["action"] == action]


async def test_a_finding_is_shown_and_closed_with_a_reason(
    alone: tuple[Control, Looking],
) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)
    async with running.gateway.ledger.database.connection() as connection:
        await record(connection, [Finding("pool-identity", customer.account, "5 is not 6")])

    page = await looking.get("/findings")
    assert "5 is not 6" in text_of(page)
    assert "account in quarantine" in text_of(page)
    assert "1 finding of the audit" in text_of(await looking.get("/"))
    place = re.search(r'href="/admin(/findings/\d+/resolve)"', page.text)
    assert place is not None

    after = await looking.done(place[1], reason="looked at, and mended")

    assert "No finding" in text_of(after)
    assert (await audited(running, "finding.resolve"))[0][0] == "root"
    assert "5 is not 6" in text_of(await looking.get("/findings", params={"all": "yes"}))
    released = await looking.done(f"/accounts/acc_{customer.account}/release", reason="all is well")
    assert "out of quarantine" in text_of(released)


async def test_a_finding_that_halts_is_told_on_the_first_page(
    alone: tuple[Control, Looking],
) -> None:
    running, looking = alone
    async with running.gateway.ledger.database.connection() as connection:
        await record(connection, [Finding("lines-balance", None, "3 and not 0")])

    for path in ("/", "/system"):
        assert "new calls" in text_of(await looking.get(path))
    assert "stops new calls" in text_of(await looking.get("/findings"))


async def test_a_dead_fact_is_decided_about(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why)"
            " VALUES (0, 0, 5, NULL, '\\x00', 'unknown kind')"
        )

    assert "unknown kind" in text_of(await looking.get("/findings"))
    assert "Left out of the books: unknown kind" in text_of(await looking.get("/facts/0-0-5"))
    after = await looking.done("/facts/0-0-5/resolve", reason="of a newer release")

    assert "No fact was left out" in text_of(after)
    assert await audited(running, "fact.resolve") == [("root", "fact 0-0-5")]


async def test_an_alert_is_closed(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO billing.alerts (kind, subject, detail) VALUES ('uncollected', 'x', '12')"
        )
    page = await looking.get("/alerts")
    action = re.search(r'action="/admin(/alerts/\d+/resolve)"', page.text)
    assert action is not None

    after = await looking.done("/alerts", action[1])

    assert "Nothing to look at" in text_of(after)
    assert "by root" in text_of(await looking.get("/alerts", params={"all": "yes"}))


async def test_the_system_page_shows_epoch_windows_and_lag(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    await running.called(await running.gateway.customer(credits=5))

    said = text_of(await looking.get("/system"))

    assert "Shard 0 Epoch 1 Facts posted" in said
    assert re.search(r"credits 0 1,000,000", said)
    assert re.search(r"calling 0\.00 10,000\.00", said)
    assert "No open finding" in said


@pytest.mark.parametrize("check", ["verify", "reconcile"])
async def test_a_check_runs_as_a_job_with_its_result(
    alone: tuple[Control, Looking], check: str
) -> None:
    _, looking = alone
    begun = await looking.send("/system", f"/system/{check}")

    said = await ended(looking, begun.headers["location"].removeprefix("/admin"))

    assert "All is as it should be" in said
    assert "by root" in said


async def test_what_a_check_finds_is_listed(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)
    await running.posted()
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE pools SET granted = granted + 1 WHERE account_id = $1", customer.account
        )

    begun = await looking.send("/system", "/system/verify")
    said = await ended(looking, begun.headers["location"].removeprefix("/admin"))

    assert "pool-identity" in said
    assert f"acc_{customer.account}" in said


async def test_a_running_job_shows_how_far_it_is_and_can_be_ended(
    alone: tuple[Control, Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, looking = alone

    async def endless(*_: object, progress: object, **__: object) -> None:
        progress(1_234, 0.25)  # type: ignore[operator]
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.operations.observed.report", endless)
    begun = await looking.send("/observed", "/observed")
    place = begun.headers["location"].removeprefix("/admin")

    page = await looking.get(place)
    assert "1,234 rows are read, 25 % of the time" in text_of(page)
    assert '<progress max="1" value="0.25"' in page.text
    assert 'data-poll="1"' in page.text
    after = await looking.done(place, f"{place}/cancel")

    assert "It was ended before it was done" in text_of(after)
    assert "ended before it was done" in text_of(await looking.get("/jobs"))


async def test_too_many_jobs_at_once_are_refused_in_words(
    alone: tuple[Control, Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, looking = alone

    async def endless(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.operations.observed.report", endless)
    places = [(await looking.send("/observed", "/observed")).headers["location"] for _ in range(2)]
    refused = await looking.send("/system", "/system/verify")

    assert refused.status_code == 409
    assert "wait until one ends" in text_of(refused)
    for place in places:
        path = place.removeprefix("/admin")
        await looking.done(path, f"{path}/cancel")


async def test_redis_is_rebuilt_and_calls_go_on(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)
    await running.called(customer)

    page = await looking.done("/system/rebuild", reason="old data were put in")

    assert "Redis is rebuilt: epoch 2 has begun" in text_of(page)
    assert "Shard 0 Epoch 2" in text_of(page)
    await running.called(customer)
    assert [who for who, _ in await audited(running, "ledger.rebuild")] == ["root"]


async def test_what_a_rebuild_would_lose_is_shown_before_it_is_given_up(
    alone: tuple[Control, Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)
    asked: list[RebuildDraft] = []
    lost = LostAnswer(
        redis_epoch=1, redis_fact=9, postgres_epoch=1, postgres_fact=7, complete=True,
        rows=[
            LostRow(
                account=f"acc_{customer.account}", credit_type="credits", charges=1, captured=2,
                granted=0, taken_back=0, expired=0, in_redis=3, in_postgres=5,
                display={"captured": "2", "in_redis": "3", "in_postgres": "5"},
            )
        ],
    )  # fmt: skip

    async def went_back(_: object, draft: RebuildDraft) -> RebuildAnswer:
        asked.append(draft)
        done = draft.lose_data
        return RebuildAnswer(done=done, epoch_before=1, epoch=2, lost=None if done else lost)

    monkeypatch.setattr("gateway.operations.recovery.rebuild", went_back)
    page = await looking.send("/system/rebuild", reason="a <restore>")
    assert (page.status_code, "Nothing was done" in text_of(page)) == (409, True)
    assert f"acc_{customer.account} credits 1 2 – – 3 5" in text_of(page)  # noqa: RUF001
    [form] = [form for form in forms_of(page) if form.action == "/admin/system/rebuild"]

    done = await looking.http.post(form.action, data=form.fields)

    assert done.headers["location"] == "/admin/system?done=epoch-2"
    assert [(one.lose_data, one.reason) for one in asked] == [
        (False, "a <restore>"),
        (True, "a <restore>"),
    ]


async def test_an_account_is_loaded_anew(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)

    page = await looking.done(f"/accounts/acc_{customer.account}/reload", reason="it differed")

    assert "taken the account from Postgres again" in text_of(page)
    await running.called(customer)


async def test_the_audit_log_is_filtered_by_who_and_what(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=5)
    account = f"acc_{customer.account}"
    await looking.done(f"/accounts/{account}/adjust", amount="1", reason="a good reason")

    mine = text_of(await looking.get("/audit", params={"actor": "root", "target": account}))
    assert "adjust" in mine
    assert "a good reason" in mine
    assert "null" not in mine  # what is empty is left out
    assert "account.create" not in mine  # that was `test`
    nobody = text_of(await looking.get("/audit", params={"actor": "nobody"}))
    assert "No change fits" in nobody


async def test_an_admin_is_made_and_revoked(alone: tuple[Control, Looking]) -> None:
    running, looking = alone
    made = await looking.send("/admins/new", name="ann & co")
    token = re.search(r"fba_\w+", made.text)
    assert token is not None
    as_ann = {"authorization": f"Bearer {token[0]}"}
    assert (await running.admin.get("/admins", headers=as_ann)).status_code == 200
    page = await looking.get("/admins")
    assert token[0] not in page.text
    assert 'href="/admin/admins/ann%20%26%20co/revoke"' in page.text
    assert "/admins/root/revoke" not in page.text

    await looking.done("/admins/ann%20%26%20co/revoke")

    assert (await running.admin.get("/admins", headers=as_ann)).status_code == 401
    twice = await looking.send("/admins/new", name="ann & co")
    assert twice.status_code == 409
    root = await looking.send("/admins/root/revoke")
    assert root.status_code == 409
