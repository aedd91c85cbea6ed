"""One path is one resource for us and for the backend: what two could read differently is refused."""

import pytest

from tests.attacks.rig import Target

pytestmark = pytest.mark.anyio

AMBIGUOUS = {
    "two slashes before another host": b"//evil.example/x",
    "an escaped backslash": b"/%5cevil",
    "a backslash": b"/\\evil",
    "dots between": b"/cheap/../costly",
    "one dot": b"/cheap/./x",
    "escaped dots": b"/cheap/%2e%2e/costly",
    "a dot and an escaped one": b"/files/.%2e/costly",
    "escaped dots and slash": b"/files/%2e%2e%2fcostly",
    "dots behind an escaped slash": b"/files/a%2f..%2f..%2fcostly",
    "dots with a parameter": b"/files/..;/costly",
    "overlong UTF-8": b"/files/%c0%ae%c0%ae/costly",
    "invalid UTF-8": b"/files/%ff",
    "an escaped NUL": b"/costly%00",
    "an escaped line feed": b"/costly%0a",
    "a broken escape": b"/%zz",
    "a cut escape": b"/costly%4",
    "an empty segment first": b"//costly",
    "an empty segment last": b"/costly//",
    "an empty segment between": b"/files//secret",
    "an escaped slash in a segment": b"/items/a%2Fb",
    "the admin's path behind dots": b"/files/..;/admin/v1/accounts",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_path_is_refused(target: Target, name: str) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(AMBIGUOUS[name]))
        # The framing's own word for a raw byte that no target has is bad-request.
        await target.refused(reply, 400, closed=None)


UNKNOWN = {
    "a slash behind": b"/costly/",
    "upper case": b"/COSTLY",
    "mixed case": b"/CoStLy",
    "a parameter behind": b"/costly;x=1",
    "a dot behind": b"/costly.",
    "a space behind": b"/costly%20",
    "an escaped slash for a slash": b"/files%2fsecret",
    "no path": b"/",
    "the admin listener's path": b"/admin/v1/accounts",
    "our own prefix, spelt otherwise": b"/%66arebox/v1/account",
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_a_path_that_only_resembles_a_route_is_404_and_the_connection_goes_on(
    target: Target, name: str
) -> None:
    async with target.unharmed():
        await target.refused(
            await target.say(target.request(UNKNOWN[name])), 404, "no-route", closed=False
        )


@pytest.mark.parametrize(
    "path", [b"/files/SECRET", b"/files/secret/", b"/files/secret;v=1", b"/files/secret."]
)
async def test_a_pattern_is_no_way_to_a_dearer_route(target: Target, path: bytes) -> None:
    """Many backends would serve /files/secret for these, which costs more than /files/*."""
    async with target.unharmed():
        await target.refused(await target.say(target.request(path)), 400, "bad-path", closed=False)


SPELLINGS = {
    "an escaped letter": (b"/c%6fstly", "/costly", 50),
    "all escaped": (b"/%63%6f%73%74%6c%79", "/costly", 50),
    "a literal before a star": (b"/files/secret", "/files/secret", 40),
    "an escaped letter of the literal": (b"/files/s%65cret", "/files/secret", 40),
    "an escaped tilde": (b"/files/%7euser", "/files/~user", 5),
    "a star over several segments": (b"/files/secret/more", "/files/secret/more", 5),
    "an escaped slash where the route takes it": (b"/blobs/a%2fb", "/blobs/a%2Fb", 4),
    "escapes in lower case": (b"/items/%c3%a9", "/items/%C3%A9", 3),
    "quotes as browsers send them": (b'/items/"a"', "/items/%22a%22", 3),
}


@pytest.mark.parametrize("name", SPELLINGS)
async def test_a_path_is_priced_and_forwarded_in_one_spelling(target: Target, name: str) -> None:
    path, canonical, price = SPELLINGS[name]
    async with target.charged(price) as seen:
        reply = await target.say(target.request(path + b"?a=%2e%2e&b=//"))
        assert (reply.status, reply.value("farebox-cost")) == (200, str(price))
    assert seen[0].target == f"{canonical}?a=%2e%2e&b=//"
    assert seen[0].values("host") == [target.echo.host]


async def test_a_path_is_never_another_host(target: Target) -> None:
    """Host and X-Forwarded-Host of the client do not choose where a request goes."""
    async with target.charged(50) as seen:
        request = target.request(b"/costly", b"x-forwarded-host: evil.example")
        assert (await target.say(request.replace(b"api.example", b"evil.example"))).status == 200
    assert seen[0].values("host") == [target.echo.host]
    assert seen[0].values("x-forwarded-host") == ["evil.example"]  # as Host said, for links


async def test_head_costs_what_get_costs(target: Target) -> None:
    async with target.charged(50) as seen:
        reply = await target.say(target.request(b"/costly", method=b"HEAD"))
        assert (reply.status, reply.value("farebox-cost"), reply.kept) == (200, "50", True)
    assert seen[0].method == "HEAD"


async def test_another_method_of_a_priced_path_is_405(target: Target) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(b"/files/secret", method=b"PUT"))
        await target.refused(reply, 405, "method-not-allowed", closed=False)
        assert reply.value("allow") == "GET, HEAD"
