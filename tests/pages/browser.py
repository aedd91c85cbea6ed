"""
A headless Chromium, and a witness of all it does.

FAREBOX_CHROMIUM names the program; else it is the `chromium` found on the path. Every page is
watched: what it asks for, what its console says, what its Content-Security-Policy stops.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.pages import pictures

NAMES = ("chromium", "chromium-browser", "google-chrome")
DEFAULT_LIMIT_MS = 30_000
"""What the browser waits at most for an element or a page; a busy machine is slow."""

WIDE = {"width": 1280, "height": 900}
NET_LOG = "net-log.json"
"""Where the browser writes down what it connects to."""

ZONE = "Europe/Berlin"
NARROW = {"width": 375, "height": 740}

_TELL_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) => console.error(
    'Content-Security-Policy: ' + event.violatedDirective + ' stopped ' + event.blockedURI));
"""


class NoBrowser(Exception):
    """There is no Chromium here; says how to get one."""


def find_chromium() -> str:
    """Return the program to drive."""
    given = os.environ.get("FAREBOX_CHROMIUM")
    found = [path for name in NAMES if (path := shutil.which(name))]
    if given:
        found = [path for path in [shutil.which(given)] if path]
    if not found:
        said = f"FAREBOX_CHROMIUM is {given}, which is no program" if given else "none was found"
        raise NoBrowser(
            f"The browser tests need Chromium: {said}. "
            "On Debian: apt install chromium; or name one: FAREBOX_CHROMIUM=/path/to/chromium"
        )
    return found[0]


@dataclass
class Witness:
    """What a browser did and complained about."""

    requests: list[str] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Write down all that happens in a context from now on."""
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("request", self._requested)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))

    def take_strangers(self, ours: set[str]) -> list[str]:
        """Return what was asked of anybody but these origins since the last time."""
        taken, self.requests = self.requests, []
        return [url for url in taken if url.startswith("http") and _origin(url) not in ours]

    def take_complaints(self) -> list[str]:
        """Return what was complained about since the last time."""
        taken, self.complaints = self.complaints, []
        return taken

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)
        if request.is_navigation_request():
            self.documents.add(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        address = message.location.get("url", "")
        # A page that is itself an error (404, 401) is no mistake of a page.
        if "server responded with a status of" in message.text and address in self.documents:
            return
        self.complaints.append(f"{address}: {message.type}: {message.text}")


@dataclass(frozen=True)
class Chromium:
    """A browser; each `visitor` is somebody new, without cookies."""

    browser: Browser
    witness: Witness

    @contextmanager
    def visitor(
        self,
        *,
        cookies: Any = None,
        narrow: bool = False,
        script: bool = True,
    ) -> Iterator[Page]:
        """
        Give somebody a window of their own for as long as the block runs.

        `cookies` is what another window of the same person had: its `storage_state()`.
        """
        context = self.browser.new_context(
            storage_state=cookies,
            viewport=NARROW if narrow else WIDE,
            color_scheme="light",
            java_script_enabled=script,
            locale="en-GB",
            timezone_id=ZONE,
            reduced_motion="reduce",
        )
        context.set_default_timeout(DEFAULT_LIMIT_MS)
        self.witness.watch(context)
        page = context.new_page()
        try:
            yield page
        except Exception:
            pictures.keep(page, "failed", os.environ.get("PYTEST_CURRENT_TEST", "?").split("::")[1])
            raise
        finally:
            context.close()


@contextmanager
def running_chromium(folder: Path) -> Iterator[Chromium]:
    """Run a browser for as long as the block runs; what it keeps lies below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    flags = [
        # Names lead nowhere: who asks for one fails, and is seen to have asked.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--log-net-log={folder / NET_LOG}",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium has none for root; it sees our own pages only
    expect.set_options(timeout=DEFAULT_LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=flags, env={**os.environ, **ours}
        )
        try:
            yield Chromium(browser, Witness())
        finally:
            browser.close()


def outside(folder: Path) -> list[str]:
    """
    Return every address off this machine that the browser itself connected to.

    In its own words, which are whole only after its end.
    """
    log = json.loads((folder / NET_LOG).read_text())
    kind = log["constants"]["logEventTypes"]["TCP_CONNECT_ATTEMPT"]
    tried = {
        event["params"]["address"]
        for event in log["events"]
        if event["type"] == kind and "address" in event.get("params", {})
    }
    assert tried, "the browser's log shows no connection at all: it is not what we think it is"
    return sorted(one for one in tried if not one.startswith("127.0.0.1:"))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
