"""The scripts as they are put together from their parts."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from lupa import lua51

from ledger.scripts import SETTLING
from tests.ledger.script_rig import SCRIPTS

GLOBALS = frozenset(
    "ARGV KEYS bit collectgarbage math pairs redis string struct table type unpack".split()  # noqa: SIM905
)
GET_GLOBAL, SET_GLOBAL = 5, 7
NOTHING, BOOLEAN, NUMBER = 0, 1, 3
HEADER_BYTES = 12


@pytest.mark.parametrize("name", SCRIPTS.names)
def test_a_script_names_no_global_that_the_servers_do_not_have(name: str) -> None:
    """What a part takes from around it is there: where it is not, it would be a global's name."""
    assert set(globals_of(SCRIPTS[name].text)) <= GLOBALS


def test_the_tick_that_settles_is_the_other_without_what_holds_need() -> None:
    tick, settling = (SCRIPTS[name].text.splitlines() for name in ("tick", SETTLING))

    assert settling[0] == "#!lua flags=allow-oom"
    assert [line for line in tick[1:] if line not in settling] != []
    assert [line for line in settling[1:] if line not in tick] == []
    assert [line for line in settling if "of holds" in line and line.startswith("-- ")] == []


def globals_of(text: str) -> Iterator[str]:
    """The globals that a script names, from its bytecode."""
    runtime: Any = lua51.LuaRuntime(encoding=None)
    compiled = runtime.compile(text.partition("\n")[2].encode())
    return Bytecode(runtime.eval(b"string.dump")(compiled)).globals_of_function()


class Bytecode:
    """What `string.dump` of Lua 5.1 gives, read from its beginning."""

    def __init__(self, dumped: bytes) -> None:
        self._dumped = dumped
        self._at = HEADER_BYTES

    def globals_of_function(self) -> Iterator[str]:
        """Read one function with all that it makes."""
        self._text()  # where it comes from
        self._read("ii4x")
        code = [self._read("I") for _ in range(self._read("i"))]
        constants = [self._constant() for _ in range(self._read("i"))]
        for one in code:
            if one & 63 in (GET_GLOBAL, SET_GLOBAL):
                yield str(constants[one >> 14], "ascii")
        for _ in range(self._read("i")):
            yield from self.globals_of_function()
        for _ in range(self._read("i")):
            self._read("i")  # lines
        for _ in range(self._read("i")):
            self._text(), self._read("ii")  # locals
        for _ in range(self._read("i")):
            self._text()  # names from around it

    def _constant(self) -> Any:
        kind = self._read("B")
        if kind == NOTHING:
            return None
        if kind == BOOLEAN:
            return self._read("B")
        return self._read("d") if kind == NUMBER else self._text()

    def _text(self) -> bytes:
        size: int = self._read("Q")  # with the zero at its end
        self._at += size
        return self._dumped[self._at - size : self._at - 1] if size else b""

    def _read(self, layout: str) -> Any:
        value = struct.unpack_from("<" + layout, self._dumped, self._at)[0]
        self._at += struct.calcsize("<" + layout)
        return value
