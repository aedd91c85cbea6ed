"""A page of what happened and whether it was delivered, with a button to deliver it again."""

from datetime import UTC, datetime
from html import escape
from itertools import islice
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.standin.checkout_view import filled
from billing.standin.endpoints import page
from billing.standin.world import World

Form = dict[str, str]

MOST_SHOWN = 50


@page("GET", "/")
def show(world: World, path: Form, query: Form, form: Form) -> Response:
    """Show the newest events."""
    del path, query, form
    newest = islice(reversed(list(world.every("event"))), MOST_SHOWN)
    rows = "\n".join(_row(world, event) for event in newest)
    none = "<tr><td>Nothing has happened yet.</td></tr>"
    return HTMLResponse(filled("Events", "events", {"events": rows or none}))


@page("POST", "/events/{event}/resend")
def resend(world: World, path: Form, query: Form, form: Form) -> Response:
    """Deliver an event once more."""
    del query, form
    world.post.resend(path["event"])
    return RedirectResponse("/", status_code=303)


def _row(world: World, event: dict[str, Any]) -> str:
    about = event["data"]["object"]
    at = datetime.fromtimestamp(event["created"], UTC)
    states = world.post.states(event["id"])
    told = ", ".join(states) if states else "no endpoint wants it"
    return (
        f"<tr><td>{escape(event['type'])}<br>"
        f'<span class="quiet">{escape(str(about.get("id")))}<br>{at:%Y-%m-%d %H:%M:%S} UTC, '
        f"{escape(told)}</span></td>"
        f'<td><form method="post" action="/events/{escape(event["id"])}/resend">'
        f"<button>Send again</button></form></td></tr>"
    )
