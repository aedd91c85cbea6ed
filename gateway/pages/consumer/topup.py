"""What an account has agreed to: automatic top-up, saved cards, and when it is told."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.responses import Response

from billing.errors import BillingError, WrongPurchase
from billing.money import exponent, money_text
from billing.topup.topup_settings import MOST_COUNT_DAY
from config import format_amount, parse_amount
from gateway.consumer.services import Services
from gateway.operations import packages, saved
from gateway.operations.credit_types import credit_type_of
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.operations.packages import PackageAnswer
from gateway.operations.saved import ThresholdDraft, TopUpAnswer, TopUpDraft
from gateway.pages import forms
from gateway.pages.consumer.proof import Proven, actor_of
from gateway.pages.consumer.shop import lead_to
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked
from gateway.problems import Problem
from ledger.errors import InvalidInput, LedgerError

Looking = Asked[Services, Visitor]
USUAL_COUNT_DAY = 3
REFUSED = (BillingError, LedgerError, Problem)


class TopUpForm(Proven):
    """When a saved card may be charged, and how much at most; amounts as people write them."""

    package: Annotated[str, Field(max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)] = 1
    threshold: Annotated[str, Field(max_length=30)]
    most_month: Annotated[str, Field(max_length=30)]
    most_count_day: Annotated[int, Field(ge=1, le=MOST_COUNT_DAY)] = USUAL_COUNT_DAY
    card: Annotated[str | None, Field(max_length=200)] = None
    consent: Literal["yes"] | None = None


class ThresholdForm(Fields):
    """From which balance on the account is told; empty: as usual here; 0: never."""

    credit_type: Annotated[str, Field(max_length=200)]
    threshold: Annotated[str | None, Field(max_length=30)] = None


class Done(Fields):
    """What has just been done."""

    done: Annotated[str, Field(max_length=40)] = ""


async def show(asked: Looking) -> Response:
    """Show what is agreed."""
    return await _page(asked)


async def set_top_up(asked: Looking) -> Response:
    """Switch automatic top-up on, or change it."""
    form, services = forms.fill(TopUpForm, asked.form), asked.services
    if form.read is None:
        return await _page(asked, form, status=422)
    try:
        await actor_of(asked, form.read)
        shop, draft = services.shop, await _draft(asked, form.read)
        await saved.set_top_up(shop, asked.who.account, draft)
    except REFUSED as refused:
        told = form.refused(_as_typed(refused), known=("consent", "card", "key_again"))
        return await _page(asked, told, status=422)
    return asked.onward("/top-up", done="set")


def _as_typed(refused: Exception) -> Exception:
    """Say it of the field as the form calls it."""
    if isinstance(refused, WrongPurchase) and refused.field == "most_minor_month":
        return WrongPurchase("most_month", refused.message)
    return refused


async def end_top_up(asked: Looking) -> Response:
    """Switch it off."""
    form = forms.fill(Proven, asked.form)
    try:
        await actor_of(asked, form.read or Proven())
        await saved.end_top_up(asked.services.shop, asked.who.account)
    except InvalidInput as refused:
        return await _page(asked, ending=form.refused(refused, known=("key_again",)), status=422)
    return asked.onward("/top-up", done="off")


async def save_card(asked: Looking) -> Response:
    """Lead to a page of Stripe's that saves a card."""
    services = asked.services
    services.begin_purchase(asked.who.account)
    page = await saved.save_card(services.shop, asked.who.account)
    return lead_to(asked, page.checkout_url)


async def remove_card(asked: Looking) -> Response:
    """Remove a card."""
    await saved.remove_card(asked.services.shop, asked.who.account, asked.path["card"])
    return asked.onward("/top-up", done="removed")


async def set_threshold(asked: Looking) -> Response:
    """Set from which balance on the account is told."""
    form, services = forms.fill(ThresholdForm, asked.form), asked.services
    if form.read is None:
        return await _page(asked, told=form, status=422)
    try:
        units = None
        if form.read.threshold is not None:
            kind = await credit_type_of(services.desk_of(asked.who.actor), form.read.credit_type)
            units = _typed(form.read.threshold, kind.scale, "threshold")
        draft = ThresholdDraft(credit_type=form.read.credit_type, threshold=units)
        await saved.set_threshold(
            services.ledger.database, services.prices.current, asked.who.account, draft
        )
    except REFUSED as refused:
        return await _page(asked, told=form.refused(refused), status=422)
    return asked.onward("/top-up", done="told")


async def _draft(asked: Looking, form: TopUpForm) -> TopUpDraft:
    """Read amounts by the package's credit type and currency."""
    for package in await _offered(asked):
        if package.id == form.package:
            break
    else:
        raise InvalidInput("package", "is not for sale; choose another")
    kind = await credit_type_of(asked.services.desk_of(asked.who.actor), package.credit_type)
    currency = next(iter(package.price))
    return TopUpDraft(
        package=package.id,
        quantity=form.quantity,
        currency=currency,
        threshold=_typed(form.threshold, kind.scale, "threshold", least=1),
        most_minor_month=_typed(form.most_month, exponent(currency), "most_month", least=1),
        most_count_day=form.most_count_day,
        card=form.card,
        consent=form.consent is not None,
    )


def _typed(text: str, scale: int, field: str, least: int = 0) -> int:
    try:
        units = parse_amount(text.replace(",", ""), scale)
    except ValueError as error:
        raise InvalidInput(field, str(error)) from None
    if units < least:
        raise InvalidInput(field, "must be more than 0")
    return units


async def _offered(asked: Looking) -> list[PackageAnswer]:
    """Return what can be bought without a person: once, untaxed packages at a price."""
    services = asked.services
    listed = await packages.for_sale(
        services.ledger.database, services.prices.current, livemode=services.livemode
    )
    return [one for one in listed.items if one.interval is None and any(one.price.values())]


async def _page(
    asked: Looking,
    form: Form[TopUpForm] | None = None,
    *,
    ending: Form[Proven] | None = None,
    told: Form[ThresholdForm] | None = None,
    status: int = 200,
) -> Response:
    services, account = asked.services, asked.who.account
    offered = await _offered(asked)
    sells = services.billing.shop is not None
    cards = await saved.card_list(services.shop, account) if sells else None
    agreed = await saved.top_up(services.shop, account) if sells else None
    if form is None and agreed is not None:
        form = _begun(agreed, offered)
    thresholds = await saved.thresholds(services.ledger.database, services.prices.current, account)
    scales = {name: kind.scale for name, kind in services.prices.current.credit_types.items()}
    return asked.shows(
        "consumer/top_up.html",
        status=status,
        form=form,
        ending=ending or Form[Proven](),
        told=told,
        agreed=agreed,
        cards=[] if cards is None else cards.items,
        sells=sells,
        packages=[(one.id, f"{one.name}: {_costs(one)} for {_gives(one)}") for one in offered],
        thresholds=[
            (
                one.credit_type,
                one.threshold,
                ""
                if one.threshold is None
                else format_amount(one.threshold, scales.get(one.credit_type, 0)),
            )
            for one in thresholds.items
        ],
        done=forms.ask(Done, asked.request).value("done"),
    )


def _begun(agreed: TopUpAnswer, offered: list[PackageAnswer]) -> Form[TopUpForm]:
    """Begin the form with what is agreed, or with a modest proposal."""
    if agreed.package is None or agreed.currency is None or agreed.most_minor_month is None:
        first = offered[0] if offered else None
        return forms.begin(
            package=first.id if first else None, quantity=1, most_count_day=USUAL_COUNT_DAY
        )
    return forms.begin(
        package=agreed.package,
        quantity=agreed.quantity,
        threshold=agreed.display["threshold"],
        most_month=format_amount(agreed.most_minor_month, exponent(agreed.currency)),
        most_count_day=agreed.most_count_day,
        consent="yes" if agreed.enabled else None,
    )


def _costs(package: PackageAnswer) -> str:
    currency, minor = next(iter(package.price.items()))
    return money_text(minor, currency)


def _gives(package: PackageAnswer) -> str:
    return f"{package.display['credits']} {package.credit_type}"
