"""The signed link that lets one account buy, for a quarter of an hour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.buy_link import LIFETIME_S, InvalidLink, sign, verify

SECRET = b"s" * 32


def test_a_link_names_its_account_until_it_runs_out() -> None:
    token = sign(12, secret=SECRET, now_s=1_000)
    assert verify(token, secret=SECRET, now_s=1_000 + LIFETIME_S - 1) == 12
    with pytest.raises(InvalidLink):
        verify(token, secret=SECRET, now_s=1_000 + LIFETIME_S)


def test_a_link_of_another_secret_opens_nothing() -> None:
    with pytest.raises(InvalidLink):
        verify(sign(12, secret=b"other", now_s=0), secret=SECRET, now_s=0)


def test_a_link_cannot_be_made_to_name_another_account() -> None:
    token = sign(12, secret=SECRET, now_s=0)
    with pytest.raises(InvalidLink):
        verify("1" + token, secret=SECRET, now_s=0)


@given(st.text(max_size=60))
def test_what_we_did_not_sign_is_refused_and_never_a_crash(token: str) -> None:
    with pytest.raises(InvalidLink):
        verify(token, secret=SECRET, now_s=0)
