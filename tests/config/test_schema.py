"""The schema for editors is what the code accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
from config import price_file_schema, starter_file
from tests.config.files import EXAMPLE, problems
from tests.config.schema_check import accepts

SCHEMA: dict[str, Any] = json.loads(price_file_schema())


def test_the_shipped_schema_is_the_one_the_code_makes() -> None:
    """Otherwise: python -c "import config; print(config.price_file_schema(), end='')"."""
    shipped = Path(config.__file__).with_name("farebox.schema.json")
    assert shipped.read_text("utf-8") == price_file_schema()


@pytest.mark.parametrize("text", [EXAMPLE, starter_file("http://127.0.0.1:1")])
def test_the_schema_accepts_what_the_code_accepts(text: str) -> None:
    assert accepts(SCHEMA, yaml.safe_load(text))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("methods: [GET]", "metods: [GET]"),
        ("version: 1", "version: 2"),
        ("price: 2\n", "price: -2\n"),
        ("price: 2\n", "price: two\n"),
        ("price: 2\n", "price: [2]\n"),
        ("timeout: 30s", "timeout: 30"),
        ("websocket: true", "websocket: 'true'"),
        ("seconds: true", "seconds: false"),
        ("seconds: true, ", ""),
        ("charge_on: [2xx]", "charge_on: [2XX]"),
        ("usd: 1000", "USD: 1000"),
        ("name: asin_query", "name: 12"),
        ("routes:", "roots:"),
    ],
)
def test_the_schema_refuses_what_the_code_refuses(before: str, after: str) -> None:
    text = EXAMPLE.replace(before, after)
    assert problems(text)
    assert not accepts(SCHEMA, yaml.safe_load(text))


def test_every_key_of_the_file_is_in_its_reference() -> None:
    reference = Path(__file__).parents[2] / "docs" / "price-file.md"
    text = reference.read_text("utf-8")
    missing = [name for name in _names(SCHEMA) if f"`{name}`" not in text]
    assert missing == []


def _names(schema: dict[str, Any]) -> set[str]:
    names: set[str] = set()
    for key, value in schema.items():
        if key == "properties":
            names |= set(value)
        for child in value.values() if isinstance(value, dict) else value if key == "anyOf" else ():
            if isinstance(child, dict):
                names |= _names(child)
        if isinstance(value, dict):
            names |= _names(value)
    return names
