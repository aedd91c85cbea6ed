"""
The options every command shares, wherever they are written: before the command or after it.

`farebox --data DIR account list` and `farebox account list --data DIR` are the same; where
both are given, the later one counts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_STORES = {
    "data": ("--data", "DIR", "The data folder of a serve or of the embedded stores."),
    "postgres_url": ("--postgres-url", "URL", "Postgres, where it is not the embedded one."),
    "redis_url": ("--redis-url", "URL", "Redis or Valkey, where it is not the embedded one."),
}


def store_options(command: Command) -> Command:
    """Add the options that say where the stores are."""
    for name, (flag, metavar, words) in reversed(_STORES.items()):
        kind = click.Path(path_type=Path) if name == "data" else str
        command = click.option(
            flag, name, type=kind, metavar=metavar, help=words, expose_value=False, callback=_keep
        )(command)
    return command


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print the answer as JSON.",
        expose_value=False,
        callback=_keep,
    )(command)


def chosen(name: str) -> Any:
    """Return what was given for an option of this module, or None."""
    return click.get_current_context().meta.get(_key(name))


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    # `meta` is shared by a command and its groups, so both places write to the same spot.
    if value is not None and value is not False:
        context.meta[_key(str(parameter.name))] = value


def _key(name: str) -> str:
    return f"farebox.{name}"
