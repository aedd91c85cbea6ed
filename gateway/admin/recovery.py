"""What the admin listener serves for recovery: dead facts, rebuilding, release; row by row."""

from typing import Any

from gateway.admin.handlers import desk, numbered
from gateway.admin.rows import V1, changes, shows
from gateway.admin.services import Services
from gateway.operations import accounts, facts, health, recovery
from gateway.routes import Call, Operation

Asked = Call[Services, str, Any, Any]

ACCOUNT = f"{V1}/accounts/{{account}}"
FACT = f"{V1}/facts/{{fact}}"


async def show_finding(call: Asked) -> health.FindingRow:
    """Show a finding."""
    return await health.show(desk(call), numbered(call, "finding"))


async def list_facts(call: Asked) -> facts.FactPage:
    """List dead facts."""
    return await facts.listed(desk(call), call.query)


async def show_fact(call: Asked) -> facts.FactAnswer:
    """Show a dead fact."""
    return await facts.show(desk(call), call.path["fact"])


async def resolve_fact(call: Asked) -> facts.FactResolved:
    """Say what was decided about a dead fact."""
    return await facts.resolve(desk(call), call.path["fact"], call.body)


async def release(call: Asked) -> recovery.AccountReleased:
    """End a quarantine."""
    return await recovery.release(desk(call), call.path["account"], call.body)


async def reload(call: Asked) -> recovery.AccountReloaded:
    """Load an account anew."""
    return await recovery.reload(desk(call), call.path["account"], call.body)


async def rebuild(call: Asked) -> recovery.RebuildAnswer:
    """Begin a new epoch."""
    return await recovery.rebuild(desk(call), call.body)


RECOVERY: tuple[Operation, ...] = (
    shows(f"{V1}/findings/{{finding}}", "show-finding", "One finding",
          show_finding, health.FindingRow),
    shows(f"{V1}/facts", "list-facts", "Facts that broke a rule of the books",
          list_facts, facts.FactPage, facts.FactQuery),
    shows(FACT, "show-fact", "One of them, with all that it says", show_fact, facts.FactAnswer),
    changes("POST", f"{FACT}/resolve", "resolve-fact",
            "Say what was decided about it; moves nothing",
            resolve_fact, facts.FactResolved, facts.FactDecision),
    changes("POST", f"{ACCOUNT}/release", "release-account",
            "End its quarantine; it is frozen until it is thawed",
            release, recovery.AccountReleased, accounts.Why),
    changes("POST", f"{ACCOUNT}/rebuild", "rebuild-account", "Load it anew from Postgres",
            reload, recovery.AccountReloaded, accounts.Why),
    changes("POST", f"{V1}/rebuild", "rebuild",
            "Begin a new epoch of Redis from what Postgres has",
            rebuild, recovery.RebuildAnswer, recovery.RebuildDraft),
)  # fmt: skip
