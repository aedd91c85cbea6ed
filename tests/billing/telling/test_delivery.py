"""Delivery: each end of a notice has its own fate."""

from collections.abc import AsyncIterator

import pytest

from billing.telling.delivery import (
    MOST_TRIES,
    Delivery,
    NotTaken,
    NowhereToGo,
    Refused,
    Told,
    wait_after,
)
from ledger.database import Database
from tests.billing.told import (
    account_of,
    deliveries,
    make_due,
    notices_of,
    open_database,
    tell,
)

pytestmark = pytest.mark.anyio


class Ear:
    """An end that answers what it is told to."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.heard: list[str] = []

    async def send(self, told: Told) -> None:
        self.heard.append(told.notice.key)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


async def test_what_was_taken_is_not_sent_again(database: Database) -> None:
    await tell(database, await account_of(database))
    ear = Ear()
    delivery = Delivery(database, {"mail": ear})

    assert [await delivery.mails(), await delivery.mails()] == [1, 0]

    assert ear.heard == ["cs_1"]
    [row] = await deliveries(database)
    assert (row["state"], row["attempts"]) == ("sent", 1)


async def test_what_is_not_taken_waits_and_is_tried_again(database: Database) -> None:
    await tell(database, await account_of(database))
    ear = Ear(NotTaken("451 busy"))
    delivery = Delivery(database, {"mail": ear})

    assert await delivery.mails() == 0
    [row] = await deliveries(database)
    assert (row["state"], row["error"]) == ("waiting", "451 busy")
    assert 0 < row["wait_s"] <= 10

    await make_due(database)
    assert await delivery.mails() == 1


async def test_waits_double_up_to_an_hour() -> None:
    waits = [wait_after(tries).total_seconds() for tries in (1, 2, 3, 9, 10, MOST_TRIES)]
    assert waits == [10, 20, 40, 2560, 3600, 3600]


async def test_after_the_last_try_it_is_given_up_and_a_person_is_told(database: Database) -> None:
    await tell(database, await account_of(database))
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE billing.notice_deliveries SET attempts = $1", MOST_TRIES - 1
        )

    await Delivery(database, {"mail": Ear(NotTaken("away"))}).mails()

    assert [row["state"] for row in await deliveries(database)] == ["dead"]
    [alert] = await notices_of(database, "alert")
    assert alert.payload["alert"] == "notice-not-delivered"


async def test_a_refusal_for_good_is_not_tried_again(database: Database) -> None:
    await tell(database, await account_of(database))

    await Delivery(database, {"mail": Ear(Refused("550 no such user"))}).mails()

    [row] = await deliveries(database)
    assert (row["state"], row["error"]) == ("dead", "550 no such user")


async def test_many_that_are_given_up_make_one_alert(database: Database) -> None:
    account = await account_of(database)
    for key in ("cs_1", "cs_2", "cs_3"):
        await tell(database, account, key)

    await Delivery(database, {"mail": Ear(*[Refused("550")] * 3)}).mails()

    assert len(await notices_of(database, "alert")) == 1


async def test_one_that_cannot_be_taken_holds_back_no_other(database: Database) -> None:
    account = await account_of(database)
    for key in ("cs_1", "cs_2"):
        await tell(database, account, key)
    ear = Ear(NotTaken("busy"))

    assert await Delivery(database, {"mail": ear}).mails() == 1

    assert ear.heard == ["cs_1", "cs_2"]


async def test_the_two_ends_do_not_wait_for_each_other(database: Database) -> None:
    await tell(database, await account_of(database))
    delivery = Delivery(database, {"mail": Ear(NotTaken("busy")), "webhook": Ear()})

    await delivery.mails()
    await delivery.webhooks()

    [mail], [webhook] = await deliveries(database), await deliveries(database, "webhook")
    assert (mail["state"], webhook["state"]) == ("waiting", "sent")


async def test_an_end_that_is_not_configured_is_skipped(database: Database) -> None:
    await tell(database, await account_of(database))

    await Delivery(database, {}).webhooks()

    [row] = await deliveries(database, "webhook")
    assert (row["state"], row["error"]) == ("skipped", "not configured")


async def test_nobody_to_send_to_is_skipped(database: Database) -> None:
    await tell(database, await account_of(database))

    await Delivery(database, {"mail": Ear(NowhereToGo("no address"))}).mails()

    assert [row["state"] for row in await deliveries(database)] == ["skipped"]


async def test_a_notice_being_sent_is_left_alone_by_others(database: Database) -> None:
    """A sender that dies leaves it to others, but only when its time is over."""
    await tell(database, await account_of(database))

    class Dies(Ear):
        async def send(self, told: Told) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Delivery(database, {"mail": Dies()}).mails()
    ear = Ear()
    assert await Delivery(database, {"mail": ear}).mails() == 0

    await make_due(database)
    assert await Delivery(database, {"mail": ear}).mails() == 1


async def test_a_notice_that_no_end_can_word_is_given_up_in_the_end(database: Database) -> None:
    """A mistake of ours, like a template that is missing, is told and holds up no other."""
    account = await account_of(database)
    await tell(database, account)
    await tell(database, account, "cs_2")
    delivery = Delivery(database, {"mail": Ear(KeyError("template"))})

    assert await delivery.mails() == 1
    assert [row["state"] for row in await deliveries(database)] == ["waiting", "sent"]

    async with database.connection() as connection:
        await connection.execute("UPDATE billing.notice_deliveries SET attempts = $1", MOST_TRIES)
    await make_due(database)
    assert await Delivery(database, {"mail": Ear(KeyError("template"))}).mails() == 0
    assert [row["state"] for row in await deliveries(database)] == ["dead", "sent"]
