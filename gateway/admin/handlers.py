"""The admin's routes: each hands what it was given to the operation that its command calls."""

from typing import Any

from starlette.responses import Response

from gateway.admin.services import Services
from gateway.operations import (
    accounts,
    admins,
    charges,
    grants,
    health,
    history,
    imports,
    keys,
    observed,
    prices,
    refunds,
)
from gateway.operations.desk import Desk
from gateway.operations.now import utc_now
from gateway.problems import Problem
from gateway.reading import invalid
from gateway.routes import Call
from ledger import accounts as ledger_accounts

Asked = Call[Services, str, Any, Any]

METRICS_TYPE = "text/plain"
METRICS_FORMAT = "version=0.0.4; charset=utf-8"
"""Which Prometheus text it is; scrapers that are not told have to guess."""
PRICES_TYPE = "application/yaml"


class AccountFilter(charges.ChargeQuery):
    """Which charges, of which account."""

    account: str | None = None


def desk(call: Asked) -> Desk:
    """Return a desk in the admin's name."""
    return call.services.desk(call.caller)


async def list_accounts(call: Asked) -> accounts.AccountPage:
    """List or search accounts."""
    return await accounts.listed(desk(call), call.query)


async def create_account(call: Asked) -> accounts.AccountAnswer:
    """Make an account."""
    return await accounts.create(desk(call), call.body)


async def show_account(call: Asked) -> accounts.AccountAnswer:
    """Show an account."""
    return await accounts.show(desk(call), call.path["account"])


async def put_account(call: Asked) -> accounts.AccountAnswer:
    """Make or change the account with an external id."""
    return await accounts.put(desk(call), call.path["account"], call.body)


async def freeze(call: Asked) -> accounts.AccountChanged:
    """Freeze an account."""
    return await accounts.freeze(desk(call), call.path["account"], call.body)


async def thaw(call: Asked) -> accounts.AccountChanged:
    """Thaw an account."""
    return await accounts.thaw(desk(call), call.path["account"], call.body)


async def sign_in(call: Asked) -> accounts.SignIn:
    """Make a sign-in link."""
    return await accounts.sign_in(desk(call), call.path["account"])


async def list_keys(call: Asked) -> keys.KeyList:
    """List an account's keys."""
    return await keys.listed(desk(call), call.path["account"])


async def create_key(call: Asked) -> keys.KeyMade:
    """Make a key for an account."""
    return await keys.create(desk(call), call.path["account"], call.body)


async def rotate_key(call: Asked) -> keys.KeyMade:
    """Replace a key."""
    return await keys.rotate(desk(call), call.path["key"], call.body)


async def cap_key(call: Asked) -> keys.KeyChanged:
    """Bound what a key may spend."""
    return await keys.put_caps(desk(call), call.path["key"], call.body)


async def rename_key(call: Asked) -> keys.KeyChanged:
    """Give a key another name."""
    return await keys.rename(desk(call), call.path["key"], call.body)


async def revoke_key(call: Asked) -> keys.KeyChanged:
    """Revoke a key."""
    return await keys.revoke(desk(call), call.path["key"])


async def list_grants(call: Asked) -> grants.GrantPage:
    """List an account's grants."""
    return await grants.listed(desk(call), call.path["account"], call.query)


async def grant(call: Asked) -> grants.GrantAnswer:
    """Put credits in."""
    return await grants.grant(desk(call), call.path["account"], call.body)


async def import_grants(call: Asked) -> imports.ImportAnswer:
    """Put credits into many accounts, from CSV or JSON."""
    if isinstance(call.body, bytes):
        return await imports.from_csv(desk(call), call.body)
    return await imports.from_rows(desk(call), call.body.rows)


async def adjust(call: Asked) -> grants.AdjustmentAnswer:
    """Correct a balance."""
    return await grants.adjust(desk(call), call.path["account"], call.body)


async def list_charges(call: Asked) -> charges.ChargePage:
    """List charges of one account, or of all."""
    database = call.services.ledger.database
    account = None
    if call.query.account is not None:
        account = await _account(call, call.query.account)
    return await charges.listed(database, call.query, account=account)


async def show_charge(call: Asked) -> charges.ChargeAnswer:
    """Explain a charge."""
    services = call.services
    return await charges.show(
        services.ledger.database, services.book, call.path["charge"], account=None
    )


async def refund(call: Asked) -> grants.GrantAnswer:
    """Give back a charge."""
    return await refunds.refund(desk(call), call.path["charge"], call.body)


async def list_entries(call: Asked) -> history.EntryPage:
    """List what moved an account's balances."""
    account = await _account(call, call.path["account"])
    return await history.page(call.services.ledger.database, account, call.query)


async def usage(call: Asked) -> history.UsageAnswer:
    """Report what an account used."""
    account = await _account(call, call.path["account"])
    return await history.used(
        call.services.ledger.database, account, call.query, now=utc_now(call.services.clock)
    )


async def show_observed(call: Asked) -> observed.ObservedAnswer:
    """Report what observed requests would have come to."""
    services = call.services
    return await observed.report(services.ledger.database, call.query, now=utc_now(services.clock))


async def list_prices(call: Asked) -> prices.VersionPage:
    """List price versions."""
    return await prices.listed(desk(call), call.query)


async def show_prices(call: Asked) -> prices.VersionText:
    """Show a version."""
    return await prices.show(desk(call), numbered(call, "version"))


async def last_refusal(call: Asked) -> prices.Refusal:
    """Show why the last price file was refused."""
    return await prices.last_refusal(desk(call))


async def check_prices(call: Asked) -> prices.PriceCheck:
    """Say whether a text could become the next version."""
    try:
        text = call.body.decode()
    except UnicodeDecodeError:
        raise Problem("bad-request", "The price file is not UTF-8.") from None
    return prices.check(text, call.services.environ)


async def list_admins(call: Asked) -> admins.AdminList:
    """List admins."""
    return await admins.listed(desk(call))


async def create_admin(call: Asked) -> admins.AdminMade:
    """Make an admin."""
    return await admins.create(desk(call), call.body)


async def revoke_admin(call: Asked) -> admins.AdminRow:
    """Refuse an admin's token."""
    return await admins.revoke(desk(call), call.path["admin"])


async def audit(call: Asked) -> admins.AuditPage:
    """List changes."""
    return await admins.changes(desk(call), call.query)


async def verify(call: Asked) -> health.Report:
    """Check that the ledger adds up."""
    return await health.verify(desk(call))


async def reconcile(call: Asked) -> health.Report:
    """Check that Redis and the ledger agree."""
    return await health.reconcile(desk(call))


async def findings(call: Asked) -> health.FindingsPage:
    """List what the steward's checks found."""
    return await health.listed(desk(call), call.query)


async def resolve(call: Asked) -> health.Resolved:
    """Close a finding."""
    return await health.resolve(desk(call), numbered(call, "finding"), call.body)


async def gateways(call: Asked) -> health.GatewayList:
    """List running gateways."""
    return await health.running(call.services.ledger)


async def metrics(call: Call[Services, None, Any, None]) -> Response:
    """Return Prometheus text."""
    kind = f"{METRICS_TYPE}; {METRICS_FORMAT}"
    return Response(await call.services.metrics(), headers={"content-type": kind})


async def livez(_call: Call[Services, None, Any, None]) -> health.Live:
    """Answer."""
    return health.Live()


async def readyz(call: Call[Services, None, Any, None]) -> health.Ready:
    """Say that requests can be charged."""
    return await health.ready(call.services.ledger)


async def _account(call: Asked, text: str) -> int:
    async with call.services.ledger.database.connection() as connection:
        return (await ledger_accounts.find(connection, text)).id


def numbered(call: Asked, name: str) -> int:
    """Return the number in the path; 422 where it is none."""
    text = call.path[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise invalid([(name, "must be a number")])
    return int(text)
