"""`farebox rebuild`: Redis, or one account in it, built up anew from Postgres."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import recovery
from gateway.operations.accounts import Why
from gateway.operations.desk import Desk

NOT_ACCEPTED = (
    "Nothing was changed, and nothing is served. Keep this list; --yes-lose-data begins from what "
    "Postgres has and gives up the rest."
)


@click.command()
@click.argument("account", metavar="ACCOUNT", required=False)
@click.option("--reason", required=True, help="Kept in the audit.")
@click.option(
    "--yes-lose-data", is_flag=True, help="Where Postgres went back: give up what only Redis knows."
)
@operates(catch_up=False)
async def rebuild(desk: Desk, account: str | None, reason: str, *, yes_lose_data: bool) -> Said:
    """
    Build Redis up anew from Postgres, while gateways serve.

    Without ACCOUNT a new epoch begins, and every account is loaded when it is next needed. Where
    Postgres is behind what Redis was told, it says what would be lost, and does nothing without
    --yes-lose-data.
    """
    if account is not None:
        reloaded = await recovery.reload(desk, account, Why(reason=reason))
        return Said(reloaded, f"{reloaded.id} is loaded anew")
    draft = recovery.RebuildDraft(reason=reason, lose_data=yes_lose_data)
    made = await recovery.rebuild(desk, draft)
    lines = [f"epoch {made.epoch} has begun"] if made.done else []
    if made.lost is not None:
        lines += _lost(made.lost)
    return Said(made, "\n".join(lines), 0 if made.done else 1, "" if made.done else NOT_ACCEPTED)


def _lost(lost: recovery.LostAnswer) -> list[str]:
    where = (
        f"Redis is at epoch {lost.redis_epoch}, fact {lost.redis_fact}; Postgres at epoch "
        f"{lost.postgres_epoch}, fact {lost.postgres_fact}"
    )
    known = "The journal has all of it" if lost.complete else "The journal has only a part of it"
    if not lost.rows:
        return [where, f"{known}; no balance differs"]
    titles = ("account", "type", "charges", "captured", "granted", "taken back", "expired",
              "in redis", "in postgres")  # fmt: skip
    rows = [
        (
            row.account or "-",
            row.credit_type,
            str(row.charges),
            row.display["captured"],
            row.display["granted"],
            row.display["taken_back"],
            row.display["expired"],
            row.display.get("in_redis", "-"),
            row.display["in_postgres"],
        )
        for row in lost.rows
    ]
    return [where, f"{known}; the balances tell the whole", columns(titles, rows)]
