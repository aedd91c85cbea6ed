"""`farebox verify` and `reconcile`: whether the money is right."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import health
from gateway.operations.desk import Desk


@click.command()
@operates
async def verify(desk: Desk) -> Said:
    """Check that the ledger in Postgres adds up; each finding is printed, nothing is changed."""
    return _said(await health.verify(desk))


@click.command()
@operates
async def reconcile(desk: Desk) -> Said:
    """Check that Redis and the ledger say the same; each finding is printed, nothing is changed."""
    return _said(await health.reconcile(desk))


def _said(report: health.Report) -> Said:
    if not report.findings:
        return Said(report, "clean")
    rows = [(row.check, row.account or "-", row.detail) for row in report.findings]
    return Said(report, columns(("check", "account", "what"), rows), code=1)
