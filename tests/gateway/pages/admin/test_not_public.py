"""The admin's pages cannot be had at the public listener, however their address is spelt."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.gateway.pages.admin.looking import Looking
from tests.selling import Market

pytestmark = pytest.mark.anyio

MARKS = (b"Farebox admin", b"Admin token", b"/admin/static/")
LIMIT_S = 10.0


async def raw(url: str, request: bytes) -> bytes:
    """Send bytes as they are; return the whole answer."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request)
        async with asyncio.timeout(LIMIT_S):
            return await reader.read()
    finally:
        writer.close()


TARGETS = (
    "/admin", "/admin/", "//admin/", "///admin///", "/%61dmin/", "/%2561dmin/", "/Admin/", "/ADMIN/",
    "/./admin/", "/farebox/../admin/", "/farebox/%2e%2e/admin/", "/farebox/..%2fadmin/",
    "/farebox//admin/", "/farebox/admin/", "/farebox/admin/sign-in", "/admin;x=1/", "/admin%00/",
    "/admin%2f", "/admin/?x=1", "/admin/sign-in", "/admin/v1/accounts", "\\admin\\", "/\\admin/",
    "/farebox/static/../../admin/", "http://127.0.0.1:8001/admin/", "http://admin/admin/", "*",
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("host", ["", "127.0.0.1:8001", "admin", "localhost"])
async def test_no_spelling_leads_there(
    market: Market, root: Looking, admin_url: str, target: str, host: str
) -> None:
    public = market.control.gateway.url
    session = root.http.cookies["farebox_admin"]
    said = host or urlsplit(public).netloc
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {said}\r\nCookie: farebox_admin={session}\r\n"
        f"X-Forwarded-Host: {urlsplit(admin_url).netloc}\r\nX-Original-URL: /admin/\r\n"
        "X-Rewrite-URL: /admin/\r\nConnection: close\r\n\r\n"
    )

    answer = await raw(public, request.encode())

    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    status = int(answer.split(b" ", 2)[1])
    assert status >= 400, answer[:200]
    assert not any(mark in answer for mark in MARKS)
    # The same session does open them where they are.
    assert (await root.get("/")).status_code == 200


async def test_a_route_for_everything_leads_to_the_backend_without_the_session(
    market: Market, root: Looking
) -> None:
    """With a route `/*` the backend has such paths; it never sees an admin's cookie."""
    gateway = market.control.gateway
    customer = await gateway.customer(credits=10)
    answer = await gateway.get(
        "/v1/products/B1",
        customer,
        headers={"cookie": f"farebox_admin={root.http.cookies['farebox_admin']}; theirs=1"},
    )

    assert answer.json() == {"served": True}
