"""
What can be wrong with what the operator wrote.

* PriceFileError   the price file cannot be used; nothing changed, the prices before it stay
* OpenApiError     an OpenAPI document cannot be read, or says what no route can
* SettingsError    the environment or a flag cannot be used
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in the price file. Never holds a value that came from the environment."""

    line: int
    """Counted from 1, as editors do."""
    column: int
    """Counted from 1, in characters."""
    message: str
    """One sentence: what is wrong."""
    hint: str = ""
    """One sentence: what to do about it."""

    def __str__(self) -> str:
        """Write it as compilers do, so that editors can jump to it."""
        return f"{self.line}:{self.column}: {self.message}" + (f" {self.hint}" if self.hint else "")


class PriceFileError(Exception):
    """The price file is refused as a whole; `problems` has all that was found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


class OpenApiError(Exception):
    """An OpenAPI document is refused at its first problem; nothing was made of it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class SettingsError(Exception):
    """A setting cannot be used; the sentence names it and never shows a secret."""
