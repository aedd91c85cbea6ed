"""What is for sale: of the price file, of the admins, of Stripe."""

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from gateway.operations import packages, stripe
from gateway.operations.credit_types import chosen, typed_amount
from gateway.operations.package_terms import PackageDraft, PackageTerms
from gateway.operations.packages import PackageRow
from gateway.pages import forms
from gateway.pages.admin.asking import AdminAsked, given, types_of
from gateway.pages.admin.form_page import Action, Asks, Input, act
from gateway.pages.admin.package_money import money_of, money_words
from ledger.credit_types import CreditTypeRow

NAME = "packages"
PACKAGE = "/packages/{package}"
INTERVALS = (
    ("", "Once"), ("month", "Each month"), ("year", "Each year"), ("week", "Each week"),
    ("day", "Each day"),
)  # fmt: skip
SECONDS_PER_DAY = 86_400

Sort = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


class Terms(forms.Fields):
    """What an admin's own package is; money and credits as people write them."""

    name: str
    description: str = ""
    credits: Annotated[str, Field(max_length=40)]
    price: Annotated[str, Field(max_length=200)]
    expires_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    active: str = ""
    sort: Sort = 0


class NewPackage(Terms):
    """A package that is put up."""

    id: str
    credit_type: str
    interval: str = ""


class Shown(forms.Fields):
    """How a package of any source is shown."""

    hidden: str = ""
    sort: Sort = 0


async def listed(asked: AdminAsked) -> Response:
    """Show every package."""
    services = asked.services
    rows = await packages.listed(
        services.ledger.database, services.prices(), livemode=services.livemode
    )
    return asked.shows(
        "admin/packages.html",
        rows=rows.items,
        sells=services.billing.shop is not None,
        done=asked.request.query_params.get("done", ""),
        intervals=dict(INTERVALS),
    )


async def package_of(asked: AdminAsked) -> PackageRow:
    """Return the package that the address names."""
    services = asked.services
    return await packages.show(
        services.ledger.database,
        services.prices(),
        asked.path["package"],
        livemode=services.livemode,
    )


_TERMS = (
    Input("name", "Name", "Buyers see it.", required=True),
    Input("description", "Description", kind="lines"),
    Input("credits", "Credits", "For each one bought, like 100 or 12.50.", required=True),
    Input("price", "Price", "Like 10.00 usd; several currencies with commas between.",
          required=True),
    Input("expires_days", "Credits live for so many days", "0: for ever.", kind="number"),
    Input("sort", "Place", "Smaller stands first.", kind="number"),
    Input("active", "", kind="box", options=(("yes", "For sale"),)),
)  # fmt: skip


def _said(form: Terms, credit_type: CreditTypeRow) -> dict[str, Any]:
    return {
        "name": form.name,
        "description": form.description,
        "credits": typed_amount(form.credits, credit_type),
        "price": money_of(form.price),
        "expires_s": form.expires_days * SECONDS_PER_DAY,
        "sort": form.sort,
        "active": form.active == "yes",
    }


async def _asks_new(asked: AdminAsked) -> Asks:
    types = [(row.name, row.name) for row in await types_of(asked)]
    return Asks(
        title="New package",
        lead="Packages of the price file and of Stripe are changed there.",
        button="Put it up",
        back="/packages",
        values={"active": "yes", "sort": 0, "expires_days": 0},
        inputs=(
            Input("id", "Id", "Lower case, like starter-500; it never changes.", required=True),
            Input("credit_type", "Credit type", kind="choice", options=types),
            *_TERMS,
            Input("interval", "Paid", kind="choice", options=INTERVALS),
        ),
    )


async def _make(asked: AdminAsked, form: NewPackage) -> Response:
    services = asked.services
    credit_type = chosen(await types_of(asked), form.credit_type)
    draft = given(
        PackageDraft,
        id=form.id,
        credit_type=credit_type.name,
        interval=form.interval or None,
        **_said(form, credit_type),
    )
    await packages.create(
        services.ledger.database,
        services.prices(),
        draft,
        livemode=services.livemode,
        actor=asked.who.name,
    )
    return asked.onward("/packages", done="made")


async def _asks_change(asked: AdminAsked) -> Asks:
    package = await package_of(asked)
    return Asks(
        title=f"Change {package.name}",
        lead="Orders that were begun keep what they were offered.",
        button="Save",
        back="/packages",
        inputs=_TERMS,
        values={
            "name": package.name,
            "description": package.description,
            "credits": package.display["credits"],
            "price": money_words(package.price),
            "expires_days": (package.expires_s or 0) // SECONDS_PER_DAY,
            "sort": package.sort,
            "active": "yes" if package.active else None,
        },
    )


async def _change(asked: AdminAsked, form: Terms) -> Response:
    package = await package_of(asked)
    credit_type = chosen(await types_of(asked), package.credit_type)
    await _changed(asked, given(PackageTerms, **_said(form, credit_type)))
    return asked.onward("/packages", done="changed")


async def _asks_shown(asked: AdminAsked) -> Asks:
    package = await package_of(asked)
    return Asks(
        title=f"Show or hide {package.name}",
        lead="What is hidden is not for sale; what was bought stays.",
        button="Save",
        back="/packages",
        values={"hidden": "yes" if package.hidden else None, "sort": package.sort},
        inputs=(
            Input("hidden", "", kind="box", options=(("yes", "Hide it from buyers"),)),
            Input("sort", "Place", "Smaller stands first.", kind="number"),
        ),
    )


async def _show_or_hide(asked: AdminAsked, form: Shown) -> Response:
    await _changed(asked, given(PackageTerms, hidden=form.hidden == "yes", sort=form.sort))
    return asked.onward("/packages", done="changed")


async def _changed(asked: AdminAsked, terms: PackageTerms) -> None:
    services = asked.services
    await packages.change(
        services.ledger.database,
        services.prices(),
        asked.path["package"],
        terms,
        livemode=services.livemode,
        actor=asked.who.name,
    )


async def _sync(asked: AdminAsked) -> Response:
    await stripe.sync(asked.services.shop, actor=asked.who.name)
    return asked.onward("/packages", done="synced")


SYNC = act("/packages/sync", NAME, _sync)
ACTIONS = (
    Action(path="/packages/new", name=NAME, model=NewPackage, asks=_asks_new, do=_make),
    Action(path=f"{PACKAGE}/change", name=NAME, model=Terms, asks=_asks_change, do=_change),
    Action(path=f"{PACKAGE}/show", name=NAME, model=Shown, asks=_asks_shown, do=_show_or_hide),
)
