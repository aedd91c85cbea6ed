"""gateway/pages_host.py: pages on a host of their own, where nothing of the backend is."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.pages_host import PagesHost, pages_base, same_host
from tests.charging import Stores
from tests.control import Control, control

pytestmark = pytest.mark.anyio

HOST = "credits.example"
HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
async def ctl(shared_stores: Stores) -> AsyncIterator[Control]:
    async with control(shared_stores, pages_host=HOST, public_url="http://api.example") as running:
        yield running


async def asked(
    ctl: Control, path: str, host: str, method: str = "GET", **more: object
) -> httpx.Response:
    headers = {**HTML, "host": host, **more.pop("headers", {})}  # type: ignore[dict-item]
    return await ctl.gateway.http.request(
        method,
        f"{ctl.gateway.url}{path}",
        headers=headers,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:80", f"{HOST}.", f"{HOST}.:443"])
async def test_nothing_of_the_backend_is_on_the_pages_host(ctl: Control, host: str) -> None:
    customer = await ctl.gateway.customer(credits=10)
    served = len(ctl.gateway.backend.served)
    for path in ("/v1/products/B1", "/free", "/seen", "/fareboxed", "/farebo"):
        answer = await asked(ctl, path, host, headers=customer.headers)
        assert answer.status_code == 404
        assert answer.json()["charged"] == 0
    assert len(ctl.gateway.backend.served) == served
    home = await asked(ctl, "/", host)
    assert (home.status_code, home.headers["location"]) == (303, "/farebox/")
    assert (await asked(ctl, "/farebox/sign-in", host)).status_code == 200


async def test_the_api_is_on_its_own_host_as_ever(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    called = await asked(ctl, "/v1/products/B1", "api.example", headers=customer.headers)
    assert called.status_code == 200
    shown = await asked(ctl, "/farebox/v1/account", "api.example", headers=customer.headers)
    assert shown.status_code == 200


async def test_elsewhere_the_pages_lead_to_their_host_and_take_no_forms(ctl: Control) -> None:
    page = await asked(ctl, "/farebox/charges?state=open", "api.example")
    assert page.status_code == 307
    assert page.headers["location"] == f"http://{HOST}/farebox/charges?state=open"
    manager = await ctl.managing(await ctl.gateway.customer())
    form = {"key": manager["x-api-key"]}
    refused = await asked(ctl, "/farebox/sign-in", "api.example", "POST", data=form)
    assert refused.status_code == 404
    assert "set-cookie" not in refused.headers


async def test_on_a_host_of_their_own_pages_ask_for_no_key_again(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    manager = await ctl.managing(customer)
    form = {"key": manager["x-api-key"]}
    entered = await asked(ctl, "/farebox/sign-in", HOST, "POST", data=form)
    cookie = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
    page = await asked(ctl, "/farebox/keys", HOST, headers=cookie)
    assert "key_again" not in page.text
    token = page.text.partition('name="form_token" value="')[2].partition('"')[0]
    fields = {"form_token": token, "scopes": "call"}
    made = await asked(ctl, "/farebox/keys", HOST, "POST", data=fields, headers=cookie)
    assert made.status_code == 201


async def test_examples_name_the_apis_host_and_not_the_pages(ctl: Control) -> None:
    manager = await ctl.managing(await ctl.gateway.customer())
    form = {"key": manager["x-api-key"]}
    entered = await asked(ctl, "/farebox/sign-in", HOST, "POST", data=form)
    cookie = {"cookie": entered.headers["set-cookie"].partition(";")[0]}
    page = await asked(ctl, "/farebox/examples", HOST, headers=cookie)
    assert 'curl -i "http://api.example/v1/products/ASIN"' in page.text


def test_hosts_are_compared_in_one_spelling() -> None:
    assert same_host("A.Example:443") == same_host("a.example.") == "a.example"
    assert same_host("a.example:8080") == "a.example:8080"
    headers = [(b"accept", b"*/*"), (b"host", b"A.example")]
    assert PagesHost("a.example", lambda: "/farebox").is_asked(headers)
    assert not PagesHost("a.example", lambda: "/farebox").is_asked([])


def test_links_name_the_pages_host_with_the_scheme_of_the_public_address() -> None:
    assert pages_base("https://api.example/", "credits.example") == "https://credits.example"
    assert pages_base("http://127.0.0.1:8000", "127.0.0.1:9") == "http://127.0.0.1:9"
    assert pages_base("https://api.example/", None) == "https://api.example"
