"""axe-core in a page: what a person who sees, hears or points differently would stumble over."""

from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = {"serious", "critical"}

_RUN = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.map(({ id, impact, help, nodes }) => (
        { id, impact, help, places: nodes.slice(0, 5).map((node) => node.target.join(' ')) }));
}"""


@cache
def _source() -> str:
    assert AXE.is_file(), "axe-core is not there: `make test-pages` fetches it with npm"
    return AXE.read_text("utf-8")


def grave_violations(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical on a page, with places."""
    # Not as an element of the page: its policy would rightly stop that.
    page.evaluate(_source())
    found: list[dict[str, Any]] = page.evaluate(_RUN)
    return [
        f"{one['impact']} {one['id']}: {one['help']}: {', '.join(one['places'])}"
        for one in found
        if one["impact"] in GRAVE
    ]
