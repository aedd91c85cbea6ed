"""
The control routes as a table: what is served, asked, answered and refused.

Both listeners are such tables. The same rows become Starlette routes (`control_app`) and the
OpenAPI document (`gateway.openapi`), so that the document cannot name what is not served.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.errors import BillingError
from gateway.models import Given, NoQuery
from gateway.problems import Problem, from_billing, from_ledger
from gateway.reading import invalid, read_body, read_query
from ledger.errors import InvalidInput, LedgerError, LedgerUnavailable
from ledger.outage import OUTAGE

Need = Literal["nobody", "key", "manage", "admin"]
"""Who may ask: anybody, any good API key, one with scope `manage`, or a named admin."""

Services = TypeVar("Services")
Caller = TypeVar("Caller")
Query = TypeVar("Query", bound=Given)
Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Call(Generic[Services, Caller, Query, Body]):
    """One request to a control route, read and checked."""

    services: Services
    caller: Caller
    path: Mapping[str, str]
    query: Query
    body: Body
    request: Request


Handler = Callable[[Call[Any, Any, Any, Any]], Awaitable[BaseModel | Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """
    One served method of one path.

    Attributes:
        name: The operation's id in the OpenAPI document; unique in its table.
        answer: The model of the answer, a media type where it is not JSON, or None where it
            has no body.
        body: The model of a JSON body; None where none is read.
        text_body: A media type whose bytes reach the handler as they came.
        page: Who asks for `text/html` gets a page instead, refusals too.
        leads_on: Instead of that page there may be a redirect (303) to where it goes on.
        problems: Statuses this row may refuse with, besides those that follow
            from `need`, `query` and `body`.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    need: Need
    answer: type[BaseModel] | str | None
    status: int = 200
    query: type[Given] = NoQuery
    body: type[BaseModel] | None = None
    text_body: str | None = None
    page: bool = False
    leads_on: bool = False
    problems: tuple[int, ...] = ()
    description: str = ""


class Gate(Protocol):
    """Says who is calling, or refuses."""

    async def __call__(self, request: Request, need: Need) -> object:
        """Return the caller; raise a Problem (401, 403) unless it has what `need` asks."""


def control_app(
    table: tuple[Operation, ...],
    services: object,
    gate: Gate,
    *,
    prefix: Callable[[], str],
    pages: Sequence[Route] = (),
    refuse_page: Callable[[Request, Problem], Response | None] | None = None,
) -> Starlette:
    """
    Serve a table; every refusal is a problem document.

    `prefix` says where a problem's `type` lies; the price file may change it. `pages` are routes
    beside the table's; `refuse_page` may answer a refusal to somebody who looks at pages.
    """
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in table:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    routes = [
        Route(path, _endpoint(rows, services, gate), methods=sorted(rows))
        for path, rows in by_path.items()
    ]

    def refuse(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        page = None if refuse_page is None else refuse_page(request, problem)
        return problem_response(problem, prefix()) if page is None else dated(page)

    expected: tuple[type[Exception], ...] = (
        Problem, BillingError, LedgerError, HTTPException, *OUTAGE
    )  # fmt: skip
    # What nobody expected is answered and then raised again, so that the log has it.
    app = Starlette(
        routes=[*routes, *pages],
        exception_handlers=dict.fromkeys((*expected, Exception), refuse),
    )
    app.router.redirect_slashes = False
    return app


def _endpoint(
    rows: Mapping[str, Operation], services: object, gate: Gate
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        operation = rows["GET" if request.method == "HEAD" else request.method]
        return dated(await answer(operation, request, services, gate))

    return endpoint


async def answer(operation: Operation, request: Request, services: object, gate: Gate) -> Response:
    """Serve one call: who, what, do, answer."""
    caller = await gate(request, operation.need)
    if not all(str(part).isprintable() for part in request.path_params.values()):
        raise Problem("not-found", "Nothing is named with characters that do not print.")
    query = read_query(operation.query, request)
    body = await read_body(request, operation.body, operation.text_body)
    result = await operation.handler(
        Call(services, caller, request.path_params, query, body, request)
    )
    if isinstance(result, Response):
        return result
    return Response(
        result.model_dump_json(),
        status_code=operation.status,
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


def problem_of(error: Exception) -> Problem:
    """Turn what went wrong into the refusal the client sees; it never shows the unforeseen."""
    match error:
        case Problem():
            return error
        case InvalidInput():
            return invalid([(error.field, error.message)])
        case LedgerError():
            return from_ledger(error)
        case BillingError():
            return from_billing(error)
        case HTTPException(status_code=404):
            return Problem("not-found", "There is no such route; openapi.json lists them all.")
        case HTTPException(status_code=405):
            allow = (error.headers or {}).get("Allow", "")
            return Problem(
                "method-not-allowed",
                f"This route takes {allow}.",
                headers=((b"allow", allow.encode()),),
            )
        case HTTPException():
            return Problem("bad-request", error.detail, status=error.status_code)
        case _ if isinstance(error, OUTAGE):
            # Nothing was done that a repeat could harm.
            return from_ledger(LedgerUnavailable(type(error).__name__))
        case _:
            return Problem("internal-error", "The gateway failed; its log says more.")


def problem_response(problem: Problem, prefix: str) -> Response:
    """Write a problem as the answer to a control request."""
    body = problem.body(secrets.token_hex(12), prefix)
    response = Response(body, status_code=problem.status)
    response.raw_headers = problem.header_list(len(body))
    return dated(response)


def dated(response: Response) -> Response:
    """Set Date, which the server leaves to us: a proxied answer carries its upstream's."""
    response.headers["date"] = formatdate(usegmt=True)
    return response
