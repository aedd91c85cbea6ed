"""`farebox observed`, and times as people type them."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from gateway.commands.observed import _text
from gateway.commands.times import Moment
from gateway.operations.observed import ObservedAnswer, Reason, Would, WouldAccount, WouldRoute
from tests.gateway.commands.conftest import Shell

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_where_nothing_was_observed_it_says_so(shell: Shell) -> None:
    code, out, err = shell("observed", "--since", "2h")
    assert (code, err) == (0, "")
    assert out.endswith(": 0 observed requests")
    shown = shell.json("observed", "--since", "2026-11-20", "--until", "2026-11-21T10:00+01:00")
    assert (shown["since"], shown["until"]) == ("2026-11-20T00:00:00Z", "2026-11-21T09:00:00Z")
    assert (shown["requests"], shown["routes"], shown["dry_total"]) == (0, [], 0)


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--since", "400d"), ("--limit", "0")])
def test_a_time_that_is_none_is_wrong_use(shell: Shell, words: tuple[str, ...]) -> None:
    code, out, err = shell("observed", *words)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("typed", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T08:00Z", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01T08:00+02:00", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ],
)
def test_times_are_so_long_ago_or_a_moment(typed: str, moment: datetime) -> None:
    assert Moment(NOW).convert(typed, None, None) == moment


@pytest.mark.parametrize("typed", ["", "h", "-1h", "1w", "24", "٣h", "noon"])
def test_anything_else_is_no_time(typed: str) -> None:
    with pytest.raises(click.BadParameter):
        Moment(NOW).convert(typed, None, None)


def test_the_report_is_read_without_a_manual() -> None:
    figures = {
        "credit_type": "calling",
        "scale": 2,
        "requests": 1_200,
        "charged": 900,
        "charge": 180_000,
        "cost": 240_000,
        "free": 20,
        "refused": [
            Reason(reason="insufficient-credits", requests=280),
            Reason(reason="rate-limited", limit="key-day", requests=20),
        ],
        "unpriced": [Reason(reason="no-price", requests=7)],
        "display": {"charge": "1800.00", "cost": "2400.00"},
    }
    account = WouldAccount(
        **figures,
        account="acc_7",
        external_id="acme",
        start=180_050,
        left=50,
        available=180_050,
        dry_at=NOW,
        short=60_000,
    )
    answer = ObservedAnswer(
        since=NOW - timedelta(days=1),
        until=NOW,
        requests=1_200,
        types=[Would(**figures)],
        routes=[WouldRoute(**figures, route="search")],
        accounts=[account],
        accounts_total=3,
        dry=[account],
        dry_total=1,
        unread_versions=[4],
    )
    assert _text(answer).splitlines() == [
        "2026-11-20T12:00:00Z to 2026-11-21T12:00:00Z: 1200 observed requests",
        "calling: 1800.00 would be charged for 900 requests (all that were priced cost 2400.00)",
        "  would be free: 20",
        "  would be refused: insufficient-credits 280, rate-limited (key-day) 20",
        "  not priced: no-price 7",
        "",
        "route   type     requests  charged  charge   cost     free  refused                                              not priced",
        "search  calling  1200      900      1800.00  2400.00  20    insufficient-credits 280, rate-limited (key-day) 20  no-price 7",
        "",
        "account  type     requests  charged  charge   cost     free  refused                                              not priced",
        "acme     calling  1200      900      1800.00  2400.00  20    insufficient-credits 280, rate-limited (key-day) 20  no-price 7",
        "and 2 more accounts: --limit",
        "",
        "would have run dry:",
        "account  type     at                    had      could not pay  has now",
        "acme     calling  2026-11-21T12:00:00Z  1800.50  600.00         1800.50",
        "limits and holds of price version 4 are not known here",
    ]
    assert json.loads(answer.model_dump_json())["dry"][0]["dry_at"] == "2026-11-21T12:00:00Z"
