"""
What an expected error says on the command line, and the exit code it ends with.

Loaded when something went wrong, since it names the errors of every part.
"""

from pydantic import ValidationError

from billing.errors import BillingError, StripeUnavailable
from config import SettingsError
from gateway.commands.failed import PENDING, WRONG_USE, CommandFailed
from gateway.data_folder import FolderInUse
from gateway.problems import Problem
from gateway.reading import field_errors
from gateway.stores import StoreFailed, StoreMissing
from ledger.errors import LedgerError, LedgerUnavailable
from ledger.outage import OUTAGE, told


def ending_of(error: Exception) -> tuple[str, int] | None:
    """Return the line and the exit code; None for what nobody expected."""
    match error:
        case ValidationError():
            wrong = "; ".join(f"{field}: {message}" for field, message in field_errors(error))
            return wrong, WRONG_USE
        case Problem():
            return error.detail, WRONG_USE
        case CommandFailed():
            return str(error), error.code
        case StripeUnavailable():
            return f"no answer: {_line(error)} Run it again: a repeat is harmless", PENDING
        case BillingError():
            return _line(error), WRONG_USE
        case LedgerUnavailable():
            return f"{error}; run it again: a repeat is harmless", PENDING
        case LedgerError() | SettingsError() | FolderInUse() | StoreFailed() | StoreMissing():
            return str(error), WRONG_USE
        case OSError() if error.filename is not None:
            return f"{error.filename}: {error.strerror}", WRONG_USE
        case _ if isinstance(error, OUTAGE):
            return f"a store stopped answering ({told(error)}); run it again", PENDING
        case _:
            return None


def _line(error: BillingError) -> str:
    """Return what Stripe said on one line; its library breaks lines."""
    return " ".join(str(error).split())
