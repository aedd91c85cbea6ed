"""What an admin says of a package of their own: checked, and put on an offer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from billing.errors import WrongPurchase
from billing.money import check_currency
from billing.packages.offers import Offer, problem_of_routes
from config import PriceList
from gateway.models import MAX_AMOUNT, Amount, GivenBody, Text

NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
MOST_QUANTITY = 100_000
MOST_MINOR = 99_999_999
"""What Stripe takes as one price, in minor units of most currencies."""

Prices = Annotated[
    Mapping[str, Annotated[int, Field(ge=0, le=MOST_MINOR)]],
    Field(description="Money in minor units (cents), by currency.", min_length=1),
]
Interval = Literal["day", "week", "month", "year"]
Words = Annotated[str, Field(max_length=1_000)]
SECONDS_PER_CENTURY = 3_155_760_000


class PackageTerms(GivenBody):
    """What a package is; a field that is left out stays as it is, or as usual in a new one."""

    name: Annotated[Text | None, Field(description="Shown to people.")] = None
    description: Words | None = None
    credits: Annotated[Amount | None, Field(description="Smallest units, for each one.")] = None
    price: Prices | None = None
    expires_s: Annotated[
        int | None, Field(ge=0, le=SECONDS_PER_CENTURY, description="0: for ever.")
    ] = None
    tax: Annotated[
        str | None, Field(max_length=100, description="`automatic`, a Stripe tax code, or empty.")
    ] = None
    promotion_codes: bool | None = None
    allow_free: Annotated[
        bool | None, Field(description="Credits also where a promotion left nothing to pay.")
    ] = None
    discounted: Literal["whole", "share"] | None = None
    least_quantity: Annotated[int | None, Field(ge=1, le=MOST_QUANTITY)] = None
    most_quantity: Annotated[int | None, Field(ge=1, le=MOST_QUANTITY)] = None
    trial_days: Annotated[int | None, Field(ge=0, le=730, description="0: none.")] = None
    trial_credits: Annotated[int | None, Field(ge=0, le=MAX_AMOUNT, description="0: none.")] = None
    plan_tier: Annotated[str | None, Field(max_length=100)] = None
    feature_flags: Annotated[list[Text] | None, Field(max_length=50)] = None
    routes: Annotated[
        list[Text] | None,
        Field(max_length=50, description="The only ones its credits may be used on; empty: all."),
    ] = None
    metadata: Annotated[dict[str, Words] | None, Field(max_length=50)] = None
    active: bool | None = None
    hidden: bool | None = None
    sort: Annotated[int | None, Field(ge=-1_000_000, le=1_000_000)] = None


class PackageDraft(PackageTerms):
    """A new package."""

    id: Annotated[str, Field(pattern=NAME, description="Unique over all sources.")]
    credit_type: Text
    credits: Amount
    price: Prices
    interval: Annotated[Interval | None, Field(description="A subscription; null: once.")] = None
    interval_count: Annotated[int, Field(ge=1, le=365)] = 1


def offered(draft: PackageDraft, prices: PriceList) -> Offer:
    """
    Return a new package as an offer.

    Raises:
        WrongPurchase: There is no such credit type, or the terms do not fit together.

    """
    kind = prices.credit_types.get(draft.credit_type)
    if kind is None:
        names = ", ".join(prices.credit_types)
        raise WrongPurchase("credit_type", f"must be one of {names}")
    blank = Offer(
        name=draft.id,
        title=draft.id,
        credit_type=draft.credit_type,
        credits=draft.credits,
        scale=kind.scale,
        prices={},
        source="admin",
        interval=draft.interval,
        interval_count=draft.interval_count,
    )
    return changed(blank, draft, prices)


def changed(offer: Offer, terms: PackageTerms, prices: PriceList) -> Offer:
    """
    Return the offer with what the terms say.

    Raises:
        WrongPurchase: They do not fit together, or to the price file's routes.

    """
    given = terms.model_dump(exclude_none=True)
    new: dict[str, object] = {
        name: given[name]
        for name in (
            "description", "credits", "promotion_codes", "allow_free", "discounted",
            "least_quantity", "most_quantity", "plan_tier", "metadata",
        )
        if name in given
    }  # fmt: skip
    if "name" in given:
        new["title"] = given["name"]
    if "price" in given:
        money = {check_currency(name): minor for name, minor in given["price"].items()}
        if len(money) < len(given["price"]):
            raise WrongPurchase("price", "names a currency twice; give each once")
        new["prices"] = money
    if "expires_s" in given:
        new["expires_ms"] = given["expires_s"] * 1_000 or None
    for name in ("tax", "trial_days", "trial_credits"):
        if name in given:
            new[name] = given[name] or None
    if "feature_flags" in given:
        new["feature_flags"] = tuple(given["feature_flags"])
    if "routes" in given:
        wrong = problem_of_routes(given["routes"], prices)
        if wrong is not None:
            raise WrongPurchase("routes", wrong)
        new["routes"] = tuple(dict.fromkeys(given["routes"]))
    made = replace(offer, **new)  # type: ignore[arg-type]  # each name is checked above
    if made.least_quantity > made.most_quantity:
        raise WrongPurchase("least_quantity", "must not be above most_quantity")
    if made.trial_days and made.interval is None:
        raise WrongPurchase("trial_days", "only a subscription has a trial")
    if made.trial_credits and not made.trial_days:
        raise WrongPurchase("trial_credits", "needs trial_days")
    if made.credits * made.most_quantity > MAX_AMOUNT:
        raise WrongPurchase("credits", f"times most_quantity must not be above {MAX_AMOUNT}")
    return replace(made, adjustable=made.most_quantity > made.least_quantity)
