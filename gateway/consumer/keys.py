"""`v1/keys`: an account's own keys."""

from typing import Any

from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.operations import keys
from gateway.operations.desk import Desk
from gateway.routes import Call
from ledger.ids import account_text


async def listed(call: Call[Services, Caller, Any, None]) -> keys.KeyList:
    """List the account's keys."""
    return await keys.listed(_desk(call), account_text(call.caller.account))


async def create(call: Call[Services, Caller, Any, keys.KeyDraft]) -> keys.KeyMade:
    """Make a key."""
    return await keys.create(_desk(call), account_text(call.caller.account), call.body)


async def rotate(call: Call[Services, Caller, Any, keys.Rotation]) -> keys.KeyMade:
    """Replace a key."""
    return await keys.rotate(_desk(call), call.path["key"], call.body, owner=call.caller.account)


async def put_caps(call: Call[Services, Caller, Any, keys.CapsDraft]) -> keys.KeyChanged:
    """Bound what a key may spend."""
    return await keys.put_caps(_desk(call), call.path["key"], call.body, owner=call.caller.account)


async def rename(call: Call[Services, Caller, Any, keys.KeyName]) -> keys.KeyChanged:
    """Give a key another name."""
    return await keys.rename(_desk(call), call.path["key"], call.body, owner=call.caller.account)


async def revoke(call: Call[Services, Caller, Any, None]) -> keys.KeyChanged:
    """Revoke a key."""
    return await keys.revoke(_desk(call), call.path["key"], owner=call.caller.account)


def _desk(call: Call[Services, Caller, Any, Any]) -> Desk:
    return call.services.desk(call.caller.key)
