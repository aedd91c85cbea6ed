"""What needs a look: alerts, notices, findings, dead facts; and how the system stands."""

from starlette.responses import Response

from gateway.operations import alerts, facts, health, notices, system
from gateway.operations.alerts import AlertQuery
from gateway.operations.facts import FactDecision, FactQuery
from gateway.operations.health import FindingsQuery, Resolution
from gateway.operations.notices import NoticeQuery
from gateway.operations.now import utc_now
from gateway.pages.admin.account_actions import REASON, Reason
from gateway.pages.admin.asking import (
    ROWS,
    AdminAsked,
    Paged,
    Word,
    desk,
    filters,
    given,
    numbered,
    paging,
    query,
)
from gateway.pages.admin.form_page import Action, Asks, act


class Which(Paged):
    """Open ones, or all."""

    all: Word = None


class NoticeSearch(Paged):
    """Which notices."""

    account: Word = None
    state: Word = None


async def list_alerts(asked: AdminAsked) -> Response:
    """Show what a person should look at."""
    which = query(asked, Which)
    page = await alerts.listed(
        asked.services.ledger.database,
        given(AlertQuery, open=not which.all, cursor=which.cursor, limit=ROWS),
    )
    return asked.shows(
        "admin/alerts.html",
        page=page,
        form=filters(asked),
        paging=paging(asked, page.next),
        done=which.done or "",
    )


async def _resolve_alert(asked: AdminAsked) -> Response:
    await alerts.resolve(
        asked.services.ledger.database, numbered(asked, "alert"), actor=asked.who.name
    )
    return asked.onward("/alerts", done="resolved")


async def list_notices(asked: AdminAsked) -> Response:
    """Show what people were told."""
    search = query(asked, NoticeSearch)
    page = await notices.listed(
        asked.services.ledger.database,
        given(
            NoticeQuery,
            account=search.account,
            state=search.state,
            cursor=search.cursor,
            limit=ROWS,
        ),
    )
    return asked.shows(
        "admin/notices.html",
        page=page,
        form=filters(asked),
        paging=paging(asked, page.next),
        done=search.done or "",
    )


async def _retry_notice(asked: AdminAsked) -> Response:
    await notices.retry(
        asked.services.ledger.database, numbered(asked, "notice"), actor=asked.who.name
    )
    return asked.onward("/notices", done="retried")


async def list_findings(asked: AdminAsked) -> Response:
    """Show what the audits found, and facts that broke a rule."""
    which = query(asked, Which)
    at = desk(asked)
    page = await health.listed(
        at, given(FindingsQuery, open=not which.all, cursor=which.cursor, limit=ROWS)
    )
    dead = await facts.listed(at, given(FactQuery, open=not which.all, limit=ROWS))
    return asked.shows(
        "admin/findings.html",
        page=page,
        dead=dead,
        form=filters(asked),
        paging=paging(asked, page.next),
        done=which.done or "",
    )


async def _asks_resolution(asked: AdminAsked) -> Asks:
    found = await health.show(desk(asked), numbered(asked, "finding"))
    halts = " New calls are taken again, if no other finding stops them."
    return Asks(
        title=f"Close finding {found.id}",
        lead=f"{found.check}: {found.detail}." + (halts if found.effect == "shard" else ""),
        button="Close the finding",
        back="/findings",
        inputs=(REASON,),
        danger=True,
    )


async def _resolve(asked: AdminAsked, form: Reason) -> Response:
    await health.resolve(
        desk(asked), numbered(asked, "finding"), given(Resolution, reason=form.reason)
    )
    return asked.onward("/findings", done="resolved")


async def show_fact(asked: AdminAsked) -> Response:
    """Show a dead fact with all that it says."""
    fact = await facts.show(desk(asked), asked.path["fact"])
    return asked.shows("admin/fact.html", fact=fact)


async def _asks_decision(asked: AdminAsked) -> Asks:
    fact = await facts.show(desk(asked), asked.path["fact"])
    return Asks(
        title=f"Decide about fact {fact.id}",
        lead="Saying what was decided moves nothing: correct the balance by hand first, where "
        "something is due.",
        button="It is decided",
        back=f"/facts/{fact.id}",
        inputs=(REASON,),
    )


async def _decide(asked: AdminAsked, form: Reason) -> Response:
    await facts.resolve(desk(asked), asked.path["fact"], given(FactDecision, reason=form.reason))
    return asked.onward("/findings", done="decided")


async def show_system(asked: AdminAsked) -> Response:
    """Show shards, epochs, windows, gateways, and failing jobs."""
    services = asked.services
    seen = await system.show(desk(asked), failures=services.failures(), now=utc_now(services.clock))
    return asked.shows(
        "admin/system.html", seen=seen, done=asked.request.query_params.get("done", "")
    )


BUTTONS = (
    act("/alerts/{alert}/resolve", "alerts", _resolve_alert),
    act("/notices/{notice}/retry", "notices", _retry_notice),
)
ACTIONS = (
    Action(path="/findings/{finding}/resolve", name="findings", model=Reason,
           asks=_asks_resolution, do=_resolve),
    Action(path="/facts/{fact}/resolve", name="findings", model=Reason,
           asks=_asks_decision, do=_decide),
)  # fmt: skip
