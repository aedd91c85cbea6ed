"""gateway/admin: grants, imports, adjustments and refunds; every repeat is harmless."""

import asyncio

import pytest

from gateway.commands.accounts import account_facts
from gateway.operations.accounts import AccountAnswer
from tests.charging import Customer
from tests.control import Control

pytestmark = pytest.mark.anyio


def at(customer: Customer, what: str = "") -> str:
    return f"/accounts/acc_{customer.account}{what}"


async def available(ctl: Control, customer: Customer, credit_type: str = "credits") -> int:
    """What Postgres shows once everything is posted."""
    await ctl.posted()
    shown = (await ctl.admin.get(at(customer))).json()
    return sum(row["available"] for row in shown["balances"] if row["credit_type"] == credit_type)


async def test_a_grant_can_be_spent_when_it_is_answered(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    draft = {"credit_type": "credits", "amount": 5, "description": "welcome", "metadata": {"a": 1}}

    made = await ctl.admin.post(at(customer, "/grants"), json=draft)

    assert (made.status_code, made.json()["applied"], made.json()["repeated"]) == (201, True, False)
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 200
    listed = (await ctl.admin.get(at(customer, "/grants"))).json()["items"]
    assert [(row["id"], row["metadata"]) for row in listed] == [(made.json()["id"], {"a": 1})]


async def test_a_repeated_reference_grants_once(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    draft = {"credit_type": "credits", "amount": 5, "reference": "invoice 7"}

    answers = await asyncio.gather(
        *(ctl.admin.post(at(customer, "/grants"), json=draft) for _ in range(8))
    )
    other = await ctl.admin.post(at(customer, "/grants"), json=draft | {"amount": 6})

    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert sum(not answer.json()["repeated"] for answer in answers) == 1
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (409, "reference-used")
    assert await available(ctl, customer) == 5


async def test_a_scaled_grant_shows_its_decimals(ctl: Control) -> None:
    customer = await ctl.gateway.customer()

    made = await ctl.admin.post(
        at(customer, "/grants"), json={"credit_type": "calling", "amount": 1250}
    )

    assert (made.json()["amount"], made.json()["display"]["amount"]) == (1250, "12.50")
    assert await available(ctl, customer, "calling") == 1250


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": 90_000_000_000_001}, "amount"),
        ({"credit_type": None}, "credit_type"),
        ({"credit_type": "gold"}, "credit_type"),
        ({"kind": "refund"}, "kind"),
        ({"priority": 256}, "priority"),
        ({"expires_at": "2000-01-01T00:00:00Z"}, "expires_at"),
        ({"reference": ""}, "reference"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_a_bad_grant_is_refused_by_field(ctl: Control, change, field) -> None:
    customer = await ctl.gateway.customer()
    draft = {"credit_type": "credits", "amount": 5} | change

    refused = await ctl.admin.post(at(customer, "/grants"), json=draft)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await available(ctl, customer) == 0


async def test_a_grant_past_the_limit_of_a_pool_is_refused(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=1)

    refused = await ctl.admin.post(
        at(customer, "/grants"), json={"credit_type": "credits", "amount": 90_000_000_000_000}
    )

    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "too-much")


async def test_a_file_of_grants_is_granted_row_by_row(ctl: Control) -> None:
    first, second = await ctl.gateway.customer(), await ctl.gateway.customer()
    await ctl.admin.put("/accounts/by-name", json={})
    lines = [
        "account,amount,reference,credit_type,description",
        f"acc_{first.account},5,r1,credits,",
        f"acc_{second.account},12.50,r1,calling,May",
        "by-name,7,r1,credits,",
        "nobody,5,r1,credits,",
        f"acc_{first.account},5.5,r2,credits,",
        f"acc_{first.account},,r3,credits,",
        f"acc_{first.account},5,,credits,",
        f"acc_{first.account},5,r4,gold,",
        f"acc_{first.account},5,r5,credits,,too,many",
    ]
    headers = {"content-type": "text/csv"}

    done, again = [
        (await ctl.admin.post("/grants/import", content="\n".join(lines), headers=headers)).json()
        for _ in range(2)
    ]

    outcomes = [row["outcome"] for row in done["rows"]]
    assert outcomes == ["granted"] * 3 + ["refused"] * 6
    assert all(row["message"] for row in done["rows"][3:])
    assert (done["granted"], done["refused"], done["applied"]) == (3, 6, True)
    assert (again["granted"], again["repeated"], again["refused"]) == (0, 3, 6)
    assert await available(ctl, first) == 5
    assert await available(ctl, second, "calling") == 1250


async def test_a_grant_may_be_limited_to_routes(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=2)
    draft = {"credit_type": "credits", "amount": 6, "routes": ["search", "product"]}

    made = (await ctl.admin.post(at(customer, "/grants"), json=draft)).json()
    await ctl.posted()

    assert made["routes"] == ["product", "search"]
    answer = await ctl.gateway.get("/v1/products/B1", customer)
    assert answer.headers["farebox-balance"] == "6"
    await ctl.gateway.settled()
    shown = (await ctl.admin.get(at(customer))).json()["balances"]
    [balance] = [row for row in shown if row["credit_type"] == "credits"]
    assert balance["available"] == 2
    assert balance["limited"] == [
        {
            "routes": ["product", "search"],
            "available": 4,
            "expires_at": None,
            "display": {"available": "4"},
        }
    ]
    consumer = (await ctl.consumer.get("/v1/account", headers=customer.headers)).json()
    assert consumer["balances"] == shown
    whole = AccountAnswer.model_validate((await ctl.admin.get(at(customer))).json())
    assert ("credits on product, search", "4") in account_facts(whole)
    entries = (await ctl.consumer.get("/v1/entries", headers=customer.headers)).json()["items"]
    assert [(row["kind"], row["routes"]) for row in entries] == [
        ("charge", None),
        ("promotion", ["product", "search"]),
        ("purchase", None),
    ]


async def test_a_quote_counts_what_its_route_may_use(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=1)
    draft = {"credit_type": "credits", "amount": 6, "routes": ["search"]}
    await ctl.admin.post(at(customer, "/grants"), json=draft)
    await ctl.posted()

    quotes = [
        (await ctl.consumer.post("/v1/quote", json=asked, headers=customer.headers)).json()
        for asked in (
            {"method": "POST", "path": "/v1/search", "body": {"limit": 500}},
            {"path": "/v1/products/B1"},
        )
    ]
    assert [(q["cost"], q["available"], q["shortfall"]) for q in quotes] == [(6, 7, 0), (2, 1, 1)]


async def test_a_grant_for_a_route_that_is_not_there_names_those_that_are(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    draft = {"credit_type": "credits", "amount": 6, "routes": ["product", "serach"]}

    refused = await ctl.admin.post(at(customer, "/grants"), json=draft)

    assert refused.status_code == 422
    assert (
        "no route `serach`; there are: /free, /v1/calls, /v1/made, product, search" in refused.text
    )


async def test_rows_of_a_file_may_be_limited_to_routes(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    lines = [
        "account,amount,reference,credit_type,routes",
        f'acc_{customer.account},5,r1,credits,"search, product"',
        f"acc_{customer.account},5,r2,credits,",
        f"acc_{customer.account},5,r3,credits,serach",
    ]

    done = (
        await ctl.admin.post(
            "/grants/import", content="\n".join(lines), headers={"content-type": "text/csv"}
        )
    ).json()

    assert [row["outcome"] for row in done["rows"]] == ["granted", "granted", "refused"]
    assert "no route `serach`" in done["rows"][2]["message"]
    listed = (await ctl.admin.get(at(customer, "/grants"))).json()["items"]
    assert [row["routes"] for row in listed] == [None, ["product", "search"]]


async def test_rows_of_grants_may_come_as_json(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    row = {"account": f"acc_{customer.account}", "credit_type": "credits", "amount": 5}

    done = await ctl.admin.post("/grants/import", json={"rows": [row | {"reference": "j1"}]})
    bare = await ctl.admin.post("/grants/import", json={"rows": [row]})

    assert done.json()["granted"] == 1
    assert bare.status_code == 422
    assert bare.json()["errors"][0]["field"] == "rows.0.reference"
    assert await available(ctl, customer) == 5


@pytest.mark.parametrize(
    "content",
    [b"", b"account,amount\nacc_1,5\n", b"account,amount,reference,colour\n", b"\xff",
     b"account,amount,reference\n", b'account,amount,reference\n"acc_1'],
)  # fmt: skip
async def test_what_is_no_such_file_is_refused_as_a_whole(ctl: Control, content) -> None:
    refused = await ctl.admin.post(
        "/grants/import", content=content, headers={"content-type": "text/csv"}
    )

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "file"


async def test_an_adjustment_gives_or_takes_with_a_reason(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    path = at(customer, "/adjustments")
    taken = {"credit_type": "credits", "amount": -4, "reason": "counted twice", "reference": "a1"}

    answers = [(await ctl.admin.post(path, json=taken)).json() for _ in range(2)]
    given = await ctl.admin.post(
        path, json={"credit_type": "credits", "amount": 1, "reason": "for the trouble"}
    )

    assert [answer["repeated"] for answer in answers] == [False, True]
    assert given.json()["applied"]
    assert await available(ctl, customer) == 7
    entries = (await ctl.admin.get(at(customer, "/entries"))).json()["items"]
    assert [(row["kind"], row["amount"], row["description"]) for row in entries] == [
        ("adjustment", 1, "for the trouble"),
        ("adjustment", -4, "counted twice"),
        ("purchase", 10, ""),
    ]


async def test_taking_more_than_there_is_leaves_a_debt(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=3)

    await ctl.admin.post(
        at(customer, "/adjustments"),
        json={"credit_type": "credits", "amount": -5, "reason": "charged back"},
    )

    assert await available(ctl, customer) == -2
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 402


@pytest.mark.parametrize(
    "change", [{"amount": 0}, {"reason": ""}, {"amount": 90_000_000_000_001}, {"amount": True}]
)
async def test_a_bad_adjustment_is_refused(ctl: Control, change) -> None:
    customer = await ctl.gateway.customer()
    draft = {"credit_type": "credits", "amount": 1, "reason": "because"} | change

    refused = await ctl.admin.post(at(customer, "/adjustments"), json=draft)

    assert refused.status_code == 422


async def test_a_charge_is_refunded_in_parts_and_never_beyond(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    charge = await ctl.called(customer)
    path = f"/charges/{charge}/refunds"

    part = await ctl.admin.post(path, json={"amount": 1, "reference": "p1", "reason": "slow"})
    repeat = await ctl.admin.post(path, json={"amount": 1, "reference": "p1"})
    beyond = await ctl.admin.post(path, json={"amount": 2})
    rest = await ctl.admin.post(path, json={})
    more = await ctl.admin.post(path, json={})

    assert (part.status_code, part.json()["amount"], part.json()["charge"]) == (201, 1, charge)
    assert (repeat.json()["id"], repeat.json()["repeated"]) == (part.json()["id"], True)
    assert beyond.json()["type"].endswith("/already-refunded")
    assert rest.json()["amount"] == 1
    assert (more.status_code, more.json()["type"].rpartition("/")[2]) == (409, "already-refunded")
    shown = (await ctl.admin.get(f"/charges/{charge}")).json()
    assert (shown["captured"], shown["refunded"]) == (2, 2)
    assert "Refunded later: 2 credits." in shown["explanation"]["text"]
    assert await available(ctl, customer) == 10


async def test_ten_refunds_at_once_give_back_once(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    charge = await ctl.called(customer)

    answers = await asyncio.gather(
        *(ctl.admin.post(f"/charges/{charge}/refunds", json={}) for _ in range(10))
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert await available(ctl, customer) == 10


async def test_what_was_not_charged_is_not_refunded(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    charge = await ctl.called(customer, "/v1/made")

    refused = await ctl.admin.post(f"/charges/{charge}/refunds", json={})

    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "not-captured")


async def test_an_admin_sees_the_charges_of_all_and_of_one(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    await ctl.gateway.get("/seen")
    charge = await ctl.called(customer)  # behind the other one in the journal

    everybody = (await ctl.admin.get("/charges?limit=200")).json()["items"]
    hers = (await ctl.admin.get(f"/charges?account=acc_{customer.account}")).json()["items"]
    [observed] = (await ctl.admin.get("/charges?state=observed")).json()["items"]
    nobodys = (await ctl.admin.get(f"/charges/{observed['id']}")).json()

    assert {charge, observed["id"]} <= {row["id"] for row in everybody}
    assert [row["id"] for row in hers] == [charge]
    assert (nobodys["account"], nobodys["captured"], nobodys["held"]) == (None, 0, 3)
    used = (await ctl.admin.get(at(customer, "/usage?type=credits"))).json()
    assert [part["used"] for part in used["types"]] == [2]


async def test_a_refund_shows_its_reference_and_keeps_a_made_up_one_to_itself(
    ctl: Control,
) -> None:
    customer = await ctl.gateway.customer(credits=10)
    named, unnamed = [await ctl.called(customer) for _ in range(2)]

    first = await ctl.admin.post(f"/charges/{named}/refunds", json={"reference": "case 7"})
    second = await ctl.admin.post(f"/charges/{unnamed}/refunds", json={})

    assert (first.json()["reference"], first.json()["metadata"]) == ("case 7", {})
    assert (second.json()["reference"], second.json()["metadata"]) == (None, {})


async def test_what_is_left_to_refund_is_said_in_the_types_decimals(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100, credit_type="calling")
    charge = await ctl.called(customer, "/v1/calls")

    refused = await ctl.admin.post(f"/charges/{charge}/refunds", json={"amount": 26})

    assert refused.json()["detail"] == "0.25 of 0.25 is left to refund"
