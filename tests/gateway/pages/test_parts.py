"""What pages are made of: forms, filters, charts, files of rows, templates."""

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from pydantic import Field

from gateway.pages import charts, filters, forms
from gateway.pages.csv_file import _written, csv_file
from gateway.pages.dates import begin_of, end_of
from gateway.pages.forms import Fields
from gateway.pages.rendering import TEMPLATES, Rendering, environment
from gateway.pages.security import form_token
from gateway.pages.site import local_path
from gateway.problems import Problem
from ledger.errors import Conflict, InvalidInput


class Asked(Fields):
    name: Annotated[str, Field(max_length=5)] = "usual"
    count: Annotated[int, Field(ge=1)]
    scopes: list[str] = Field(default_factory=list)
    since: Annotated[date | None, Field(alias="from")] = None


def test_a_field_left_empty_counts_as_not_given() -> None:
    form = forms.fill(
        Asked, {"name": [" "], "count": [" 3 "], "scopes": ["a", "", "b"], "from": [""]}
    )
    assert form.read == Asked(count=3, scopes=["a", "b"])
    assert not form.errors


@pytest.mark.parametrize(
    ("values", "wrong"),
    [({}, {"count"}), ({"count": ["x"]}, {"count"}), ({"count": ["1", "2"]}, {"count"}),
     ({"count": ["0"], "name": ["too long"]}, {"count", "name"}),
     ({"count": ["1"], "more": ["x"]}, {"more"}), ({"count": ["1"], "name": ["a\x00b"]}, {"name"}),
     ({"count": ["1"], "from": ["soon"]}, {"from"})],
)  # fmt: skip
def test_each_wrong_field_is_named_with_a_sentence(
    values: dict[str, list[str]], wrong: set[str]
) -> None:
    form = forms.fill(Asked, values)
    assert form.read is None
    assert set(form.errors) == wrong
    assert all(text[0].isupper() and text.endswith(".") for text in form.errors.values())


@pytest.mark.parametrize(
    ("values", "told"),
    [({"count": ["1"], "from": ["soon"]}, "Must be a day, like 2026-01-31."),
     ({"count": ["1"], "from": ["2026-02-30"]}, "Must be a day, like 2026-01-31."),
     ({"count": ["x"]}, "Must be a whole number."), ({"count": ["0"]}, "Must be at least 1."),
     ({"count": ["1"], "name": ["too long"]}, "Must have at most 5 characters."),
     ({}, "Is missing; give it.")],
)  # fmt: skip
def test_it_is_said_in_plain_words(values: dict[str, list[str]], told: str) -> None:
    assert list(forms.fill(Asked, values).errors.values()) == [told]


def test_what_an_operation_refuses_stands_beside_its_field() -> None:
    form = forms.begin(name="x")
    assert form.refused(InvalidInput("name", "is taken")).errors == {"name": "Is taken."}
    assert form.refused(InvalidInput("other", "is taken")).errors == {"": "Other is taken."}
    assert form.refused(Conflict("c", "too late")).errors == {"": "Too late."}
    assert form.refused(Problem("not-found", "Not here.")).errors == {"": "Not here."}


@given(st.integers(-(10**14), 10**14), st.integers(0, 9))
def test_an_amount_is_read_back_as_it_was(units: int, scale: int) -> None:
    shown = filters.amount(units, scale)
    plain = shown.replace(",", "").replace(filters.MINUS, "-")
    assert round(float(plain) * 10**scale) == units or abs(units) > 2**53
    assert len(plain.partition(".")[2]) == scale


def test_amounts_money_and_times_for_people() -> None:
    assert filters.amount(-125_050, 2) == f"{filters.MINUS}1,250.50"
    assert filters.money(123_450, "usd") == "1,234.50 USD"
    assert filters.money(1_500, "jpy") == "1,500 JPY"
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (
        filters.moment(at) == '<time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04:05 UTC</time>'
    )
    assert filters.moment(None) == filters.amount(None, 0) == filters.MISSING
    assert filters.plural(1, "call") == "1 call"


@given(st.lists(st.integers(0, 10**12), max_size=400))
def test_bars_stay_within_their_drawing_and_are_in_proportion(values: list[int]) -> None:
    drawn = charts.bars([charts.Point(str(n), value, "") for n, value in enumerate(values)])
    assert len(drawn.bars) == len(values)
    for bar in drawn.bars:
        assert charts.LEFT <= bar.x <= bar.x + bar.width <= charts.WIDTH
        assert bar.y >= charts.TOP - 0.01
        assert abs(bar.y + bar.height - (charts.HEIGHT - charts.BOTTOM)) < 0.02
    heights = [bar.height for bar in drawn.bars]
    assert sorted(range(len(values)), key=lambda n: (values[n], n)) == sorted(
        range(len(values)), key=lambda n: (heights[n], values[n], n)
    )
    assert sum(bar.shows_label for bar in drawn.bars) <= charts.MOST_LABELS + 1
    assert drawn.lines[-1].value >= max(values, default=0)
    steps = {b.value - a.value for a, b in zip(drawn.lines, drawn.lines[1:], strict=False)}
    assert len(steps) == 1


def test_shares_are_hundredths_of_the_largest() -> None:
    assert charts.shares([]) == []
    assert charts.shares([0, 0]) == [0, 0]
    assert charts.shares([5, 10, 1]) == [50, 100, 10]


@pytest.mark.parametrize("text", ["=1+1", "+1;x", "-cmd|x", "@sum(1)", "\t=1", "\r=1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    (row,) = csv.reader(
        io.StringIO(_written([[text, "-2", "-0.25", None, 7]]).decode(), newline="")
    )
    assert row == [f"'{text}", "-2", "-0.25", "", "7"]


@pytest.mark.anyio
async def test_a_file_that_is_not_whole_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.pages.csv_file.MOST_ROWS", 4)

    async def turn(cursor: str | None) -> tuple[list[list[object]], str | None]:
        return [[cursor, 1], [cursor, 2]], "more"

    answer = await csv_file("x", ("cursor", "number"), turn, {"cache-control": "no-store"})
    text = b"".join([bytes(part) async for part in answer.body_iterator]).decode()
    assert answer.headers["cache-control"] == "no-store"
    assert text.splitlines() == [
        "cursor,number", ",1", ",2", "more,1", "more,2",
        "Only 4 rows fit into a file; choose a shorter time.",
    ]  # fmt: skip


def test_days_begin_and_end_at_midnight_utc() -> None:
    assert begin_of(date(2026, 1, 31)) == datetime(2026, 1, 31, tzinfo=UTC)
    assert end_of(date(2026, 1, 31)) == datetime(2026, 2, 1, tzinfo=UTC)
    assert begin_of(None) is end_of(None) is end_of(date.max) is None


@given(st.text(max_size=80))
def test_only_a_path_below_the_pages_is_gone_on_with(text: str) -> None:
    for wanted in (text, f"/farebox/{text}"):
        path = local_path(wanted, "/farebox")
        assert path.startswith("/")
        assert not path.startswith(("//", "/\\"))
        assert path.isascii()


def test_a_name_that_a_template_lacks_is_an_error() -> None:
    template = environment().from_string("{{ absent }}")
    with pytest.raises(UndefinedError):
        template.render()


def test_every_template_can_be_read() -> None:
    for file in TEMPLATES.rglob("*.html"):
        environment().get_template(file.relative_to(TEMPLATES).as_posix())


def test_a_file_is_found_under_its_content_alone(tmp_path: Path) -> None:
    rendering = Rendering(base=lambda: "/here")
    address = rendering.statics.address("pages.css")
    assert address.startswith("/here/static/")
    with pytest.raises(KeyError):
        rendering.statics.address("absent.css")


def test_form_tokens_belong_to_their_session() -> None:
    assert form_token("a") != form_token("b")
    assert form_token("a") == form_token("a")
    assert "a" * 64 not in form_token("a" * 64)
