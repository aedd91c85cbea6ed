import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Cost, Price, Unit
from config.pricing.meter import LARGEST_METERED_BODY
from tests.config.files import facts, routes

JSON = [(b"content-type", b"application/json")]
SSE = [(b"content-type", b"text/event-stream; charset=utf-8")]


def price(text: str) -> Price:
    return routes(f"path: /p, price: {text}").routes[0].price


CHAT = price(
    "{ hold: 500, settle: { response: /usage/total_tokens, unit: 1000, cost: 3 }, missing: 400 }"
)


def cost(
    of: Price,
    headers: list[tuple[bytes, bytes]],
    *chunks: bytes,
    elapsed_ms: int = 1,
    status: int = 200,
) -> Cost:
    meter = of.meter(of.before(facts()))
    meter.head(status, headers)
    for chunk in chunks:
        meter.feed(chunk)
    return meter.close(elapsed_ms)


def usage(value: str) -> bytes:
    return b'{"id":1,"usage":{"total_tokens":%s}}' % value.encode()


def test_usage_in_a_json_body_is_the_cost() -> None:
    body = usage("1500")
    assert cost(CHAT, JSON, body[:9], body[9:]) == Cost(
        5, (Unit("response /usage/total_tokens", 1500),), missing=False
    )


def test_a_cost_above_the_hold_is_told_whole() -> None:
    assert cost(CHAT, JSON, usage("1000000")).amount == 3000


@pytest.mark.parametrize("value", ["12.0", "1.2e1", "12", "120e-1"])
def test_a_whole_number_counts_however_it_is_written(value: str) -> None:
    assert cost(CHAT, JSON, usage(value)).units[0].quantity == 12


@pytest.mark.parametrize(
    "value",
    ["-1", "1.5", "NaN", "Infinity", '"12"', "true", "null", "[]", "9007199254740992", "1e400", "9" * 5000, "1e99999999"],
)  # fmt: skip
def test_usage_that_is_no_count_is_missing(value: str) -> None:
    assert cost(CHAT, JSON, usage(value)) == Cost(400, (), missing=True)


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b"\xff", b"[" * 100_000, b'{"usage":7}'])
def test_an_answer_without_usage_costs_what_the_file_says(body: bytes) -> None:
    assert cost(CHAT, JSON, body) == Cost(400, (), missing=True)


def test_missing_usage_costs_the_hold_unless_the_file_says_otherwise() -> None:
    assert cost(price("{ hold: 500, settle: { response: /u, cost: 1 } }"), JSON).amount == 500


def test_absent_usage_takes_the_default_of_its_unit() -> None:
    of = price("{ hold: 500, settle: { response: /u, cost: 1, default: 7 } }")
    assert cost(of, JSON, b"{}").amount == 7
    assert cost(of, JSON, b'{"u":-1}').missing


def test_a_compressed_answer_or_another_type_is_not_read() -> None:
    assert cost(CHAT, [*JSON, (b"content-encoding", b"gzip")], usage("1")).missing
    assert cost(CHAT, [(b"content-type", b"text/html")], usage("1")).missing
    assert not cost(CHAT, [*JSON, (b"content-encoding", b"identity")], usage("1")).missing


def test_an_answer_too_large_to_keep_is_missing_and_let_go() -> None:
    meter = CHAT.meter(CHAT.before(facts()))
    meter.head(200, JSON)
    meter.feed(usage("1") + b" " * (LARGEST_METERED_BODY - 10))
    meter.feed(b" " * 100)
    assert meter._body is None
    assert meter.close(1).missing


def test_the_last_event_that_has_it_counts() -> None:
    events = b"".join(
        b"data: " + data + b"\n\n"
        for data in (usage("1"), b'{"usage":null}', usage("2000"), usage("null"), b"[DONE]")
    )
    assert cost(CHAT, SSE, events).units == (Unit("response /usage/total_tokens", 2000),)


def test_two_quantities_may_come_in_different_events() -> None:
    of = price(
        "{ hold: 900, settle: [{ response: /m/in, unit: 10, cost: 1 }, { response: /out, unit: 10, cost: 2 }] }"
    )
    events = b'data: {"m":{"in":5}}\n\ndata: {"out":1}\n\ndata: {"out":6}\n\n'
    assert cost(of, SSE, events).amount == 2  # 0.5 + 1.2, rounded up once


@given(st.data())
def test_the_cost_of_a_stream_does_not_depend_on_its_portions(data: st.DataObject) -> None:
    ends = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    lines = [
        b": hello",
        b"event: x",
        b"data: {",
        b'data:"usage":{"total_tokens":77}}',
        b"",
        b"data: [DONE]",
    ]
    stream = ends.join(lines) + ends * data.draw(st.integers(0, 2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert cost(CHAT, SSE, *chunks).units == (Unit("response /usage/total_tokens", 77),)


def test_an_endless_event_is_let_go_and_the_next_is_read() -> None:
    meter = CHAT.meter(CHAT.before(facts()))
    meter.head(200, SSE)
    meter.feed(b'data: {"usage":{"total_tokens":5},"x":"')
    for _ in range(40):
        meter.feed(b"x" * 65536)
        assert len(meter._events._line) <= LARGEST_METERED_BODY  # type: ignore[union-attr]
    meter.feed(b'"}\n\ndata: ' + usage("3") + b"\n\n")
    assert meter.close(1).units[0].quantity == 3


def test_header_bytes_and_time_are_measured() -> None:
    of = price(
        "{ hold: 99, settle: [{ response_header: X-Pages, cost: 1 }, { response_bytes: true, unit: 10, cost: 1 },"
        " { seconds: true, cost: 1 }] }"
    )
    found = cost(of, [(b"X-Pages", b"4")], b"x" * 25, elapsed_ms=1500)
    assert found.units == (
        Unit("response_header x-pages", 4),
        Unit("response_bytes", 25),
        Unit("milliseconds", 1500),
    )
    assert found.amount == 8


@pytest.mark.parametrize("values", [[], [b"-1"], [b"1.5"], [b"a"], [b"1", b"1"], [b"9" * 40]])
def test_a_header_that_is_no_single_count_is_missing(values: list[bytes]) -> None:
    of = price("{ hold: 99, settle: { response_header: x-pages, cost: 1 } }")
    assert cost(of, [(b"x-pages", value) for value in values]).missing


def test_closing_twice_says_the_same() -> None:
    meter = CHAT.meter(CHAT.before(facts()))
    meter.head(200, JSON)
    meter.feed(usage("10"))
    assert meter.close(1) == meter.close(1)


@given(st.binary(max_size=200), st.sampled_from([JSON, SSE]))
def test_any_answer_can_be_metered(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    assert cost(CHAT, headers, body).amount >= 0


def test_a_cost_beyond_any_balance_is_bounded() -> None:
    of = price("{ hold: 9, settle: { response: /u, cost: 1000000 } }")
    assert cost(of, JSON, json.dumps({"u": 2**53 - 1}).encode()).amount == 90_000_000_000_000


def test_usage_in_a_compressed_stream_is_the_cost() -> None:
    events = b"data: " + usage("1500") + b"\n\n"
    packed = gzip.compress(events)
    headers = [*SSE, (b"content-encoding", b"gzip")]
    assert cost(CHAT, headers, packed[:20], packed[20:]).amount == 5


def test_what_a_broken_stream_told_before_does_not_count() -> None:
    packed = zlib.compressobj(wbits=31)
    events = packed.compress(b"data: " + usage("1") + b"\n\n") + packed.flush(zlib.Z_SYNC_FLUSH)
    assert cost(CHAT, [*SSE, (b"content-encoding", b"gzip")], events, b"\xff" * 50).missing


def test_compressed_bytes_are_counted_as_they_passed() -> None:
    both = price("{ hold: 500, settle: { response_bytes: true, unit: 1, cost: 1 } }")
    packed = gzip.compress(b"0" * 10_000)
    headers = [*JSON, (b"content-encoding", b"gzip")]
    assert cost(both, headers, packed).units[0].quantity == len(packed)
