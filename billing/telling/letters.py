"""
The words of mail: a text file for each kind of notice, filled with what is known.

The first line of a template is the subject. A line that names something unknown is left out, so
a purchase without an invoice says nothing of one.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from importlib.resources import files
from string import Template
from typing import Any

from billing.money import money_text
from billing.telling.delivery import Told
from config.amounts import format_amount

LONGEST_VALUE = 500
"""Characters of one value: names and reasons come from outside."""

LONGEST_ADDRESS = 254
"""RFC 5321, 4.5.3.1.3, without the brackets."""

_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+")
_SUBJECT = "Subject: "


def write(told: Told, *, sender: str, pages_url: str) -> EmailMessage | None:
    """
    Return the mail that tells a notice; None where there is nobody to send it to.

    The same notice is always the same mail, by its Message-ID: if it comes twice, because we died
    between sending it and noting that, mail programs can tell.
    """
    address = _address(told.account.email if told.account else "")
    if address is None:
        return None
    values = _values(told, pages_url)
    subject, _, body = _template(told.notice.kind).partition("\n")
    message = EmailMessage()
    message["Subject"] = _filled(subject.removeprefix(_SUBJECT), values)
    message["From"] = sender
    message["To"] = address
    message["Date"] = format_datetime(told.notice.created_at)
    message["Message-ID"] = _message_id(told, sender)
    # By RFC 3834, so that no out-of-office answer comes back.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_filled(body.lstrip("\n"), values))
    return message


def _address(text: str) -> Address | None:
    if len(text) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(text):
        return None
    try:
        return Address(addr_spec=text)
    except (ValueError, IndexError, MessageError):  # what the parser raises is not documented
        return None


def _message_id(told: Told, sender: str) -> str:
    domain = parseaddr(sender)[1].rpartition("@")[2]
    made = int(told.notice.created_at.timestamp() * 1_000_000)
    return f"<farebox.{told.notice.id}.{made:x}@{domain}>"


def _template(kind: str) -> str:
    return (files("billing.telling") / "templates" / f"{kind}.txt").read_text("utf-8")


def _filled(text: str, values: Mapping[str, str]) -> str:
    lines = []
    for line in text.splitlines():
        template = Template(line)
        if all(values.get(name) for name in template.get_identifiers()):
            lines.append(template.substitute(values))
    return "\n".join(lines)


def _values(told: Told, pages_url: str) -> dict[str, str]:
    """Return what a template may name, as text; empty where the notice does not say."""
    payload = told.notice.payload
    values = {
        name: _one_line(payload.get(name))
        for name in (
            "order_id",
            "package",
            "receipt_url",
            "invoice_url",
            "invoice_pdf",
            "retry_url",
            "subscription_id",
            "dispute_id",
            "status",
            "reason",
        )
    }
    for name in ("paid", "refunded", "amount"):
        values[name] = _money(payload.get(f"{name}_minor"), payload.get("currency"))
    for name in ("credits", "available", "threshold"):
        values[name] = _credits(payload.get(name), payload.get("credit_type"), told.scales)
    values["ended"] = _day(payload.get("ended_at"))
    values["name"] = _one_line(told.account.name if told.account else "") or "customer"
    values["pages"] = f"{pages_url}/" if pages_url else ""
    return values


def _one_line(value: Any) -> str:
    """Return a value from outside as one line of printable text."""
    text = "" if value is None else str(value)
    words = " ".join(text.split())
    return "".join(letter for letter in words if letter.isprintable())[:LONGEST_VALUE]


def _money(minor: Any, currency: Any) -> str:
    if not isinstance(minor, int) or not isinstance(currency, str):
        return ""
    return money_text(minor, currency)


def _credits(amount: Any, credit_type: Any, scales: Mapping[str, int]) -> str:
    if not isinstance(amount, int) or credit_type not in scales:
        return ""
    unit = "" if credit_type == "credits" else f" ({credit_type})"
    return f"{format_amount(amount, scales[credit_type])} credits{unit}"


def _day(moment: Any) -> str:
    try:
        return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d}"
    except (TypeError, ValueError):
        return ""
