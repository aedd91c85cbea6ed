"""The first page: what there is, what ends when, and what was charged last."""

from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.operations import accounts, charges, grants
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.site import Asked
from ledger.ids import account_text

SHOWN_CHARGES = 10


async def home(asked: Asked[Services, Visitor]) -> Response:
    """Show balances and the last charges."""
    services, who = asked.services, asked.who
    desk, name = services.desk_of(who.actor), account_text(who.account)
    account = await accounts.show(desk, name)
    ending = await grants.ending(desk, name)
    recent = await charges.listed(
        services.ledger.database,
        charges.ChargeQuery(limit=SHOWN_CHARGES),
        account=who.account,
    )
    return asked.shows(
        "consumer/home.html", account=account, ending=ending.items, charges=recent.items
    )
