"""Buying, for people: the packages behind a link, and what became of a purchase."""

from collections.abc import Sequence
from html import escape

from gateway.consumer.html import page
from gateway.operations.packages import PackageAnswer
from gateway.operations.purchases import PurchaseAnswer

LOOK_AGAIN_S = 3
"""A payment is seen within seconds of the buyer's coming back; a bank's may take days."""

SLOW_MONEY = (
    "Your bank has not sent the money yet, which may take some days. "
    "The credits are added when it arrives; nothing more is to be done."
)


def buy_page(packages: Sequence[PackageAnswer], *, action: str, token: str) -> str:
    """Show what can be bought, each with a button that leads on to payment."""
    if not packages:
        return page("Buy credits", "<p>Nothing is for sale at the moment.</p>")
    offers = "\n".join(_offer(package, action, token) for package in packages)
    return page(
        "Buy credits",
        "<p>You pay on Stripe's page; nothing is charged before. The credits are there as soon as "
        f"the payment is.</p>\n{offers}",
    )


def purchase_page(shown: PurchaseAnswer, *, came_back: bool, refresh: bool, again: str) -> str:
    """
    Show what became of a purchase.

    `came_back`: the buyer left Stripe's page without paying. `again` leads to the packages, and
    is empty where nothing is to be bought again.
    """
    resume = shown.checkout_url if again else None
    title, sentence = _told(shown, came_back=came_back)
    ways = [
        f'<p><a href="{escape(resume)}">Go on with this payment</a></p>' if resume else "",
        f'<p><a href="{escape(again)}">Choose a package again</a></p>' if again else "",
    ]
    head = f'<meta http-equiv="refresh" content="{LOOK_AGAIN_S}">' if refresh else ""
    waiting = '<p class="grey">This page looks again by itself.</p>' if refresh else ""
    body = f"<p>{escape(sentence)}</p>\n{waiting}{_facts(shown)}{''.join(ways)}"
    return page(title, body, head=head)


def card_page(*, saved: bool) -> str:
    """Say whether a card was saved."""
    if saved:
        return page("Card saved", "<p>Automatic top-up can charge it once you have set it up.</p>")
    return page("No card saved", "<p>You left before saving one. Nothing has changed.</p>")


def refusal_page(title: str, detail: str) -> str:
    """Say why not."""
    return page(title, f"<p>{escape(detail)}</p>")


def onward_page(url: str) -> str:
    """Lead on to an address that a form may not be redirected to."""
    link = f'<p><a href="{escape(url)}">Go on to payment</a></p>'
    return page("Payment", link, head=f'<meta http-equiv="refresh" content="0;url={escape(url)}">')


def _offer(package: PackageAnswer, action: str, token: str) -> str:
    shown = f"{package.display['credits']} {package.credit_type}"
    often = f" every {_often(package)}" if package.interval else ""
    prices = " or ".join(package.display[f"price_{name}"] for name in package.price)
    trial = f"<p>The first {package.trial_days} days are free.</p>" if package.trial_days else ""
    return f"""<form class="offer" method="post" action="{escape(action)}">
<h2>{escape(package.name)}</h2>
<p class="price"><strong>{escape(prices)}</strong>{escape(often)} for {escape(shown)}</p>
{f"<p>{escape(package.description)}</p>" if package.description else ""}{trial}
<input type="hidden" name="token" value="{escape(token)}">
<input type="hidden" name="package" value="{escape(package.id)}">
{_quantity(package)}{_currencies(package)}
<button>Buy {escape(package.name)}</button>
</form>"""


def _often(package: PackageAnswer) -> str:
    count = package.interval_count
    return f"{package.interval}" if count == 1 else f"{count} {package.interval}s"


def _quantity(package: PackageAnswer) -> str:
    least, most = package.quantity.least, package.quantity.most
    if least == most:
        return ""
    return (
        f'<p><label>How many <input type="number" name="quantity" value="{least}" '
        f'min="{least}" max="{most}"></label></p>'
    )


def _currencies(package: PackageAnswer) -> str:
    if len(package.price) == 1:
        return ""
    options = "".join(f"<option>{escape(name)}</option>" for name in package.price)
    return f'<p><label>Currency <select name="currency">{options}</select></label></p>'


def _told(shown: PurchaseAnswer, *, came_back: bool) -> tuple[str, str]:
    credits_ = f"{shown.display['credits']} {shown.credit_type}"
    match shown.state:
        case "paid" if not shown.given:
            return "Subscribed", "The credits come with each invoice that is paid."
        case "paid":
            return "Thank you", f"{credits_} were added. The call that was refused works now."
        case "open" if came_back:
            return "Not paid", "You left before paying. Nothing was charged."
        case "open":
            return "Processing", "The payment is on its way to us."
        case "processing":
            return "Processing", SLOW_MONEY
        case "failed":
            return "Payment failed", "The payment did not go through. Nothing was charged."
        case "expired":
            return "Not paid", "This payment was open for too long. Nothing was charged."
        case _:
            return "Being looked at", "Somebody has to look at this purchase before it is done."


def _facts(shown: PurchaseAnswer) -> str:
    rows = [
        ("Package", escape(shown.title)),
        ("Amount", escape(shown.display["amount"])),
        ("Order", escape(shown.order_id)),
        ("Payment", escape(shown.payment_intent_id or "")),
        ("Receipt", _link(shown.receipt_url, "open")),
        ("Invoice", _link(shown.invoice_pdf or shown.invoice_url, "open")),
    ]
    cells = "".join(f"<tr><th>{name}</th><td>{cell}</td></tr>" for name, cell in rows if cell)
    return f"<table>{cells}</table>"


def _link(url: str | None, words: str) -> str:
    return f'<a href="{escape(url)}" rel="noreferrer">{escape(words)}</a>' if url else ""
