"""`farebox heads` prints what may be kept elsewhere; `verify --since` holds history against it."""

import asyncio
import json
from pathlib import Path

import pytest

from ledger.database import Database
from ledger.ledger import Ledger, LedgerOptions
from tests.gateway.commands.conftest import Shell
from tests.gateway.commands.test_commands import account


def tamper(shell: Shell, statement: str) -> None:
    async def run() -> None:
        database = await Database.connect(shell.postgres_url, most=1)
        async with database.connection() as connection:
            await connection.execute(f"SET session_replication_role = replica; {statement}")
        await database.close()

    asyncio.run(run())


async def posted(shell: Shell) -> None:
    """Do what a steward would do beside the commands."""
    ledger = await Ledger.open(LedgerOptions(shell.postgres_url, shell.stores[-1]))
    await ledger.post_all()
    await ledger.aclose()


@pytest.fixture
def kept(shell: Shell, tmp_path: Path) -> Path:
    """A head copied away after a grant was posted."""
    made = account(shell)
    shell.json("grant", made, "5", "--type", "credits", "--reference", "one")
    asyncio.run(posted(shell))
    code, out, err = shell("heads", "--now")
    assert (code, err) == (0, "")
    file = tmp_path / "elsewhere.jsonl"
    file.write_text(f"{out}\n")
    return file


def test_heads_are_printed_one_on_each_line(shell: Shell, kept: Path) -> None:
    [line] = kept.read_text().splitlines()
    head = json.loads(line)
    assert shell.json("heads") == {"items": [head]}
    assert shell("heads")[1] == line


def test_history_that_leads_to_the_heads_is_clean(shell: Shell, kept: Path) -> None:
    code, out, aside = shell("verify", "--since", str(kept))
    assert (code, out) == (0, "clean")
    assert aside.startswith("history still leads to all of 1 heads")


def test_another_history_is_found_by_the_head(shell: Shell, kept: Path) -> None:
    head = json.loads(kept.read_text())
    tamper(
        shell,
        "UPDATE batches SET sha = decode(repeat('11', 32), 'hex')"
        f" WHERE (epoch, q_to) = ({head['epoch']}, {head['q']})",
    )
    code, out, aside = shell("verify", "--since", str(kept))
    assert code == 1
    assert "head-differs" in out
    assert aside.startswith("history up to")


def test_a_head_that_was_changed_or_signed_by_another_is_said(
    shell: Shell, kept: Path, tmp_path: Path
) -> None:
    text = kept.read_text()
    kept.write_text(text.replace('"facts": ', '"facts": 1'))
    code, out, _ = shell("verify", "--since", str(kept))
    assert (code, "is not as it was signed" in out) == (1, True)

    kept.write_text(text)
    (tmp_path / ".farebox" / "head-key").unlink()
    code, _, aside = shell("verify", "--since", str(kept))
    assert (code, aside.splitlines()[-1]) == (
        0,
        "signatures were not checked: the key is not here",
    )


def test_a_file_without_a_head_is_refused(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    for text in ("", "{}\n"):
        file.write_text(text)
        assert shell("verify", "--since", str(file))[0] == 2
