"""`farebox package`: what is for sale."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from config import parse_amount
from gateway.commands.failed import CommandFailed
from gateway.commands.session import Said
from gateway.commands.text import columns, facts
from gateway.commands.till import Till, sells
from gateway.operations import packages
from gateway.operations.package_terms import PackageDraft, PackageTerms
from gateway.operations.packages import PackageRow

Command = TypeVar("Command", bound=Callable[..., Any])

PRICE = click.option(
    "--price", "prices", multiple=True, metavar="CURRENCY=MINOR", help="Like usd=1000 for 10.00."
)
TERMS = (
    click.option("--name", help="Shown to people."),
    click.option("--description", help="Shown to people."),
    click.option("--least", "least_quantity", type=int, help="The least a buyer may choose."),
    click.option("--most", "most_quantity", type=int, help="The most a buyer may choose."),
    click.option("--expires-days", type=click.IntRange(0), help="How long credits live; 0: ever."),
    click.option("--sort", type=int, help="Lower comes first."),
)


def terms(command: Command) -> Command:
    """Add the options that say what a package is."""
    for option in reversed(TERMS):
        command = option(command)
    return PRICE(command)


@click.group()
def package() -> None:
    """Look after packages. Those of the price file and of Stripe can be hidden and sorted."""


@package.command("list")
@sells
async def listed(till: Till) -> Said:
    """List every package, whoever defines it, in the order in which buyers see them."""
    found = await packages.listed(till.desk.ledger.database, till.prices, livemode=till.livemode)
    rows = [
        (one.id, one.source, _sold(one), f"{one.display['credits']} {one.credit_type}", _cost(one))
        for one in found.items
    ]
    return Said(found, columns(("id", "source", "", "credits", "price"), rows))


@package.command("show")
@click.argument("name", metavar="PACKAGE")
@sells
async def show(till: Till, name: str) -> Said:
    """Show one package."""
    return _shown(
        await packages.show(till.desk.ledger.database, till.prices, name, livemode=till.livemode)
    )


@package.command("create")
@click.argument("package_id", metavar="PACKAGE")
@click.argument("amount", metavar="CREDITS")
@click.option("--type", "credit_type", default="credits", show_default=True, help="Credit type.")
@click.option(
    "--interval", type=click.Choice(["day", "week", "month", "year"]), help="A subscription."
)
@terms
@sells
async def create(
    till: Till,
    /,
    package_id: str,
    amount: str,
    *,
    credit_type: str,
    interval: str | None,
    prices: tuple[str, ...],
    **given: object,
) -> Said:
    """Put up a package of your own: CREDITS for each one bought, and at least one --price."""
    kind = till.prices.credit_types.get(credit_type)
    if kind is None:
        raise CommandFailed(f"there is no credit type {credit_type}")
    draft = PackageDraft.model_validate(
        {
            "id": package_id,
            "credit_type": credit_type,
            "credits": _credits(amount, kind.scale),
            "price": _prices(prices) or {},
            "interval": interval,
            **_given(given),
        }
    )
    return _shown(
        await packages.create(
            till.desk.ledger.database,
            till.prices,
            draft,
            livemode=till.livemode,
            actor=till.desk.actor,
        )
    )


@package.command("update")
@click.argument("name_of", metavar="PACKAGE")
@click.option("--credits", "amount", help="For each one bought.")
@click.option("--active/--inactive", default=None, help="Whether it is sold.")
@terms
@sells
async def update(
    till: Till,
    /,
    name_of: str,
    *,
    amount: str | None,
    active: bool | None,
    prices: tuple[str, ...],
    **given: object,
) -> Said:
    """Change a package of your own; purchases that were begun keep what they were offered."""
    changes = _given(given) | _given({"active": active, "price": _prices(prices)})
    if amount is not None:
        now = await packages.show(
            till.desk.ledger.database, till.prices, name_of, livemode=till.livemode
        )
        changes["credits"] = _credits(amount, now.scale)
    return await _change(till, name_of, PackageTerms.model_validate(changes))


@package.command("hide")
@click.argument("name_of", metavar="PACKAGE")
@sells
async def hide(till: Till, name_of: str) -> Said:
    """Keep a package of any source from buyers; `package unhide` shows it again."""
    return await _change(till, name_of, PackageTerms(hidden=True))


@package.command("unhide")
@click.argument("name_of", metavar="PACKAGE")
@sells
async def unhide(till: Till, name_of: str) -> Said:
    """Let buyers see a package again."""
    return await _change(till, name_of, PackageTerms(hidden=False))


async def _change(till: Till, name: str, changes: PackageTerms) -> Said:
    return _shown(
        await packages.change(
            till.desk.ledger.database,
            till.prices,
            name,
            changes,
            livemode=till.livemode,
            actor=till.desk.actor,
        )
    )


def _shown(row: PackageRow) -> Said:
    least, most = row.quantity.least, row.quantity.most
    often = f" every {row.interval_count} {row.interval}" if row.interval else ""
    rows = [
        ("id", row.id),
        ("name", row.name),
        ("description", row.description),
        ("source", row.source),
        ("sold", _sold(row)),
        ("why not", row.problem or ""),
        ("credits", f"{row.display['credits']} {row.credit_type}"),
        ("price", f"{_cost(row)}{often}"),
        ("quantity", "" if most == 1 else f"{least} to {most}"),
        ("expires", "" if row.expires_s is None else f"after {row.expires_s} s"),
        ("sort", str(row.sort)),
        ("version", str(row.version)),
    ]
    return Said(row, facts(rows))


def _sold(row: PackageRow) -> str:
    if row.for_sale:
        return "for sale"
    return "broken" if row.problem else "hidden" if row.hidden else "inactive"


def _cost(row: PackageRow) -> str:
    return ", ".join(row.display[f"price_{name}"] for name in row.price)


def _credits(text: str, scale: int) -> int:
    try:
        return parse_amount(text, scale)
    except ValueError as error:
        raise CommandFailed(f"credits: {error}") from error


def _prices(given: tuple[str, ...]) -> dict[str, int] | None:
    prices = {}
    for text in given:
        currency, _, minor = text.partition("=")
        if not (minor.isascii() and minor.isdigit()):
            raise CommandFailed(f"--price {text}: write it like usd=1000, in minor units")
        if currency in prices:
            raise CommandFailed(f"--price {text}: {currency} is given twice")
        prices[currency] = int(minor)
    return prices or None


def _given(options: dict[str, object]) -> dict[str, object]:
    """Return what was given, by the names of the model."""
    found = {name: value for name, value in options.items() if value is not None}
    if (days := found.pop("expires_days", None)) is not None:
        found["expires_s"] = int(str(days)) * 86_400
    return found
