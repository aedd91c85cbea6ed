"""Texts become plain values whose places are known, or an error with a place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import OpenApiError
from config.openapi import Document, read_document


def refused(text: str) -> str:
    with pytest.raises(OpenApiError) as error:
        read_document(text)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"openapi": "3.0.0",\n "paths": }', "2:11: This is not valid JSON"),
        ('{"a": 1}\n x', "2:2: Something follows"),
        ('{"a": 1,\n "b": 2, "a": 3}', "2:10: The key `a` is given twice (in #/)."),
        ('{"paths": {"/a": {}, "/a": {}}}', "1:22: The key `/a` is given twice (in #/paths)."),
        (
            '{"paths": {"/a": {"get": 1,\n"get": 2}}}',
            "2:1: The key `get` is given twice (in #/paths/~1a).",
        ),
        ('{"a": ' + "[" * 100_000, "1:1: The document is nested too deep."),
        ("a: [1\nb: 2\n", "2:2: This is not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "3:1: The key `a` is given twice."),
        ("a: 1\n---\nb: 2\n", "2:1: The file has a second document."),
        ("a: &x [*x]\n", "1:8: `*x` is not defined before, or is part of itself."),
        ("a:\n  <<: { b: 1 }\n", "2:3: `<<` merges are not read. Write the keys out."),
        ("? [a]\n: 1\n", "1:3: A key must be a plain word."),
        ("a: " + "[" * 300 + "]" * 300, "1:203: The document is nested too deep."),
        ("a: \x07", "1:1: The document has a character that YAML does not allow."),
        ("[1, 2]", "1:1: An OpenAPI document is a mapping."),
        ("", "1:1: An OpenAPI document is a mapping."),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, told: str) -> None:
    assert refused(text).startswith(told)


@pytest.mark.parametrize("text", ['\ufeff{"a": {"b": []}}', "a: { b: [] }", 'a: {"b": []}\n'])
def test_json_and_yaml_say_the_same(text: str) -> None:
    assert read_document(text).root == {"a": {"b": []}}


def test_yaml_keys_are_names_and_aliases_are_the_same_value_again() -> None:
    read = read_document('a: &x { 200: yes, on: "true", off: True, null: ~ }\nb: *x\n').root
    assert read["a"] == {"200": "yes", "on": "true", "off": True, "null": None}
    assert read["b"] is read["a"]


def test_no_depth_of_nesting_is_too_much_for_the_reader() -> None:
    """Wherever the interpreter gives up, it is a refusal."""
    for depth in range(100, 1_500, 7):
        inner = "[" * depth + "]" * depth
        try:
            read_document(f'{{"paths": {{"/a": {{"get": {inner}}}}}}}').place(("paths", "/a", "x"))
        except OpenApiError as error:
            assert "nested too deep" in str(error)  # noqa: PT017 - reading it is as good


def test_a_laughing_document_costs_nothing() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    assert len(read_document("\n".join(lines)).root) == 60


@pytest.mark.parametrize("indent", [None, 1])
def test_the_place_of_a_key_is_where_json_has_it(indent: int | None) -> None:
    text = json.dumps({"info": {"a": '}{"'}, "paths": {"/a~b": {"get": {"x": 1}}}}, indent=indent)
    document = read_document(text)
    for path in [("paths",), ("paths", "/a~b"), ("paths", "/a~b", "get"), ("info", "a")]:
        line, column = document.place(path)
        assert text.split("\n")[line - 1][column - 1 :].startswith(json.dumps(path[-1]))
    assert document.place(("paths", "/none", "get")) == document.place(("paths",))


def test_the_place_of_a_key_is_where_yaml_has_it() -> None:
    document = read_document("info: {}\npaths:\n  /a:\n    get: { x: 1 }\n")
    assert document.place(("paths", "/a", "get")) == (4, 5)
    assert document.place(("paths", "/a", "put")) == (3, 3)


@given(st.text(max_size=200) | st.text("{}[]:,\"'*&\n -#ab~/0", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for written in (text, "{" + text):
        try:
            read = read_document(written)
        except OpenApiError as error:
            # Refusing is as good as reading.
            assert min(error.problem.line, error.problem.column) >= 1  # noqa: PT017
        else:
            assert isinstance(read, Document)
            assert isinstance(read.root, dict)


@given(st.dictionaries(st.text(), st.recursive(st.text() | st.booleans() | st.none(), st.lists)))
def test_any_json_is_read_as_it_is(value: dict[str, object]) -> None:
    assert read_document(json.dumps(value)).root == value
    assert read_document(json.dumps(value, ensure_ascii=False)).root == value
