"""`farebox stripe` and `farebox package`, against a stand-in for Stripe in a process of its own."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from billing.purchases import checkout
from billing.purchases.checkout import Purchase
from config import PriceList
from gateway.commands import till as tills
from gateway.commands.group import run
from gateway.operations.desk import Desk
from ledger import accounts
from ledger.database import Database
from ledger.ledger import Ledger, LedgerOptions
from tests.gateway.commands.conftest import Shell

PAGES = "https://api.example.com/farebox"


@dataclass(frozen=True)
class Played:
    """Stripe's stand-in, spoken to over its socket."""

    url: str
    key: str

    def control(self, name: str, **given: Any) -> Any:
        """Do what a buyer or a bank would."""
        headers = {"authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.url}/_control/{name}", json=given, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    """Run the stand-in for the tests of this file."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "billing.standin", "--port", "0"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Played(told["url"], told["key"])
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def selling(shell: Shell, played: Played, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose environment says how Stripe is reached."""
    asyncio.run(_renamed(shell.postgres_url))
    monkeypatch.setenv("STRIPE_SECRET_KEY", played.key)
    monkeypatch.setenv("STRIPE_API_BASE", played.url)
    monkeypatch.setenv("FAREBOX_PUBLIC_URL", "https://api.example.com")
    (code, _, err) = shell("package", "create", "starter", "100", "--price", "usd=1000")
    assert code == 0, err
    return shell


def begun(shell: Shell) -> tuple[str, str, str]:
    """Begin a purchase; returns account, order and session."""

    async def begin() -> tuple[str, str, str]:
        ledger = await Ledger.open(options_of(shell), role="command")
        try:
            async with ledger.database.connection() as connection:
                account = await accounts.create(connection, actor="test")
            desk = Desk(ledger, "test", os.urandom, PAGES)
            async with tills.opened(desk) as till:
                made = await checkout.start(till.shop, account.id, Purchase(package="starter"))
        finally:
            await ledger.aclose()
        return f"acc_{account.id}", made.order_id, made.session_id

    return asyncio.run(begin())


def balance(shell: Shell, account: str) -> int:
    """What the account has, once what happened is posted: no steward does that here."""

    async def post() -> None:
        ledger = await Ledger.open(options_of(shell), role="command")
        await ledger.post_all()
        await ledger.aclose()

    asyncio.run(post())
    shown = shell.json("account", "show", account)
    return sum(one["available"] for one in shown["balances"])


def options_of(shell: Shell) -> LedgerOptions:
    return LedgerOptions(shell.postgres_url, shell.stores[3])


async def _renamed(url: str) -> None:
    """Make this installation another than that of the database it was copied from."""
    database = await Database.connect(url, most=1)
    async with database.connection() as connection:
        await connection.execute("UPDATE billing.installation SET id = $1", secrets.token_hex(8))
    await database.close()


def test_setup_makes_the_endpoint_once_and_shows_its_secret_once(selling: Shell) -> None:
    made = selling.json("stripe", "setup")
    again = selling.json("stripe", "setup")

    assert (made["url"], made["created"]) == (f"{PAGES}/stripe/webhook", True)
    assert made["secret"].startswith("whsec_")
    assert (again["endpoint_id"], again["created"], again["secret"]) == (
        made["endpoint_id"], False, None,
    )  # fmt: skip


def test_setup_knows_where_the_price_file_puts_our_pages(
    selling: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = PriceList({}, {}, (), prefix="/credits")

    async def in_force(*_: object) -> PriceList:
        return elsewhere

    monkeypatch.setattr("gateway.commands.till.prices_in_force", in_force)

    made = selling.json("stripe", "setup")

    assert made["url"] == "https://api.example.com/credits/stripe/webhook"


def test_a_payment_without_its_webhook_is_settled_by_hand(selling: Shell, played: Played) -> None:
    account, _, session = begun(selling)
    played.control("pay", session=session)

    first, again = (selling.json("stripe", "settle", session) for _ in range(2))

    assert (first["outcome"], again["outcome"]) == ("granted", "unchanged")
    selling.json("verify")
    assert balance(selling, account) == 100


def test_a_payment_without_its_webhook_is_found(selling: Shell, played: Played) -> None:
    account, _, session = begun(selling)
    played.control("pay", session=session)

    code, shown, _ = selling("stripe", "reconcile", "--dry-run", "--only", "state")
    assert (code, balance(selling, account)) == (0, 0)
    assert f"would settle checkout.session {session}" in shown
    code, shown, _ = selling("stripe", "reconcile", "--only", "state")

    assert (code, balance(selling, account)) == (0, 100)
    assert "granted" in shown


def test_money_is_given_back_in_parts_and_never_beyond(selling: Shell, played: Played) -> None:
    account, order, session = begun(selling)
    played.control("pay", session=session)
    selling.json("stripe", "settle", session)

    made = selling.json("stripe", "refund", order, "250", "--reference", "ticket-7")
    selling.json("stripe", "refund", order, "250", "--reference", "ticket-7")
    assert (made["state"], made["display"]["amount"]) == ("succeeded", "2.50 USD")
    assert balance(selling, account) == 75

    code, _, err = selling("stripe", "refund", order, "751")
    assert (code, "7.50 USD" in err) == (2, True)
    assert selling("stripe", "refund", order)[0] == 0
    assert balance(selling, account) == 0


def test_what_stripe_does_not_know_is_one_line(selling: Shell) -> None:
    code, out, err = selling("stripe", "settle", "nothing_1")

    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_packages_at_stripe_are_taken_over(selling: Shell, played: Played) -> None:
    assert selling("stripe", "sync")[0] == 0


def test_a_silent_stripe_is_one_line_and_pending(
    selling: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setattr("billing.stripe_door.NETWORK_RETRIES", 0)

    code, _, err = selling("stripe", "sync")

    assert (code, len(err.splitlines())) == (1, 1), err
    assert "Run it again" in err


def test_without_a_key_selling_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)

    for words in (("sync",), ("reconcile",), ("settle", "cs_test_1"), ("refund", "ord_1")):
        code, out, err = shell("stripe", *words)
        assert (code, out) == (2, "")
        assert err == "farebox: STRIPE_SECRET_KEY is not set on this gateway"


def test_packages_are_made_changed_hidden_and_shown_again(shell: Shell) -> None:
    price = ("--price", "usd=450", "--price", "jpy=600")
    made = shell.json("package", "create", "minutes", "12.5", "--type", "calling", *price)
    assert (made["credits"], made["scale"], made["price"]) == (1250, 2, {"usd": 450, "jpy": 600})

    changed = shell.json("package", "update", "minutes", "--credits", "15", "--most", "5")
    assert (changed["credits"], changed["quantity"]) == (1500, {"least": 1, "most": 5})
    assert shell.json("package", "hide", "minutes")["for_sale"] is False
    assert shell.json("package", "unhide", "minutes")["for_sale"] is True
    assert shell.json("package", "update", "minutes", "--inactive")["active"] is False
    assert shell("package", "list")[1].splitlines()[1].split()[:3] == [
        "minutes", "admin", "inactive",
    ]  # fmt: skip
    assert "15.00 calling" in shell("package", "show", "minutes")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("create", "x", "10"),
        ("create", "x", "10", "--price", "ten"),
        ("create", "x", "10", "--price", "usd=1", "--price", "usd=2"),
        ("create", "x", "1.5", "--price", "usd=1"),
        ("create", "x", "10", "--type", "unheard-of", "--price", "usd=1"),
        ("update", "unheard-of", "--credits", "5"),
        ("hide", "unheard-of"),
        ("show", "unheard-of"),
    ],
)
def test_a_package_that_cannot_be_is_one_line(shell: Shell, words: tuple[str, ...]) -> None:
    code, out, err = shell("package", *words)

    assert (code, out, len(err.splitlines())) == (2, "", 1)


def test_a_group_alone_shows_what_there_is() -> None:
    assert run(["stripe"]) == 2
    assert run(["package"]) == 2
