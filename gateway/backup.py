"""A copy of the ledger's database in one file, made with pg_dump."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from gateway.stores import StoreFailed, StoreMissing, find_postgres


def back_up(url: str, file: Path) -> int:
    """
    Write the database behind `url` to `file`, whole or not at all; returns its size in bytes.

    It is one consistent moment, whatever is written meanwhile. An older file of that name
    is replaced only when the new one is complete; its owner alone can read it.

    Raises:
        StoreMissing: There is no pg_dump.
        StoreFailed: pg_dump refused, mostly because it is older than the server.

    """
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    address, password = without_password(url)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [str(pg_dump()), "--format=custom", "--no-owner", f"--dbname={address}"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            env={"PGPASSWORD": password, "PATH": os.defpath},
            check=False,
        )
    if done.returncode != 0:
        draft.unlink()
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise StoreFailed(f"pg_dump failed: {words[-1] if words else 'it said nothing'}")
    size_bytes = draft.stat().st_size
    draft.replace(file)
    return size_bytes


def pg_dump() -> Path:
    """Return the pg_dump beside the newest server found here, or the one on PATH."""
    beside = find_postgres() / "pg_dump"
    if beside.exists():
        return beside
    found = shutil.which("pg_dump")
    if found is None:
        raise StoreMissing("no pg_dump found: install the Postgres client programs")
    return Path(found)


def without_password(url: str) -> tuple[str, str]:
    """Cut the password out of an address: arguments are seen by everybody on the machine."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, ""
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}@{place}")), unquote(parts.password)
