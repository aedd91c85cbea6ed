"""`v1/account`, `v1/expiring`, charges, entries and usage: an account looks at itself."""

from typing import Any

from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.operations import accounts, charges, grants, history
from gateway.operations.now import utc_now
from gateway.routes import Call
from ledger.ids import account_text


async def account(call: Call[Services, Caller, Any, None]) -> accounts.AccountAnswer:
    """Show the account."""
    caller = call.caller
    return await accounts.show(call.services.desk(caller.key), account_text(caller.account))


async def expiring(call: Call[Services, Caller, Any, None]) -> grants.EndingList:
    """Show what is left that will end."""
    caller = call.caller
    return await grants.ending(call.services.desk(caller.key), account_text(caller.account))


async def list_charges(
    call: Call[Services, Caller, charges.ChargeQuery, None],
) -> charges.ChargePage:
    """List its charges."""
    database = call.services.ledger.database
    return await charges.listed(database, call.query, account=call.caller.account)


async def show_charge(call: Call[Services, Caller, Any, None]) -> charges.ChargeAnswer:
    """Explain one of its charges."""
    services = call.services
    return await charges.show(
        services.ledger.database, services.book, call.path["charge"], account=call.caller.account
    )


async def entries(call: Call[Services, Caller, history.EntryQuery, None]) -> history.EntryPage:
    """List what moved its balances."""
    return await history.page(call.services.ledger.database, call.caller.account, call.query)


async def usage(call: Call[Services, Caller, history.UsageQuery, None]) -> history.UsageAnswer:
    """Report what it used."""
    services = call.services
    return await history.used(
        services.ledger.database, call.caller.account, call.query, now=utc_now(services.clock)
    )
