"""Every admin's page: there for who is signed in, safe, and nothing for anybody else."""

import re

import pytest

from gateway.pages.admin.table import ACTIONS, PAGES
from tests.gateway.pages.admin.looking import BASE, Looking, text_of
from tests.selling import Market

pytestmark = pytest.mark.anyio

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
async def places(market: Market) -> dict[str, str]:
    """Something for every name in an address; all of it is called by hostile names."""
    gateway = market.control.gateway
    buyer = await market.buyer(credits=50)
    charge = await market.control.called(buyer.customer, "/v1/products/B1")
    await gateway.get("/seen", buyer.customer)
    await market.admin.put("/accounts/hostile", json={"name": HOSTILE, "email": HOSTILE})
    bought = await market.bought(buyer)
    await market.admin.post(
        "/packages",
        json={"id": "odd", "name": HOSTILE, "description": HOSTILE, "credit_type": "credits",
              "credits": 5, "price": {"usd": 100}},
    )  # fmt: skip
    made = await market.admin.post(f"/accounts/{buyer.account}/keys", json={"name": HOSTILE})
    await market.admin.post(
        f"/accounts/{buyer.account}/adjustments", json={"amount": 1, "reason": HOSTILE}
    )
    await market.admin.post("/admins", json={"name": HOSTILE})
    async with gateway.ledger.database.connection() as connection:
        finding = await connection.fetchval(
            "INSERT INTO findings (check_name, account_id, detail) VALUES ('odd', $1, $2) RETURNING id",
            buyer.customer.account,
            HOSTILE,
        )
        await connection.execute(
            "INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why)"
            " VALUES (0, 0, 5, $1, '\\x00', $2)",
            buyer.customer.account,
            HOSTILE,
        )
        await connection.execute(
            "INSERT INTO billing.alerts (kind, subject, detail) VALUES ('odd', $1, $1)", HOSTILE
        )
    events = (await market.admin.get("/inbox", params={"status": "any"})).json()["items"]
    job = (await market.admin.post("/jobs/verify")).json()
    await market.control.posted()
    return {
        "account": buyer.account,
        "key": made.json()["id"],
        "charge": charge,
        "package": "odd",
        "order": bought["order_id"],
        "event": str(events[0]["id"]),
        "version": "1",
        "finding": str(finding),
        "fact": "0-0-5",
        "job": job["id"],
        "subscription": "sub_1",
        "admin": "ann",
        "alert": "1",
        "notice": "1",
    }


SHOWN = sorted(page.path for page in PAGES if page.show and not page.path.endswith(".csv"))
ACTED = sorted(page.path for page in PAGES if page.act)


@pytest.mark.parametrize("path", SHOWN)
async def test_a_page_is_shown_with_its_headers_and_nothing_unescaped(
    root: Looking, places: dict[str, str], path: str
) -> None:
    page = await root.get(path.format(**places))

    assert page.status_code == 200, text_of(page)
    headers = page.headers
    assert headers["content-security-policy"] == POLICY
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "date" in headers
    assert "alert(1)</script>" not in page.text
    assert not re.search(r"<script(?! src=\"/admin/static/)", page.text)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page.text)
    addresses = re.findall(r"(?:src|href|action)=\"([^\"]*)\"", page.text)
    ours = [one for one in addresses if one.startswith(("/admin/", "#"))]
    assert set(addresses) - set(ours) <= {"", *_receipts(page.text)}
    assert re.search(r"<h1>\s*\S", page.text)


def _receipts(text: str) -> set[str]:
    """Stripe's own pages may be linked to."""
    return set(re.findall(r"href=\"(http://127[^\"]*)\" rel=\"noreferrer\"", text))


@pytest.mark.parametrize("path", SHOWN)
async def test_strangers_get_the_way_in_instead(
    stranger: Looking, places: dict[str, str], path: str
) -> None:
    page = await stranger.get(path.format(**places))

    assert page.status_code == 401
    assert "Admin token" in page.text
    assert page.headers["content-security-policy"] == POLICY
    assert "www-authenticate" not in page.headers
    assert 'aria-label="Pages"' not in page.text
    for name in ("account", "charge", "order"):
        shown_back = f'name="next" value="{BASE}{path.format(**places)}"'
        assert places[name] not in page.text.replace(shown_back, "")


@pytest.mark.parametrize("path", ACTED)
async def test_strangers_change_nothing(
    stranger: Looking, places: dict[str, str], path: str
) -> None:
    answer = await stranger.http.post(f"{BASE}{path.format(**places)}", data={"reason": "odd"})

    assert answer.status_code == 401
    assert "Admin token" in answer.text


@pytest.mark.parametrize("path", ACTED)
async def test_a_form_of_another_session_or_site_is_refused(
    root: Looking, places: dict[str, str], path: str
) -> None:
    address = f"{BASE}{path.format(**places)}"
    for data, headers in (
        ({"reason": "odd"}, {}),
        ({"reason": "odd", "form_token": "0" * 64}, {}),
        ({"reason": "odd"}, {"sec-fetch-site": "cross-site"}),
        ({"reason": "odd"}, {"origin": "http://evil.example"}),
    ):
        answer = await root.http.post(address, data=data, headers=headers)
        assert answer.status_code == 403, answer.text
        assert "form" in answer.text


@pytest.mark.parametrize("path", sorted({action.path for action in ACTIONS}))
async def test_a_form_with_an_unknown_field_changes_nothing(
    root: Looking, places: dict[str, str], path: str
) -> None:
    answer = await root.send(path.format(**places), unheard_of="1")

    assert answer.status_code == 422, answer.text
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/unheard-of", 404),
        ("/accounts/acc_999999", 404),
        ("/accounts/%00", 404),
        ("/charges/zz", 404),
        ("/prices/0", 404),
        ("/prices/x", 404),
        ("/inbox/999999", 404),
        ("/orders/ord_none", 404),
        ("/jobs/job_none", 404),
        ("/facts/9-9-9", 404),
        ("/packages/none/change", 404),
        ("/accounts/acc_1/keys/key_999999/revoke", 404),
        ("/charges?cursor=x", 422),
        ("/charges?state=odd", 422),
        ("/charges?first=tomorrow", 422),
        ("/audit?cursor=AAAA", 422),
        ("/inbox?status=odd", 422),
        ("/accounts?cursor=%00", 422),
    ],
)
async def test_what_is_not_there_is_said_in_a_page(root: Looking, path: str, status: int) -> None:
    page = await root.get(path)

    assert page.status_code == status, page.text
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == POLICY
    assert "Back to the overview" in page.text or "Go to the first page" in page.text


async def test_a_page_without_that_method_says_so(root: Looking) -> None:
    assert (await root.http.post(f"{BASE}/audit")).status_code == 405
    assert (await root.get("/system/verify")).status_code == 405


async def test_the_way_to_the_first_page(root: Looking) -> None:
    for path in ("/", "/admin"):
        answer = await root.http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/")


async def test_style_and_script_are_kept_by_browsers_and_change_their_address(
    root: Looking,
) -> None:
    page = await root.get("/")
    files = set(re.findall(r"(?:src|href)=\"(/admin/static/[^\"]+)\"", page.text))

    assert {file.rpartition("/")[2] for file in files} >= {"pages.css", "admin.css", "pages.js"}
    whole = len(page.content)
    for file in files:
        answer = await root.http.get(file)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        whole += len(answer.content)
    assert whole < 100 * 1024
    assert (await root.get("/static/0000000000000000/pages.css")).status_code == 404
