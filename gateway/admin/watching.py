"""What the admin listener serves for looking: overview, system, jobs; row by row."""

from typing import Any

from gateway.admin.handlers import PRICES_TYPE, desk
from gateway.admin.pricing import text_of
from gateway.admin.rows import V1, changes, shows
from gateway.admin.services import Services
from gateway.operations import long_work, overview, system
from gateway.operations.jobs import JobAnswer, JobList, JobRow
from gateway.operations.now import utc_now
from gateway.operations.observed import ObservedQuery
from gateway.operations.replay_answer import ReplayQuery
from gateway.routes import Call, Operation

Asked = Call[Services, str, Any, Any]

JOBS = f"{V1}/jobs"
JOB = f"{JOBS}/{{job}}"


async def show_overview(call: Asked) -> overview.Overview:
    """Show what an operator looks at first."""
    services = call.services
    return await overview.show(
        desk(call), services.billing, call.query, now=utc_now(services.clock)
    )


async def show_system(call: Asked) -> system.SystemAnswer:
    """Show how stores and gateways stand."""
    services = call.services
    return await system.show(desk(call), failures=services.failures(), now=utc_now(services.clock))


async def list_jobs(call: Asked) -> JobList:
    """List jobs."""
    return JobList(items=[job.row() for job in call.services.jobs.listed()])


async def show_job(call: Asked) -> JobAnswer:
    """Show a job."""
    return call.services.jobs.get(call.path["job"]).answer()


async def cancel_job(call: Asked) -> JobRow:
    """End a job before it is done."""
    return (await call.services.jobs.cancel(call.path["job"])).row()


async def begin_replay(call: Asked) -> JobRow:
    """Begin a replay."""
    services = call.services
    return long_work.begin_replay(
        services.jobs, desk(call), text_of(call), call.query, services.clock
    ).row()


async def begin_observed(call: Asked) -> JobRow:
    """Begin a report of what was observed."""
    services = call.services
    return long_work.begin_observed(services.jobs, desk(call), call.query, services.clock).row()


async def begin_verify(call: Asked) -> JobRow:
    """Begin an audit of the ledger."""
    return long_work.begin_verify(call.services.jobs, desk(call)).row()


async def begin_reconcile(call: Asked) -> JobRow:
    """Begin to compare the stores."""
    return long_work.begin_reconcile(call.services.jobs, desk(call)).row()


WATCHING: tuple[Operation, ...] = (
    shows(f"{V1}/overview", "overview",
          "Requests, what they took, errors, latency, posting, money, and what waits for a person",
          show_overview, overview.Overview, overview.OverviewQuery),
    shows(f"{V1}/system", "system", "Shards, epochs, windows, posting and failing jobs",
          show_system, system.SystemAnswer),
    shows(JOBS, "list-jobs", "Long work of this gateway, newest first", list_jobs, JobList),
    shows(JOB, "show-job", "How far a job is, and what it found", show_job, JobAnswer),
    changes("DELETE", JOB, "cancel-job", "End a job before it is done", cancel_job, JobRow),
    changes("POST", f"{JOBS}/replay", "begin-replay",
            "Begin to reprice recorded charges with a text; changes nothing",
            begin_replay, JobRow, text_body=PRICES_TYPE, query=ReplayQuery, status=202),
    changes("POST", f"{JOBS}/observed", "begin-observed",
            "Begin to report what observed requests would have come to",
            begin_observed, JobRow, query=ObservedQuery, status=202),
    changes("POST", f"{JOBS}/verify", "begin-verify", "Begin to check that the ledger adds up",
            begin_verify, JobRow, status=202),
    changes("POST", f"{JOBS}/reconcile", "begin-reconcile",
            "Begin to check that Redis and the ledger agree",
            begin_reconcile, JobRow, status=202),
)  # fmt: skip
