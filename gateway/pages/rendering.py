"""Templates to answers: Jinja2, which escapes all that is put in and fails on a name it lacks."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from gateway.pages import security
from gateway.pages.filters import FILTERS
from gateway.pages.statics import Statics

TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """Return what all pages of this process are made with; templates are compiled once."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= FILTERS
    made.globals["csrf_field"] = security.CSRF_FIELD
    return made


class Rendering:
    """
    Pages of one site.

    `base` is where it lies, like `/farebox` or `/admin`; `form_targets` are origins that a form
    may be redirected to. `more` is what every template of the site may name.
    """

    def __init__(
        self,
        *,
        base: Callable[[], str],
        form_targets: tuple[str, ...] = (),
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.base = base
        self.statics = Statics(base)
        self._headers = security.headers(*form_targets)
        self._more = dict(more or {})

    def text(self, template: str, context: Mapping[str, Any]) -> str:
        """Fill in a template."""
        known = {"base": self.base(), "static": self.statics.address, **self._more}
        return environment().get_template(template).render(known | dict(context))

    def answer(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Answer with a page."""
        said = {**self._headers, **(headers or {})}
        return HTMLResponse(self.text(template, context), status_code=status, headers=said)

    @property
    def headers(self) -> Mapping[str, str]:
        """What answers beside pages say too: redirects, files."""
        return self._headers
