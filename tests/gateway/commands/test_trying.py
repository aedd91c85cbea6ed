"""`farebox diff` and `farebox replay`: what they print, and how they end."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from gateway.commands.trying import moment
from ledger.charges import id_at
from ledger.database import Database
from tests.gateway.commands.conftest import PRICES, Shell

NEW = PRICES.replace("price: 1", "price: 3")


def written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def charges(shell: Shell, count: int) -> None:
    """So many charges of a moment ago, of one account."""

    async def make() -> None:
        database = await Database.connect(shell.postgres_url, most=1)
        async with database.connection() as connection:
            await connection.execute("UPDATE accounts SET plan = 'gold'")
            await connection.execute(
                "INSERT INTO charges (id, account_id, held, captured, opened_q, opened_epoch,"
                " closed_q, closed_epoch, price_version, rule, credit_type_id, state, reason, status)"
                " SELECT $1::bytea || int4send(n), 1, 1, 1, 1, 1, 2, 1, 1, 0, 1, 2, 1, 200"
                "   FROM generate_series(1, $2) n",
                id_at(datetime.now(UTC))[:8],
                count,
            )
        await database.close()

    asyncio.run(make())


def test_diff_says_what_changes(shell: Shell) -> None:
    old, new = written("old.yaml", PRICES), written("new.yaml", NEW)

    assert shell("diff", old, new) == (1, "routes\n  /*: 1 credit -> 3 credits", "")
    assert shell("diff", old, old) == (0, "no change", "")
    code, out, _ = shell("diff", old, new, "--json")
    assert (code, json.loads(out)["changes"][0]["after"]) == (1, "3 credits")


def test_diff_of_files_needs_no_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from gateway.commands.group import run

    monkeypatch.chdir(tmp_path)
    assert run(["diff", written("a", PRICES), written("b", NEW)]) == 1
    assert not (tmp_path / ".farebox").exists()
    assert "3 credits" in capsys.readouterr().out


def test_diff_compares_with_what_is_in_force(shell: Shell) -> None:
    new = written("new.yaml", NEW)

    assert shell("diff", "live", new)[:2] == (1, "routes\n  /*: 1 credit -> 3 credits")
    assert shell("diff", new, "live")[:2] == (1, "routes\n  /*: 3 credits -> 1 credit")
    assert shell("diff", "live", "live")[:2] == (0, "no change")


@pytest.mark.parametrize("text", [None, "version: 2", "{"])
def test_diff_of_what_is_no_price_file_is_wrong_use(shell: Shell, text: str | None) -> None:
    new = "nowhere.yaml" if text is None else written("new.yaml", text)

    code, out, err = shell("diff", written("old.yaml", PRICES), new)

    assert (code, out) == (2, "")
    assert new in err


def test_replay_says_what_it_would_come_to(shell: Shell) -> None:
    shell("account", "create", "ann")
    charges(shell, 3)

    code, out, err = shell("replay", written("new.yaml", NEW), "--since", "10m")

    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0].startswith("3 charges from ")
    assert lines[0].endswith(", 3 repriced")
    assert "/* /* 3 3 9 +6 credits" in lines
    assert "gold 3 3 9 +6 credits" in lines
    assert "ann 3 3 9 +6 credits" in lines
    assert "ann 0 0s (before too) 3 3 9 +6 credits" in lines
    assert shell.json("replay", "new.yaml", "--account", "ann")["totals"][0]["after"] == 9


def test_replay_ends_with_1_where_something_is_not_repriced(shell: Shell) -> None:
    shell("account", "create", "ann")
    charges(shell, 2)

    code, out, _ = shell("replay", written("new.yaml", PRICES.replace("/*", "/other")))

    assert code == 1
    assert "its calls may go to several routes now" in out


def test_a_long_replay_says_how_far_it_is(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.trying.PROGRESS_CHARGES", 2)
    shell("account", "create", "ann")
    charges(shell, 5)

    assert shell("replay", written("new.yaml", NEW))[2].startswith("5 charges read, ")


@pytest.mark.parametrize(
    "words", [["--since", "soon"], ["--until", "2026"], ["--account", "nobody"]]
)
def test_replay_used_wrongly(shell: Shell, words: list[str]) -> None:
    assert shell("replay", written("new.yaml", NEW), *words)[0] == 2


def test_a_time_is_so_long_ago_or_a_moment() -> None:
    now = datetime(2026, 5, 3, 12, tzinfo=UTC)
    assert moment("--since", "90m", now) == datetime(2026, 5, 3, 10, 30, tzinfo=UTC)
    assert moment("--since", "2d", now) == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert moment("--since", "2026-05-02T08:00:00Z", now) == datetime(2026, 5, 2, 8, tzinfo=UTC)
    assert moment("--since", "2026-05-02", now) == datetime(2026, 5, 2, tzinfo=UTC)
    with pytest.raises(click.BadParameter):
        moment("--since", "24", now)
