"""A head is a line of text that nobody can change or make without the key."""

from dataclasses import replace

import pytest

from ledger.errors import InvalidInput
from ledger.heads import Head, key_name, read_heads, sign, signed_by

KEY = b"a key of thirty-two bytes length"
OTHER = b"another one of thirty-two bytes!"
HEAD = Head(0, 1, 20, "ab" * 32, "cd" * 32, 3, 20, 0, "2030-01-02T03:04:05Z")


def test_a_signed_head_survives_being_written_down() -> None:
    signed = sign(HEAD, KEY)
    [back] = read_heads([signed.line, ""])
    assert back == signed
    assert signed_by(back, KEY)
    assert back.key == key_name(KEY) != key_name(OTHER)


@pytest.mark.parametrize(
    "change",
    [
        {"shard": 1},
        {"epoch": 2},
        {"q": 21},
        {"sha": "00" * 32},
        {"seal": "00" * 32},
        {"batches": 4},
        {"facts": 21},
        {"retired": 1},
        {"at": "2031-01-02T03:04:05Z"},
        {"key": key_name(OTHER)},
        {"signature": ""},
    ],
)
def test_a_head_with_anything_changed_is_not_signed(change: dict[str, object]) -> None:
    assert not signed_by(replace(sign(HEAD, KEY), **change), KEY)  # type: ignore[arg-type]


def test_another_key_signs_another_head() -> None:
    assert not signed_by(sign(HEAD, OTHER), KEY)


@pytest.mark.parametrize("line", ["{}", "[]", "not json", '{"shard": 0}', "7"])
def test_what_is_no_head_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidInput, match="line 2"):
        read_heads([HEAD.line, line])


def test_a_number_that_is_text_is_no_head() -> None:
    with pytest.raises(InvalidInput):
        read_heads([HEAD.line.replace('"q": 20', '"q": "20"')])
