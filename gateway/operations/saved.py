"""What an account has saved: cards, automatic top-up, and from which balance on it is told."""

from typing import Annotated

from pydantic import Field

from billing.customer import cards
from billing.money import money_text
from billing.purchases import checkout
from billing.shop import Shop
from billing.telling import low_balance
from billing.topup import topup_settings
from billing.topup.topup_settings import TopUp, Wanted
from config import PriceList
from gateway.models import MAX_AMOUNT, Amount, Answer, GivenBody, Text, Time
from gateway.operations.checkouts import Currency
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.operations.shown import Display, display
from ledger import credit_types
from ledger.database import Database


class SavedCard(Answer):
    """A way to pay that Stripe keeps; we know no more of it than this."""

    id: str
    kind: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None
    is_default: Annotated[bool, Field(description="Automatic top-up charges it.")]


class CardList(Answer):
    """The account's cards."""

    items: list[SavedCard]


class CardPage(Answer):
    """A page of Stripe's that saves a card; no money moves."""

    checkout_url: str
    session_id: str
    expires_at: Time | None


class TopUpDraft(GivenBody):
    """When a saved card may be charged, and how much at most."""

    package: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)] = 1
    currency: Currency = None
    threshold: Annotated[
        Amount, Field(description="Smallest units; below it the package is bought.")
    ]
    most_minor_month: Annotated[
        int, Field(ge=1, le=MAX_AMOUNT, description="Money at most in a month (UTC).")
    ]
    most_count_day: Annotated[
        int,
        Field(ge=1, le=topup_settings.MOST_COUNT_DAY, description="Charges at most in a day."),
    ]
    card: Annotated[Text | None, Field(description="Null: the default card.")] = None
    consent: Annotated[bool, Field(description="Yes to being charged without being asked.")]


class TopUpAnswer(Answer):
    """Automatic top-up, as agreed; the fields are null where it never was."""

    enabled: bool
    package: str | None = None
    quantity: int | None = None
    currency: str | None = None
    amount_minor: Annotated[int | None, Field(description="What one top-up costs.")] = None
    credit_type: str | None = None
    threshold: int | None = None
    most_minor_month: int | None = None
    most_count_day: int | None = None
    paused: Annotated[
        str | None, Field(description="Why nothing is tried until it is set again.")
    ] = None
    rest_until: Annotated[Time | None, Field(description="Nothing is tried before.")] = None
    consented_at: Time | None = None
    display: Display = Field(default_factory=dict)


class Threshold(Answer):
    """From which balance on the account is told by mail; null and 0: never."""

    credit_type: str
    threshold: int | None


class Thresholds(Answer):
    """One for each credit type."""

    items: list[Threshold]


class ThresholdDraft(GivenBody):
    """From which balance on the account wants to be told."""

    credit_type: Text
    threshold: Annotated[
        int | None,
        Field(ge=0, le=MAX_AMOUNT, description="Smallest units; 0: never; null: as usual here."),
    ]


async def save_card(shop: Shop, account: int) -> CardPage:
    """Open a page that saves a card."""
    started = await checkout.start_setup(shop, account)
    return CardPage(
        checkout_url=started.checkout_url,
        session_id=started.session_id,
        expires_at=started.expires_at,
    )


async def remove_card(shop: Shop, account: int, card: str) -> CardList:
    """Remove a card, and show those that are left."""
    await cards.detach(shop, account, card)
    return await card_list(shop, account)


async def set_top_up(shop: Shop, account: int, asked: TopUpDraft) -> TopUpAnswer:
    """Switch automatic top-up on, or change it; also the way out of a pause."""
    if asked.card is not None:
        await cards.make_default(shop, account, asked.card)
    wanted = Wanted(
        package=asked.package,
        threshold=asked.threshold,
        most_minor_month=asked.most_minor_month,
        most_count_day=asked.most_count_day,
        quantity=asked.quantity,
        currency=asked.currency,
        consent=asked.consent,
    )
    await topup_settings.put(shop, account, wanted)
    return await top_up(shop, account)


async def end_top_up(shop: Shop, account: int) -> TopUpAnswer:
    """Switch automatic top-up off."""
    async with shop.ledger.database.connection() as connection:
        await topup_settings.disable(connection, account, shop.livemode)
    return await top_up(shop, account)


async def set_threshold(
    database: Database, prices: PriceList, account: int, asked: ThresholdDraft
) -> Thresholds:
    """Set from which balance of one credit type the account is told; needs no Stripe."""
    async with database.connection() as connection:
        await low_balance.set_threshold(connection, account, asked.credit_type, asked.threshold)
    return await thresholds(database, prices, account)


async def card_list(shop: Shop, account: int) -> CardList:
    """List the account's cards."""
    found = await cards.listed(shop, account)
    return CardList(
        items=[
            SavedCard(
                id=card.id,
                kind=card.kind,
                brand=card.brand,
                last4=card.last4,
                exp_month=card.exp_month,
                exp_year=card.exp_year,
                is_default=card.is_default,
            )
            for card in found
        ]
    )


async def top_up(shop: Shop, account: int) -> TopUpAnswer:
    """Show automatic top-up."""
    async with shop.ledger.database.connection() as connection:
        found = await topup_settings.get(connection, account, shop.livemode)
        types = {row.id: row for row in await credit_types.every(connection)}
    if found is None:
        return TopUpAnswer(enabled=False)
    kind = types[found.credit_type_id]
    return TopUpAnswer(
        enabled=found.enabled,
        package=found.package,
        quantity=found.quantity,
        currency=found.currency,
        amount_minor=found.amount_minor,
        credit_type=kind.name,
        threshold=found.threshold,
        most_minor_month=found.most_minor_month,
        most_count_day=found.most_count_day,
        paused=found.paused,
        rest_until=found.rest_until,
        consented_at=found.consented_at,
        display=_shown(found, kind.scale),
    )


def _shown(found: TopUp, scale: int) -> dict[str, str]:
    return display(scale, {"threshold": found.threshold}) | {
        "amount": money_text(found.amount_minor, found.currency),
        "most_month": money_text(found.most_minor_month, found.currency),
    }


async def thresholds(database: Database, prices: PriceList, account: int) -> Thresholds:
    """Show from which balance on the account is told."""
    async with database.connection() as connection:
        found = await low_balance.thresholds_of(connection, prices, account)
    return Thresholds(
        items=[Threshold(credit_type=name, threshold=one) for name, one in sorted(found.items())]
    )
