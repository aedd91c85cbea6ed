"""gateway/publishing.py: prices come into force whole, in somebody's name, whatever dies meanwhile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config import PriceWatch, load_price_list
from gateway import publishing
from gateway.price_feed import InForce, PriceFeed
from gateway.price_file import PriceFile
from gateway.publishing import FilePlace, publish
from ledger import audit, gateways, price_versions
from ledger.database import Database
from ledger.errors import Conflict, NotFound
from ledger.price_versions import Published
from tests.charging import Stores
from tests.control import Control, control
from tests.gateway.test_price_file import Clock

pytestmark = pytest.mark.anyio

YAML = {"content-type": "application/yaml"}
FILE = """version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: /x, upstream: api, price: %d }]
"""
ONE, TWO, THREE = (FILE % price for price in (1, 2, 3))
STORED = [text + "prices: database\n" for text in (ONE, TWO, THREE)]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "farebox.yaml"
    path.write_text(ONE)
    return path


# Files are small, and no loop waits for them.


def text_in(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def beside(path: Path) -> list[str]:
    return [one.name for one in path.parent.iterdir()]


def chmod(path: Path, mode: int) -> None:
    path.chmod(mode)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def linked(path: Path) -> Path:
    """Leave a link where the file is; give the file's new place."""
    target = path.with_name("real.yaml")
    path.rename(target)
    path.symlink_to(target)
    return target


def is_link(path: Path) -> bool:
    return path.is_symlink()


def watched(database: Database, path: Path, current: str | None = None) -> PriceFile:
    clock = Clock()
    watch = PriceWatch(path, clock, current=current)
    return PriceFile(database, watch, gateway_id="g1", host="here", environ={}, clock=clock)


async def started(database: Database, path: Path) -> PriceFile:
    """A gateway that starts, as its steward does it."""
    text = text_in(path)
    file = watched(database, path, text)
    await file.take(text)
    return file


async def looked(file: PriceFile) -> None:
    for _ in range(3):
        await file.look()


async def published(
    database: Database,
    text: str,
    path: Path | None = None,
    *,
    expected: int | None = None,
    actor: str = "ann",
    gateway_id: str = "g1",
) -> Published:
    place = None if path is None else FilePlace(path, gateway_id)
    prices = load_price_list(text, environ={})
    return await publish(database, text, prices, actor=actor, expected=expected, place=place)


async def in_force(database: Database) -> tuple[int, str, str, str]:
    """Version, source, author and text."""
    async with database.connection() as connection:
        current = await price_versions.current(connection)
        assert current is not None
        text = await price_versions.text_of(connection, current.version)
    return current.version, current.source, current.actor, text


async def refused(work: Any) -> str:
    with pytest.raises(Conflict) as conflict:
        await work
    return conflict.value.code


async def test_a_publication_is_in_force_and_in_the_file_in_its_authors_name(
    database: Database, path: Path
) -> None:
    chmod(path, 0o640)
    file = await started(database, path)

    assert await published(database, TWO, path, expected=1) == Published(2, repeated=False)

    assert text_in(path) == TWO
    assert mode_of(path) == 0o640
    assert beside(path) == ["farebox.yaml"]
    await looked(file)
    await started(database, path)
    assert await in_force(database) == (2, "admin", "ann", TWO)
    async with database.connection() as connection:
        row = (await audit.rows(connection))[0]
    assert (row.actor, row.action, row.target) == ("ann", "prices.publish", "version 2")


async def test_a_repeat_changes_nothing(database: Database, path: Path) -> None:
    await started(database, path)
    await published(database, TWO, path, expected=1)
    assert await published(database, TWO, path, expected=1) == Published(2, repeated=True)
    assert (await in_force(database))[:3] == (2, "admin", "ann")


async def test_two_editors_cannot_overwrite_each_other(database: Database, path: Path) -> None:
    await started(database, path)
    works = [
        published(database, text, path, expected=1, actor=actor)
        for text, actor in ((TWO, "ann"), (THREE, "bob"))
    ]
    done = await asyncio.gather(*works, return_exceptions=True)
    lost = [one for one in done if isinstance(one, Conflict)]
    assert [one.code for one in lost] == ["prices-changed"]
    version, _, author, text = await in_force(database)
    assert (version, text_in(path)) == (2, text)
    assert text == {"ann": TWO, "bob": THREE}[author]
    assert author in lost[0].message


async def test_the_file_as_it_is_counts_again_after_a_publication(
    database: Database, path: Path
) -> None:
    """Who edits the file back means it: it is not taken for a restart with an old file."""
    file = await started(database, path)
    await published(database, TWO, path)
    await looked(file)
    write(path, ONE)
    await looked(file)
    assert await in_force(database) == (3, "file", "file:here", ONE)


async def test_the_file_counts_again_after_a_rollback_too(database: Database, path: Path) -> None:
    file = await started(database, path)
    write(path, TWO)
    await looked(file)
    async with database.connection() as connection:
        await price_versions.roll_back(connection, 1, actor="ann")
    for text in (ONE, TWO):
        write(path, text)
        await looked(file)
    assert await in_force(database) == (4, "file", "file:here", TWO)


async def test_changes_of_the_file_that_are_not_in_force_are_not_written_over(
    database: Database, path: Path
) -> None:
    await started(database, path)
    write(path, THREE)
    assert await refused(published(database, TWO, path)) == "file-changed"
    assert text_in(path) == THREE
    assert (await in_force(database))[0] == 1


async def test_a_file_that_cannot_be_written_from_here_is_refused(
    database: Database, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await started(database, path)
    nowhere = tmp_path / "nowhere" / "farebox.yaml"
    assert await refused(published(database, TWO)) == "prices-in-files"
    assert await refused(published(database, TWO, nowhere)) == "prices-in-files"
    mounts = tmp_path / "mounts"
    write(mounts, f"36 35 98:0 / {path} rw,noatime - ext3 /dev/root rw\n")
    monkeypatch.setattr(publishing, "MOUNTS", mounts)
    assert await refused(published(database, TWO, path)) == "prices-in-files"
    assert (await in_force(database))[0] == 1
    assert text_in(path) == ONE


async def test_several_gateways_have_files_of_their_own(database: Database, path: Path) -> None:
    """The others would start with theirs again, and publish it."""
    await started(database, path)
    async with database.connection() as connection:
        await gateways.register(connection, "g1", "here")
        await gateways.register(connection, "g2", "there")
    assert await refused(published(database, TWO, path)) == "prices-in-files"
    assert await published(database, STORED[1], path) == Published(
        2, repeated=False, home="database"
    )


async def test_a_file_that_is_a_link_stays_one(database: Database, path: Path) -> None:
    target = linked(path)
    await started(database, path)
    await published(database, TWO, path)
    assert is_link(path)
    assert text_in(target) == TWO


async def test_prices_in_the_database_are_not_those_of_a_file(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, STORED[0])
    file = await started(database, path)
    await published(database, STORED[1], path, expected=1)
    assert text_in(path) == STORED[0]

    write(path, THREE)
    await looked(file)
    await started(database, path)
    write(path, "nonsense")
    await looked(file)

    assert await in_force(database) == (2, "admin", "ann", STORED[1])
    assert caplog.text.count("the price file is not taken") == 2  # once by each gateway
    async with database.connection() as connection:
        (row,) = await gateways.running(connection)
        assert await price_versions.last_refusal(connection) is None
    assert (row.price_version, row.file_sha256, row.refusal) == (2, None, None)


async def test_every_gateway_follows_what_is_in_the_database(
    database: Database, path: Path
) -> None:
    write(path, STORED[0])
    await started(database, path)
    feeds = [PriceFeed(database, {}, Clock()) for _ in range(2)]
    for feed in feeds:
        await feed.first()
    queues: list[asyncio.Queue[InForce]] = [asyncio.Queue() for _ in feeds]
    tasks = [
        asyncio.create_task(feed.follow(queue.put))
        for feed, queue in zip(feeds, queues, strict=True)
    ]
    await published(database, STORED[2])
    async with asyncio.timeout(30):
        taken = [await queue.get() for queue in queues]
    for task in tasks:
        task.cancel()
    assert [(one.version, one.list.routes[0].price.flat) for one in taken] == [(2, 3)] * 2


async def test_prices_in_the_database_are_rolled_back(database: Database, path: Path) -> None:
    write(path, STORED[0])
    await started(database, path)
    await published(database, STORED[1])
    async with database.connection() as connection:
        with pytest.raises(Conflict) as stale:
            await price_versions.roll_back(connection, 1, actor="bob", expected=1)
        await price_versions.roll_back(connection, 1, actor="bob", expected=2)
    assert stale.value.code == "prices-changed"
    assert await in_force(database) == (3, "rollback", "bob", STORED[0])


async def test_a_rollback_does_not_decide_where_prices_live(database: Database, path: Path) -> None:
    await started(database, path)
    await published(database, STORED[1])
    async with database.connection() as connection:
        with pytest.raises(Conflict) as moved:
            await price_versions.roll_back(connection, 1, actor="bob")
        with pytest.raises(NotFound):
            await price_versions.roll_back(connection, 9, actor="bob")
    assert moved.value.code == "prices-moved"
    # Publishing does, in both directions.
    await published(database, TWO, path)
    assert (await in_force(database))[3] == text_in(path) == TWO


DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from config import load_price_list
from gateway import publishing
from ledger import price_versions
from ledger.database import Database

url, path, text, at = sys.argv[1:]
real = {"draft": publishing._draft, "put": publishing._put, "written": price_versions.written}

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def draft(*given):
    made = real["draft"](*given)
    if at == "drafted": die()
    return made

def put(*given):
    if at == "in force": die()
    real["put"](*given)
    if at == "in the file": die()

async def written(*given):
    await real["written"](*given)
    if at == "told": die()

publishing._draft, publishing._put, price_versions.written = draft, put, written

async def main():
    database = await Database.connect(url, most=2)
    prices = load_price_list(text, environ={})
    place = publishing.FilePlace(Path(path), "g1")
    await publishing.publish(database, text, prices, actor="ann", expected=1, place=place)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("at", "left"),
    [
        ("drafted", (1, ONE)),
        ("in force", (2, ONE)),
        ("in the file", (2, TWO)),
        ("told", (2, TWO)),
    ],
)
async def test_killed_between_file_and_database(
    database: Database, database_url: str, path: Path, at: str, left: tuple[int, str]
) -> None:
    version, file = left
    await started(database, path)

    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", DIE, database_url, str(path), TWO, at],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )

    assert died.returncode == -signal.SIGKILL
    here = (version, "admin", "ann", TWO) if version == 2 else (1, "file", "file:here", ONE)
    assert await in_force(database) == here
    assert text_in(path) == file
    # A gateway that starts on what is left, and one that runs on, change nothing of it.
    await looked(await started(database, path))
    assert await in_force(database) == here
    # The same again is done to its end, and waits for no lock of the dead.
    await published(database, TWO, path, expected=1)
    assert await in_force(database) == (2, "admin", "ann", TWO)
    assert text_in(path) == TWO
    assert beside(path) == ["farebox.yaml"]
    write(path, THREE)
    await looked(watched(database, path, TWO))
    assert (await in_force(database))[3] == THREE


# Over the admin's routes


@pytest.fixture
async def served(database_url: str, redis_url: str, namespace: str, path: Path) -> AsyncIterator[Control]:  # fmt: skip
    async with control(
        Stores(database_url, redis_url, namespace), ONE, price_file=FilePlace(path)
    ) as ctl:
        yield ctl


async def test_an_admin_publishes_what_follows_the_version_he_saw(
    served: Control, path: Path
) -> None:
    admin = served.admin
    current = await admin.get("/prices/current")
    assert current.headers["etag"] == '"1"'

    made = await admin.post(
        "/prices", content=TWO, headers={**YAML, "if-match": current.headers["etag"]}
    )
    again = await admin.post("/prices?expected=1", content=TWO, headers=YAML)
    stale = await admin.post("/prices?expected=1", content=THREE, headers=YAML)
    unsaid = await admin.post("/prices", content=THREE, headers=YAML)

    body = made.json()
    assert (made.status_code, body["version"], body["source"], body["actor"]) == (
        201,
        2,
        "admin",
        "root",
    )
    assert (body["repeated"], body["file"], body["home"]) == (False, str(path), "file")
    assert (again.status_code, again.json()["repeated"]) == (201, True)
    assert (stale.status_code, stale.json()["type"]) == (412, "/farebox/problems/prices-changed")
    assert "ersion 2 by root is in force" in stale.json()["detail"]
    assert unsaid.status_code == 428
    assert text_in(path) == TWO
    listed = (await admin.get("/prices")).json()["items"]
    assert [(row["version"], row["actor"]) for row in listed] == [(2, "root"), (1, "test")]


async def test_any_version_may_be_followed_when_that_is_said(served: Control) -> None:
    headers = {**YAML, "if-match": "*"}
    assert (await served.admin.post("/prices", content=TWO, headers=headers)).status_code == 201
    for value in ("seven", '"1", "2"', 'W/"1"'):
        wrong = await served.admin.post(
            "/prices", content=THREE, headers={**YAML, "if-match": value}
        )
        assert wrong.status_code == 422
    both = await served.admin.post(
        "/prices?expected=1", content=THREE, headers={**YAML, "if-match": '"2"'}
    )
    assert both.status_code == 422


async def test_what_cannot_be_in_force_is_refused_by_line(served: Control, path: Path) -> None:
    any_version = {**YAML, "if-match": "*"}
    wrong = await served.admin.post("/prices", content=TWO + "colour: red\n", headers=any_version)
    scale = TWO + "credit_types: { credits: { scale: 3 } }\n"
    moved = await served.admin.post("/prices", content=scale, headers=any_version)

    assert wrong.json()["errors"][0]["field"] == "line 4, column 1"
    assert moved.json()["type"] == "/farebox/problems/scale-changed"
    assert text_in(path) == ONE


async def test_a_rollback_may_name_the_version_it_follows(served: Control) -> None:
    admin = served.admin
    await admin.post("/prices?expected=1", content=TWO, headers=YAML)
    stale = await admin.post("/prices/1/rollback?expected=1")
    back = await admin.post("/prices/1/rollback", headers={"if-match": '"2"'})
    assert (stale.status_code, back.status_code) == (412, 201)
    assert (back.json()["version"], back.json()["source"]) == (3, "rollback")
