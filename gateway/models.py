"""
The base models of what control routes are given and what they answer.

Input is strict: an unknown field, a wrong type or a value out of range is refused by name.
Output is strict too, so that an answer can hold nothing the OpenAPI document does not name.
"""

from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
)

MAX_AMOUNT = 90_000_000_000_000
"""The ledger's own limit for every amount: exact in Redis, in JSON and in a double."""

Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT, description="Smallest units; at least 1.")]

Time = Annotated[
    AwareDatetime, PlainSerializer(lambda at: at.isoformat().replace("+00:00", "Z"), str)
]
"""A moment with its time zone, written in RFC 3339."""

Text = Annotated[str, Field(min_length=1, max_length=200)]
"""A name or a reference of the caller's own."""

LongText = Annotated[str, Field(min_length=1, max_length=1_000)]
"""A sentence for people: a description, a reason."""


class Given(BaseModel):
    """What a query holds: text, read as the types the fields name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*")
    @classmethod
    def _printable(cls, value: object) -> object:
        # Postgres keeps no NUL, and nothing here is ever named with one.
        if isinstance(value, str) and not value.isprintable():
            raise ValueError("must be printable characters only")
        return value


class GivenBody(BaseModel):
    """What a JSON body holds: a number is a number, a text is a text, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        # Postgres keeps none, neither as text nor within JSON.
        if _has_nul(value):
            raise ValueError("must not hold the character NUL")
        return value


def _has_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case list():
            return any(_has_nul(one) for one in value)
        case dict():
            return any(_has_nul(one) for pair in value.items() for one in pair)
        case _:
            return False


class NoQuery(Given):
    """The route reads nothing from the query."""


class Answer(BaseModel):
    """What a route answers and what its command prints with `--json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldError(Answer):
    """One field that is wrong, and what to do about it."""

    field: str
    message: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details; more members come with some types."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    charged: int
    errors: list[FieldError] | None = None
