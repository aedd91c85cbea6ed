"""What an account has saved: cards, automatic top-up, and from which balance on it is told."""

from typing import Any

from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.operations import saved
from gateway.operations.saved import (
    CardList,
    CardPage,
    ThresholdDraft,
    Thresholds,
    TopUpAnswer,
    TopUpDraft,
)
from gateway.routes import Call


async def list_cards(call: Call[Services, Caller, Any, None]) -> CardList:
    """List the account's cards."""
    return await saved.card_list(call.services.shop, call.caller.account)


async def save_card(call: Call[Services, Caller, Any, None]) -> CardPage:
    """Open a page that saves a card."""
    call.services.begin_purchase(call.caller.account)
    return await saved.save_card(call.services.shop, call.caller.account)


async def remove_card(call: Call[Services, Caller, Any, None]) -> CardList:
    """Remove a card, and show those that are left."""
    return await saved.remove_card(call.services.shop, call.caller.account, call.path["card"])


async def show_top_up(call: Call[Services, Caller, Any, None]) -> TopUpAnswer:
    """Show automatic top-up."""
    return await saved.top_up(call.services.shop, call.caller.account)


async def set_top_up(call: Call[Services, Caller, Any, TopUpDraft]) -> TopUpAnswer:
    """Switch automatic top-up on, or change it; also the way out of a pause."""
    return await saved.set_top_up(call.services.shop, call.caller.account, call.body)


async def end_top_up(call: Call[Services, Caller, Any, None]) -> TopUpAnswer:
    """Switch automatic top-up off."""
    return await saved.end_top_up(call.services.shop, call.caller.account)


async def show_thresholds(call: Call[Services, Caller, Any, None]) -> Thresholds:
    """Show from which balance on the account is told."""
    services = call.services
    database, prices = services.ledger.database, services.prices.current
    return await saved.thresholds(database, prices, call.caller.account)


async def set_thresholds(call: Call[Services, Caller, Any, ThresholdDraft]) -> Thresholds:
    """Set it for one credit type; needs no Stripe."""
    services = call.services
    database, prices = services.ledger.database, services.prices.current
    return await saved.set_threshold(database, prices, call.caller.account, call.body)
