"""A fact's detail never fails, and never holds what Postgres cannot keep."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.detail import NOTHING, Detail, read_detail
from ledger.facts import MAX_AMOUNT


def test_all_that_a_gateway_says_is_kept() -> None:
    raw = b'{"u":[3,0],"m":[7],"r":{"asin":"B01","n":5,"ok":true},"o":4,"ms":12,"x":"late"}'
    assert read_detail(raw) == Detail(
        [3, 0], [7], {"asin": "B01", "n": 5, "ok": True}, 4, 12, "late"
    )


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", NOTHING),
        (b"[]", NOTHING),
        (b"{", Detail(note="unreadable detail")),
        (b'{"u":3,"m":[1.5],"o":0,"ms":-1,"x":5,"r":[]}', NOTHING),
        (b'{"u":[null],"m":[null,7]}', Detail(measured=[None, 7])),
        (b'{"m":[null,true]}', NOTHING),
        (b'{"u":[true],"o":true,"ms":NaN}', NOTHING),
        (b'{"o":99999999999999999}', Detail(uncollected=MAX_AMOUNT)),
        (b'{"r":{"a":"\\u0000\\ud800"}}', Detail(record={"a": "\ufffd?"})),
        (b'{"r":{"a":null,"b":1e999}}', Detail(record={"a": "None", "b": "inf"})),
        (
            b'{"r":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6}}',
            Detail(record={"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}),
        ),
    ],
)
def test_what_does_not_fit_is_left_out(raw: bytes, detail: Detail) -> None:
    assert read_detail(raw) == detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["u", "m", "r", "o", "ms", "x"]), JSON))
def test_whatever_comes_can_be_stored(value: dict[str, object]) -> None:
    detail = read_detail(json.dumps(value).encode())
    text = json.dumps(detail, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text
    text.encode()


@given(st.binary(max_size=100))
def test_any_bytes_are_read(raw: bytes) -> None:
    read_detail(raw)
