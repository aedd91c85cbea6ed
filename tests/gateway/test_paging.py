"""gateway/paging.py: cursors are ours or refused."""

import base64

import pytest

from gateway.paging import pack_cursor, unpack_cursor, unpack_number
from ledger.errors import InvalidInput


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def test_a_cursor_comes_back_as_the_key_it_was_made_from() -> None:
    assert unpack_cursor("charges", pack_cursor("charges", "00ff")) == "00ff"
    assert unpack_number("accounts", pack_cursor("accounts", 12)) == 12


def test_no_cursor_is_the_first_page() -> None:
    assert unpack_cursor("charges", None) is None
    assert unpack_number("accounts", None) is None


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "ü", pack_cursor("keys", 1), "W" * 512, "e30"])
def test_what_we_did_not_make_is_refused(cursor) -> None:
    with pytest.raises(InvalidInput):
        unpack_cursor("charges", cursor)


@pytest.mark.parametrize("key", ["-1", "1.5", "٣", "9" * 19, "x"])
def test_a_number_that_is_none_is_refused(key) -> None:
    with pytest.raises(InvalidInput):
        unpack_number("accounts", packed(f"accounts:{key}"))
