"""billing/packages.py: what is for sale is what the price list says."""

from billing import packages_for_sale
from config import load_price_list

FILE = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
packages:
  business: { name: Business, credits: 1000, price: { usd: 8000 }, sort: 2 }
  starter: { name: Starter, credits: 100, price: { usd: 1000, eur: 950 }, sort: 1 }
  hidden: { name: Hidden, credits: 5, price: { usd: 1 }, active: false }
  minutes: { name: Minutes, credits: 12.50, credit_type: calling, price: { usd: 500 }, expires: 30d, sort: 3 }
"""


def test_active_packages_are_listed_in_the_operators_order() -> None:
    packages = packages_for_sale(load_price_list(FILE, environ={}))

    assert [package.id for package in packages] == ["starter", "business", "minutes"]
    assert dict(packages[0].price) == {"usd": 1000, "eur": 950}
    assert (packages[0].credits, packages[0].scale, packages[0].quantity) == (100, 0, (1, 1))


def test_credits_are_smallest_units_of_their_type() -> None:
    minutes = packages_for_sale(load_price_list(FILE, environ={}))[-1]

    assert (minutes.credits, minutes.scale, minutes.credit_type) == (1250, 2, "calling")
    assert minutes.expires_s == 30 * 24 * 3600
