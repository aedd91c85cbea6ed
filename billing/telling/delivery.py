"""
Delivery of notices: each end of each notice is tried until it is taken, or given up.

The claim is committed before anything is sent, and what came of it afterwards; a process that
dies between leaves a notice that is sent again, under the same name, so that whoever gets it
can tell.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol, TypeAlias

from billing.telling.alerts import raise_alert
from billing.telling.notices import Notice
from ledger import accounts, credit_types
from ledger.accounts import Account
from ledger.database import Connection, Database, Queries
from ledger.ids import account_text

log = logging.getLogger(__name__)

Channel: TypeAlias = Literal["mail", "webhook"]

FIRST_WAIT_S = 10
LONGEST_WAIT_S = 3_600
MOST_TRIES = 20
"""About twelve hours with the waits above: an outage over night loses nothing."""

LEASE = timedelta(minutes=5)
"""Longer than an end may take for one notice; then another steward may try it."""

MOST_IN_A_RUN = 100
"""Notices of one channel; then the steward looks whether it is still the one."""

_SQL = Queries("notices", package="billing")


class NotTaken(Exception):
    """An end could not take the notice now. It is tried again later."""


class Refused(Exception):
    """An end will never take this notice: trying again is no use."""


class NowhereToGo(Exception):
    """There is nobody to send it to, like an account without a mail address."""


@dataclass(frozen=True, slots=True)
class Told:
    """A notice with what an end needs to word it. scales: decimal places by credit type."""

    notice: Notice
    account: Account | None
    scales: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """Return what the operator's webhook is sent as `data`."""
        about: dict[str, object] = {"notice": f"ntc_{self.notice.id}"}
        if self.account is not None:
            about["account"] = account_text(self.account.id)
            about["external_id"] = self.account.external_id
        return {**self.notice.payload, **about}


class End(Protocol):
    """Where notices go."""

    async def send(self, told: Told) -> None:
        """
        Hand one notice over.

        Raises:
            NotTaken, Refused, NowhereToGo: As said there.

        """


class Delivery:
    """Brings waiting notices to their ends; an end that is not configured is left out."""

    def __init__(self, database: Database, ends: Mapping[Channel, End]) -> None:
        self._database = database
        self._ends = ends

    async def mails(self) -> int:
        """Send the mails that are due; return how many were taken. The steward's job."""
        return await self._run("mail")

    async def webhooks(self) -> int:
        """Tell the operator's own system what is due; return how many it took."""
        return await self._run("webhook")

    async def _run(self, channel: Channel) -> int:
        end = self._ends.get(channel)
        if end is None:
            async with self._database.connection() as connection:
                await connection.execute(_SQL.skip_all, channel, "not configured")
            return 0
        taken = 0
        for _ in range(MOST_IN_A_RUN):
            async with self._database.connection() as connection:
                claimed = await self._claim(connection, channel)
            if claimed is None:
                break
            told, tries = claimed
            taken += await self._send(end, channel, told, tries)
        return taken

    async def _claim(self, connection: Connection, channel: Channel) -> tuple[Told, int] | None:
        row = await connection.fetchrow(_SQL.claim, channel, LEASE)
        if row is None:
            return None
        fields = dict(row)
        tries: int = fields.pop("attempts")
        notice = Notice(**fields)
        account = None
        if notice.account_id is not None:
            account = await accounts.get(connection, notice.account_id)
        scales = {row.name: row.scale for row in await credit_types.every(connection)}
        return Told(notice, account, scales), tries

    async def _send(self, end: End, channel: Channel, told: Told, tries: int) -> bool:
        notice = told.notice
        try:
            await end.send(told)
        except NowhereToGo as nowhere:
            await self._over(notice, channel, "skipped", str(nowhere))
        except Refused as refused:
            await self._over(notice, channel, "dead", str(refused))
        except NotTaken as busy:
            await self._again(notice, channel, tries, str(busy))
        except Exception as fault:
            # A mistake of ours met by one notice must not hold up the others, nor go on for ever.
            log.exception("notice %s could not be sent by %s", notice.id, channel)
            await self._again(notice, channel, tries, type(fault).__name__)
        else:
            async with self._database.connection() as connection:
                await connection.execute(_SQL.sent, notice.id, channel)
            return True
        return False

    async def _again(self, notice: Notice, channel: Channel, tries: int, why: str) -> None:
        if tries >= MOST_TRIES:
            await self._over(notice, channel, "dead", why)
            return
        async with self._database.connection() as connection:
            await connection.execute(_SQL.again, notice.id, channel, wait_after(tries), why)

    async def _over(
        self, notice: Notice, channel: Channel, state: Literal["dead", "skipped"], why: str
    ) -> None:
        log.info("notice %s by %s is %s: %s", notice.id, channel, state, why)
        async with self._database.transaction() as connection:
            await connection.execute(_SQL.end, notice.id, channel, state, why)
            if state == "dead":
                # One alert for the channel: its own notice may well go the same way.
                await raise_alert(
                    connection,
                    "notice-not-delivered",
                    channel,
                    f"notice {notice.id} ({notice.kind}) was given up: {why}",
                )


def wait_after(tries: int) -> timedelta:
    """Return how long to rest after so many failed tries: doubling, up to an hour."""
    return timedelta(seconds=min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S))
