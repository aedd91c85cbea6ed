"""Every page there is, taken from the tables that serve them, so that a new one is not forgotten."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.consumer.table import TABLE as CONSUMER_TABLE
from gateway.pages.admin.table import PAGES as ADMIN_PAGES
from gateway.pages.consumer.table import PAGES as CONSUMER_PAGES
from gateway.pages.site import Page


@dataclass(frozen=True, slots=True)
class Visit:
    """A page's address, with `{names}` where something is named."""

    site: str
    path: str

    def __str__(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", self.path.lower()).strip("-")
        return f"{self.site}-{words or 'home'}"

    def address(self, examples: Mapping[str, str]) -> str:
        """Return the address with an example for each name; KeyError where there is none."""
        return re.sub(r"\{(\w+)\}", lambda found: examples[found[1]], self.path)


NEITHER = {
    "/sign-out",  # leads away
    "/buy",  # opens with the link of a refused call only: test_buying.py
    "/bought",  # opens with what Stripe leads back with: test_buying.py
}


def visits() -> list[Visit]:
    """Return all pages that are shown to who is signed in, each once."""
    described = [
        row.path
        for row in CONSUMER_TABLE
        if row.method == "GET" and (row.answer == "text/html" or row.page)
    ]
    consumer = [*described, *_shown(CONSUMER_PAGES)]
    return [
        *(Visit("consumer", path) for path in dict.fromkeys(consumer) if path not in NEITHER),
        *(Visit("admin", path) for path in dict.fromkeys(_shown(ADMIN_PAGES))),
    ]


def _shown(rows: Iterable[Page]) -> list[str]:
    files = (".csv",)
    return [row.path for row in rows if row.show is not None and not row.path.endswith(files)]
