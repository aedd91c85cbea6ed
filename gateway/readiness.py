"""Whether a request can be charged now, and what the operator should know all the same."""

from dataclasses import dataclass

from config import DEFAULT_PLAN, PriceList
from gateway.problems import Problem
from ledger import gateways, plans, price_versions
from ledger.database import Connection
from ledger.errors import LedgerUnavailable
from ledger.ledger import Ledger

MOST_NAMED = 10
"""Plans in one sentence."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """A request can be charged; the warnings are for the operator."""

    price_version: int
    warnings: list[str]


async def readiness(ledger: Ledger) -> Readiness:
    """
    Say that requests can be charged.

    Raises:
        Problem: `not-ready`: Postgres or Redis does not answer, or no prices are published.

    """
    try:
        await ledger.ready()
    except LedgerUnavailable as away:
        # Anybody may ask, so what follows the colon, mostly an address, stays here.
        sentence = str(away).partition(":")[0]
        raise Problem("not-ready", f"{sentence}.", status=503) from away
    async with ledger.database.connection() as connection:
        current = await price_versions.current(connection)
        rows = await gateways.running(connection)
    if current is None:
        raise Problem("not-ready", "No price version is published yet.", status=503)
    return Readiness(current.version, warnings_of(rows))


async def unnamed_plans(connection: Connection, prices: PriceList) -> list[str]:
    """Say which plans accounts are on that the price file has no word about."""
    if not prices.asks_plans:
        return []
    unknown = [name for name in await plans.names(connection) if name not in prices.plans]
    if not unknown:
        return []
    shown = ", ".join(unknown[:MOST_NAMED]) + (", ..." if len(unknown) > MOST_NAMED else "")
    instead = f"plan {DEFAULT_PLAN}" if DEFAULT_PLAN in prices.plans else "usual prices"
    return [
        f"accounts are on plans that the price file does not name: {shown}; the {instead} count"
    ]


def warnings_of(rows: list[gateways.Gateway]) -> list[str]:
    """Return a sentence for each thing about the running gateways that is not as it should be."""
    sentences = []
    files = {row.file_sha256 for row in rows if row.file_sha256 is not None}
    if len(files) > 1:
        names = ", ".join(row.id for row in rows)
        sentences.append(f"the price files of the gateways {names} differ: give all the same")
    sentences += [
        f"gateway {row.id} refuses its price file and charges by version {row.price_version}"
        for row in rows
        if row.refusal is not None
    ]
    return sentences
