"""
Whether the two stores are fit to keep money, asked once at start-up.

What would lose credits is refused; what could not be found out is a warning. Everything is
read through INFO and SHOW, which managed services leave open more often than CONFIG.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ledger.link import Link, RedisError

OLDEST_REDIS = (7, 0)
OLDEST_VALKEY = (8, 0)
OLDEST_POSTGRES = 15

Severity = Literal["refused", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be: `refused` means do not serve."""

    severity: Severity
    sentence: str
    fix: str


async def check_redis(link: Link, *, allow_unsafe: bool = False) -> list[Problem]:
    """
    Ask the server behind `link` what it is and how it keeps its data.

    Args:
        link: A connection to the master; nothing is changed.
        allow_unsafe: Missing persistence becomes a warning: for trials and tests only.

    """
    try:
        info = read_info(await link.call("INFO"))
    except RedisError as refusal:
        return [
            Problem(
                "warning",
                f"Redis does not answer INFO ({refusal}), so its safety cannot be checked",
                "see yourself that appendonly is yes and maxmemory-policy is noeviction",
            )
        ]
    return redis_problems(info, allow_unsafe=allow_unsafe)


def redis_problems(info: dict[str, str], *, allow_unsafe: bool = False) -> list[Problem]:
    """Judge the answer of INFO; a field that is missing is a warning, never a pass."""
    problems = [*_version_problems(info)]
    if info.get("role") not in (None, "master"):
        problems.append(
            Problem("refused", "this Redis is a replica", "give the address of the master")
        )
    policy = info.get("maxmemory_policy")
    if policy is None:
        problems.append(_unknown("maxmemory-policy", "noeviction"))
    elif policy != "noeviction":
        problems.append(
            Problem(
                "refused",
                f"Redis may throw balances away when memory is full (maxmemory-policy {policy})",
                "set maxmemory-policy noeviction",
            )
        )
    persistent = info.get("aof_enabled")
    if persistent is None:
        problems.append(_unknown("appendonly", "yes"))
    elif persistent != "1":
        problems.append(
            Problem(
                "warning" if allow_unsafe else "refused",
                "Redis does not keep its data over a restart (appendonly no)",
                "set appendonly yes",
            )
        )
    if info.get("cluster_enabled") == "1":
        problems.append(
            Problem(
                "warning",
                "this is a Redis Cluster, which is prepared for but not yet supported",
                "use a single master with replicas",
            )
        )
    return problems


def read_info(answer: bytes) -> dict[str, str]:
    """Return INFO's `name:value` lines; the later of two equal names counts."""
    lines = answer.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


async def check_postgres(connection: Any) -> list[Problem]:
    """Ask the server behind `connection` (asyncpg) what it is and how it commits."""
    settings: dict[str, str] = {
        row["name"]: row["setting"]
        for row in await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = any($1)",
            [
                "server_version_num",
                "server_version",
                "fsync",
                "full_page_writes",
                "synchronous_commit",
                "transaction_read_only",
            ],
        )
    }
    return postgres_problems(settings)


def postgres_problems(settings: dict[str, str]) -> list[Problem]:
    """Judge what `pg_settings` says."""
    problems = []
    if int(settings["server_version_num"]) < OLDEST_POSTGRES * 10_000:
        problems.append(
            Problem(
                "refused",
                f"Postgres {settings['server_version']} is too old",
                f"use Postgres {OLDEST_POSTGRES} or later",
            )
        )
    if settings.get("transaction_read_only") == "on":
        problems.append(
            Problem("refused", "this Postgres takes no writes", "give the primary's address")
        )
    problems += [
        Problem(
            "refused",
            f"Postgres may lose or break what it has committed ({name} is off)",
            f"set {name} = on",
        )
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if settings.get(name) == "off"
    ]
    return problems


def _version_problems(info: dict[str, str]) -> list[Problem]:
    # Valkey also gives a redis_version (7.2.4), for clients that know no other name.
    name, oldest = (
        ("valkey", OLDEST_VALKEY) if "valkey_version" in info else ("redis", OLDEST_REDIS)
    )
    text = info.get(f"{name}_version", "")
    parts = text.split(".")
    if len(parts) < len(oldest) or not all(part.isdecimal() for part in parts[: len(oldest)]):
        return [_unknown("version", f"Redis {OLDEST_REDIS[0]} or Valkey {OLDEST_VALKEY[0]}")]
    if tuple(int(part) for part in parts[: len(oldest)]) < oldest:
        return [
            Problem(
                "refused",
                f"{name.capitalize()} {text} is too old",
                f"use Redis {OLDEST_REDIS[0]}.0 or Valkey {OLDEST_VALKEY[0]}.0, or later",
            )
        ]
    return []


def _unknown(setting: str, wanted: str) -> Problem:
    return Problem(
        "warning",
        f"Redis does not say its {setting}",
        f"see yourself that it is {wanted}",
    )
