"""gateway/consumer: keys, who may come in with them, and the pages behind a sign-in link."""

import asyncio
import re

import pytest

from tests.charging import Stores
from tests.control import PREFIX, Control, control

pytestmark = pytest.mark.anyio


async def test_without_a_good_key_there_is_nothing(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    good = customer.secret
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    unknown = "fbx_" + "0" * 49

    answers = [
        await ctl.consumer.get("/v1/account", headers=headers)
        for headers in (
            {},
            {"authorization": "Bearer something-else"},
            {"x-api-key": wrong},
            {"x-api-key": unknown},
            {"x-api-key": b"fbx_\xff"},
        )
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in answers)
    assert all(good not in answer.text and wrong not in answer.text for answer in answers)


async def test_two_keys_are_refused(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    both = customer.headers | {"x-api-key": customer.secret}

    assert (await ctl.consumer.get("/v1/account", headers=both)).status_code == 400


async def test_who_guesses_keys_has_to_wait(
    database_url: str, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.consumer.caller.BAD_KEYS_PER_MINUTE", 5)
    guess = {"x-api-key": "fbx_" + "0" * 49}
    seen = set()
    async with control(Stores(database_url, redis_url, namespace)) as alone:
        for _ in range(15):  # a new minute may begin in between
            answer = await alone.consumer.get("/v1/account", headers=guess)
            seen.add(answer.status_code)
            if answer.status_code == 429:
                break

    assert seen == {401, 429}
    assert int(answer.headers["retry-after"]) >= 1


async def test_keys_need_the_scope_manage(ctl: Control) -> None:
    customer = await ctl.gateway.customer()

    refused = await ctl.consumer.get("/v1/keys", headers=customer.headers)

    assert refused.status_code == 403
    assert refused.json()["type"] == "/farebox/problems/scope-missing"


async def test_a_new_key_works_at_once_and_is_shown_once(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    manager = await ctl.managing(customer)

    made = await ctl.consumer.post("/v1/keys", json={"name": "second"}, headers=manager)
    called = await ctl.gateway.get("/v1/products/B1", headers={"x-api-key": made.json()["key"]})
    listed = await ctl.consumer.get("/v1/keys", headers=manager)

    assert (made.status_code, made.json()["applied"], called.status_code) == (201, True, 200)
    assert made.json()["key"] not in listed.text
    assert {"second", ""} == {row["name"] for row in listed.json()["items"]}


async def test_a_revoked_key_is_refused_on_the_next_call(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    manager = await ctl.managing(customer)
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 200

    gone = await ctl.consumer.delete(f"/v1/keys/key_{customer.key}", headers=manager)
    again = await ctl.consumer.delete(f"/v1/keys/key_{customer.key}", headers=manager)

    assert (gone.json()["status"], gone.json()["applied"]) == ("revoked", True)
    assert again.json() == gone.json()
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 401
    assert (await ctl.consumer.get("/v1/account", headers=customer.headers)).status_code == 401


async def test_a_rotated_key_works_for_the_overlap(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    manager = await ctl.managing(customer)
    path = f"/v1/keys/key_{customer.key}/rotate"

    made = (await ctl.consumer.post(path, json={"overlap_s": 60}, headers=manager)).json()

    assert made["replaces"] == f"key_{customer.key}"
    for headers in (customer.headers, {"x-api-key": made["key"]}):
        assert (await ctl.gateway.get("/v1/products/B1", headers=headers)).status_code == 200
    await ctl.consumer.post(path, json={"overlap_s": 0}, headers=manager)
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 401


async def test_another_accounts_keys_do_not_exist(ctl: Control) -> None:
    owner, other = await ctl.gateway.customer(credits=10), await ctl.gateway.customer()
    manager = await ctl.managing(other)

    gone = await ctl.consumer.delete(f"/v1/keys/key_{owner.key}", headers=manager)
    rotated = await ctl.consumer.post(f"/v1/keys/key_{owner.key}/rotate", json={}, headers=manager)
    nonsense = await ctl.consumer.delete("/v1/keys/seven", headers=manager)

    assert {gone.status_code, rotated.status_code, nonsense.status_code} == {404}
    assert (await ctl.gateway.get("/v1/products/B1", owner)).status_code == 200


@pytest.mark.parametrize(
    "draft",
    [
        {"scopes": []},
        {"scopes": ["rule"]},
        {"expires_at": "2000-01-01T00:00:00Z"},
        {"expires_at": "2050-01-01T00:00:00"},
        {"name": "x" * 201},
        {"name": "a\u0000b"},
        {"colour": "red"},
    ],
)
async def test_a_bad_key_draft_is_refused_by_field(ctl: Control, draft) -> None:
    manager = await ctl.managing(await ctl.gateway.customer())

    refused = await ctl.consumer.post("/v1/keys", json=draft, headers=manager)

    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert error["field"].partition(".")[0] in draft


async def test_a_frozen_account_may_look_but_not_call(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    await ctl.admin.post(f"/accounts/acc_{customer.account}/freeze", json={"reason": "a dispute"})

    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 403
    assert (await ctl.consumer.get("/v1/account", headers=customer.headers)).status_code == 200


async def test_a_sign_in_link_opens_the_page_once(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    await ctl.called(customer)
    link = (await ctl.admin.post(f"/accounts/acc_{customer.account}/sign-in")).json()["url"]

    entered = await ctl.consumer.get(link)
    page = await ctl.consumer.get("/")
    again = await ctl.consumer.get(link)

    assert (entered.status_code, entered.headers["location"]) == (303, f"{PREFIX}/")
    cookie = entered.headers["set-cookie"].lower()
    assert cookie.startswith("farebox_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert f"path={PREFIX}" in cookie
    assert page.status_code == 200
    assert ">98<" in page.text
    assert "product" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert again.status_code == 403


async def test_the_same_link_used_twice_at_once_opens_one_session(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    link = (await ctl.admin.post(f"/accounts/acc_{customer.account}/sign-in")).json()["url"]

    answers = await asyncio.gather(*(ctl.consumer.get(link) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [303] + [403] * 7


async def test_signing_out_ends_the_session(ctl: Control) -> None:
    customer = await ctl.gateway.customer()
    link = (await ctl.admin.post(f"/accounts/acc_{customer.account}/sign-in")).json()["url"]
    session = (await ctl.consumer.get(link)).cookies["farebox_session"]

    page = await ctl.consumer.get("/", headers={"cookie": f"farebox_session={session}"})
    (token, *_) = re.findall(r'name="form_token" value="(\w+)"', page.text)
    await ctl.consumer.post("/sign-out", data={"form_token": token})

    kept = {"cookie": f"farebox_session={session}"}
    assert (await ctl.consumer.get("/", headers=kept)).status_code == 401


async def test_the_page_says_in_words_why_a_call_was_not_charged(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    await ctl.called(customer)
    await ctl.called(customer, "/v1/made")
    link = (await ctl.admin.post(f"/accounts/acc_{customer.account}/sign-in")).json()["url"]

    await ctl.consumer.get(link)
    page = (await ctl.consumer.get("/")).text

    assert ">charged</span>" in page
    assert ">not charged</span>" in page
    assert ">the upstream&#39;s status is not one that is charged (200)</span>" in page


async def test_a_page_shows_names_as_text(ctl: Control) -> None:
    made = await ctl.admin.put("/accounts/mallory", json={"name": "<script>alert(1)</script>"})
    link = (await ctl.admin.post(f"/accounts/{made.json()['id']}/sign-in")).json()["url"]
    await ctl.consumer.get(link)

    page = (await ctl.consumer.get("/")).text

    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_a_key_gets_caps_keeps_them_when_rotated_and_tells_what_was_spent(
    ctl: Control,
) -> None:
    customer = await ctl.gateway.customer(credits=50)
    manager = await ctl.managing(customer)
    caps = [{"credit_type": "credits", "per": "day", "amount": 5}]
    made = await ctl.consumer.post("/v1/keys", json={"caps": caps}, headers=manager)
    capped = {"x-api-key": made.json()["key"]}
    path = f"/v1/keys/{made.json()['id']}"

    answers = [await ctl.gateway.get("/v1/products/B1", headers=capped) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["type"] == "/farebox/problems/key-cap"
    await ctl.gateway.settled()
    rows = (await ctl.consumer.get("/v1/keys", headers=manager)).json()["items"]
    [shown] = next(row["caps"] for row in rows if row["id"] == made.json()["id"])
    assert (shown["per"], shown["amount"], shown["spent"]) == ("day", 5, 4)
    assert shown["display"] == {"amount": "5", "spent": "4"}

    rotated = await ctl.consumer.post(f"{path}/rotate", json={"overlap_s": 60}, headers=manager)
    assert [cap["amount"] for cap in rotated.json()["caps"]] == [5]
    lifted = await ctl.consumer.put(f"{path}/caps", json={"caps": []}, headers=manager)
    assert (lifted.json()["caps"], lifted.json()["applied"]) == ([], True)
    assert (await ctl.gateway.get("/v1/products/B1", headers=capped)).status_code == 200


async def test_caps_that_cannot_be_are_refused_and_so_are_those_of_others(ctl: Control) -> None:
    customer, other = await ctl.gateway.customer(), await ctl.gateway.customer()
    manager = await ctl.managing(customer)
    path = f"/v1/keys/key_{customer.key}/caps"
    good = {"credit_type": "credits", "per": "day", "amount": 5}
    wrong = [good | {"per": "week"}, good | {"amount": -1}, good | {"credit_type": "gold"}]

    answers = [await ctl.consumer.put(path, json={"caps": [cap]}, headers=manager) for cap in wrong]
    answers.append(await ctl.consumer.put(path, json={"caps": [good, good]}, headers=manager))
    foreign = f"/v1/keys/key_{other.key}/caps"
    theirs = await ctl.consumer.put(foreign, json={"caps": [good]}, headers=manager)

    assert [answer.status_code for answer in answers] == [422] * 4
    assert theirs.status_code == 404
    refused = await ctl.consumer.put(path, json={"caps": [good]}, headers=customer.headers)
    assert refused.status_code == 403


async def test_a_key_is_renamed_by_its_owner_only(ctl: Control) -> None:
    customer, other = await ctl.gateway.customer(), await ctl.gateway.customer()
    manager, stranger = await ctl.managing(customer), await ctl.managing(other)
    path, body = f"/v1/keys/key_{customer.key}/name", {"name": "laptop"}

    renamed = await ctl.consumer.put(path, json=body, headers=manager)
    refused = await ctl.consumer.put(path, json={"name": "theirs"}, headers=stranger)
    long = await ctl.consumer.put(path, json={"name": "n" * 201}, headers=manager)
    by_admin = await ctl.admin.put(f"/keys/key_{customer.key}/name", json={"name": "desk"})

    assert (renamed.status_code, renamed.json()["name"]) == (200, "laptop")
    assert (refused.status_code, long.status_code) == (404, 422)
    assert by_admin.json()["name"] == "desk"
    rows = (await ctl.admin.get("/audit", params={"target": f"key_{customer.key}"})).json()
    renames = [row for row in rows["items"] if row["action"] == "key.rename"]
    assert [(row["detail"]["before"], row["detail"]["name"]) for row in renames] == [
        ("laptop", "desk"), ("", "laptop")
    ]  # fmt: skip
