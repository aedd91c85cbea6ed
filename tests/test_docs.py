"""Documents match the code: what they name exists, and what exists is named where it should be."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from billing.selling_metrics import HELP as SELLING_HELP
from config.settings import VARIABLES
from gateway.access_log import Line, render
from gateway.commands.group import farebox
from gateway.framing.refusal import _TITLES as FRAMING_PROBLEMS
from gateway.metrics import HELP
from gateway.problems import CATALOGUE
from ledger.reasons import Reason

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text("utf-8") for page in PAGES}
COMMAND_PAGES = sorted(name for name in TEXTS if name == "README.md" or name.startswith("docs/"))
OURS = ("bench", "billing", "config", "docs", "gateway", "ledger", "requirements", "tests")


def code_of(text: str) -> Iterator[str]:
    """What stands in backticks, and the lines of fenced blocks with `\\` ends joined."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```$", text)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", text))


@cache
def names_in(path: str) -> frozenset[str]:
    """Names of the test functions in a file of tests."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_test_that_is_named_exists(page: str) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", TEXTS[page])
    assert [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(path)
    ] == []


def commands_of(text: str) -> Iterator[list[str]]:
    """The words behind `farebox` of every command line."""
    for code in code_of(text):
        line = code.removeprefix("$ ").strip()
        found = re.match(r"(?:docker compose exec \w+ |\.venv/bin/)?farebox(?: (.*))?$", line)
        if found and (words := shlex.split(found[1] or "", comments=True)):
            yield words


@pytest.mark.parametrize("page", COMMAND_PAGES)
def test_every_command_line_can_be_typed(page: str) -> None:
    for words in commands_of(TEXTS[page]):
        parse(words)


def parse(words: list[str]) -> None:
    """Read a command line as `farebox` does, without running it. A name alone is a mention."""
    context = click.Context(farebox, info_name="farebox")
    command: click.Command = farebox
    rest = words
    while isinstance(command, click.Group) and rest:
        name, chosen, rest = command.resolve_command(context, rest)
        assert chosen is not None, words
        command = chosen
        context = click.Context(chosen, context, name, **chosen.context_settings)
    given, left, _ = command.make_parser(context).parse_args(args=list(rest))
    assert left == [], f"{words}: too many words"
    missing = [
        parameter.name
        for parameter in command.params
        if parameter.required and given.get(str(parameter.name)) is None
    ]
    assert not rest or missing == [], f"{words}: {missing} missing"


def test_every_command_is_in_a_document() -> None:
    shown = {tuple(words[:2]) for text in TEXTS.values() for words in commands_of(text)}
    missing = [
        path
        for name, command in farebox.commands.items()
        for path in (
            [(name, sub) for sub in command.commands]
            if isinstance(command, click.Group)
            else [(name,)]
        )
        if not any(words[: len(path)] == path for words in shown)
    ]
    assert missing == []


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_path_that_is_named_exists(page: str) -> None:
    named = set(re.findall(rf"(?<![\w./-])(?:{'|'.join(OURS)})/[\w./-]*\w", TEXTS[page]))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_architecture_names_every_table() -> None:
    schemas = [
        (ROOT / f"{part}/sql/schema.sql").read_text("utf-8") for part in ("ledger", "billing")
    ]
    tables = re.findall(r"(?m)^(?:TABLE|VIEW) (\w+)", "\n".join(schemas))
    assert [name for name in tables if f"`{name}`" not in TEXTS["ARCHITECTURE.md"]] == []


def test_every_setting_is_in_the_operations_and_no_other() -> None:
    text = TEXTS["docs/operations.md"]
    assert [name for name in VARIABLES.values() if f"`{name}`" not in text] == []
    named = {
        name
        for page in COMMAND_PAGES
        for name in re.findall(r"\b(?:FAREBOX|STRIPE)_[A-Z_]*[A-Z]\b", TEXTS[page])
        if not name.startswith("FAREBOX_TEST_")
    }
    assert named - set(VARIABLES.values()) == set()


def rows_of(text: str) -> dict[str, str]:
    """Every name in the first cell of a table row -> the rest of that row."""
    found: dict[str, str] = {}
    for first, rest in re.findall(r"(?m)^\| (`[^|]*) \|(.*)$", text):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", first), rest)
    return found


def test_every_problem_is_explained_with_its_status() -> None:
    rows = rows_of(TEXTS["docs/consumers.md"].split("Where a price depends")[0])
    wrong = {
        name: status
        for name, (status, _) in CATALOGUE.items()
        if not rows.get(name, "").startswith(f" {status} |")
    }
    assert wrong == {}


def test_every_refusal_of_a_price_or_of_framing_is_listed() -> None:
    named = set(re.findall(r"`([a-z0-9-]+)`", TEXTS["docs/consumers.md"]))
    priced = {
        name
        for file in (ROOT / "config").rglob("*.py")
        for name in re.findall(r'Unpriceable\(\s*\d+, "([a-z-]+)"', file.read_text("utf-8"))
    }
    assert len(priced) > 5
    assert (priced | set(FRAMING_PROBLEMS)) - named == set()


def test_every_reason_is_explained() -> None:
    rows = rows_of(TEXTS["docs/consumers.md"])
    assert [reason.word for reason in Reason if reason.word not in rows] == []


def test_every_metric_is_explained_and_no_other() -> None:
    text = TEXTS["docs/operations.md"]
    assert set(re.findall(r"`(farebox_\w+)`", text)) == set(HELP) | set(SELLING_HELP)


def test_every_field_of_the_log_is_named() -> None:
    line = Line(0, "0" * 24, "GET", "r", 200, 1, 1, 1, "delivered", 1, 1, "::1")
    fields = re.findall(r'"(\w+)":', render([line]).decode())
    assert len(fields) > 5
    assert [name for name in fields if f"`{name}`" not in TEXTS["docs/operations.md"]] == []
