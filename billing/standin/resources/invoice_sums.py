"""The sums of an invoice: what its lines come to, with discount and tax, in minor units."""

from typing import Any

from billing.standin.resources.session_lines import TAX_PER_CENT
from billing.standin.world import World

Invoice = dict[str, Any]


def coupon_minor(coupon: dict[str, Any], subtotal_minor: int) -> int:
    """Give what a coupon takes off, in minor units."""
    if coupon["percent_off"] is not None:
        off: int = round(subtotal_minor * coupon["percent_off"] / 100)
        return off
    return min(subtotal_minor, int(coupon["amount_off"]))


def take_off(
    world: World, made: Invoice, coupon: dict[str, Any] | None, discount_minor: int
) -> None:
    """Spread a discount over the lines that take one; the last takes what rounding leaves."""
    lines = [each for each in made["_lines"] if each["discountable"] and each["amount"] > 0]
    subtotal = sum(each["amount"] for each in lines)
    off = coupon_minor(coupon, subtotal) if coupon else min(discount_minor, subtotal)
    made["total_discount_amounts"] = []
    if not off:
        return
    discount = world.new_id("di")
    made["discounts"] = [discount]
    made["total_discount_amounts"] = [{"amount": off, "discount": discount}]
    left = off
    for each in lines:
        share = left if each is lines[-1] else off * each["amount"] // subtotal
        each["discount_amounts"] = [{"amount": share, "discount": discount}]
        left -= share


def sum_up(made: Invoice) -> None:
    """Work out every amount of an invoice."""
    taxes = 0
    inclusive_taxes = 0
    for each in made["_lines"]:
        if not made["_taxed"]:
            break
        net = each["amount"] - sum(one["amount"] for one in each["discount_amounts"])
        part = 100 + TAX_PER_CENT if each["_inclusive"] else 100
        tax = (2 * net * TAX_PER_CENT + part) // (2 * part)
        each["taxes"] = [_tax(tax, net, inclusive=each["_inclusive"])]
        taxes += tax
        inclusive_taxes += tax if each["_inclusive"] else 0
    off = sum(one["amount"] for one in made["total_discount_amounts"])
    subtotal = sum(each["amount"] for each in made["_lines"])
    total = subtotal - off + taxes - inclusive_taxes
    due = max(0, total)
    made |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive_taxes,
        "total": total,
        "total_excluding_tax": total - taxes,
        "total_taxes": [_tax(taxes, total - taxes, inclusive=bool(inclusive_taxes))]
        if made["_taxed"]
        else [],
        "amount_due": due,
        "amount_remaining": due,
    }


def _tax(amount: int, taxable: int, *, inclusive: bool) -> dict[str, Any]:
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": "txr_standin"},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }
