"""The pages' frame, and the first of them: what an account has and what it was charged."""

from collections.abc import Sequence
from html import escape

from gateway.operations.accounts import Balance
from gateway.operations.charges import ChargeRow
from gateway.operations.explained import REASONS

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action {forms}; "
    "base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY.format(forms="'self'"),
    "referrer-policy": "no-referrer",  # a link's token must not travel on
    "x-content-type-options": "nosniff",
}


def headers_for_forms(*addresses: str) -> dict[str, str]:
    """Return HEADERS, where a form may also lead on to these addresses by a redirect."""
    policy = _POLICY.format(forms=" ".join(("'self'", *addresses)))
    return {**HEADERS, "content-security-policy": policy}


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem }
tr { border-bottom: 1px solid #8884 } .n { text-align: right; font-variant-numeric: tabular-nums }
button, input, select { font: inherit } .grey { opacity: .7 }
.offer { border: 1px solid #8884; border-radius: .5rem; padding: .2rem 1rem 1rem; margin: 1rem 0 }
.price { font-size: 1.2em } input[type=number] { width: 6rem }
@media (prefers-color-scheme: dark) { body { background: #111; color: #eee } a { color: #9cf } }
"""


_OUTCOMES = {
    "open": "under way",
    "captured": "charged",
    "late": "charged",
    "void": "not charged",
    "expired": "not charged",
    "observed": "only recorded",
}
_UNSURPRISING = frozenset({"delivered", "observed"})


def home_page(
    name: str, balances: Sequence[Balance], charges: Sequence[ChargeRow], sign_out: str
) -> str:
    """Show balances and the last charges; amounts in the credit type's decimals."""
    return page(
        "Your credits",
        f"""<p>{escape(name)}</p>
<h2>Balance</h2>
{_balances(balances)}
<h2>Last charges</h2>
{_charges(charges)}
<p class="grey">What ended in the last two seconds may not be here yet.</p>
<form method="post" action="{escape(sign_out)}"><button>Sign out</button></form>""",
    )


def stranger_page() -> str:
    """Say how to get in."""
    return page(
        "Not signed in",
        "<p>This page opens with a sign-in link, which works once and for ten minutes. "
        "Ask whoever runs this API for a new one.</p>",
    )


def _balances(balances: Sequence[Balance]) -> str:
    if not balances:
        return "<p>No credits yet.</p>"
    rows = [
        (row.credit_type, *(row.display[name] for name in ("available", "held", "used")))
        for row in balances
    ] + [
        (f"{row.credit_type}, on {', '.join(one.routes)} only", one.display["available"], "", "")
        for row in balances
        for one in row.limited
    ]
    return _table(("Credits", "Available", "Held by calls under way", "Used"), rows, words=1)


def _charges(charges: Sequence[ChargeRow]) -> str:
    if not charges:
        return "<p>No calls yet.</p>"
    rows = [
        (
            row.opened_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            row.route or "-",
            _outcome(row),
            row.credit_type,
            row.display["captured"],
            row.display.get("balance_after", ""),
        )
        for row in charges
    ]
    return _table(("When", "Call", "Outcome", "Credits", "Charged", "Balance after"), rows, words=4)


def _outcome(row: ChargeRow) -> str:
    """Say whether a call was charged and, where that may surprise, why."""
    word = _OUTCOMES[row.state]
    if row.reason is None or row.reason in _UNSURPRISING:
        return word
    status = f" ({row.status})" if row.reason == "status" and row.status else ""
    return f"{word}: {REASONS.get(row.reason, row.reason)}{status}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> str:
    """Set a table whose columns behind the first `words` hold numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place >= words else ''}>{escape(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', titles)}</tr></thead><tbody>{body}</tbody></table>"


def page(title: str, body: str, *, head: str = "") -> str:
    """Put a body, which is HTML, into the frame; the title is plain text, `head` HTML again."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{head}</head>
<body><h1>{escape(title)}</h1>
{body}
</body></html>
"""
