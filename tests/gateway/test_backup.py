"""A backup is whole or not there, and its password is not shown to the machine."""

import subprocess
from pathlib import Path

import pytest

from gateway.backup import back_up, pg_dump, without_password
from gateway.stores import StoreFailed


def test_a_backup_holds_every_table_and_only_its_owner_reads_it(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.dump"
    size_bytes = back_up(database_url, file)
    assert file.stat().st_size == size_bytes
    assert file.stat().st_mode & 0o777 == 0o600
    listed = subprocess.run(
        [pg_dump().with_name("pg_restore"), "--list", file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for table in ("accounts", "grants", "charges", "controls", "price_versions"):
        assert f" TABLE DATA public {table} " in listed or f" TABLE public {table} " in listed


def test_a_backup_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "ledger.dump"
    file.write_text("older")
    with pytest.raises(StoreFailed, match="pg_dump failed"):
        back_up(f"postgresql://nobody@/none?host={tmp_path}", file)
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]


def test_the_password_is_not_in_the_address_that_is_passed_on() -> None:
    address, password = without_password("postgresql://me:a%40b@db:5432/farebox?sslmode=require")
    assert address == "postgresql://me@db:5432/farebox?sslmode=require"
    assert password == "a@b"


def test_an_address_without_password_stays_as_it_is() -> None:
    assert without_password("postgresql://me@/x?host=/tmp/s") == (
        "postgresql://me@/x?host=/tmp/s",
        "",
    )
