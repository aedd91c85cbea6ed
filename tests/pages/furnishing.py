"""An account that has a bit of everything, so that no page is looked at empty."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.pages.demo import Account, Demo

MONTHLY = {
    "id": "monthly",
    "name": "Monthly",
    "description": "New credits each month; what is left expires with it.",
    "credit_type": "credits",
    "credits": 300,
    "price": {"usd": 900},
    "interval": "month",
}


@dataclass(frozen=True, slots=True)
class Furnished:
    """The account, and an example of whatever a page's address may name."""

    account: Account
    examples: Mapping[str, str]


def furnish(demo: Demo) -> Furnished:
    """Use, buy, subscribe, adjust and refund: each through the API that everybody has."""
    ann = demo.account("ann", granted=500)
    demo.ask_admin("POST", "/packages", MONTHLY)
    order = demo.buy(ann.key)
    demo.buy(ann.key, "monthly")
    call = "/v1/chat", {"method": "POST", "json": {"prompt": "how much is this"}}
    for _ in range(3):
        demo.call(ann.key)
        demo.call(ann.key, call[0], **call[1])
    demo.call(ann.key, "/v1/search", "POST", json={"limit": 250})
    demo.call(ann.key, "/v1/failing")
    refunded = demo.charged(ann.key, "/v1/download?bytes=1000")
    demo.ask_admin("POST", f"/charges/{refunded}/refunds", {"reason": "a gift", "reference": "r1"})
    adjusted = {"credit_type": "credits", "amount": -5, "reason": "a mistake", "reference": "a1"}
    demo.ask_admin("POST", "/accounts/ann/adjustments", adjusted)
    second = demo.key("ann", "reports", "call")
    revoked = demo.key("ann", "old")
    demo.ask_admin("DELETE", f"/keys/{revoked['id']}")
    charge = demo.charged(ann.key)
    subscriptions = demo.call(ann.key, "/farebox/v1/subscriptions").json()["items"]
    session = demo.call(ann.key, "/farebox/v1/checkout", "POST", json={"package": "starter"}).json()
    demo.ask_admin("POST", "/admins", {"name": "bert"})
    demo.charged(ann.key)
    events = demo.ask_admin("GET", "/inbox?status=any")["items"]
    versions = demo.ask_admin("GET", "/prices")["items"]
    return Furnished(
        ann,
        {
            "account": ann.id,
            "charge": charge,
            "key": second["id"],
            "order": order,
            "package": "starter",
            "session": session["session_id"],
            "subscription": subscriptions[0]["id"],
            "event": str(events[0]["id"]),
            "version": str(versions[0]["version"]),
            "admin": "bert",
        },
    )
