"""Priced bodies and queries, read where two parsers cannot disagree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Unpriceable
from tests.config.files import attempt, facts, json_facts, routes

BODY = routes("path: /p, price: { per: [{ body: /a/limit, cost: 1, default: 0 }] }").routes[0].price
QUERY = routes("path: /p, price: { per: [{ query: limit, cost: 1, default: 0 }] }").routes[0].price


def refused_body(body: bytes, *headers: tuple[bytes, bytes]) -> int:
    sent = list(headers) or [(b"content-type", b"application/json")]
    with pytest.raises(Unpriceable) as refused:
        BODY.before(facts(headers=sent, body=body, request_bytes=len(body)))
    return refused.value.status


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"limit":1,"limit":9}}', b'{"a":{"limit":1,"lim\\u0069t":9}}', b'{"a":{},"a":{"limit":9}}',
        b'{"x":1,"x":2}', b'{"a":{"limit":1,"LIMIT":9}}', b'{"A":{"limit":9}}', b'{"a":{"limit\\u0000":9}}',
        b'{"a":{"limit":"5"}}', b'{"a":{"limit":true}}', b'{"a":{"limit":null}}', b'{"a":{"limit":[5]}}',
        b'{"a":{"limit":-1}}', b'{"a":{"limit":1.5}}', b'{"a":{"limit":12.0}}', b'{"a":{"limit":1e3}}',
        b'{"a":{"limit":NaN}}', b'{"a":{"limit":Infinity}}', b'{"x":-Infinity}', b'{"a":{"limit":9007199254740992}}',
        b'{"a":{"limit":' + b"9" * 10_000 + b"}}", b'{"a":{"limit":5}', b'{"a":{"limit":05}}', b"{'a':1}", b" ",
        b'\xff{"a":1}', '{"a":{"limit":5}}'.encode("utf-16"), b'\xef\xbb\xbf{"a":{"limit":5}}',
        b"[" * 100_000, b'{"a":{"limit":5}} {}', b'{"a":{"limit":5},}', '{"a":{"lim\u0131t":9.5,"limit":"1"}}'.encode(),
    ],
)  # fmt: skip
def test_a_body_that_can_be_misread_is_refused_with_422(body: bytes) -> None:
    assert refused_body(body) == 422


@pytest.mark.parametrize(
    "content_type",
    [b"application/x-www-form-urlencoded", b"text/plain", b"application/jsonp", b"", b"application/json; charset=utf-16", b"application/ json"],
)  # fmt: skip
def test_a_priced_body_of_another_type_is_refused_with_415(content_type: bytes) -> None:
    assert refused_body(b"{}", (b"content-type", content_type)) == 415


def test_two_content_types_or_a_compressed_body_are_refused_with_415() -> None:
    plain = (b"content-type", b"application/json")
    assert refused_body(b"{}", plain, plain) == 415
    assert refused_body(b"{}", plain, (b"content-encoding", b"gzip")) == 415


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON; charset=UTF-8", b"application/vnd.api+json", b'application/json;charset="utf-8"'],
)  # fmt: skip
def test_every_json_type_is_priced(content_type: bytes) -> None:
    assert BODY.before(json_facts(b'{"a":{"limit":7}}', content_type)).ceiling == 7


def test_a_priced_body_above_its_limit_is_refused_with_413() -> None:
    assert refused_body(b'{"a":{"limit":1},"pad":"' + b"x" * 1024 * 1024 + b'"}') == 413


@pytest.mark.parametrize(
    "query",
    [
        b"limit=1&limit=2", b"limit[]=5", b"limit[0]=5", b"LIMIT=5", b"limit%00=5", b"limit=1&Limit=2",
        b"limit=1&lim%69t=2", b"+limit=5", b"limit+=5", b"a=1;limit=5", b"limit=1;limit=2", b"%zz=1", b"%ff=1",
        b"a=1&%", b"?limit=5", b"limit%5B%5D=5", b"limit=1&limit",
    ],
)  # fmt: skip
def test_a_query_that_frameworks_read_differently_is_refused_with_400(query: bytes) -> None:
    with pytest.raises(Unpriceable) as refused:
        QUERY.before(facts(query=query))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("query", "cost"),
    [(b"limit=5", 5), (b"lim%69t=5&x=%ff", 5), (b"a=1&limit=007", 7), (b"", 0), (b"limits=9&unlimit=3", 0)],
)  # fmt: skip
def test_a_plain_query_is_priced(query: bytes, cost: int) -> None:
    assert QUERY.before(facts(query=query)).ceiling == cost


@given(st.binary(max_size=60))
def test_any_body_is_priced_or_refused(body: bytes) -> None:
    outcome = attempt(lambda: BODY.before(json_facts(body)).ceiling)
    assert outcome.status == 422 if isinstance(outcome, Unpriceable) else outcome >= 0


@given(st.binary(max_size=40))
def test_any_query_is_priced_or_refused(query: bytes) -> None:
    outcome = attempt(lambda: QUERY.before(facts(query=query)).ceiling)
    assert outcome.status in {400, 422} if isinstance(outcome, Unpriceable) else outcome >= 0
