"""A tick's call, written in pieces, is what the client's library would have written."""

import random

import pytest

from ledger.call_bytes import CallBytes
from ledger.keys import Keys
from ledger.link import packed
from ledger.scripts import HEAD, SETTLING, Scripts, evalsha, keys_of

KEYS, SCRIPTS = Keys("t", 3), Scripts()


@pytest.mark.parametrize("name", ["tick", SETTLING])
@pytest.mark.parametrize("count", [0, 1, 2, 64])
def test_it_is_the_librarys(name: str, count: int) -> None:
    calls = CallBytes(KEYS, SCRIPTS)
    chance = random.Random(count)
    for epoch in (1, 1, 12, 1):
        head = HEAD.pack(epoch, 7, 1_000, 5)
        lines = [
            chance.randbytes(chance.choice([0, 9, 58, 99, 1_100, 4_000])) for _ in range(count)
        ]
        written = packed(*evalsha(SCRIPTS[name], keys_of(KEYS, epoch), head, lines))
        assert calls.of(name, epoch, head, lines) == written


def test_a_head_that_looks_like_the_end_of_the_opening_is_kept() -> None:
    head = bytes(HEAD.size)
    written = packed(*evalsha(SCRIPTS["tick"], keys_of(KEYS, 1), head, [head, b"\r\n"]))
    assert CallBytes(KEYS, SCRIPTS).of("tick", 1, head, [head, b"\r\n"]) == written
