"""What the pages for buyers look like: templates filled with escaped text."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from billing.money import money_text
from billing.standin.app import BANNER
from billing.standin.resources import session_lines
from billing.standin.test_cards import ACCOUNTS, CARDS
from billing.standin.world import World

Json = dict[str, Any]
Form = dict[str, str]

_PAGES = Path(__file__).parent / "pages"


def checkout(world: World, session: Json, form: Form, error: str = "") -> str:
    """Give the page of an open session, with what was typed so far and why it was refused."""
    shown = _with_tax(world, session)
    chosen = form.get("method", "card")
    adjustable = any(line["adjustable_quantity"] for line in session["_lines"])
    fields = {
        "action": f"/pay/{session['id']}",
        "heading": _heading(session),
        "shown_total": str(shown["amount_total"]),
        "error": f'<p class="error" role="alert">{escape(error)}</p>' if error else "",
        "lines": "\n".join(_line(line) for line in session["_lines"]),
        "update": _button("change", "Update quantity") if adjustable else "",
        "totals": "\n".join(_totals(shown)),
        "promotion": _promotion(session),
        "email": escape(form.get("email") or _known_email(world, session)),
        "saved": "\n".join(_saved(world, session, chosen)),
        "card_chosen": "checked" if chosen == "card" else "",
        "card": escape(form.get("card", "")),
        "expiry": escape(form.get("expiry", "")),
        "cvc": escape(form.get("cvc", "")),
        "name": escape(form.get("name", "")),
        "save": _save(session, form),
        "debit": _debit(session, chosen, form.get("iban", "")),
        "pay": escape(_pay_label(shown)),
        "back": _link(session["cancel_url"], "Cancel and go back"),
        "cards": "\n".join(_card(card.number, card.label) for card in CARDS),
        "cards_open": "" if form.get("card") else "open",
    }
    return filled("Checkout", "checkout", fields)


def due_minor(world: World, session: Json) -> int | None:
    """Give what the button says is due, tax included; None where nothing is for sale."""
    total: int | None = _with_tax(world, session)["amount_total"]
    return total


def three_d_secure(action: str, amount_minor: int | None, thing: Json) -> str:
    """Give the bank's page about a payment of a session or an intent."""
    amount = f" {money_text(amount_minor, thing['currency'])}" if amount_minor else ""
    return filled("3-D Secure", "authenticate", {"action": action, "amount": escape(amount)})


def message(heading: str, text: str, back: str | None = None) -> str:
    """Give a page that only says something."""
    fields = {"heading": escape(heading), "text": escape(text), "link": _link(back, "Go back")}
    return filled(heading, "message", fields)


def filled(title: str, name: str, fields: dict[str, str]) -> str:
    """Give a page: a template of `pages/` with its fields, which are escaped already."""
    content = Template((_PAGES / f"{name}.html").read_text()).substitute(fields)
    page = Template((_PAGES / "page.html").read_text())
    return page.substitute(title=escape(title), banner=escape(BANNER), content=content)


def _with_tax(world: World, session: Json) -> Json:
    """Copy a session with the tax it will have once the buyer's place is known."""
    if session["mode"] == "setup" or not session["_taxed"]:
        return session
    shown = session | {"_lines": [dict(line) for line in session["_lines"]]}
    session_lines.total(world, shown, taxed=True)
    return shown


def _heading(session: Json) -> str:
    if session["mode"] == "setup":
        return "Save a card for later"
    return "Subscribe" if session["mode"] == "subscription" else "Your order"


def _line(line: Json) -> str:
    amount = money_text(line["amount_subtotal"], line["currency"])
    name = escape(line["description"] or "Item")
    recurring = line["price"]["recurring"]
    every = (
        f"<br><span class='quiet'>every {escape(recurring['interval'])}</span>" if recurring else ""
    )
    limits = line["adjustable_quantity"]
    if not limits:
        return f"<tr><td>{name} &times; {line['quantity']}{every}</td><td>{amount}</td></tr>"
    field = f"quantity_{line['id']}"
    chooser = (
        f'<label for="{field}">Quantity</label><input type="number" id="{field}" name="{field}" '
        f'value="{line["quantity"]}" min="{max(limits["minimum"], 1)}" max="{limits["maximum"]}">'
    )
    return f"<tr><td>{name}{every}{chooser}</td><td>{amount}</td></tr>"


def _totals(session: Json) -> list[str]:
    if session["mode"] == "setup":
        return ["<tr><td>Nothing is charged now.</td><td></td></tr>"]
    details, currency = session["total_details"], session["currency"]
    rows = [("Subtotal", session["amount_subtotal"])]
    if details["amount_discount"]:
        rows.append(("Discount", -details["amount_discount"]))
    if session["_taxed"]:
        rows.append((f"Tax ({session_lines.TAX_PER_CENT} %)", details["amount_tax"]))
    shown = [
        f"<tr><td>{label}</td><td>{money_text(amount, currency)}</td></tr>"
        for label, amount in rows
    ]
    total = money_text(session["amount_total"], currency)
    return [*shown, f'<tr class="total"><td>Total due</td><td>{total}</td></tr>']


def _promotion(session: Json) -> str:
    if session["discounts"]:
        return '<p class="quiet">A discount is applied.</p>'
    if not session["allow_promotion_codes"]:
        return ""
    return (
        '<label for="promotion">Promotion code</label><div class="inline">'
        '<input id="promotion" name="promotion">'
        f"{_button('change', 'Apply')}</div>"
    )


def _known_email(world: World, session: Json) -> str:
    customer = world.objects.get(session["customer"] or "", {})
    return str(session["customer_email"] or customer.get("email") or "")


def _saved(world: World, session: Json, chosen: str) -> list[str]:
    """Offer the customer's saved cards, those the session's filters let through."""
    allowed = session["saved_payment_method_options"]["allow_redisplay_filters"] or ["always"]
    rows = []
    for method in world.every("payment_method"):
        if method["type"] != "card" or method["customer"] in (None, ""):
            continue
        if method["customer"] != session["customer"] or method["allow_redisplay"] not in allowed:
            continue
        value = f"saved:{method['id']}"
        checked = "checked" if chosen == value else ""
        card = method["card"]
        label = f"{card['brand'].title()} ending in {card['last4']}"
        rows.append(
            f'<label class="choice"><input type="radio" name="method" value="{value}" {checked}>'
            f"{escape(label)}</label>"
        )
    return rows


def offers_saving(session: Json) -> bool:
    """Whether the buyer may have the card kept for the next purchase."""
    options = session["saved_payment_method_options"]
    return bool(session["customer"] and options["payment_method_save"] == "enabled")


def _save(session: Json, form: Form) -> str:
    if not offers_saving(session):
        return ""
    checked = "checked" if "save" in form else ""
    return (
        f'<label class="choice"><input type="checkbox" name="save" value="yes" {checked}>'
        "Keep this card for my next purchases</label>"
    )


def _debit(session: Json, chosen: str, iban: str) -> str:
    if session["mode"] != "payment":
        return ""
    checked = "checked" if chosen == "debit" else ""
    options = "".join(
        f'<option value="{account.iban}" {"selected" if account.iban == iban else ""}>'
        f"{escape(account.label)} ({account.iban[:4]} … {account.iban[-4:]})</option>"
        for account in ACCOUNTS
    )
    return (
        f'<label class="choice"><input type="radio" name="method" value="debit" {checked}>'
        "Bank debit (takes a while)</label>"
        f'<label for="iban">Bank account</label><select id="iban" name="iban">{options}</select>'
    )


def _pay_label(session: Json) -> str:
    if session["mode"] == "setup":
        return "Save card"
    if session["amount_total"] == 0:
        return "Complete without payment" if session["mode"] == "payment" else "Start trial"
    verb = "Subscribe for" if session["mode"] == "subscription" else "Pay"
    return f"{verb} {money_text(session['amount_total'], session['currency'])}"


def _button(action: str, label: str) -> str:
    return f'<button name="action" value="{action}">{escape(label)}</button>'


def _card(number: str, label: str) -> str:
    groups = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    return (
        f'<button name="fill" value="{number}" formnovalidate><code>{groups}</code> '
        f"{escape(label)}</button>"
    )


def _link(url: str | None, label: str) -> str:
    return f'<a class="button" href="{escape(url)}">{escape(label)}</a>' if url else ""
