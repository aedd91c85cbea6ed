"""Which headers pass, up and down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.headers import (
    HOP_BY_HOP,
    client_address,
    cors,
    downward,
    forwarded,
    key_secrets,
    upward,
)

NONE: frozenset[bytes] = frozenset()


def up(*headers: tuple[bytes, bytes], trusted: bool = False) -> list[tuple[bytes, bytes]]:
    return upward(list(headers), trusted=trusted, replaced=NONE)


def down(*headers: tuple[bytes, bytes], status: int = 200) -> list[tuple[bytes, bytes]]:
    return downward(list(headers), status=status, head=False)


def test_ordinary_headers_go_up_in_their_order_with_duplicates() -> None:
    headers = [(b"accept", b"a"), (b"x-one", b"1"), (b"accept", b"b"), (b"cookie", b"c=1")]
    assert up(*headers) == headers


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_pass_in_neither_direction(name: bytes) -> None:
    assert up((name, b"x")) == []
    assert down((name, b"x")) == []


def test_what_connection_names_is_hop_by_hop() -> None:
    headers = [
        (b"connection", b"close, X-Secret , x_other"),
        (b"x-secret", b"1"),
        (b"x-other", b"1"),
    ]
    assert up(*headers) == []
    assert down(*headers) == []


def test_connection_cannot_talk_us_out_of_what_describes_the_body() -> None:
    assert up((b"connection", b"content-type"), (b"content-type", b"a/b")) == [
        (b"content-type", b"a/b")
    ]


@pytest.mark.parametrize(
    "name", [b"farebox-account", b"farebox-cost", b"farebox_account", b"farebox-", b"fareboxen"]
)
def test_nobody_else_speaks_under_our_name(name: bytes) -> None:
    assert up((name, b"acc_1")) == []
    assert down((name, b"acc_1")) == []


@pytest.mark.parametrize(
    "name",
    [
        b"x-http-method-override",
        b"x_http_method_override",
        b"x-method-override",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-forwarded-prefix",
        b"x-forwarded-path",
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_overrides_of_what_was_priced_never_go_up(name: bytes, *, trusted: bool) -> None:
    assert up((name, b"/costly"), trusted=trusted) == []


@pytest.mark.parametrize(
    "name", [b"x-forwarded-for", b"forwarded", b"x-real-ip", b"x_forwarded_for"]
)
def test_a_stranger_cannot_say_where_a_request_came_from(name: bytes) -> None:
    assert up((name, b"10.0.0.1")) == []


def test_a_trusted_proxys_chain_is_continued() -> None:
    headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
    ours = forwarded(headers, peer="10.0.0.1", scheme=b"http", host=b"api", trusted=True)
    assert up(*headers, trusted=True) + ours == [
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"203.0.113.9, 10.0.0.1"),
        (b"x-forwarded-host", b"api"),
    ]


def test_everybody_elses_is_replaced() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-proto", b"https")]
    assert forwarded(headers, peer="9.9.9.9", scheme=b"http", host=b"api", trusted=False) == [
        (b"x-forwarded-for", b"9.9.9.9"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"api"),
    ]


def test_the_client_behind_trusted_proxies_is_the_nearest_stranger() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1, 203.0.113.9, 10.0.0.2")]
    trusted = {"10.0.0.1", "10.0.0.2"}.__contains__
    assert client_address(headers, peer="10.0.0.1", trusts=trusted) == "203.0.113.9"
    assert client_address(headers, peer="8.8.8.8", trusts=trusted) == "8.8.8.8"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Bearer fbx_secret"),
        (b"authorization", b"bearer  fbx_secret"),
        (b"x-api-key", b"fbx_secret"),
        (b"x-api-key", b"fbx_secret \t"),
    ],
)
def test_our_key_is_found_and_never_goes_up(name: bytes, value: bytes) -> None:
    assert key_secrets([(name, value)]) == [b"fbx_secret"]
    assert up((name, value)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"authorization", b"Basic fbx_secret"),
        (b"authorization", b"fbx_secret"),
        (b"x_api_key", b"fbx_secret"),
        (b"x-api-key", b" fbx_secret"),
    ],
)
def test_a_key_in_a_wrong_form_opens_nothing_and_does_not_go_up(name: bytes, value: bytes) -> None:
    assert key_secrets([(name, value)]) == []
    assert up((name, value)) == []


def test_other_credentials_are_the_callers_own() -> None:
    headers = [(b"authorization", b"Bearer theirs"), (b"x-api-key", b"theirs")]
    assert key_secrets(headers) == []
    assert up(*headers) == headers


def test_two_keys_are_both_seen() -> None:
    headers = [(b"authorization", b"Bearer fbx_a"), (b"x-api-key", b"fbx_b")]
    assert key_secrets(headers) == [b"fbx_a", b"fbx_b"]


def test_our_cookies_stay_here_and_others_pass() -> None:
    assert up((b"cookie", b"a=1; farebox_session=s; b=2")) == [(b"cookie", b"a=1; b=2")]
    assert up((b"cookie", b"Farebox_session=s")) == []
    assert down((b"set-cookie", b"farebox_session=evil"), (b"set-cookie", b"a=1")) == [
        (b"set-cookie", b"a=1")
    ]


def test_what_the_operator_sends_replaces_the_callers_own() -> None:
    headers = [(b"authorization", b"Bearer theirs"), (b"accept", b"a")]
    replaced = frozenset({b"authorization"})
    assert upward(headers, trusted=False, replaced=replaced) == [(b"accept", b"a")]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_body_has_no_length(status: int) -> None:
    assert down((b"content-length", b"12"), status=status) == []


def test_a_head_answer_keeps_the_length_that_get_would_have() -> None:
    headers = [(b"content-length", b"12")]
    assert downward(headers, status=200, head=True) == headers


def test_a_page_may_read_our_headers() -> None:
    assert cors(b"https://shop.example")[0] == (
        b"access-control-allow-origin",
        b"https://shop.example",
    )


NAMES = st.sampled_from([b"farebox-account", b"connection", b"accept", b"x-http-method-override"])
SPELT = st.builds(
    lambda name, under: name.replace(b"-", b"_") if under else name, NAMES, st.booleans()
)


@given(st.lists(st.tuples(SPELT, st.binary(max_size=8)), max_size=8))
def test_whatever_is_sent_nothing_of_ours_goes_up(headers: list[tuple[bytes, bytes]]) -> None:
    names = {name.replace(b"_", b"-") for name, _ in up(*headers)}
    assert names <= {b"accept"}
