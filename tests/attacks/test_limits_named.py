"""Limits are named with their reasons, and the document for operators has them all."""

import re
from dataclasses import fields
from inspect import getdoc
from pathlib import Path

import pytest

from config import Settings
from gateway.framing import FramingLimits
from gateway.upstream import UpstreamLimits
from gateway.websocket import WebSocketLimits

TEXT = (Path(__file__).parent.parent.parent / "docs/operations.md").read_text("utf-8")
SECTION = TEXT.split("\n## Limits\n")[1].split("\n## ")[0]


def shown(name: str, value: int) -> str:
    """A limit as a person writes it."""
    if name.endswith("_ms"):
        return f"{value / 1000:g} s"
    if name.endswith("_bytes"):
        return f"{value // 1024} KiB" if value >= 1024 else f"{value} bytes"
    return f"{value:,}"


@pytest.mark.parametrize(
    "limits",
    [FramingLimits(), UpstreamLimits(), WebSocketLimits()],
    ids=["client", "upstream", "websocket"],
)
def test_every_limit_stands_in_the_document_with_its_value(
    limits: FramingLimits | UpstreamLimits | WebSocketLimits,
) -> None:
    for field in fields(limits):
        value = getattr(limits, field.name)
        if field.name in ("methods", "sweep_ms", "connections", "connections_per_address"):
            continue  # no limits, or settings
        rows = [row for row in SECTION.splitlines() if f"`{field.name}`" in row]
        assert any(shown(field.name, value) in row for row in rows), field.name


@pytest.mark.parametrize(
    "limits",
    [FramingLimits, UpstreamLimits, WebSocketLimits],
    ids=["client", "upstream", "websocket"],
)
def test_every_limit_has_its_reason(limits: type) -> None:
    explained = set(re.findall(r"(?m)^ {4}(\w+): ", getdoc(limits) or ""))
    assert {field.name for field in fields(limits)} == explained


def test_the_settings_and_the_framing_agree_on_connections() -> None:
    settings, limits = Settings(), FramingLimits()
    assert settings.connections == limits.connections
    assert settings.connections_per_address == limits.connections_per_address
