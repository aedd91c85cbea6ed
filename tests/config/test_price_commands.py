import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config import load_price_list
from gateway.commands.prices import check, init, quote
from tests.config.files import EXAMPLE, TOKEN


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSTREAM_TOKEN", TOKEN["UPSTREAM_TOKEN"])
    path = tmp_path / "farebox.yaml"
    path.write_text(EXAMPLE)
    monkeypatch.setenv("FAREBOX_CONFIG", str(path))
    return path


def run(command, *arguments: str) -> tuple[Result, int]:
    """Run a command; commands return their exit code, which the group passes on."""
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    code = getattr(result.exception, "exit_code", 99) if result.exception else result.return_value
    return result, code


def test_check_says_that_a_file_is_fine(path: Path) -> None:
    result, code = run(check, str(path))
    assert code == 0
    assert "fine. 6 routes, 1 upstream, 1 package." in result.output


def test_check_shows_each_problem_with_its_place(path: Path) -> None:
    path.write_text(EXAMPLE.replace("price: 2\n", "price: two\n").replace("usd", "USD"))
    result, code = run(check, str(path))
    assert code == 1
    assert [line.split(": ")[0] for line in result.output.splitlines()] == [
        f"{path}:14:12",
        f"{path}:36:52",
    ]


def test_check_answers_in_json(path: Path) -> None:
    path.write_text(EXAMPLE.replace("price: 2\n", "price: two\n"))
    result, code = run(check, "--json")
    assert code == 1
    answer = json.loads(result.output)
    assert (answer["ok"], answer["problems"][0]["line"]) == (False, 14)


def test_check_of_no_file_is_wrong_use(tmp_path: Path) -> None:
    result, code = run(check, str(tmp_path / "none.yaml"))
    assert code == 2
    assert "farebox init" in str(result.exception)


def test_quote_shows_cost_rule_units_and_arithmetic(path: Path) -> None:
    result, code = run(quote, "post", "/v1/search", "-d", '{"limit": 250}')
    assert code == 0
    for part in (
        "4 credits",
        "/v1/search",
        "body /limit = 250",
        "1 + 250 / 100 x 1, rounded up = 4",
    ):
        assert part in result.output


def test_quote_answers_in_json(path: Path) -> None:
    result, code = run(quote, "POST", "/v1/calls/a", "--json")
    assert code == 0
    answer = json.loads(result.output)
    assert (answer["amount"], answer["amount_shown"], answer["credit_type"]) == (
        25,
        "0.25",
        "calling",
    )


def test_a_strict_route_is_said(path: Path) -> None:
    path.write_text(EXAMPLE.replace("price: 2\n", "price: 2\n    strict: true\n", 1))
    assert "1 waits for Postgres" in run(check, str(path))[0].output
    [name] = json.loads(run(check, str(path), "--json")[0].output)["strict_routes"]
    strict = next(
        r
        for r in load_price_list(path.read_text(), environ={"UPSTREAM_TOKEN": "t"}).routes
        if r.strict
    )
    assert name == strict.name
    target = strict.path.replace("{asin}", "B01")
    assert "only when Postgres has the hold" in run(quote, strict.methods[0], target)[0].output
    assert json.loads(run(quote, strict.methods[0], target, "--json")[0].output)["strict"] is True
    path.write_text(path.read_text() + "observe: true\n")
    assert "waits for Postgres" not in run(check, str(path))[0].output


def test_quote_of_a_refused_request_says_why(path: Path) -> None:
    result, code = run(quote, "POST", "/v1/search", "-d", "x=1", "-H", "Content-Type: text/plain")
    assert code == 1
    assert "415" in result.output


def test_init_writes_a_file_that_check_accepts_and_that_charges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    assert run(init, "--upstream", "http://127.0.0.1:9000/v2", "--config", str(path))[1] == 0
    assert run(check, str(path))[1] == 0
    made = load_price_list(path.read_text(), environ={})
    assert made.observe
    assert made.upstreams["api"].prefix == b"/v2"
    assert [route.path for route in made.routes] == ["/", "/*"]


def test_init_never_overwrites(path: Path) -> None:
    result, code = run(init, "--upstream", "http://127.0.0.1:9000")
    assert code == 2
    assert path.read_text() == EXAMPLE
    assert "is there already" in str(result.exception)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9000", "ftp://x", "http://u:p@x", "http://x/?a=1", "${X}"]
)
def test_init_refuses_an_address_that_cannot_be_called(tmp_path: Path, url: str) -> None:
    path = tmp_path / "new.yaml"
    assert run(init, "--upstream", url, "--config", str(path))[1] == 2
    assert not path.exists()


def test_check_and_quote_know_plans(path: Path) -> None:
    plans = "plans: { pro: { factor: 0.5, routes: { asin_query: { price: 1 } } } }\n"
    closed = EXAMPLE.replace("price: 2\n", "price: 2\n    feature: fast\n")
    path.write_text(closed + plans)

    checked, code = run(check, str(path))
    assert code == 0
    assert "fine. 6 routes, 1 upstream, 1 package, 1 plan." in checked.output
    assert "asks for the feature fast, which no plan and no package here has" in checked.output
    refused, code = run(quote, "GET", "/v1/products/B1", "--plan", "pro")
    assert code == 1
    assert (
        "403 plan-required: asin_query is for accounts that have the feature fast."
        in refused.output
    )
    result, code = run(
        quote, "GET", "/v1/products/B1", "--plan", "pro", "--feature", "fast", "--json"
    )
    assert code == 0
    assert (json.loads(result.output)["amount"], json.loads(result.output)["plan"]) == (1, "pro")
