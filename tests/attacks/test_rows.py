"""Every row of bad input has a test that exists."""

import ast
from functools import cache
from pathlib import Path

from tests.attacks.rows import ELSEWHERE, HERE, ROWS

ROOT = Path(__file__).parent.parent.parent
LAST_ROW = 53


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_row_is_here_or_elsewhere() -> None:
    assert ROWS.keys() | ELSEWHERE == set(range(1, LAST_ROW + 1))
    assert not ROWS.keys() & ELSEWHERE


def test_every_row_names_tests_that_exist() -> None:
    for words, named in ROWS.values():
        assert words
        assert named
        for each in named:
            path, _, name = each.rpartition("::")
            path = path if "/" in path else HERE + path
            assert name.startswith("test_")
            assert name in names_in(path), each


def test_every_test_of_a_row_is_named() -> None:
    files = sorted((ROOT / HERE).glob("test_*_rows.py"))
    written = {
        f"{file.name}::{name}"
        for file in files
        for name in names_in(HERE + file.name)
        if name.startswith("test_")
    }
    named = {each for _, tests in ROWS.values() for each in tests}
    # What belongs to a class of attacks and to no row of its own.
    beside = {
        "test_framing_rows.py::test_a_request_hidden_in_a_body_stays_a_body",
        "test_framing_rows.py::test_a_refusal_sent_ahead_leaves_the_answer_before_it",
        "test_path_rows.py::test_another_method_of_a_priced_path_is_405",
        "test_header_rows.py::test_http_2_spoken_outright_is_refused",
        "test_price_rows.py::test_a_priced_header_that_is_no_count_is_refused",
        "test_price_rows.py::test_a_price_by_size_is_the_size_the_backend_saw",
        "test_answer_rows.py::test_a_compressed_answer_is_read_for_its_usage_and_passed_on_as_it_is",
        "test_limit_rows.py::test_what_is_sent_ahead_waits_and_is_charged_one_by_one",
    }
    assert written - named == beside
