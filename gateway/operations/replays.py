"""What another price file would have charged for the requests that were recorded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from config import PriceFileError, PriceList, load_price_list
from gateway.operations.desk import Desk
from gateway.operations.price_changes import not_a_price_file
from gateway.operations.replay_answer import (
    DryAccount,
    Replay,
    ReplayAccount,
    ReplayPlan,
    ReplayQuery,
    ReplayRoute,
    ReplaySum,
    Unrepriced,
)
from gateway.operations.replay_tally import Rules, Tally, count
from gateway.operations.shown import display
from ledger import accounts, credit_types, partitions, replays
from ledger.database import Connection
from ledger.errors import Conflict, InvalidInput
from ledger.ids import account_text, minted_us
from ledger.replays import AccountSums, PlanSums, Sums

DEFAULT_SPAN = timedelta(hours=24)
MOST_LISTED = 100
"""Accounts in each list of an answer; how many there are in all is said beside it."""

MOST_IN_MEMORY = 20_000
"""Accounts whose sums are kept here before they go to the database."""

MOST_CHARGES = 1_000_000
"""At once for the admin's route: the steward that reads them has other work too."""


async def replay(
    desk: Desk,
    text: str,
    query: ReplayQuery,
    *,
    now: datetime,
    most: int | None = MOST_CHARGES,
    progress: Callable[[int, float], None] | None = None,
) -> Replay:
    """
    Reprice the recorded charges of a time with another price file; nothing is changed.

    Args:
        desk: Where.
        text: The other file.
        query: Which charges.
        now: The end when none is given.
        most: So many charges at most; None: any number.
        progress: Called now and then with how many were read, and the share of the time passed.

    Raises:
        Problem: `invalid-input`: it is not a price file.
        InvalidInput: The time is empty, or has too many charges.
        Conflict: `scale-changed`: its amounts could not be compared.

    """
    until = query.until or now
    since = query.since or until - DEFAULT_SPAN
    if since >= until:
        raise InvalidInput("from", "must be before to")
    try:
        new = load_price_list(text, environ=None)
    except PriceFileError as error:
        raise not_a_price_file(error) from None
    tally = Tally()
    async with desk.ledger.database.transaction(isolation="repeatable_read") as connection:
        await partitions.hold_still(connection)
        scales = await _scales(connection, new)
        account = None
        if query.account is not None:
            account = (await accounts.find(connection, query.account)).id
        await replays.begin(connection)
        rules = Rules(connection, new)
        async for rows in replays.recorded(connection, since, until, account):
            await count(rows, rules, tally)
            if most is not None and tally.charges > most:
                sentence = f"more than {most} charges at once; `farebox replay` takes any number"
                raise InvalidInput("from", sentence)
            if len(tally.accounts) > MOST_IN_MEMORY:
                await replays.add(connection, tally.accounts)
                tally.accounts.clear()
            if progress is not None:
                progress(tally.charges, _passed(rows[-1][0], since, until))
        await replays.add(connection, tally.accounts)
        changed = await replays.changed(connection, MOST_LISTED)
        dry = await replays.dry(connection, MOST_LISTED)
        plans = await replays.plans(connection)
        notes = await _notes(connection, rules, since)
    shown = _Shown(scales, span_s=(until - since) // timedelta(seconds=1))
    return Replay(
        since=since,
        until=until,
        charges=tally.charges,
        repriced=tally.repriced,
        free=tally.free,
        totals=[ReplaySum(**shown.sums(*one)) for one in sorted(tally.totals().items())],
        routes=shown.routes(tally),
        plans=[ReplayPlan(plan=one.plan, **shown.row(one)) for one in plans],
        accounts=[ReplayAccount(**shown.account(one)) for one in changed],
        accounts_changed=changed[0].of if changed else 0,
        dry=[shown.dry(one) for one in dry],
        accounts_dry=dry[0].of if dry else 0,
        unrepriced=shown.unrepriced(tally),
        notes=notes,
    )


async def _scales(connection: Connection, new: PriceList) -> dict[str, int]:
    """Return the scale of every credit type, stored and new."""
    stored = {row.name: row.scale for row in await credit_types.every(connection)}
    for name, kind in new.credit_types.items():
        if stored.get(name, kind.scale) != kind.scale:
            sentence = f"credit type {name} has scale {stored[name]} for good, not {kind.scale}"
            raise Conflict("scale-changed", sentence)
    return {name: kind.scale for name, kind in new.credit_types.items()} | stored


async def _notes(connection: Connection, rules: Rules, since: datetime) -> list[str]:
    """Say what the record cannot show."""
    notes = []
    if rules.plans.guessed:
        notes.append("charges of files without plans are repriced by the plan of their account now")
    complete = await partitions.complete_since(connection)
    if complete is not None and since < complete:
        notes.append(f"charges before {complete.isoformat(timespec='seconds')} were not kept")
    for rule in await rules.free():
        one = rule.repricing
        if one is not None and (one.new is None or not one.new.price.is_free):
            notes.append(f"{rule.route} is free now: its calls are not recorded, and count nowhere")
    return notes


def _passed(last: bytes, since: datetime, until: datetime) -> float:
    """Return which share of the time lies before a charge."""
    at = minted_us(last) / 1e6 - since.timestamp()
    return min(1.0, max(0.0, at / (until - since).total_seconds()))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Sums as they are answered: with scales, and as decimal text."""

    scales: Mapping[str, int]
    span_s: int

    def sums(self, credit_type: str, sums: Sums) -> dict[str, Any]:
        """Return the fields of a ReplaySum."""
        scale = self.scales.get(credit_type, 0)
        change = sums.after - sums.before
        amounts = {"before": sums.before, "after": sums.after, "change": change}
        return {
            "credit_type": credit_type,
            "scale": scale,
            "charges": sums.charges,
            **amounts,
            "display": display(scale, amounts),
        }

    def row(self, one: AccountSums | PlanSums) -> dict[str, Any]:
        """Return them for a row of the database."""
        return self.sums(one.credit_type, Sums(one.charges, one.before, one.after))

    def account(self, one: AccountSums) -> dict[str, Any]:
        """Return the fields of a ReplayAccount."""
        return {
            "account": account_text(one.account_id),
            "external_id": one.external_id,
            "plan": one.plan,
            **self.row(one),
        }

    def dry(self, one: AccountSums) -> DryAccount:
        """Say how long an account's credits last."""
        available = one.available or 0
        return DryAccount(
            available=available,
            lasts_s=max(available, 0) * self.span_s // one.after,
            anyway=one.before > available,
            **self.account(one),
        )

    def routes(self, tally: Tally) -> list[ReplayRoute]:
        """Return the sums of each route, by its words."""
        return [
            ReplayRoute(route=route, name=name, now=now, **self.sums(credit_type, Sums._make(sums)))
            for (route, name, now, credit_type), sums in sorted(
                tally.routes.items(), key=lambda one: tuple(part or "" for part in one[0])
            )
        ]

    def unrepriced(self, tally: Tally) -> list[Unrepriced]:
        """Return what cannot be repriced, by why."""
        return [
            Unrepriced(
                why=why,
                sentence=sentence,
                route=route,
                credit_type=credit_type,
                charges=charges,
                charged=charged,
            )
            for (why, sentence, route, credit_type), (charges, charged) in sorted(
                tally.unrepriced.items()
            )
        ]
