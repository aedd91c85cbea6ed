"""Accounts and notices in a real Postgres, for tests of what people are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from billing.telling import notices
from billing.telling.delivery import Told
from billing.telling.notices import Notice
from ledger import accounts, credit_types
from ledger.accounts import Account
from ledger.database import Database

PURCHASE = {
    "order_id": "ord_1",
    "package": "Starter",
    "credits": 10_050,
    "credit_type": "calling",
    "paid_minor": 1000,
    "currency": "usd",
    "receipt_url": "https://pay.stripe.test/receipt",
}


@asynccontextmanager
async def open_database(database_url: str) -> AsyncIterator[Database]:
    """Migrated, with two credit types."""
    database = await Database.connect(database_url)
    async with database.connection() as connection:
        await credit_types.register(connection, {"credits": 0, "calling": 2})
    try:
        yield database
    finally:
        await database.close()


async def account_of(database: Database, email: str = "ada@example.com", **more: str) -> Account:
    async with database.connection() as connection:
        return await accounts.create(connection, actor="test", email=email, **more)


async def tell(
    database: Database, account: Account | None, key: str = "cs_1", **fields: Any
) -> bool:
    async with database.transaction() as connection:
        return await notices.tell(
            connection,
            fields.pop("kind", "purchase"),
            account_id=None if account is None else account.id,
            key=key,
            payload=fields or PURCHASE,
        )


async def told(database: Database, account: Account) -> Told:
    """The newest notice of an account, as an end gets it."""
    async with database.connection() as connection:
        [notice, *_] = await notices.of_account(connection, account.id)
    return Told(notice, account, {"credits": 0, "calling": 2})


async def deliveries(database: Database, channel: str = "mail") -> list[dict[str, Any]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT state, attempts, error, extract(epoch FROM next_try_at - now())::int AS wait_s"
            "  FROM billing.notice_deliveries WHERE channel = $1 ORDER BY notice_id",
            channel,
        )
    return [dict(row) for row in rows]


async def make_due(database: Database) -> None:
    """Let the wait of everything that waits be over."""
    async with database.connection() as connection:
        await connection.execute("UPDATE billing.notice_deliveries SET next_try_at = now()")


async def notices_of(database: Database, kind: str) -> list[Notice]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT id, kind, account_id, key, payload, created_at FROM billing.notices"
            " WHERE kind = $1 ORDER BY id",
            kind,
        )
    return [Notice(**row) for row in rows]


class Postbox:
    """A mail server's mind: keeps what it takes; `answers` says what it replies instead, in turn."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.sessions: list[Session] = []
        self.answers: list[str] = []
        self.recipient_answer = "250 fine"
        self.port = 0

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.sessions.append(session)
        if self.answers:
            return self.answers.pop(0)
        self.taken.append(envelope)
        return "250 taken"

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[Postbox]:
    """A real mail server on a free port of this machine."""
    postbox = Postbox()
    loop = asyncio.get_running_loop()
    options = {"hostname": "mail.test", "enable_SMTPUTF8": True, **options}
    listening = await loop.create_server(
        lambda: SMTP(postbox, loop=loop, **options), host="127.0.0.1", port=0
    )
    postbox.port = listening.sockets[0].getsockname()[1]
    try:
        yield postbox
    finally:
        listening.close()
        await listening.wait_closed()
