"""`farebox import` and `farebox check --openapi`, as typed."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.table import described
from gateway.commands.group import run
from tests.config.openapi.documents import PETSTORE_YAML

Typed = tuple[int, str, str]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `farebox ...` in a folder with the pet shop's document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAREBOX_CONFIG", raising=False)
    (tmp_path / "openapi.yaml").write_text(PETSTORE_YAML)

    def farebox(*words: str) -> Typed:
        code = run(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return farebox


def test_a_document_is_imported_checked_priced_and_checked_again(typed, tmp_path: Path) -> None:
    code, out, err = typed("import", "openapi.yaml")
    assert (code, err) == (0, "")
    assert "farebox.yaml is written: 8 routes, none priced yet; all only observe." in out
    assert "not in it: TRACE /files/{path+}: this method is not served." in out

    code, out, _ = typed("check")
    assert code == 0
    assert "8 have no price yet." in out
    assert re.search(r"farebox.yaml:\d+: GET /v1/pets \(listPets\) has no price yet\.", out)

    code, out, _ = typed("check", "--openapi", "openapi.yaml")
    assert code == 1
    assert re.search(
        r"openapi.yaml:11: GET /v1/pets \(listPets\) has no price: not priced yet "
        r"\(farebox.yaml:\d+\)\.",
        out,
    )
    assert len(out.splitlines()) == 1 + 9

    path = tmp_path / "farebox.yaml"
    path.write_text(path.read_text().replace("price: unpriced", "price: 2"))
    code, out, _ = typed("check", "--openapi", "openapi.yaml")
    assert code == 0
    assert "All 9 operations of openapi.yaml have a price." in out

    path.write_text(path.read_text() + '  - { path: "/old", upstream: api, price: 1 }\n')
    code, out, _ = typed("check", "--openapi", "openapi.yaml")
    assert code == 1
    assert re.search(r"farebox.yaml:\d+: .* /old has a price and is not in openapi.yaml\.", out)


def test_both_answer_in_json(typed) -> None:
    code, out, _ = typed("import", "openapi.yaml", "--upstream", "http://127.0.0.1:9", "--json")
    assert code == 0
    made: dict[str, Any] = json.loads(out)
    assert (made["operations"], made["routes"]) == (9, 8)
    assert made["upstreams"]["api"] == "http://127.0.0.1:9"

    code, out, _ = typed("check", "--openapi", "openapi.yaml", "--json")
    assert code == 1
    told = json.loads(out)
    assert (told["ok"], len(told["unpriced"])) == (True, 8)
    assert told["openapi"]["ok"] is False
    assert told["openapi"]["without_operation"] == []
    first = told["openapi"]["without_price"][0]
    assert (first["method"], first["path"], first["why"]) == ("GET", "/v1/pets", "not priced yet")


def test_standard_input_is_read_and_standard_output_written(
    typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.dumps(described(), indent=1).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(document)))
    code, out, _ = typed("import", "-", "--upstream", "http://127.0.0.1:9", "--config", "-")
    assert code == 0
    assert not (tmp_path / "farebox.yaml").exists()
    (tmp_path / "farebox.yaml").write_text(out)
    assert typed("check")[0] == 0


def test_what_is_there_is_never_overwritten(typed, tmp_path: Path) -> None:
    (tmp_path / "farebox.yaml").write_text("mine")
    code, _, err = typed("import", "openapi.yaml")
    assert (code, "farebox.yaml is there already" in err) == (2, True)
    assert (tmp_path / "farebox.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("written", "code", "told"),
    [
        ("openapi: 3.0.0\npaths: [}\n", 1, "openapi.yaml:2:9: This is not valid YAML"),
        ("hello: 1\n", 1, "openapi.yaml:1:1: This is no OpenAPI document"),
        ("openapi: 3.0.0\npaths: { /a: { get: 5 } }\n", 1, "openapi.yaml:2:16: An operation is"),
        ("openapi: 3.0.0\npaths: { /a: { get: {} } }\n", 1, "--upstream http://127.0.0.1:9000"),
        (b"openapi: 3.0.0\n# \xff\n", 1, "openapi.yaml:2:1: The document is not UTF-8."),
        (None, 2, "openapi.yaml cannot be read"),
    ],
)
def test_a_bad_document_is_one_line_with_its_place(
    typed, tmp_path: Path, written: str | bytes | None, code: int, told: str
) -> None:
    path = tmp_path / "openapi.yaml"
    path.unlink()
    if written is not None:
        path.write_bytes(written if isinstance(written, bytes) else written.encode())
    given, out, err = typed("import", "openapi.yaml")
    assert (given, out) == (code, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "farebox.yaml").exists()


def test_a_base_path_is_a_path(typed) -> None:
    code, _, err = typed("import", "openapi.yaml", "--base-path", "v2")
    assert (code, "begins with a slash" in err) == (2, True)
