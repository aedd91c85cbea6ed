"""The two sorts of rows in the admin's table: what shows something, and what changes it."""

from pydantic import BaseModel

from gateway.models import Given, NoQuery
from gateway.routes import Handler, Operation

V1 = "/admin/v1"


def shows(  # noqa: PLR0917 - a row of the table, read in columns
    path: str,
    name: str,
    summary: str,
    handler: Handler,
    answer: type[BaseModel],
    query: type[Given] = NoQuery,
) -> Operation:
    """Name a route that shows something and changes nothing."""
    problems = (404, 422) if "{" in path or query is not NoQuery else ()
    return Operation(
        method="GET", path=path, name=name, summary=summary, handler=handler, need="admin",
        answer=answer, query=query, problems=problems,
    )  # fmt: skip


def changes(  # noqa: PLR0917 - a row of the table, read in columns
    method: str,
    path: str,
    name: str,
    summary: str,
    handler: Handler,
    answer: type[BaseModel],
    body: type[BaseModel] | None = None,
    *,
    status: int = 200,
    text_body: str | None = None,
    query: type[Given] = NoQuery,
    asks_stripe: bool = False,
) -> Operation:
    """Name a route that changes something; each leaves an audit row with the admin's name."""
    problems = (404, 409, 422, 502) if asks_stripe else (404, 409, 422)
    return Operation(
        method=method, path=path, name=name, summary=summary, handler=handler, need="admin",
        answer=answer, body=body, text_body=text_body, status=status, query=query,
        problems=problems,
    )  # fmt: skip
