"""Loads the modules that touch money with points in them; nothing else about them changes."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

from tests.failpoints.source import counted, marked


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compile from the source: what is cached has no points in it, and must not get any."""
        text = self.get_data(self.path).decode("utf-8")
        return compile(marked(fullname, text), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._files = counted()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(fullname)
        if file is None:
            return None
        loader = _Loader(fullname, str(file))
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def install() -> None:
    """From here on; what was imported before would have no points, so there must be none."""
    finder = _Finder()
    early = finder._files.keys() & sys.modules.keys()
    if early:
        raise RuntimeError(f"imported before their points: {sorted(early)}")
    sys.meta_path.insert(0, finder)
