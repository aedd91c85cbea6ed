"""
What a command stands on: the stores, an open ledger, and the name it acts under.

A command works beside a running `serve`, which it finds through the data folder or because
both are given the same databases. Where nothing runs, it starts the embedded stores for
as long as it takes.
"""

import asyncio
import functools
import logging
import os
import pwd
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, overload

import click
from pydantic import BaseModel

from config import Settings
from gateway.commands.options import chosen, json_option, store_options
from gateway.commands.stores import Stores, found_stores, opened_ledger
from gateway.operations.desk import Desk

Asked = ParamSpec("Asked")
Work = Callable[Concatenate[Desk, Asked], Coroutine[Any, Any, "Said"]]


@dataclass(frozen=True, slots=True)
class Said:
    """
    What a command answers.

    Attributes:
        answer: Printed with `--json`; the same model as the admin route's answer.
        text: Printed without it.
        code: 0 fine, 1 something is wrong or pending.
        aside: For the person only, on stderr.

    """

    answer: BaseModel
    text: str
    code: int = 0
    aside: str = ""


@overload
def operates(work: Work[Asked], /) -> Callable[Asked, int]: ...


@overload
def operates(*, catch_up: bool) -> Callable[[Work[Asked]], Callable[Asked, int]]: ...


def operates(work: Work[Asked] | None = None, /, *, catch_up: bool = True) -> Any:
    """
    Make an operation a command: options for the stores and `--json`, a desk, an exit code.

    Without `catch_up` it may begin on a Redis that cannot be verified, which it is there to mend.
    """
    if work is None:
        return functools.partial(_command, catch_up=catch_up)
    return _command(work, catch_up=catch_up)


def _command(work: Work[Asked], *, catch_up: bool) -> Callable[Asked, int]:
    @functools.wraps(work)
    def command(*args: Asked.args, **kwargs: Asked.kwargs) -> int:
        return printed(at_a_desk(work, catch_up, *args, **kwargs))

    return store_options(json_option(command))


def printed(said: Said) -> int:
    """Print what a command answers, and return its exit code."""
    click.echo(said.answer.model_dump_json(indent=2) if chosen("as_json") else said.text)
    if said.aside:
        click.echo(said.aside, err=True)
    return said.code


def at_a_desk(
    work: Work[Asked],
    catch_up: bool,  # noqa: FBT001 - what follows is the command's own
    *args: Asked.args,
    **kwargs: Asked.kwargs,
) -> Said:
    """Do a piece of work on the stores that the options and the environment name."""
    # What the ledger tells operators belongs into a serve's log, not between a command's lines.
    logging.getLogger("ledger").setLevel(logging.ERROR)
    settings = Settings.from_environment(
        data=chosen("data"), postgres_url=chosen("postgres_url"), redis_url=chosen("redis_url")
    )
    with found_stores(settings) as stores:
        return asyncio.run(_at_a_desk(stores, catch_up, work, *args, **kwargs))


async def _at_a_desk(
    stores: Stores,
    catch_up: bool,  # noqa: FBT001 - what follows is the command's own
    work: Work[Asked],
    *args: Asked.args,
    **kwargs: Asked.kwargs,
) -> Said:
    async with opened_ledger(stores, catch_up=catch_up) as ledger:
        desk = Desk(
            ledger,
            actor=f"command:{login()}",
            random_bytes=secrets.token_bytes,
            pages_url=stores.pages_url,
        )
        return await work(desk, *args, **kwargs)


def login() -> str:
    """Return who runs this process; the audit names them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user need not have a name
        return str(os.getuid())
