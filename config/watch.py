"""Noticing that the price file changed: by its content, never by its dates."""

from pathlib import Path
from typing import Protocol

from config.problems import PriceFileError, Problem
from config.reading.nodes import LONGEST_FILE

APART_S = 0.5
"""Two looks closer together than this could both fall into one slow write."""


class Clock(Protocol):
    """The one thing the watch asks of time."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""


def read_price_file(path: Path) -> str:
    """
    Read the file's text.

    Raises:
        PriceFileError: It is missing, unreadable, far too long, or not UTF-8.
    """
    try:
        return _read(path).decode()
    except OSError as error:
        hint = "Make one with `farebox init --upstream URL`."
        problem = Problem(1, 1, f"{path} cannot be read: {error.strerror or error}.", hint)
        raise PriceFileError([problem]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise PriceFileError([Problem(line, column, "The file is not UTF-8.")]) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        # Four bytes a character at most; one more shows that it is too long.
        return file.read(4 * LONGEST_FILE + 1)


class PriceWatch:
    """
    Looks at one file. Renames and the symbolic links of mounted config maps are just new content.

    Args:
        path: Read anew at each look, following links.
        clock: Keeps two looks apart.
        current: The text in force; None: the first stable one is news.
    """

    def __init__(self, path: Path, clock: Clock, current: str | None = None) -> None:
        self._path, self._clock = path, clock
        self._current = None if current is None else current.encode()
        self._pending: bytes | None = None
        self._pending_since = 0.0
        self.trouble: str | None = None
        """Why the last look failed; the prices in force stay."""

    def poll(self) -> str | None:
        """
        Look once; give the new text if it was the same at two looks, each text once.

        A file that is missing or not UTF-8 gives nothing: `trouble` says why.
        """
        try:
            content = _read(self._path)
        except OSError as error:
            self._pending, self.trouble = None, f"{self._path}: {error.strerror or error}"
            return None
        self.trouble = None
        if content == self._current:
            self._pending = None
            return None
        now = self._clock.monotonic()
        if content != self._pending:
            self._pending, self._pending_since = content, now
            return None
        if now - self._pending_since < APART_S:
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            self.trouble = f"{self._path}: it is not UTF-8"
            return None
        self._current, self._pending = content, None
        return text
