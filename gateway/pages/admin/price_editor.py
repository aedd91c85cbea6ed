"""
Prices edited: checked, compared with those in force, tried on recorded traffic, published.

The text travels with each form, so nothing is kept here until it is published; only a try keeps it,
as long as its job.
"""

from starlette.responses import Response

from gateway.operations import long_work, price_changes, prices
from gateway.operations.prices import PriceProblem, VersionText
from gateway.operations.replay_answer import ReplayQuery
from gateway.pages.admin.asking import MOST_DIGITS, AdminAsked, desk, given
from gateway.pages.admin.highlight import highlighted
from gateway.pages.admin.prices import NAME, grouped
from gateway.pages.site import REFUSALS, Page
from gateway.problems import Problem
from gateway.reading import MAX_BODY_BYTES
from gateway.routes import problem_of

FORM_BYTES = 3 * MAX_BODY_BYTES
"""A form writes a character of the text as up to three."""

DOINGS = ("check", "try", "publish")


async def show(asked: AdminAsked) -> Response:
    """Begin with the prices in force, an earlier version, or a text that was tried."""
    live = await prices.show(desk(asked), None)
    said = asked.request.query_params
    text = live.text
    if "job" in said:
        text = asked.services.jobs.get(said["job"]).text or text
    elif "version" in said and said["version"].isdigit() and len(said["version"]) <= MOST_DIGITS:
        text = (await prices.show(desk(asked), int(said["version"]))).text
    return _page(asked, live, text, expected=live.version)


async def act(asked: AdminAsked) -> Response:
    """Check, try or publish the text; one that is wrong is shown with each wrong line."""
    text = next(iter(asked.form.get("text", [])), "").replace("\r\n", "\n")
    doing = next(iter(asked.form.get("do", [])), "")
    expected = _expected(next(iter(asked.form.get("expected", [])), ""))
    if doing not in DOINGS:
        raise Problem("bad-request", "The form names nothing to do; open the page again.")
    live = await prices.show(desk(asked), None)
    if len(text.encode()) > MAX_BODY_BYTES:
        raise Problem("body-too-large", f"A price file has at most {MAX_BODY_BYTES} bytes.")
    checked = prices.check(text, asked.services.environ)
    if not checked.good:
        return _page(asked, live, text, expected=expected, problems=checked.problems, status=422)
    try:
        if doing == "try":
            return _tried(asked, text)
        if doing == "publish":
            return await _published(asked, text, expected)
    except REFUSALS as refused:
        problem = problem_of(refused)
        return _page(
            asked,
            live,
            text,
            expected=expected,
            refused=_sentence(problem.detail),
            status=problem.status,
        )
    # What is compared now is what may be published over.
    return _page(asked, live, text, expected=live.version, compared=True)


def _tried(asked: AdminAsked, text: str) -> Response:
    services = asked.services
    job = long_work.begin_replay(
        services.jobs, desk(asked), text, given(ReplayQuery), services.clock
    )
    return asked.onward(f"/jobs/{job.id}")


async def _published(asked: AdminAsked, text: str, expected: int) -> Response:
    done = await prices.publish(
        desk(asked),
        text,
        environ=asked.services.environ,
        expected=expected,
        place=asked.services.price_file,
    )
    return asked.onward("/prices", done="same" if done.repeated else f"version-{done.version}")


def _sentence(said: str) -> str:
    return f"{said[:1].upper()}{said[1:]}" + ("" if said.endswith(".") else ".")


def _expected(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise Problem("bad-request", "The form does not say which version it is to follow.")
    return int(text)


def _page(
    asked: AdminAsked,
    live: VersionText,
    text: str,
    *,
    expected: int,
    problems: list[PriceProblem] | None = None,
    compared: bool = False,
    refused: str = "",
    status: int = 200,
) -> Response:
    changes = price_changes.compared(live.text, text) if compared else None
    return asked.shows(
        "admin/price_edit.html",
        status=status,
        live=live,
        text=text,
        expected=expected,
        problems=problems or [],
        shown=highlighted(text, problems or []) if problems else None,
        groups=None if changes is None else grouped(changes),
        refused=refused,
        rows=min(max(text.count("\n") + 2, 12), 40),
    )


EDITOR = Page(path="/prices/edit", name=NAME, show=show, act=act, form_bytes=FORM_BYTES)
