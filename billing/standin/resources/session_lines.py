"""What a Checkout session sells: its lines, their discount and tax, and the totals."""

from typing import Any

from billing.standin.failures import invalid
from billing.standin.resources import coupons, prices, promotion_codes
from billing.standin.resources.changes import metadata
from billing.standin.world import World

Line = dict[str, Any]
Session = dict[str, Any]

# The stand-in taxes everything alike, once it knows where the buyer is.
TAX_PER_CENT = 19
MOST_LINES = 100
MOST_QUANTITY = 999_999
# What Stripe allows a buyer to choose where the merchant names no limits.
USUAL_LEAST, USUAL_MOST = 0, 99


def made(world: World, given: list[dict[str, Any]], mode: str, currency: str | None) -> list[Line]:
    """Make a session's lines of `line_items`; each holds its price as it is now."""
    if len(given) > MOST_LINES:
        raise invalid(f"You can only specify up to {MOST_LINES} line items.", "line_items")
    lines = [_line(world, each, index, mode, currency) for index, each in enumerate(given)]
    if len({line["currency"] for line in lines}) > 1:
        raise invalid(
            "The line items of a Checkout Session must all have the same currency.", "line_items"
        )
    if mode == "subscription" and not any(line["price"]["recurring"] for line in lines):
        raise invalid(
            "You must provide at least one recurring price in `subscription` mode when using "
            "prices.",
            "line_items[0][price]",
        )
    return lines


def _line(world: World, given: dict[str, Any], index: int, mode: str, currency: str | None) -> Line:
    where = f"line_items[{index}]"
    if ("price" in given) == ("price_data" in given):
        raise invalid("You must specify either `price` or `price_data`.", where)
    if "price" in given:
        price = world.get("price", given["price"], f"{where}[price]")
        if not price["active"]:
            raise invalid(
                f"The price specified is inactive. This field only accepts active prices: "
                f"{price['id']}",
                f"{where}[price]",
            )
    else:
        price = prices.inline(world, given["price_data"])
    if mode == "payment" and price["recurring"]:
        raise invalid(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.",
            f"{where}[price]",
        )
    adjustable = given.get("adjustable_quantity") or {}
    limits = {
        "enabled": bool(adjustable.get("enabled")),
        "minimum": adjustable.get("minimum", USUAL_LEAST),
        "maximum": adjustable.get("maximum", USUAL_MOST),
    }
    quantity = given.get("quantity")
    if quantity is None:
        raise invalid("Quantity is required. Add `quantity` to the line item.", f"{where}")
    if not 1 <= quantity <= MOST_QUANTITY:
        raise invalid("This value must be greater than or equal to 1.", f"{where}[quantity]")
    chosen, unit = _in_currency(price, currency, where)
    product = world.objects.get(price["product"], {})
    return {
        "id": world.new_id("li"),
        "object": "item",
        "adjustable_quantity": limits if limits["enabled"] else None,
        "amount_discount": 0,
        "amount_subtotal": unit * quantity,
        "amount_tax": 0,
        "amount_total": unit * quantity,
        "currency": chosen,
        "description": product.get("name"),
        "metadata": metadata(given.get("metadata")),
        "price": dict(price),
        "quantity": quantity,
        "_unit_minor": unit,
    }


def _in_currency(price: dict[str, Any], currency: str | None, where: str) -> tuple[str, int]:
    """Give the currency a price is sold in and its unit amount, in minor units."""
    chosen = currency or price["currency"]
    option = price["_currency_options"].get(chosen)
    if option is None:
        raise invalid(
            f"The price specified only supports `{price['currency']}`. This doesn't match the "
            f"expected currency: `{currency}`.",
            f"{where}[price]",
        )
    if option["unit_amount"] is None:
        raise invalid("Prices with fractions of a minor unit are not played here.", where)
    return chosen, int(option["unit_amount"])


def choose_quantity(session: Session, line_id: str, quantity: int) -> None:
    """Let the buyer change a line's quantity, within the limits of the merchant."""
    line = next((each for each in session["_lines"] if each["id"] == line_id), None)
    limits = line and line["adjustable_quantity"]
    if line is None or not limits:
        raise invalid("The quantity of this item cannot be changed.", "quantity")
    least, most = max(limits["minimum"], 1), limits["maximum"]
    if not least <= quantity <= most:
        raise invalid(f"Choose a quantity from {least} to {most}.", "quantity")
    line["quantity"] = quantity


def total(world: World, session: Session, *, taxed: bool) -> None:
    """
    Work out every amount of a session again, in minor units.

    `taxed` says whether the buyer's place is known; before that Stripe shows no tax.
    """
    lines = session["_lines"]
    for line in lines:
        line["amount_subtotal"] = line["_unit_minor"] * line["quantity"]
    shares = discount_minor(world, session)
    trial = bool((session["_subscription_data"] or {}).get("trial_period_days"))
    for line in lines:
        line["amount_discount"] = shares[line["id"]]
        net = line["amount_subtotal"] - line["amount_discount"]
        inclusive = line["price"]["tax_behavior"] == "inclusive"
        line["amount_tax"] = _tax_minor(net, inclusive=inclusive) if taxed else 0
        line["amount_total"] = net if inclusive else net + line["amount_tax"]
        if trial and line["price"]["recurring"]:
            line |= {"amount_discount": 0, "amount_tax": 0, "amount_total": 0}
            line["amount_subtotal"] = 0
    session["amount_subtotal"] = sum(line["amount_subtotal"] for line in lines)
    session["amount_total"] = sum(line["amount_total"] for line in lines)
    session["total_details"] = {
        "amount_discount": sum(line["amount_discount"] for line in lines),
        "amount_shipping": 0,
        "amount_tax": sum(line["amount_tax"] for line in lines),
    }


def _tax_minor(net: int, *, inclusive: bool) -> int:
    """Give the tax on, or within, an amount, rounded half up."""
    if inclusive:
        return (2 * net * TAX_PER_CENT + 100 + TAX_PER_CENT) // (2 * (100 + TAX_PER_CENT))
    return (net * TAX_PER_CENT + 50) // 100


def discount_minor(world: World, session: Session) -> dict[str, int]:
    """Give what the session's coupon takes off each line, in minor units by the line's id."""
    lines = session["_lines"]
    nothing = {line["id"]: 0 for line in lines}
    if not session["discounts"]:
        return nothing
    coupon = world.objects[session["discounts"][0]["coupon"]]
    only = (coupon.get("_applies_to") or {}).get("products")
    chosen = [line for line in lines if only is None or line["price"]["product"] in only]
    subtotal = sum(line["amount_subtotal"] for line in chosen)
    if coupon["percent_off"] is not None:
        off = round(subtotal * coupon["percent_off"] / 100)
    else:
        off = coupon["amount_off"] if coupon["currency"] == session["currency"] else 0
    return nothing | _shares(chosen, min(off, subtotal), subtotal)


def _shares(lines: list[Line], discount: int, subtotal: int) -> dict[str, int]:
    """Give each line its share of a discount; the last one takes what rounding leaves."""
    shares = {
        line["id"]: discount * line["amount_subtotal"] // subtotal if subtotal else 0
        for line in lines
    }
    if lines:
        shares[lines[-1]["id"]] += discount - sum(shares.values())
    return shares


def apply_promotion(world: World, session: Session, code: str) -> None:
    """Let the buyer give a promotion code; refused if it is unknown, used up or not allowed."""
    if not session["allow_promotion_codes"]:
        raise invalid("This session does not take promotion codes.", "promotion_code")
    promotion = promotion_codes.usable(world, code)
    if promotion is None or promotion["customer"] not in (None, session["customer"]):
        raise invalid("This code is invalid.", "promotion_code")
    least = (promotion["restrictions"] or {}).get("minimum_amount")
    if least and sum(line["amount_subtotal"] for line in session["_lines"]) < least:
        raise invalid("Your order is too small for this code.", "promotion_code")
    coupon = promotion["promotion"]["coupon"]
    session["discounts"] = [{"coupon": coupon, "promotion_code": promotion["id"]}]


def redeem(world: World, session: Session) -> None:
    """Count a completed session's promotion code, or its coupon, as used."""
    for discount in session["discounts"] or []:
        promotion = world.find("promotion_code", discount["promotion_code"])
        coupon = world.find("coupon", discount["coupon"])
        if promotion is not None:
            promotion_codes.redeem(world, promotion)
        elif coupon is not None and not coupon.get("deleted"):
            coupon["times_redeemed"] += 1
            coupon["valid"] = coupons.is_valid(world, coupon)
