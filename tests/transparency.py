"""
What a client sees of httpbin through Farebox, against what it sees of it directly.

    python -m tests.transparency DIRECT_URL THROUGH_URL KEY

prints one line per difference and a count; the exit code is 1 if there is one.
Requests are written and answers read on plain sockets with http.client, which neither
follows redirects, nor decompresses, nor tidies paths: what differs, differs on the wire.
"""

import dataclasses
import http.client
import json
import re
import sys
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import brotlicffi

LIMIT_S = 30
"""A request that takes longer has failed; httpbin's own delays are 1 s here."""

IGNORED_HEADERS = frozenset({"date", "server", "via", "connection", "keep-alive"})
"""Answer headers that a proxy may change; `farebox-*` comes on top."""

RANDOM_HEADERS = frozenset({"www-authenticate", "etag", "last-modified"})
"""Answer headers that differ from one answer to the next on routes of random content."""

ECHOED_KEYS = frozenset({"origin", "url"})
ECHOED_HEADERS = re.compile(
    r"(?i)host|x-forwarded-.*|farebox-.*|x-api-key|forwarded|via|connection"
)
"""What httpbin echoes of a request and a proxy must change."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

JSON_BODY = json.dumps({"name": "Grüße", "n": [1, 2.5, None]}).encode()


HOSTS = re.compile(r"127\.0\.0\.1:\d+")
"""The backend gets its own Host, and builds absolute addresses from that."""

ECHOING = re.compile(
    "/(get|anything|headers|ip|gzip|deflate|brotli|cache|stream|user-agent|etag|response-headers|delay)"
)
"""Routes whose answer to HEAD tells the length of an echo that is not sent."""

DECODERS = {
    "gzip": lambda data: zlib.decompress(data, 31),
    "deflate": zlib.decompress,
    "br": brotlicffi.decompress,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    shape_only: bool = False
    """The body is random: only its length is compared."""

    @property
    def echoes(self) -> bool:
        """Whether the answer repeats what httpbin saw of the request."""
        return ECHOING.match(self.target) is not None

    def __str__(self) -> str:
        return f"{self.method} {self.target} {dict(self.headers) or ''}".strip()


@dataclasses.dataclass(frozen=True)
class Seen:
    """One answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def cases() -> Iterator[Case]:
    """Every route of httpbin, each method it may be asked with, and the special requests."""
    for method in METHODS:
        yield from _method_cases(method)
    yield from _read_cases()
    yield from _body_cases()
    yield from _special_cases()


def _method_cases(method: str) -> Iterator[Case]:
    for path in ("/get", "/post", "/put", "/patch", "/delete", "/anything", "/anything/a/b%20c"):
        yield Case(method, path)
    for status in (200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308):
        yield Case(method, f"/status/{status}")
    for status in (400, 401, 402, 403, 404, 405, 406, 409, 410, 418, 429, 500, 502, 503, 504):
        yield Case(method, f"/status/{status}")
    yield Case(method, "/redirect-to?url=%2Fget&status_code=307")
    yield Case(method, "/delay/1") if method == "GET" else Case(method, "/delay/0")
    yield Case(method, "/no/such/route")


def _read_cases() -> Iterator[Case]:
    for path in (
        *("/", "/ip", "/user-agent", "/headers", "/html", "/xml", "/json", "/robots.txt", "/deny"),
        *("/gzip", "/deflate", "/brotli", "/encoding/utf8", "/forms/post", "/links/5/0"),
        *("/redirect/3", "/relative-redirect/2", "/absolute-redirect/2", "/redirect/1"),
        *("/cookies", "/cookies/set?a=1&b=2", "/cookies/set/c/3", "/cookies/delete?a="),
        *("/cache/60", "/etag/abc", "/image/png", "/image/jpeg", "/image/svg"),
        *("/image/webp", "/image", "/base64/RmFyZWJveA%3D%3D", "/stream/20", "/stream/1"),
        *("/response-headers?a=1&a=2&X-Free=yes", "/response-headers?Content-Type=text%2Fcsv"),
        *("/bytes/1024?seed=7", "/bytes/0", "/range/1024", "/range/26?chunk_size=3"),
        *("/stream-bytes/5000?seed=3&chunk_size=100", "/drip?duration=1&numbytes=5&delay=0"),
        *("/basic-auth/me/secret", "/hidden-basic-auth/me/secret", "/bearer"),
        *("/get?a=1&a=2&b=%C3%A9&c=+&d", "/get?", "/anything?x=%2F%3F%23", "/anything/%E2%82%AC"),
        *("/anything/a;b=c/@:!$&'()*+,=", "/anything/~tilde._-"),
    ):
        yield Case("GET", path)
        yield Case("HEAD", path)
        yield Case("OPTIONS", path)
    for path in ("/uuid", "/bytes/64", "/stream-bytes/64", "/cache"):
        yield Case("GET", path, shape_only=True)
        yield Case("HEAD", path, shape_only=True)
    for path in ("/digest-auth/auth/me/secret", "/digest-auth/auth/me/secret/MD5/never"):
        yield Case("HEAD", path, shape_only=True)


def _body_cases() -> Iterator[Case]:
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    as_json = (("Content-Type", "application/json"),)
    multipart = (("Content-Type", "multipart/form-data; boundary=xx"),)
    parts = (
        b'--xx\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\xff\r\n--xx--\r\n"
    )
    for method, path in (
        *(("POST", "/post"), ("PUT", "/put"), ("PATCH", "/patch"), ("DELETE", "/delete")),
        *(("POST", "/anything"), ("GET", "/anything"), ("POST", "/status/500")),
    ):
        yield Case(method, path, form, b"a=1&b=%C3%A9&a=2")
        yield Case(method, path, as_json, JSON_BODY)
        yield Case(method, path, multipart, parts)
        yield Case(method, path, (("Content-Type", "text/plain"),), b"x" * 70_000)
        yield Case(method, path, (), b"")
        yield Case(method, path, as_json, chunks=(JSON_BODY[:5], JSON_BODY[5:]))
        yield Case(method, path, (("Content-Type", "text/plain"),), chunks=(b"y" * 40_000,) * 3)


def _special_cases() -> Iterator[Case]:
    def get(path: str, *headers: tuple[str, str]) -> Case:
        return Case("GET", path, headers)

    for span in ("bytes=0-9", "bytes=10-", "bytes=-5", "bytes=5-2", "bytes=2000-", "bytes=0-0"):
        yield get("/range/1024", ("Range", span))
    yield get("/etag/abc", ("If-None-Match", "abc"))
    yield get("/etag/abc", ("If-None-Match", '"other", abc'))
    yield get("/etag/abc", ("If-Match", "nope"))
    yield get("/cache", ("If-None-Match", "x"))
    yield get("/cache", ("If-Modified-Since", "Sat, 01 Jan 2022 00:00:00 GMT"))
    yield get("/cookies", ("Cookie", "a=1; b=2"))
    yield get("/cookies", ("Cookie", "a=1"), ("Cookie", "b=2"))
    yield get("/basic-auth/me/secret", ("Authorization", "Basic bWU6c2VjcmV0"))
    yield get("/hidden-basic-auth/me/secret", ("Authorization", "Basic bWU6c2VjcmV0"))
    yield get("/bearer", ("Authorization", "Bearer not-one-of-ours"))
    for coding in ("gzip", "deflate", "br", "identity", "gzip;q=0.5, *;q=0"):
        yield get("/gzip", ("Accept-Encoding", coding))
        yield get("/headers", ("Accept-Encoding", coding))
    yield get("/image", ("Accept", "image/webp"))
    yield get("/image", ("Accept", "image/svg+xml"))
    yield get("/image", ("Accept", "text/none"))
    yield get("/headers", ("X-Odd", "a, b"), ("X-Odd", "c"), ("x-lower", "v"), ("User-Agent", "me"))
    yield get("/headers", ("X-Empty", ""), ("X-Long", "v" * 4000), ("Accept-Language", "de;q=0.8"))
    yield get("/get", ("Origin", "https://example.com"), ("Referer", "https://example.com/a"))
    yield Case(
        "OPTIONS",
        "/get",
        (("Origin", "https://example.com"), ("Access-Control-Request-Method", "GET")),
    )


def ask(base: str, case: Case, key: str | None) -> Seen:
    """Send one request on a connection of its own and read the whole answer."""
    address = urlsplit(base)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=LIMIT_S)
    try:
        connection.putrequest(case.method, case.target, skip_accept_encoding=True)
        for name, value in case.headers:
            connection.putheader(name, value)
        if key is not None:
            connection.putheader("X-Api-Key", key)
        if case.chunks:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(iter(case.chunks), encode_chunked=True)
        else:
            if case.body is not None:
                connection.putheader("Content-Length", str(len(case.body)))
            connection.endheaders(case.body)
        answer = connection.getresponse()
        return Seen(answer.status, tuple(answer.getheaders()), answer.read())
    finally:
        connection.close()


def differences(case: Case, direct: Seen, through: Seen) -> list[str]:
    """Say what a client can tell apart, beyond what a proxy must change."""
    found = []
    # Not the reason phrase: it means nothing (RFC 9112 4) and ASGI has no place for it.
    if direct.status != through.status:
        found.append(f"status {direct.status} became {through.status}")
    ours, theirs = (
        _headers(seen, head_of_echo=case.method == "HEAD" and case.echoes)
        for seen in (through, direct)
    )
    if case.shape_only:
        ours, theirs = (
            [(name, "" if name in RANDOM_HEADERS else value) for name, value in each]
            for each in (ours, theirs)
        )
        if "set-cookie" not in dict(ours) and "set-cookie" in dict(theirs):
            found.append("a cookie was lost")
        ours, theirs = ([h for h in each if h[0] != "set-cookie"] for each in (ours, theirs))
    if ours != theirs:
        found.append(f"headers {theirs} became {ours}")
    if case.shape_only:
        same = len(direct.body) == len(through.body) or case.echoes
    else:
        same = _body(direct) == _body(through)
    if not same:
        found.append(f"body {direct.body[:300]!r} became {through.body[:300]!r}")
    return found


def _headers(seen: Seen, *, head_of_echo: bool) -> list[tuple[str, str]]:
    """Return the answer's headers in order, without what may differ; echoed lengths fit the body."""
    kept = []
    for name, value in seen.headers:
        lower = name.lower()
        if lower in IGNORED_HEADERS or lower.startswith("farebox-"):
            continue
        if lower == "content-length" and head_of_echo:
            value = "of an echo"
        elif lower == "content-length" and _echo(seen) is not None:
            value = "of the echo" if int(value) == len(seen.body) else f"wrong: {value}"
        kept.append((lower, HOSTS.sub("HOST", value)))
    # Where the framing header stands among the others is each hop's own affair.
    return sorted(kept, key=lambda header: header[0] == "transfer-encoding")


def _body(seen: Seen) -> object:
    echo = _echo(seen)
    if echo is None:
        return HOSTS.sub("HOST", seen.body.decode("latin-1"))
    return echo


def _echo(seen: Seen) -> object | None:
    """Return httpbin's echo of the request without what a proxy must change, else None."""
    if not seen.body:
        return None
    coding = {name.lower(): value for name, value in seen.headers}.get("content-encoding", "")
    try:
        body = DECODERS.get(coding, bytes)(seen.body)
        lines = [json.loads(line) for line in body.splitlines()] if b'\n{"' in body else None
        echo = lines or json.loads(body)
    except ValueError:
        return None
    for each in echo if isinstance(echo, list) else [echo]:
        if not isinstance(each, dict):
            continue
        for name in ECHOED_KEYS & each.keys():
            each[name] = "..."
        if isinstance(each.get("headers"), dict):
            each["headers"] = {
                name: value
                for name, value in each["headers"].items()
                if not ECHOED_HEADERS.fullmatch(name)
            }
    return echo


def compare(direct: str, through: str, key: str) -> tuple[int, list[str]]:
    """Ask every case both ways; return how many were asked and each difference as a sentence."""
    asked, found = 0, []
    for case in cases():
        asked += 1
        seen = ask(direct, case, None), ask(through, case, key)
        found += [f"{case}: {each}" for each in differences(case, *seen)]
    return asked, found


def main() -> int:
    """Compare, print, and say by the exit code whether all was the same."""
    direct, through, key = sys.argv[1:]
    asked, found = compare(direct, through, key)
    for line in found:
        print(line)
    print(f"{asked} requests, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
