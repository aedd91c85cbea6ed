"""
The commands of `farebox`, and how each ends.

Exit codes: 0 fine; 1 it found something wrong or is still pending; 2 wrong use, or it could
not be done. An error is one line that says what to do.
"""

from collections.abc import Sequence

import click
from pydantic import ValidationError

from billing.errors import BillingError, StripeUnavailable
from config import SettingsError
from gateway.commands.accounts import account
from gateway.commands.admins import admin
from gateway.commands.facts import fact
from gateway.commands.failed import CommandFailed
from gateway.commands.findings import finding
from gateway.commands.keys import key
from gateway.commands.ledger import heads, reconcile, verify
from gateway.commands.money import adjust, grant, grants, refund
from gateway.commands.observed import observed
from gateway.commands.openapi import import_openapi
from gateway.commands.options import store_options
from gateway.commands.packages import package
from gateway.commands.price_versions import prices
from gateway.commands.prices import check, init, quote
from gateway.commands.rebuild import rebuild
from gateway.commands.run import backup, demo, migrate, serve
from gateway.commands.stripe import stripe
from gateway.commands.trying import diff, replay
from gateway.data_folder import FolderInUse
from gateway.problems import Problem
from gateway.reading import field_errors
from gateway.stores import StoreFailed, StoreMissing
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.outage import OUTAGE, told

WRONG_USE = 2
PENDING = 1


COMMANDS = (
    account,
    admin,
    adjust,
    backup,
    check,
    demo,
    diff,
    fact,
    finding,
    grant,
    grants,
    heads,
    import_openapi,
    init,
    key,
    migrate,
    observed,
    package,
    prices,
    quote,
    rebuild,
    reconcile,
    refund,
    replay,
    serve,
    stripe,
    verify,
)


@click.group(
    commands={str(command.name): command for command in COMMANDS},
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
    except ValidationError as error:
        wrong = "; ".join(f"{field}: {message}" for field, message in field_errors(error))
        return _failed(wrong, WRONG_USE)
    except Problem as error:
        return _failed(error.detail, WRONG_USE)
    except CommandFailed as error:
        return _failed(str(error), error.code)
    except StripeUnavailable as error:
        return _failed(f"no answer: {_line(error)} Run it again: a repeat is harmless", PENDING)
    except BillingError as error:
        return _failed(_line(error), WRONG_USE)
    except LedgerUnavailable as error:
        return _failed(f"{error}; run it again: a repeat is harmless", PENDING)
    except (LedgerError, SettingsError, FolderInUse, StoreFailed, StoreMissing) as error:
        return _failed(str(error), WRONG_USE)
    except OUTAGE as away:
        if isinstance(away, OSError) and away.filename is not None:
            return _failed(f"{away.filename}: {away.strerror}", WRONG_USE)
        return _failed(f"a store stopped answering ({told(away)}); run it again", PENDING)
    return code if isinstance(code, int) else 0


def _line(error: BillingError) -> str:
    """Return what Stripe said on one line; its library breaks lines."""
    return " ".join(str(error).split())


def _failed(sentence: str, code: int) -> int:
    click.echo(f"farebox: {sentence}", err=True)
    return code
