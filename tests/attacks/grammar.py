"""Requests for the fuzzer: valid ones of every route, and what a malicious client makes of them."""

from dataclasses import dataclass

from hypothesis import strategies as st

KEY = b"<key>"  # stands for the customer's; the test puts it in
CRLF = b"\r\n"


@dataclass(frozen=True)
class Piece:
    """The parts of one request, before they are put together."""

    method: bytes
    path: bytes
    query: bytes
    lines: tuple[bytes, ...]
    body: bytes


def pieces(method: str, path: str, *lines: str, query: str = "", body: str = "") -> Piece:
    return Piece(
        method.encode(), path.encode(), query.encode(), tuple(map(str.encode, lines)), body.encode()
    )


JSON = "content-type: application/json"
VALID = st.sampled_from(
    [
        pieces("GET", "/cheap"),
        pieces("POST", "/cheap", body="abc"),
        pieces("GET", "/costly"),
        pieces("HEAD", "/costly"),
        pieces("POST", "/costly", body="a body"),
        pieces("GET", "/items/7", query="a=1"),
        pieces("GET", "/files/a/b.txt"),
        pieces("PUT", "/files/new", body="x" * 40),
        pieces("GET", "/files/secret"),
        pieces("GET", "/blobs/a%2Fb"),
        pieces("POST", "/deleted", body="x"),
        pieces("DELETE", "/deleted"),
        pieces("GET", "/models", query="n=7"),
        pieces("GET", "/models", query="a=b&n=12&c"),
        pieces("GET", "/pages", "x-pages: 9"),
        pieces("POST", "/search", JSON, body='{"limit": 13, "q": "x"}'),
        pieces("POST", "/upload", body="0123456789"),
        pieces("GET", "/chat"),
        pieces("GET", "/free"),
    ]
)

METHODS = st.sampled_from(
    [b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE", b"get", b"BREW"]
)
BITS = st.sampled_from(
    [
        b"..",
        b".",
        b"%2e%2e",
        b".%2E",
        b"%252e%252e",
        b"..;",
        b";x=1",
        b"%3b",
        b"%00",
        b"%zz",
        *(
            b"/",
            b"//",
            b"%2f",
            b"%2F",
            b"\\",
            b"%5c",
            b"%c0%ae",
            b"%ff",
            b"%20",
            b"+",
            b"~",
            b"%7e",
        ),
        b"cheap",
        b"costly",
        b"secret",
        b"files",
        b"COSTLY",
        b"Secret",
        b"c%6fstly",
        b"deleted",
        *(
            b"\xc3\xa9",
            b"%C3%A9",
            b"@",
            b":",
            b"http://evil.example",
            b"#",
            b" ",
            b"a",
            b"*",
            b"%41",
        ),
    ]
)
KNOWN = st.sampled_from(
    [b"/cheap", b"/costly", b"/files/secret", b"/files/a", b"/items/7", b"/blobs/b", b"/search"]
)
UP = [b"..", b"%2e%2e", b".%2E", b"%2E.", b"..;", b"..;x", b"..%2f..", b".", b"a/..", b"..\\.."]
DEAR = st.sampled_from([b"costly", b"files/secret", b"secret", b"c%6fstly", b"/costly"])
ALIKE = st.builds(
    lambda path, change: change(path),
    st.sampled_from([b"secret", b"costly", b"files/secret"]),
    st.sampled_from(
        [
            bytes.upper,
            bytes.title,
            lambda path: path + b"/",
            lambda path: path + b";v=1",
            lambda path: path + b"%3Bv",
            lambda path: path + b".",
            lambda path: path + b"%20",
            lambda path: path.replace(b"/", b"//"),
            lambda path: path.replace(b"/", b"/;a/"),
            lambda path: b"./" + path,
        ]
    ),
)
PARAMETERS = st.sampled_from(
    [
        b"n=1",
        b"n=50",
        b"N=50",
        b"n[]=3",
        b"n%00=1",
        b"%6e=9",
        b"n",
        b"n=",
        b"n=1;n=2",
        b"a=b",
        *(b"_method=DELETE", b"%5Fmethod=PUT", b"x=//../..", b"=", b"n=-1", b"n=1e3", b"n=%31"),
        b"n=" + b"9" * 30,
        b"%zz=1",
        b"a=%",
        b" n=1",
        b"n.=1",
        b"n=01",
    ]
)
LINES = st.sampled_from(
    [
        b"content-length: 3",
        b"Content-Length: 0",
        b"content-length: 3, 3",
        b"content-length: +3",
        *(b"transfer-encoding: chunked", b"Transfer-Encoding: chunked, identity"),
        b"transfer-encoding:\tchunked",
        b"transfer-encoding : chunked",
        b"te: trailers",
        *(b"host: evil.example", b"host: a@b", b"Connection: close", b"connection: upgrade"),
        b"connection: farebox-account, host, content-length, x-pages, authorization",
        *(b"upgrade: websocket", b"upgrade: h2c", b"expect: 100-continue", b"expect: x"),
        b"x-http-method-override: DELETE",
        b"X_HTTP_Method_Override: DELETE",
        *(b"x-original-url: /costly", b"x-rewrite-url: /costly", b"x-forwarded-prefix: /costly"),
        b"x-forwarded-for: 1.2.3.4",
        b"forwarded: for=1.2.3.4",
        b"x-forwarded-host: evil",
        *(b"farebox-account: acc_1", b"Farebox_Account: acc_1", b"farebox-request-id: 1"),
        b"authorization: Bearer theirs",
        b"cookie: farebox_session=x; a=b",
        b"x-pages: 50",
        *(b"X-Pages: 1", b"x_pages: 3", b"x-pages: 1, 2", b"content-type: text/plain"),
        b"content-type: application/json",
        b"content-encoding: gzip",
        b"trailer: x-pages",
        *(b"x-api-key: fbx_wrong", b"x: \xff", b"x:", b" folded", b"x: a\0b", b"x: " + b"y" * 300),
        b"origin: https://a.example",
        b"access-control-request-method: POST",
        b"range: bytes=0-1",
    ]
)
BODIES = st.sampled_from(
    [
        b'{"limit": 1, "limit": 50}',
        b'{"limit": 50.0}',
        b'{"limit": 9, "x": "\xff"}',
        b'{"LIMIT": 50, "limit": 2}',
        b'{"limit": 3}{"limit": 50}',
        b"limit=50",
        b"",
        b"0\r\n\r\n",
        b"GET /costly HTTP/1.1\r\nhost: a\r\nx-api-key: " + KEY + b"\r\n\r\n",
        b"0\r\n\r\nGET /costly HTTP/1.1\r\nhost: a\r\nx-api-key: " + KEY + b"\r\n\r\n",
        b"\r\n\r\n",
    ]
)
FRAMINGS = st.sampled_from(
    ["length"] * 6
    + ["chunks"] * 4
    + ["short", "long", "both", "chunks and length", "none", "twice", "bad chunks", "trailers"]
)


def chunked(body: bytes, size: int = 7) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def framed(body: bytes, how: str) -> tuple[list[bytes], bytes]:
    """The header lines that say where a body ends, rightly or not, and its bytes."""
    right, coded = b"content-length: %d" % len(body), b"transfer-encoding: chunked"
    match how:
        case "none":
            return [], body
        case "length":
            return ([right], body) if body else ([], b"")
        case "chunks":
            return [coded], chunked(body)
        case "short":
            return [b"content-length: %d" % max(0, len(body) - 2)], body
        case "long":
            return [b"content-length: %d" % (len(body) + 5)], body
        case "both":
            return [right, coded], chunked(body)
        case "chunks and length":
            return [coded, right], body
        case "twice":
            return [right, b"Content-Length: %d" % (len(body) + 1)], body
        case "bad chunks":
            return [coded], chunked(body).replace(b"\r\n", b"\n", 1)
        case _:
            ends = b"0\r\nx-pages: 50\r\ncontent-length: 9\r\nauthorization: x\r\n\r\n"
            return [coded], chunked(body).removesuffix(b"0\r\n\r\n") + ends


@st.composite
def paths(draw: st.DrawFn) -> bytes:
    """A path of a route with something done to it, or one made of bits."""
    kind = draw(st.integers(0, 7))
    if kind == 0:
        # Out of a cheap pattern and into a dear route, for whoever resolves it.
        up = draw(st.sampled_from(UP))
        below = draw(st.sampled_from([b"/files/", b"/files/a/", b"/items/", b"/blobs/"]))
        return below + (up + b"/") * draw(st.integers(1, 2)) + draw(DEAR)
    if kind == 1:
        return b"/" + draw(st.sampled_from([b"", b"files/", b"items/"])) + draw(ALIKE)
    if kind == 2:
        return b"/" + b"/".join(draw(st.lists(BITS, max_size=4)))
    path = draw(KNOWN)
    at = draw(st.integers(1, len(path)))
    match draw(st.integers(0, 4)):
        case 0:
            return path[:at] + draw(BITS) + path[at:]
        case 1:
            byte = path[at : at + 1]
            return path[:at] + (b"%%%02x" % byte[0] if byte else b"/") + path[at + 1 :]
        case 2:
            return path[:at] + path[at : at + 1].upper() + path[at + 1 :]
        case 3:
            return path + b"/" + draw(BITS)
        case _:
            return draw(BITS) + path


TWICE = {
    "query": [
        b"n=50",
        b"n[]=50",
        b"N=50",
        b"n%00=50",
        b"%6e=50",
        b"a;n=50",
        b"+n=50",
        b"n",
        b"m=50",
    ],
    "header": [b"x-pages: 50", b"X-Pages: 50", b"x_pages: 50", b"x-page: 50", b"x-pages:"],
    "body": [
        b'"limit": 50',
        b'"lim\\u0069t": 50',
        b'"Limit": 50',
        b'"limit ": 50',
        b'"x": {"limit": 50}',
    ],
}
"""What may be put beside a value that a price depends on: the same in another spelling, or not."""


@st.composite
def priced_twice(draw: st.DrawFn) -> Piece:
    """A request whose price depends on a value, with something like it before or behind."""
    kind = draw(st.sampled_from(sorted(TWICE)))
    other, first = draw(st.sampled_from(TWICE[kind])), draw(st.booleans())
    match kind:
        case "query":
            both = [other, b"n=2"] if first else [b"n=2", other]
            return Piece(b"GET", b"/models", b"&".join(both), (), b"")
        case "header":
            lines = (other, b"x-pages: 2") if first else (b"x-pages: 2", other)
            return Piece(b"GET", b"/pages", b"", lines, b"")
        case _:
            members = [other, b'"limit": 2'] if first else [b'"limit": 2', other]
            body = b"{" + b", ".join(members) + b"}"
            return Piece(b"POST", b"/search", b"", (JSON.encode(),), body)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request: mostly a valid one with one or two things wrong."""
    valid = draw(st.one_of(VALID, VALID, VALID, priced_twice()))
    method, path, query, body = valid.method, valid.path, valid.query, valid.body
    lines = list(valid.lines)
    wrong = draw(st.sets(st.integers(0, 7), max_size=2))
    if 0 in wrong:
        method = draw(METHODS)
    if 1 in wrong or 7 in wrong:
        path = draw(paths())
    if 2 in wrong:
        query = draw(st.sampled_from([b"&", b"&&", b";"])).join(
            draw(st.lists(PARAMETERS, min_size=1, max_size=3))
        )
    if 3 in wrong:
        lines += draw(st.lists(LINES, min_size=1, max_size=3))
    if 4 in wrong:
        body = draw(BODIES)
    how = draw(FRAMINGS) if 5 in wrong else "length"
    ends, content = framed(body, how)
    key = draw(st.sampled_from([b"x-api-key: " + KEY] * 19 + [b""]))
    first = method + b" " + path + (b"?" + query if query else b"") + b" HTTP/1.1"
    head = CRLF.join([first, b"host: api.example", *filter(None, [key]), *lines, *ends])
    whole = head + CRLF + CRLF + content
    return draw(mutated(whole)) if 6 in wrong else whole


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """The same with some bytes gone, doubled or put in."""
    at = draw(st.integers(0, len(whole)))
    match draw(st.integers(0, 3)):
        case 0:
            return whole[:at] + whole[at + 1 :]
        case 1:
            return whole[:at] + whole[at : at + 8] + whole[at:]
        case 2:
            bits = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\xff", b":", b"\r\n ", b"\x0b"]
            return whole[:at] + draw(st.sampled_from(bits)) + whole[at:]
        case _:
            return whole[:at].replace(b"\r\n", b"\n") + whole[at:]


STREAMS = st.lists(requests(), min_size=1, max_size=4).map(tuple)
"""What one connection sends: one request after the other, without waiting for answers."""
