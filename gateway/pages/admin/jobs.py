"""Long work: begun on other pages, looked at here while it runs, with what it found at its end."""

from datetime import timedelta
from typing import Literal

from starlette.responses import Response

from gateway.operations import long_work
from gateway.operations.jobs import Job
from gateway.operations.now import utc_now
from gateway.operations.observed import ObservedQuery
from gateway.pages import forms
from gateway.pages.admin.asking import AdminAsked, desk, given
from gateway.pages.admin.form_page import act

NAME = "jobs"
TITLES = {
    "replay": "Prices tried on recorded traffic",
    "observed": "What observed requests would have cost",
    "verify": "Does the ledger add up?",
    "reconcile": "Do Redis and the ledger agree?",
}
STATES = {
    "running": ("warn", "running"),
    "done": ("good", "done"),
    "failed": ("bad", "failed"),
    "cancelled": ("plain", "ended before it was done"),
}
SPANS = (("1", "Last hour"), ("24", "Last 24 hours"), ("168", "Last 7 days"),
         ("720", "Last 30 days"))  # fmt: skip


class Span(forms.Fields):
    """How far back to look."""

    hours: Literal["1", "24", "168", "720"] = "24"


async def listed(asked: AdminAsked) -> Response:
    """Show the jobs of this gateway."""
    return asked.shows(
        "admin/jobs.html", jobs=asked.services.jobs.listed(), titles=TITLES, states=STATES
    )


async def one(asked: AdminAsked) -> Response:
    """Show a job; the page asks again until it is over."""
    job = asked.services.jobs.get(asked.path["job"])
    return asked.shows("admin/job.html", job=job, titles=TITLES, states=STATES)


async def _cancel(asked: AdminAsked) -> Response:
    job = await asked.services.jobs.cancel(asked.path["job"])
    return asked.onward(f"/jobs/{job.id}")


async def _verify(asked: AdminAsked) -> Response:
    return asked.onward(f"/jobs/{long_work.begin_verify(asked.services.jobs, desk(asked)).id}")


async def _reconcile(asked: AdminAsked) -> Response:
    return asked.onward(f"/jobs/{long_work.begin_reconcile(asked.services.jobs, desk(asked)).id}")


async def show_observed(asked: AdminAsked) -> Response:
    """Show what the last report of observed requests found, and a form for another."""
    return _observed_page(asked, forms.begin(hours="24"))


async def begin_observed(asked: AdminAsked) -> Response:
    """Begin a report."""
    form = forms.fill(Span, asked.form)
    if form.read is None:
        return _observed_page(asked, form, status=422)
    services = asked.services
    now = utc_now(services.clock)
    span = {"from": now - timedelta(hours=int(form.read.hours)), "to": now}
    job = long_work.begin_observed(
        services.jobs, desk(asked), given(ObservedQuery, **span), services.clock
    )
    return asked.onward(f"/jobs/{job.id}")


def _observed_page(asked: AdminAsked, form: forms.Form[Span], status: int = 200) -> Response:
    reports = (job for job in asked.services.jobs.listed() if _is_report(job))
    routes = [route.name for route in asked.services.prices().routes if route.observe]
    return asked.shows(
        "admin/observed.html",
        status=status,
        form=form,
        spans=SPANS,
        routes=routes,
        job=next(reports, None),
    )


def _is_report(job: Job) -> bool:
    return job.kind == "observed" and job.state == "done"


CANCEL = act("/jobs/{job}/cancel", NAME, _cancel)
VERIFY = act("/system/verify", "system", _verify)
RECONCILE = act("/system/reconcile", "system", _reconcile)
