"""
What start-up finds missing or unsafe, in plain sentences.

The first check needs nothing but the standard library, because it must be able to speak
when the other imports would already have gone wrong.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ledger.migrations import SchemaState

PACKAGES = ("billing", "config", "gateway", "ledger")
"""What the wheel installs. Two of these names are common, so another package may hide ours."""


class Finding(Protocol):
    """What the store checks report: `ledger.checks.Problem`."""

    @property
    def severity(self) -> str:
        """`refused` or `warning`."""

    @property
    def sentence(self) -> str:
        """What is wrong."""

    @property
    def fix(self) -> str:
        """What to do about it."""


class Refused(Exception):
    """Farebox does not start; the sentences say what to change. Nothing was served or changed."""

    def __init__(self, sentences: Iterable[str]) -> None:
        """Keep one sentence for each reason."""
        self.sentences = list(sentences)
        super().__init__("; ".join(self.sentences))


def foreign_packages(home: Path = Path(__file__).parent.parent) -> list[str]:
    """Return a sentence for each of our four packages that another one hides."""
    sentences = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if spec is None:
            sentences.append(f"Farebox's package `{name}` is missing from {home}: install it again")
        elif (home / name).resolve() not in [Path(place).resolve() for place in places]:
            found = places[0] if places else spec.origin
            sentences.append(
                f"another package named `{name}` ({found}) hides Farebox's own: "
                "install Farebox in an environment of its own and unset PYTHONPATH"
            )
    return sentences


def judged(findings: Iterable[Finding]) -> list[str]:
    """
    Return the warnings as sentences.

    Raises:
        Refused: At least one finding would lose money; carries those and what fixes them.

    """
    findings = list(findings)
    refused = [found for found in findings if found.severity == "refused"]
    if refused:
        raise Refused(f"{found.sentence}: {found.fix}" for found in refused)
    return [f"warning: {found.sentence}: {found.fix}" for found in findings]


def schema_sentence(state: "SchemaState") -> str | None:
    """Say what to do about an outside database whose schema is not the one this release needs."""
    if state.behind:
        return "the database's schema is older than this release needs: run farebox migrate"
    if state.ahead:
        return "the database's schema is newer than this release knows: install the newer release"
    return None
