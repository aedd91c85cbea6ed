"""The pages a customer has beside Checkout: an invoice, and the portal. Forms, no script."""

from html import escape
from string import Template
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.money import money_text
from billing.standin.checkout_view import filled, message
from billing.standin.endpoints import page
from billing.standin.failures import StripeFailure
from billing.standin.resources import invoices, payment_methods, subscription_changes
from billing.standin.resources.subscription_states import ENDED
from billing.standin.world import World

Json = dict[str, Any]
Form = dict[str, str]

PAY = Template("""<section aria-labelledby="how">
<h1 id="how">Pay it</h1>
<form method="post" action="$action" autocomplete="off">
<label for="card">Card number</label>
<input id="card" name="card" inputmode="numeric" placeholder="4242 4242 4242 4242">
<button class="pay">Pay $amount</button>
</form>
</section>""")

PDF = Template("""%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R
/Resources<</Font<</F 5 0 R>>>>>> endobj
4 0 obj <</Length $length>> stream
$content
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R>>
%%EOF
""")


@page("GET", "/invoices/{invoice}")
def show_invoice(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show an invoice, and how to pay it while it is open."""
    del query, form
    invoice = world.find("invoice", path["invoice"])
    if invoice is None or invoice["status"] == "draft":
        return HTMLResponse(message("Nothing here", "There is no such invoice."), status_code=404)
    return HTMLResponse(_invoice(invoice))


@page("POST", "/invoices/{invoice}")
def pay_invoice(world: World, path: Form, query: Form, form: Form) -> Response:
    """Pay an invoice with a card; 3-D Secure is taken as completed."""
    del query
    invoice = world.get("invoice", path["invoice"])
    try:
        method = payment_methods.from_card(world, form.get("card", ""))
        invoices.pay_by_hand(world, invoice, method, authenticated=True)
    except StripeFailure as failure:
        return HTMLResponse(_invoice(invoice, failure.message), status_code=failure.status)
    return RedirectResponse(f"/invoices/{invoice['id']}", status_code=303)


@page("GET", "/invoices/{invoice}/pdf")
def invoice_pdf(world: World, path: Form, query: Form, form: Form) -> Response:
    """Give an invoice as a file."""
    del query, form
    invoice = world.get("invoice", path["invoice"])
    total = money_text(invoice["total"], invoice["currency"])
    text = f"Stand-in, not a real invoice: {invoice['number']} over {total}"
    content = f"BT /F 14 Tf 60 760 Td ({text}) Tj ET"
    file = PDF.substitute(length=len(content), content=content)
    return Response(file.encode("latin-1"), media_type="application/pdf")


@page("GET", "/portal/{session}")
def show_portal(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show a customer's subscriptions, cards and invoices."""
    del query, form
    return HTMLResponse(_portal(world, world.get("billing_portal.session", path["session"])))


@page("POST", "/portal/{session}")
def press_portal(world: World, path: Form, query: Form, form: Form) -> Response:
    """Do what the pressed button says: cancel, go on, save, use or remove a card."""
    del query
    session = world.get("billing_portal.session", path["session"])
    action, thing = form.get("action", ""), form.get("thing", "")
    try:
        if action in {"cancel", "go_on"}:
            _own(session, world.get("subscription", thing))
            wanted = {"cancel_at_period_end": action == "cancel"}
            subscription_changes.update(world, wanted, {"subscription": thing})
        elif action == "add":
            method = payment_methods.from_card(world, form.get("card", ""))
            payment_methods.attach(world, method, session["customer"])
            _use(world, session, method)
        elif action == "use":
            _use(world, session, _own(session, world.get("payment_method", thing)))
        elif action == "remove":
            payment_methods.detach(world, _own(session, world.get("payment_method", thing)))
    except StripeFailure as failure:
        return HTMLResponse(_portal(world, session, failure.message), status_code=failure.status)
    return RedirectResponse(f"/portal/{session['id']}", status_code=303)


def _own(session: Json, thing: Json) -> Json:
    if thing["customer"] != session["customer"]:
        raise StripeFailure("That is not yours.", status=404)
    return thing


def _use(world: World, session: Json, method: Json) -> None:
    """Charge this method from now on, for everything the customer has."""
    customer = world.objects[session["customer"]]
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    world.emit("customer.updated", customer, {})
    for subscription in world.every("subscription"):
        if subscription["customer"] == customer["id"] and subscription["status"] not in ENDED:
            wanted = {"default_payment_method": method["id"]}
            subscription_changes.update(world, wanted, {"subscription": subscription["id"]})


def _invoice(invoice: Json, error: str = "") -> str:
    currency, owed = invoice["currency"], invoice["amount_remaining"]
    open_ = invoice["status"] in {"open", "uncollectible"}
    amount = money_text(owed if open_ else invoice["total"], currency)
    rows = [
        f"<tr><td>{escape(line['description'])}</td>"
        f"<td>{money_text(line['amount'], currency)}</td></tr>"
        for line in invoice["_lines"]
    ]
    fields = {
        "number": escape(invoice["number"]),
        "error": _error(error),
        "lines": "\n".join(rows),
        "state": "Due now" if open_ else escape(invoice["status"].capitalize()),
        "amount": amount,
        "pdf": f"/invoices/{invoice['id']}/pdf",
        "pay": PAY.substitute(action=f"/invoices/{invoice['id']}", amount=amount)
        if open_ and owed
        else "",
    }
    return filled("Invoice", "invoice", fields)


def _portal(world: World, session: Json, error: str = "") -> str:
    def mine(kind: str) -> list[Json]:
        return [one for one in world.every(kind) if one["customer"] == session["customer"]]

    action = f"/portal/{session['id']}"
    subscriptions = [_subscription(world, one, action) for one in mine("subscription")]
    cards = [_card(one, action) for one in mine("payment_method")]
    rows = [
        f"<tr><td><a href='/invoices/{one['id']}'>{escape(one['number'])}</a> {one['status']}</td>"
        f"<td>{money_text(one['total'], one['currency'])}</td></tr>"
        for one in mine("invoice")
        if one["number"]
    ]
    back = session["return_url"]
    fields = {
        "error": _error(error),
        "subscriptions": "\n".join(subscriptions) or "<p>You have none.</p>",
        "cards": "\n".join(cards) or "<p>None is saved.</p>",
        "invoices": "\n".join(rows),
        "action": action,
        "back": f'<p><a href="{escape(back)}">Go back</a></p>' if back else "",
    }
    return filled("Customer portal", "portal", fields)


def _subscription(world: World, subscription: Json, action: str) -> str:
    item = subscription["items"]["data"][0]
    product = world.objects.get(item["price"]["product"], {})
    name = f"{item['quantity']} x {escape(product.get('name') or 'Subscription')}"
    if subscription["status"] in ENDED:
        return f"<p>{name}: ended</p>"
    ending = subscription["cancel_at_period_end"]
    state = "ends with this period" if ending else subscription["status"]
    label, does = ("Go on", "go_on") if ending else ("Cancel", "cancel")
    return f"<p>{name}: {escape(state)}</p>{_button(action, subscription['id'], does, label)}"


def _card(method: Json, action: str) -> str:
    about = method[method["type"]]
    name = f"{about.get('brand', method['type'])} ending in {about['last4']}"
    use = _button(action, method["id"], "use", "Use this")
    return f"<p>{escape(name)}</p>{use}{_button(action, method['id'], 'remove', 'Remove')}"


def _button(action: str, thing: str, does: str, label: str) -> str:
    return (
        f'<form method="post" action="{action}"><input type="hidden" name="thing" value="{thing}">'
        f'<button name="action" value="{does}">{label}</button></form>'
    )


def _error(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""
