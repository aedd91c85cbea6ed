"""
A section of the runbook, followed word for word: only what it says can be typed.

    book = Runbook("Redis is lost", stores)
    await book("farebox verify")
    book.done()
"""

import asyncio
import io
import shlex
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from gateway.commands.group import run

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


class Runbook:
    """The command lines below one heading of `docs/operations.md`."""

    def __init__(self, heading: str, stores: tuple[str, ...]) -> None:
        """Read the section; `stores` are the flags that name the stores."""
        _, _, rest = PAGE.read_text("utf-8").partition(f"\n### {heading}\n")
        section = rest.partition("\n## ")[0].partition("\n### ")[0]
        self.lines = [line for line in section.splitlines() if line.startswith("farebox ")]
        assert self.lines, heading
        self.stores = stores
        self._left = set(self.lines)

    async def __call__(
        self, line: str, *, code: int = 0, as_: Mapping[str, str] | None = None
    ) -> str:
        """Type a line of the section, with the names of this test; returns what is printed."""
        assert line in self.lines, f"{line!r} is not in the runbook"
        self._left.discard(line)
        for theirs, ours in (as_ or {}).items():
            line = line.replace(theirs, ours)
        return await typed(line, self.stores, code=code)

    def done(self) -> None:
        """Every line of the section has been typed."""
        assert self._left == set()


async def typed(line: str, stores: tuple[str, ...], *, code: int = 0) -> str:
    """Type a command line; returns what is printed."""
    words = shlex.split(line)[1:]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        ended = await asyncio.to_thread(run, [*words, *stores])
    assert ended == code, f"{line}: {ended}\n{out.getvalue()}\n{err.getvalue()}"
    return out.getvalue()
