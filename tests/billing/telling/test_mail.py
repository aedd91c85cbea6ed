"""Mail, handed to a real mail server."""

import email
import ssl
from collections.abc import AsyncIterator
from email.policy import default

import pytest
import trustme
from aiosmtpd.smtp import AuthResult

from billing.telling.delivery import Delivery, NotTaken, Refused
from billing.telling.mail import Mail
from ledger.database import Database
from tests.billing.told import (
    account_of,
    deliveries,
    mail_server,
    make_due,
    open_database,
    tell,
    told,
)

pytestmark = pytest.mark.anyio

SENDER = "Billing <billing@shop.example>"
PAGES = "https://api.example.com/farebox"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


def sender(url: str, **options: ssl.SSLContext) -> Mail:
    return Mail(url, SENDER, PAGES, **options)


async def test_a_mail_arrives_as_it_was_written(database: Database) -> None:
    await tell(database, await account_of(database, name="Ada Lovelac\u00e9"))
    async with mail_server() as postbox:
        assert await Delivery(database, {"mail": sender(postbox.url)}).mails() == 1

    [envelope] = postbox.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("billing@shop.example", ["ada@example.com"])
    message = email.message_from_bytes(envelope.content, policy=default)
    assert message["Subject"] == "Your credits have arrived"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Hello Ada Lovelac\u00e9," in message.get_content()


async def test_a_busy_server_gets_the_same_mail_later(database: Database) -> None:
    await tell(database, await account_of(database))
    async with mail_server() as postbox:
        delivery = Delivery(database, {"mail": sender(postbox.url)})
        postbox.answers = ["451 come back later"]
        assert await delivery.mails() == 0
        assert postbox.taken == []

        await make_due(database)
        assert await delivery.mails() == 1

    assert len(postbox.taken) == 1
    assert [row["state"] for row in await deliveries(database)] == ["sent"]


async def test_a_mail_that_the_server_will_never_take_is_given_up(database: Database) -> None:
    await tell(database, await account_of(database))
    async with mail_server() as postbox:
        postbox.answers = ["554 looks like spam"]
        await Delivery(database, {"mail": sender(postbox.url)}).mails()

    [row] = await deliveries(database)
    assert (row["state"], row["error"]) == ("dead", "554 looks like spam")


async def test_an_unknown_recipient_is_given_up(database: Database) -> None:
    account = await account_of(database)
    await tell(database, account)
    async with mail_server() as postbox:
        postbox.recipient_answer = "550 no such user"
        with pytest.raises(Refused, match="550 no such user"):
            await sender(postbox.url).send(await told(database, account))


async def test_a_full_mailbox_is_tried_again(database: Database) -> None:
    account = await account_of(database)
    await tell(database, account)
    async with mail_server() as postbox:
        postbox.recipient_answer = "452 mailbox full"
        with pytest.raises(NotTaken, match="452 mailbox full"):
            await sender(postbox.url).send(await told(database, account))


async def test_no_server_is_no_loss(database: Database) -> None:
    await tell(database, await account_of(database))
    async with mail_server() as postbox:
        url = postbox.url
    await Delivery(database, {"mail": sender(url)}).mails()

    assert [row["state"] for row in await deliveries(database)] == ["waiting"]


async def test_a_mail_that_was_sent_but_not_noted_can_be_recognised(database: Database) -> None:
    """Between the server's answer and our note of it we may die: it is sent again, as the same."""
    account = await account_of(database)
    await tell(database, account)
    async with mail_server() as postbox:
        mail = sender(postbox.url)
        await mail.send(await told(database, account))
        await Delivery(database, {"mail": mail}).mails()

    ids = [email.message_from_bytes(one.content)["Message-ID"] for one in postbox.taken]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_the_password_goes_through_tls_where_the_server_offers_it(
    database: Database,
) -> None:
    authority = trustme.CA()
    offered, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(offered)
    authority.configure_trust(trusted)
    seen: list[tuple[bytes, bytes]] = []

    def check(
        server: object, session: object, envelope: object, how: str, who: object
    ) -> AuthResult:
        seen.append((who.login, who.password))  # type: ignore[attr-defined]
        return AuthResult(success=True)

    account = await account_of(database)
    await tell(database, account)
    async with mail_server(tls_context=offered, authenticator=check, auth_required=True) as postbox:
        url = f"smtp://us%40er:p%3Aw@127.0.0.1:{postbox.port}"
        await sender(url, tls=trusted).send(await told(database, account))

    assert seen == [(b"us@er", b"p:w")]
    assert [session.ssl is not None for session in postbox.sessions] == [True]


async def test_a_server_that_is_not_who_it_says_gets_nothing(database: Database) -> None:
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(offered)
    account = await account_of(database)
    await tell(database, account)
    async with mail_server(tls_context=offered) as postbox:
        with pytest.raises(NotTaken, match="certificate"):
            await sender(postbox.url).send(await told(database, account))

    assert postbox.taken == []


async def test_a_password_is_not_sent_in_clear_to_another_machine(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.telling.mail._OWN_MACHINE", frozenset())
    account = await account_of(database)
    await tell(database, account)
    async with mail_server() as postbox:
        with pytest.raises(NotTaken, match="not sent in clear"):
            await sender(f"smtp://user:pw@127.0.0.1:{postbox.port}").send(
                await told(database, account)
            )


async def test_what_a_server_says_of_an_address_is_kept_without_it(database: Database) -> None:
    """It is logged, and told to the operator as an alert."""
    account = await account_of(database)
    await tell(database, account)
    async with mail_server() as postbox:
        postbox.recipient_answer = "550 5.1.1 <ada@example.com>: no such user ada@example.com"
        with pytest.raises(Refused) as refused:
            await sender(postbox.url).send(await told(database, account))

    assert str(refused.value) == "550 5.1.1 <...@example.com>: no such user ...@example.com"
