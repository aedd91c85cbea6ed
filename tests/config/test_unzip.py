"""Compressed answers, read for their usage."""

import gzip
import zlib

from hypothesis import given
from hypothesis import strategies as st

from config.pricing.unzip import FREE_BYTES, LARGEST_RATIO, Unzip


def unzip(*pieces: bytes, coding: bytes = b"gzip") -> tuple[bytes, bool]:
    reading = Unzip.for_coding(coding)
    assert reading is not None
    out = b"".join(part for piece in pieces for part in reading.feed(piece))
    return out, reading.failed


@given(st.lists(st.binary(max_size=300), max_size=4), st.data())
def test_what_was_compressed_comes_out_however_it_was_split(
    parts: list[bytes], data: st.DataObject
) -> None:
    packed = b"".join(gzip.compress(part, mtime=0) for part in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=4)))
    pieces = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    assert unzip(*pieces) == (b"".join(parts), False)


@given(st.binary(max_size=500))
def test_what_is_not_compressed_does_no_harm(data: bytes) -> None:
    out, _ = unzip(data)
    assert len(out) <= FREE_BYTES + LARGEST_RATIO * len(data)


def test_a_bomb_is_left_before_it_grows() -> None:
    bomb = gzip.compress(b"0" * 100_000_000)
    out, failed = unzip(bomb)
    assert failed
    assert len(out) <= LARGEST_RATIO * len(bomb)


def test_a_bomb_in_small_pieces_is_one_too() -> None:
    bomb = zlib.compress(b"0" * 10_000_000)
    pieces = [bomb[at : at + 50] for at in range(0, len(bomb), 50)]
    out, failed = unzip(*pieces, coding=b"deflate")
    assert failed
    assert len(out) <= LARGEST_RATIO * len(bomb)


def test_small_answers_may_repeat_themselves() -> None:
    assert unzip(gzip.compress(b"0" * FREE_BYTES)) == (b"0" * FREE_BYTES, False)


def test_other_codings_are_not_known() -> None:
    assert [Unzip.for_coding(coding) for coding in (b"br", b"zstd", b"")] == [None] * 3
