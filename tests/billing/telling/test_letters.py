"""The words of mail."""

from collections.abc import AsyncIterator
from dataclasses import replace
from email.message import EmailMessage

import pytest

from billing.telling.letters import write
from billing.telling.notices import KINDS
from ledger.accounts import Account
from ledger.database import Database
from tests.billing.told import account_of, open_database, tell, told

pytestmark = pytest.mark.anyio

SENDER = "Billing <billing@shop.example>"
PAGES = "https://api.example.com/farebox"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


async def letter(
    database: Database, account: Account | None = None, **notice: object
) -> EmailMessage:
    account = account or await account_of(database)
    await tell(database, account, **notice)  # type: ignore[arg-type]
    message = write(await told(database, account), sender=SENDER, pages_url=PAGES)
    assert message is not None
    return message


def text_of(message: EmailMessage) -> str:
    return str(message.get_content())


async def test_a_purchase_is_told_in_the_buyers_own_units(database: Database) -> None:
    message = await letter(database)

    assert message["Subject"] == "Your credits have arrived"
    assert (message["From"], message["To"]) == (SENDER, "ada@example.com")
    text = text_of(message)
    assert "Credits: 100.50 credits (calling)" in text
    assert "Paid: 10.00 USD" in text
    assert "Receipt: https://pay.stripe.test/receipt" in text


async def test_a_line_of_which_nothing_is_known_is_left_out(database: Database) -> None:
    assert "Invoice" not in text_of(await letter(database))


async def test_a_failed_payment_comes_with_a_link_to_try_again(database: Database) -> None:
    message = await letter(
        database,
        kind="payment_failed",
        package="Starter",
        amount_minor=500,
        currency="jpy",
        reason="Your card was declined.",
        retry_url="https://pay.stripe.test/again",
    )

    text = text_of(message)
    assert "Amount: 500 JPY" in text
    assert "Reason: Your card was declined." in text
    assert "Try again: https://pay.stripe.test/again" in text


async def test_a_low_balance_names_what_is_left_and_the_threshold(database: Database) -> None:
    message = await letter(
        database, kind="low_balance", credit_type="credits", available=-3, threshold=20
    )
    assert "you have -3 credits left" in text_of(message)
    assert "less than 20 credits" in text_of(message)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "alert"])
async def test_every_kind_that_an_account_is_told_has_words(database: Database, kind: str) -> None:
    message = await letter(database, kind=kind, unknown="field")

    assert message["Subject"]
    assert "$" not in text_of(message)
    assert "Hello customer" in text_of(message)


async def test_names_from_outside_cannot_add_headers_or_lines(database: Database) -> None:
    name = "Ada\r\nBcc: eve@example.com\r\n\r\nbuy here"
    account = replace(await account_of(database), name=name)
    message = await letter(database, account, reason="x\r\n.\r\ny", kind="payment_failed")

    assert message["Bcc"] is None
    assert "Hello Ada Bcc: eve@example.com buy here," in text_of(message).splitlines()
    assert "  Reason: x . y" in text_of(message).splitlines()


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@b@c", "a b@example.com", "x" * 250 + "@example.com", "<a@example.com>"],
)
async def test_what_is_no_address_gets_no_mail(database: Database, address: str) -> None:
    account = replace(await account_of(database), email=address)
    await tell(database, account)

    assert write(await told(database, account), sender=SENDER, pages_url=PAGES) is None


async def test_the_same_notice_is_the_same_mail(database: Database) -> None:
    account = await account_of(database)
    first = await letter(database, account)
    again = write(await told(database, account), sender=SENDER, pages_url=PAGES)
    other = await letter(database, account, key="cs_2")

    assert again is not None
    assert first.as_bytes() == again.as_bytes()
    assert first["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@shop.example>")
