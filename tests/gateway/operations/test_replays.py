"""gateway/operations/replays.py: any charges of any two versions, added up as if charged afresh."""

import asyncio
import json
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.operations import replays
from gateway.operations.replay_answer import Replay, ReplayQuery
from ledger import accounts, credit_types, price_versions
from ledger.books import ChargeState
from ledger.charges import id_at
from ledger.database import Database
from ledger.errors import InvalidInput
from ledger.fold_uses import FREE_NOTE
from tests.gateway.played_prices import Charged, Played, changed_texts, charged, loaded, requests

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "20"))
NOW = datetime(2026, 5, 1, 0, 15, tzinfo=UTC)
"""So that some of what was called minutes before is of another day and month."""

COLUMNS = (
    "id", "account_id", "held", "captured", "opened_q", "opened_epoch", "closed_q", "closed_epoch",
    "price_version", "rule", "credit_type_id", "state", "reason", "status", "units", "measured",
    "record", "note", "written_off",
)  # fmt: skip
ZERO_NOW = {"route-gone", "refused", "without-key"}


async def stored(database: Database, texts: list[str], made: list[tuple[int, Charged]]) -> None:
    """Put versions and their charges into Postgres, a minute apart, up to NOW."""
    async with database.connection() as connection:
        await credit_types.register(connection, {"credits": 0})
        for number in range(3):
            await accounts.create(connection, external_id=f"user-{number}", actor="test")
        for text in texts:
            await price_versions.publish(connection, text, [], actor="test")
        rows = []
        for number, (version, one) in enumerate(made):
            row, route = one.row, one.route
            assert row is not None
            assert route is not None
            at = id_at(NOW - timedelta(minutes=number + 1))
            account = None if row.account_id is None else 1 + number % 3
            rows.append((
                at, account, row.held, row.due, 1, 1, 2, 1, version, route.index, 1,
                int(row.state), row.reason, row.status, row.units, row.measured, row.record,
                row.note, None,
            ))  # fmt: skip
        await connection.copy_records_to_table("charges", records=rows, columns=COLUMNS)


async def replayed(url: str, text: str, prepare: Any, **more: Any) -> Replay:
    database = await Database.connect(url, most=2)
    try:
        await prepare(database)
        desk: Any = SimpleNamespace(ledger=SimpleNamespace(database=database))
        query = ReplayQuery.model_validate(more.pop("query", {}))
        return await replays.replay(desk, text, query, now=NOW, **more)
    finally:
        await database.close()


async def emptied(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "TRUNCATE charges, accounts, credit_types, price_texts, price_versions, price_rules"
            " RESTART IDENTITY CASCADE"
        )


def test_the_sums_are_those_of_charging_afresh(database_url: str) -> None:
    """For any versions, any later file and any calls: in all, by account, and by route."""
    seen: Counter[str] = Counter()

    @given(
        changed_texts(),
        st.lists(st.tuples(st.booleans(), requests()), min_size=1, max_size=30),
        st.data(),
    )
    @settings(max_examples=EXAMPLES, deadline=None)
    def play(texts: tuple[str, str], calls: list[tuple[bool, Played]], data: Any) -> None:
        versions = [texts[0], data.draw(changed_texts())[0]]
        new = loaded(texts[1])
        made = []
        for first, call in calls:
            version = 1 if first or versions[0] == versions[1] else 2
            one = charged(loaded(versions[version - 1]), call)
            if one.row is not None:
                made.append((version, one, charged(new, call).captured))

        async def prepare(database: Database) -> None:
            await emptied(database)
            await stored(database, versions, [(version, one) for version, one, _ in made])

        answer = asyncio.run(replayed(database_url, texts[1], prepare))

        unknown = sum(row.charges for row in answer.unrepriced)
        assert answer.charges == len(made) == answer.repriced + unknown
        seen["repriced"] += answer.repriced
        seen["unknown"] += unknown
        afresh = sum(amount for _, _, amount in made)
        after = sum(row.after for row in answer.totals)
        if {row.why for row in answer.unrepriced} <= ZERO_NOW:
            assert after == afresh
        else:
            assert after <= afresh
        before = sum(row.before for row in answer.totals)
        assert before + sum(row.charged for row in answer.unrepriced) == sum(
            one.row.due for _, one, _ in made if one.row is not None
        )
        for parts in (answer.routes, answer.plans):
            assert sum(row.after for row in parts) == after  # type: ignore[attr-defined]
            assert sum(row.before for row in parts) == before  # type: ignore[attr-defined]
        assert sum(row.change for row in answer.accounts) == after - before

    play()
    assert seen["repriced"] > seen["unknown"] / 4, seen


TEXT = json.dumps(
    {
        "version": 1,
        "upstreams": {"api": {"url": "http://127.0.0.1:9"}},
        "routes": [
            {"path": "/a", "upstream": "api", "price": 2},
            {"path": "/b", "upstream": "api", "price": 2},
        ],
    }
)
CALL = (
    "INSERT INTO charges (id, account_id, held, captured, opened_q, opened_epoch, closed_q,"
    " closed_epoch, price_version, rule, credit_type_id, state, reason, status)"
    " SELECT $1::bytea || int4send(n), 1 + n % $3, 2, 2, 1, 1, 2, 1, $4, n % $5, 1, 2, 1, 200"
    "   FROM generate_series(0, $2 - 1) n"
)


def prepared(count: int, *, users: int = 1, version: int = 1, rules: int = 1) -> Any:
    async def prepare(database: Database) -> None:
        async with database.connection() as connection:
            await credit_types.register(connection, {"credits": 0})
            for number in range(users):
                await accounts.create(connection, external_id=f"user-{number}", actor="test")
            await price_versions.publish(connection, TEXT, [], actor="test")
            at = id_at(NOW - timedelta(hours=1))[:8]
            await connection.execute(CALL, at, count, users, version, rules)

    return prepare


def test_more_accounts_than_stay_in_memory_are_added_up_all_the_same(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST_IN_MEMORY", 7)
    monkeypatch.setattr("ledger.replays.ROWS_AT_ONCE", 10)
    monkeypatch.setattr(replays, "MOST_LISTED", 5)
    text = TEXT.replace('"price": 2', '"price": 3')
    answer = asyncio.run(replayed(database_url, text, prepared(100, users=20)))
    assert (answer.accounts_changed, answer.accounts_dry) == (20, 20)
    assert [(row.charges, row.before, row.after) for row in answer.accounts] == [(5, 10, 15)] * 5
    assert (answer.totals[0].before, answer.totals[0].after) == (200, 300)


def test_charges_that_look_alike_are_repriced_by_their_own_routes(database_url: str) -> None:
    first, second = TEXT.split('"price": 2}', 1)
    text = f'{first}"price": 5}}{second.replace(": 2}", ": 4}")}'
    answer = asyncio.run(replayed(database_url, text, prepared(10, rules=2)))
    assert {row.route: row.after for row in answer.routes} == {"/a": 25, "/b": 20}


def test_progress_is_told_while_it_reads(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.replays.ROWS_AT_ONCE", 10)
    told: list[tuple[int, float]] = []
    asyncio.run(replayed(database_url, TEXT, prepared(25), progress=lambda *one: told.append(one)))
    assert [charges for charges, _ in told] == [10, 20, 25]
    assert all(0.95 < share <= 1 for _, share in told)


def test_a_version_that_is_not_known_is_said(database_url: str) -> None:
    answer = asyncio.run(replayed(database_url, TEXT, prepared(3, version=9)))
    (row,) = answer.unrepriced
    assert (row.why, row.charges, row.charged, row.route) == (
        "version-unknown", 3, 6, "rule 0 of version 9",
    )  # fmt: skip
    assert answer.totals == []


def test_only_the_time_that_was_asked_for_counts(database_url: str) -> None:
    query = {"from": NOW - timedelta(minutes=30)}
    assert asyncio.run(replayed(database_url, TEXT, prepared(3), query=query)).charges == 0


def test_the_sums_with_allowances_are_those_of_charging_afresh(database_url: str) -> None:
    """Also where a call was free then: its units say what it costs now."""
    seen: Counter[str] = Counter()

    @given(
        changed_texts(),
        st.lists(st.tuples(st.booleans(), requests()), min_size=5, max_size=30),
        st.sampled_from(["day", "month"]),
        st.integers(1, 8),
        st.integers(1, 3),
    )
    @settings(max_examples=EXAMPLES, deadline=None)
    def play(
        texts: tuple[str, str], calls: list[tuple[bool, Played]], per: str, free: int, weight: int
    ) -> None:
        text = with_allowance(texts[1], per, free, weight)
        old, new, made = loaded(texts[0]), loaded(text), []
        for was_free, call in calls:
            one = charged(old, call)
            if one.row is not None:
                made.append((1, freed(one) if was_free else one, charged(new, call)))

        async def prepare(database: Database) -> None:
            await emptied(database)
            await stored(database, [texts[0]], [(version, one) for version, one, _ in made])

        answer = asyncio.run(replayed(database_url, text, prepare))

        used: Counter[tuple[int, str]] = Counter()
        after = spared = 0
        for number, (_, _, now) in reversed(list(enumerate(made))):
            owner = 1 + number % 3, day_of(number)[: 10 if per == "day" else 7]
            counts = now.row is not None and now.row.state == ChargeState.CAPTURED
            if counts and now.row.held > 0 and used[owner] + weight <= free:
                used[owner] += weight
                spared += 1
            else:
                after += now.captured
        if {row.why for row in answer.unrepriced} <= ZERO_NOW:
            assert sum(row.after for row in answer.totals) == after
            assert answer.free == spared
            seen["free"] += spared
            seen["known"] += 1
        seen["all"] += 1

    play()
    assert seen["known"] > seen["all"] / 5, seen
    assert seen["free"] > 0, seen


def with_allowance(text: str, per: str, free: int, weight: int) -> str:
    document = json.loads(text)
    document["limits"] = {"per_account": {"free": {"requests": free, "per": per}}}
    for route in document["routes"]:
        route["weight"] = weight
    return json.dumps(document)


def freed(one: Charged) -> Charged:
    """The same where an allowance paid: held and charged nothing, and its units are there."""
    row = one.row
    assert row is not None
    if row.state != ChargeState.CAPTURED or not row.held:
        return one
    return replace(one, captured=0, row=row._replace(held=0, due=0, note=FREE_NOTE))


def day_of(number: int) -> str:
    return (NOW - timedelta(minutes=number + 1)).isoformat()


def test_an_empty_time_is_refused(database_url: str) -> None:
    with pytest.raises(InvalidInput):
        asyncio.run(replayed(database_url, TEXT, prepared(0), query={"from": NOW, "to": NOW}))
