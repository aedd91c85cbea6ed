"""
The commands of `farebox`, and how each ends.

Exit codes: 0 fine; 1 it found something wrong or is still pending; 2 wrong use, or it could
not be done. An error is one line that says what to do.
"""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import cast

import click

from gateway.commands.failed import PENDING, WRONG_USE
from gateway.commands.options import store_options

MODULES = {
    "account": "accounts",
    "admin": "admins",
    "adjust": "money",
    "backup": "run",
    "check": "prices",
    "demo": "demo",
    "diff": "trying",
    "fact": "facts",
    "finding": "findings",
    "grant": "money",
    "grants": "money",
    "heads": "ledger",
    "import": "openapi:import_openapi",
    "init": "prices",
    "key": "keys",
    "migrate": "run",
    "observed": "observed",
    "package": "packages",
    "prices": "price_versions",
    "quote": "prices",
    "rebuild": "rebuild",
    "reconcile": "ledger",
    "refund": "money",
    "replay": "trying",
    "serve": "run",
    "stripe": "stripe",
    "verify": "ledger",
}
"""Command -> the module of this package that has it, under the same name or `module:name`."""


class Commands(Mapping[str, click.Command]):
    """The commands, each loaded when it is asked for: together they take a second."""

    def __getitem__(self, name: str) -> click.Command:
        """Load one."""
        place, _, attribute = MODULES[name].partition(":")
        module = import_module(f"gateway.commands.{place}")
        return cast("click.Command", getattr(module, attribute or name))

    def __iter__(self) -> Iterator[str]:
        """Return the names; nothing is loaded."""
        return iter(MODULES)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(MODULES)


@click.group(
    # click only reads it.
    commands=cast("MutableMapping[str, click.Command]", Commands()),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="farebox", prog_name="farebox")
@store_options
def farebox() -> None:
    """Sell prepaid credits for any HTTP API: a gateway, its ledger and its price file."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; an expected error becomes one line on stderr and an exit code."""
    try:
        code = farebox.main(list(arguments), prog_name="farebox", standalone_mode=False)
    except click.exceptions.Abort:
        return _failed("stopped before it was done; running it again is safe", PENDING)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return WRONG_USE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "farebox"
        return _failed(f"{error.format_message()} (see `{where} --help`)", error.exit_code)
    except click.ClickException as error:
        return _failed(error.format_message(), error.exit_code)
    except Exception as error:
        from gateway.commands.ending import ending_of  # noqa: PLC0415 - a command may need none

        ended = ending_of(error)
        if ended is None:
            raise
        return _failed(*ended)
    return code if isinstance(code, int) else 0


def _failed(sentence: str, code: int) -> int:
    click.echo(f"farebox: {sentence}", err=True)
    return code
