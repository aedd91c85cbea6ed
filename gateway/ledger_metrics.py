"""What Prometheus is told of the ledger: how far Redis is ahead of Postgres, and what fails."""

from collections.abc import Iterable, Mapping

from gateway.metrics import family
from ledger import credit_types, findings
from ledger.ledger import Ledger
from ledger.outage import OUTAGE
from ledger.records import Meta


async def ledger_exposition(ledger: Ledger, failures: Mapping[str, str]) -> str:
    """
    Return the ledger's gauges in Prometheus' text format; with a store away, that it is.

    Args:
        ledger: Asked once, a read in each store.
        failures: Jobs of the steward that failed last time, as `Steward.failures`.
    """
    try:
        state = await ledger.state()
        async with ledger.database.connection() as connection:
            names = {row.id: row.name for row in await credit_types.every(connection)}
            open_findings = await findings.open_by_check(connection)
            halted = await findings.halted(connection)
    except OUTAGE:
        return render_ledger(None, {}, failures)
    audited = [
        *family("farebox_findings", "gauge", (_of_check(*each) for each in open_findings.items())),
        *family("farebox_halted", "gauge", [("", {}, int(halted))]),
    ]
    return render_ledger(state, names, failures) + "\n".join(audited) + "\n"


def _of_check(name: str, found: int) -> tuple[str, dict[str, str], float]:
    return "", {"check": name}, found


def render_ledger(state: Meta | None, names: Mapping[int, str], failures: Mapping[str, str]) -> str:
    """Write the gauges; `state` is None where there is none, or a store did not answer."""
    lines = [
        *family("farebox_ledger_up", "gauge", [("", {}, int(state is not None))]),
        *family("farebox_failing_jobs", "gauge", (("", {"job": job}, 1) for job in failures)),
    ]
    if state is not None:
        lines += _of_shard(state, names)
    return "\n".join(lines) + "\n"


def _of_shard(state: Meta, names: Mapping[int, str]) -> Iterable[str]:
    named = [(names.get(each.credit_type, "?"), each) for each in state.types]
    yield from family("farebox_open_holds", "gauge", [("", {}, state.open_holds)])
    yield from family("farebox_unposted_facts", "gauge", [("", {}, state.q - state.posted_q)])
    yield from family(
        "farebox_window_used",
        "gauge",
        (("", {"credit_type": name}, each.held - each.posted) for name, each in named),
    )
    yield from family(
        "farebox_window",
        "gauge",
        (("", {"credit_type": name}, each.window) for name, each in named),
    )
