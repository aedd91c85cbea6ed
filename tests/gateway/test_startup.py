"""Start-up says what is missing or unsafe, and refuses what loses money."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.startup import Refused, foreign_packages, judged, schema_sentence
from ledger.migrations import SchemaState


@dataclass
class Found:
    severity: str
    sentence: str
    fix: str


def test_our_own_packages_are_not_foreign() -> None:
    assert foreign_packages() == []


def test_a_foreign_config_package_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our home is taken to be elsewhere, so that what is installed is the foreign one."""
    sentences = foreign_packages(home=tmp_path)
    assert [s.split("`")[1] for s in sentences] == ["billing", "config", "gateway", "ledger"]
    assert "hides Farebox's own: install Farebox in an environment of its own" in sentences[1]


def test_a_warning_is_said_and_served() -> None:
    assert judged([Found("warning", "INFO is closed", "look yourself")]) == [
        "warning: INFO is closed: look yourself"
    ]


def test_what_loses_money_is_refused_with_every_reason() -> None:
    with pytest.raises(Refused) as refused:
        judged([Found("refused", "a", "b"), Found("warning", "c", "d"), Found("refused", "e", "f")])
    assert refused.value.sentences == ["a: b", "e: f"]


def test_an_old_schema_says_which_command_to_run() -> None:
    assert "run farebox migrate" in str(schema_sentence(SchemaState({}, {"ledger": 3})))


def test_a_newer_schema_is_not_served() -> None:
    newer = SchemaState({"ledger": 4}, {"ledger": 3})
    assert "newer than this release" in str(schema_sentence(newer))


def test_the_right_schema_is_silent() -> None:
    assert schema_sentence(SchemaState({"ledger": 3}, {"ledger": 3})) is None
