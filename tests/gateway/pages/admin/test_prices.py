"""The admin's pages about prices: checked, compared, tried, published, gone back from."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.publishing import FilePlace
from tests.charging import Stores
from tests.control import ROOT_TOKEN, Control, control
from tests.gateway.pages.admin.looking import Looking, text_of
from tests.gateway.serving import serving

pytestmark = pytest.mark.anyio

EDIT = "/prices/edit"
LIMIT_S = 10.0


@pytest.fixture
async def edited(
    database_url: str, redis_url: str, namespace: str, tmp_path: Path
) -> AsyncIterator[tuple[Control, Looking, Path]]:
    """Root at the pages of a gateway whose prices live in a file."""
    file = tmp_path / "farebox.yaml"
    place = FilePlace(file)
    async with (
        control(Stores(database_url, redis_url, namespace), price_file=place) as running,
        serving(running.admin_app) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        file.write_text((await running.admin.get("/prices/current")).json()["text"])
        looking = Looking(client)
        await looking.sign_in(ROOT_TOKEN)
        yield running, looking, file


async def live(running: Control) -> tuple[int, str]:
    shown = (await running.admin.get("/prices/current")).json()
    return shown["version"], shown["text"]


async def test_a_refused_edit_is_shown_at_its_line_and_keeps_the_text(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, file = edited
    version, text = await live(running)
    wrong = text.replace("price: 2, name: product", "price: two, name: product")
    number = wrong.split("\n").index(next(line for line in wrong.split("\n") if "two" in line)) + 1

    for doing in ("check", "try", "publish"):
        answer = await looking.send(EDIT, EDIT, text=wrong.replace("\n", "\r\n"), do=doing)

        assert answer.status_code == 422
        assert f'<a href="#line-{number}" data-line="{number}">Line {number}, column' in answer.text
        marked = re.search(rf'(?s)<li id="line-{number}"[^>]*class="wrong">(.*?)</li>', answer.text)
        assert marked is not None
        assert "An amount of credits is needed here" in marked[1]
        assert "price: two" in text_of(answer)
    assert await live(running) == (version, text)
    assert file.read_text() == text


async def sentence(running: Control, text: str) -> str:
    """What the API says of the one change that a text makes."""
    shown = await running.admin.post(
        "/prices/diff", content=text, headers={"content-type": "application/yaml"}
    )
    [change] = shown.json()["changes"]
    return str(change["sentence"])


async def test_checking_says_in_words_what_would_change_and_publishes_nothing(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    new = text.replace("price: 2, name: product", "price: 7, name: product")

    answer = await looking.send(EDIT, EDIT, text=new, do="check")

    assert answer.status_code == 200
    said = text_of(answer)
    assert f"Against version {version}, which is in force, this changes:" in said
    assert await sentence(running, new) in said
    same = await looking.send(EDIT, EDIT, do="check")
    assert f"It means the same as version {version}" in text_of(same)
    assert await live(running) == (version, text)


async def test_what_is_published_is_in_force_in_the_file_and_named(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, file = edited
    version, text = await live(running)
    new = text.replace("price: 2, name: product", "price: 7, name: product")

    page = await looking.done(EDIT, EDIT, text=new.replace("\n", "\r\n"), do="publish")

    assert f"Published as version {version + 1}" in text_of(page)
    assert await live(running) == (version + 1, new)
    assert file.read_text() == new
    row = (await running.admin.get("/prices")).json()["items"][0]
    assert (row["actor"], row["source"]) == ("root", "admin")
    shown = await looking.get(f"/prices/{version + 1}")
    assert "What changed with it" in text_of(shown)


async def test_two_editors_do_not_overwrite_each_other(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    mine, theirs = (text.replace("price: 2, name: p", f"price: {n}, name: p") for n in (7, 8))
    await looking.done(EDIT, EDIT, text=theirs, do="publish")

    answer = await looking.send(EDIT, EDIT, text=mine, expected=str(version), do="publish")

    assert answer.status_code == 409
    assert "prices" in text_of(answer)
    assert "price: 7" in text_of(answer)
    assert await live(running) == (version + 1, theirs)


async def test_a_text_is_tried_on_the_last_day_before_it_is_published(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    customer = await running.gateway.customer(credits=100)
    for _ in range(3):
        await running.called(customer)
    new = text.replace("price: 2, name: product", "price: 7, name: product")

    begun = await looking.send(EDIT, EDIT, text=new, do="try")
    place = begun.headers["location"].removeprefix("/admin")
    async with asyncio.timeout(LIMIT_S):
        page = await looking.get(place)
        while "data-poll" in page.text:
            assert 'http-equiv="refresh"' in page.text  # without a script it comes again, too
            await asyncio.sleep(0.02)
            page = await looking.get(place)

    said = text_of(page)
    assert "3 recorded charges" in said
    assert re.search(r"GET /v1/products/\{asin\} 3 6 21 \+ ?15", said)
    assert "refresh" not in page.text
    back = re.search(r'href="/admin(/prices/edit\?job=[^"]+)"', page.text)
    assert back is not None
    assert "price: 7" in text_of(await looking.get(back[1]))
    assert await live(running) == (version, text)


async def test_an_earlier_version_is_gone_back_to(edited: tuple[Control, Looking, Path]) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    new = text.replace("price: 2, name: product", "price: 7, name: product")
    await looking.done(EDIT, EDIT, text=new, do="publish")
    asked = await looking.get(f"/prices/{version}/rollback")
    assert await sentence(running, text) in text_of(asked)

    page = await looking.done(f"/prices/{version}/rollback")

    assert f"Published as version {version + 2}" in text_of(page)
    assert await live(running) == (version + 2, text)


async def test_going_back_is_refused_where_somebody_was_faster(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    for price in (7, 8):
        new = text.replace("price: 2, name: product", f"price: {price}, name: product")
        await looking.done(EDIT, EDIT, text=new, do="publish")

    answer = await looking.send(f"/prices/{version}/rollback", expected=str(version + 1))

    assert answer.status_code == 409
    assert (await live(running))[0] == version + 2


async def test_an_earlier_text_is_edited_from(edited: tuple[Control, Looking, Path]) -> None:
    running, looking, _ = edited
    version, text = await live(running)
    new = text.replace("price: 2, name: product", "price: 7, name: product")
    await looking.done(EDIT, EDIT, text=new, do="publish")

    page = await looking.get(f"{EDIT}?version={version}")

    assert "price: 2, name: product" in text_of(page)
    assert f"It follows version {version + 1}" in text_of(page)


async def test_a_refused_file_is_told_with_its_line(edited: tuple[Control, Looking, Path]) -> None:
    running, looking, _ = edited
    async with running.gateway.ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO price_refusals (gateway_id, sha256, problems) VALUES ('gw', $1, $2)",
            bytes(32),
            [{"line": 4, "column": 9, "message": "A <b>odd</b> thing.", "hint": "Mend it."}],
        )

    page = await looking.get("/prices")

    assert "Line 4, column 9: A <b>odd</b> thing. Mend it." in text_of(page)
    assert "<b>odd" not in page.text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"do": "burn"},
        {"do": "publish"},
        {"do": "publish", "expected": "x", "text": "version: 1"},
    ],
)
async def test_a_form_that_names_too_little_does_nothing(
    edited: tuple[Control, Looking, Path], form: dict[str, str]
) -> None:
    running, looking, _ = edited
    before = await live(running)
    page = await looking.get(EDIT)
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token is not None

    answer = await looking.http.post(f"/admin{EDIT}", data={"form_token": token[1], **form})

    assert answer.status_code == 400
    assert await live(running) == before


async def test_a_large_file_is_edited_and_a_huge_one_refused(
    edited: tuple[Control, Looking, Path],
) -> None:
    running, looking, _ = edited
    _, text = await live(running)

    large = await looking.send(EDIT, EDIT, text=text + "# ö more\n" * 20_000, do="check")
    huge = await looking.send(EDIT, EDIT, text="#" * (1 << 20) + "\n" + text, do="check")

    assert (large.status_code, huge.status_code) == (200, 413)


async def test_what_was_observed_is_reported(edited: tuple[Control, Looking, Path]) -> None:
    running, looking, _ = edited
    customer = await running.gateway.customer(credits=1)
    for _ in range(2):
        await running.called(customer, "/seen")

    page = await looking.get("/observed")
    assert "1 route only observes" in text_of(page)
    begun = await looking.send("/observed", "/observed", hours="1")
    place = begun.headers["location"].removeprefix("/admin")
    async with asyncio.timeout(LIMIT_S):
        page = await looking.get(place)
        while "data-poll" in page.text:
            await asyncio.sleep(0.02)
            page = await looking.get(place)

    assert "2 observed requests" in text_of(page)
    assert "insufficient credits 2" in text_of(page)
    kept = await looking.get("/observed")
    assert "2 observed requests" in text_of(kept)
