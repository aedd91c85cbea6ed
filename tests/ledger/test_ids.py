"""The names of things, inside and outside."""

import pytest

from ledger.errors import InvalidInput
from ledger.ids import (
    MAX_N,
    MAX_NUMBER,
    HoldIds,
    account_text,
    check_external_id,
    grant_text,
    hold_id,
    hold_text,
    key_text,
    minted_us,
    parse_account,
    parse_grant,
    parse_hold,
    parse_key,
    session_of,
)
from ledger.reasons import Reason, reason_of, word_of
from tests.ledger.quick_clock import QuickClock


def test_numbers_have_a_text_outside_and_come_back() -> None:
    assert (account_text(12), key_text(7), grant_text(9)) == ("acc_12", "key_7", "grt_9")
    assert (parse_account("acc_12"), parse_key("key_7"), parse_grant("grt_9")) == (12, 7, 9)


@pytest.mark.parametrize(
    "text",
    [
        *("acc_0", "acc_01", "acc_-1", "acc_1 ", "acc_1\n", "ACC_1", "key_1", "acc_", "acc_\u0661"),
        *("", f"acc_{MAX_NUMBER + 1}", "acc_99999999999999999999"),
    ],
)
def test_what_only_looks_like_an_account_is_none(text: str) -> None:
    assert parse_account(text) is None


def test_a_hold_id_carries_its_time_and_session() -> None:
    hold = hold_id(1_700_000_000_000_000, 5)

    assert (len(hold), minted_us(hold), session_of(hold)) == (12, 1_700_000_000_000_000, 5)
    assert hold_text(hold) == "00060a24181e400000000005"
    assert parse_hold(hold_text(hold)) == hold


def test_hold_ids_sort_by_time() -> None:
    assert hold_id(255, 9) < hold_id(256, 1) < hold_id(MAX_N, 0)


@pytest.mark.parametrize("n", [-1, MAX_N + 1])
def test_a_number_beyond_2_53_makes_no_id(n: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        hold_id(n, 1)


@pytest.mark.parametrize(
    "text", ["", "0" * 23, "0" * 25, "G" * 24, "0" * 23 + "A", "0" * 24 + "\n"]
)
def test_what_is_no_hold_id_is_none(text: str) -> None:
    assert parse_hold(text) is None


def test_minted_ids_rise_even_when_the_clock_goes_back() -> None:
    clock = QuickClock()
    ids = HoldIds(clock)
    minted = [ids.mint(1), ids.mint(1)]
    clock.slept_s = -100.0
    minted += [ids.mint(1), ids.mint(2)]

    assert minted == sorted(set(minted))


@pytest.mark.parametrize("text", ["", "x" * 201, "acc_1", "key_0", "grt_99", "a\x00b", "a\nb"])
def test_an_external_id_that_could_mislead_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_external_id(text)


@pytest.mark.parametrize("text", ["a", "x" * 200, "acc_x", "user@example.org", "Zoë 1"])
def test_other_external_ids_are_taken_as_they_are(text: str) -> None:
    assert check_external_id(text) == text


def test_reasons_have_stable_codes_and_words() -> None:
    assert {reason.value: reason.word for reason in Reason} == {
        1: "delivered",
        2: "client-gone",
        3: "usage-missing",
        4: "cut-delivered",
        5: "uncollected",
        20: "status",
        21: "upstream-refused",
        22: "upstream-reset",
        23: "upstream-timeout",
        24: "upstream-cut",
        25: "client-gone-early",
        26: "gateway-error",
        27: "upstream-invalid",
        28: "body-rejected",
        29: "not-posted",
        30: "unused",
        31: "overtaken",
        40: "expired",
        41: "observed",
        42: "late",
    }
    assert all(reason_of(reason.word) is reason for reason in Reason)
    assert [word_of(1), word_of(99)] == ["delivered", "reason-99"]
    assert [reason for reason in Reason if reason.captures] == [1, 2, 3, 4, 5]
