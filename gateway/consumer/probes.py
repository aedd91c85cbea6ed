"""Whether the gateway works, and what its routes and problems are."""

from typing import Any

from gateway.consumer.services import Services
from gateway.models import Answer
from gateway.operations.health import Live, Ready, ready
from gateway.problems import Problem, meaning_of
from gateway.routes import Call


class ProblemType(Answer):
    """What the type of a problem means."""

    name: str
    status: int
    title: str


async def livez(_call: Call[Services, None, Any, None]) -> Live:
    """Answer."""
    return Live()


async def readyz(call: Call[Services, None, Any, None]) -> Ready:
    """Answer 200 where a request can be charged, else 503 with the reason."""
    return await ready(call.services.ledger)


async def problem(call: Call[Services, None, Any, None]) -> ProblemType:
    """Say what the type of a problem means."""
    name = call.path["problem"]
    meaning = meaning_of(name)
    if meaning is None:
        raise Problem("not-found", "There is no problem of that name.")
    status, title = meaning
    return ProblemType(name=name, status=status, title=title)
