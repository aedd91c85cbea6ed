"""
One demo and one browser for all of these tests: `make test-pages` runs them.

`make test` has neither Playwright nor axe-core, and leaves them out.
"""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.pages.browser import Chromium
    from tests.pages.demo import Demo
    from tests.pages.furnishing import Furnished
    from tests.pages.people import People

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Demo]":
    from tests.pages.demo import running_demo

    folder = tmp_path_factory.mktemp("demo")
    try:
        with running_demo(folder) as demo:
            yield demo
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Chromium]":
    from tests.pages.browser import outside, running_chromium

    folder = tmp_path_factory.mktemp("chromium")
    try:
        with running_chromium(folder) as chromium:
            yield chromium
        assert outside(folder) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def furnished(demo: "Demo") -> "Furnished":
    """An account that has a bit of everything; nobody changes it."""
    from tests.pages.furnishing import furnish

    return furnish(demo)


@pytest.fixture(scope="session")
def people(chromium: "Chromium", demo: "Demo", furnished: "Furnished") -> "People":
    """That account's owner and an admin, signed in."""
    from tests.pages.people import People

    return People(chromium, demo, furnished.account.name)


@pytest.fixture(scope="session")
def newcomer(chromium: "Chromium", demo: "Demo") -> "People":
    """Somebody whose account has nothing yet."""
    from tests.pages.people import People

    return People(chromium, demo, demo.account("newcomer").name)


@pytest.fixture(autouse=True)
def in_order(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a complaint of the browser, or a request to anybody else."""
    if "chromium" not in request.fixturenames:
        yield
        return
    witness = request.getfixturevalue("chromium").witness
    origins = request.getfixturevalue("demo").origins
    # Those of a test that failed, and of a set-up that did, are told already.
    witness.take_complaints()
    witness.take_strangers(origins)
    yield
    assert witness.take_complaints() == []
    assert witness.take_strangers(origins) == []


def pytest_sessionstart() -> None:
    if find_spec("playwright"):
        from tests.pages.browser import NoBrowser, find_chromium
        from tests.pages.pictures import KEPT

        shutil.rmtree(KEPT, ignore_errors=True)
        try:
            find_chromium()
        except NoBrowser as missing:
            pytest.exit(str(missing), returncode=2)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if find_spec("playwright"):
        from tests.pages.pictures import KEPT

        terminalreporter.write_line(f"Pictures of the pages: {KEPT}")
