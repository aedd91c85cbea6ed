"""Redis brought back to what Postgres has: the whole of it, or one account."""

from typing import Literal

from starlette.responses import Response

from gateway.operations import recovery
from gateway.operations.accounts import Why
from gateway.operations.recovery import RebuildDraft
from gateway.pages.admin.account_actions import ACCOUNT, REASON, Reason, account_of, called
from gateway.pages.admin.asking import AdminAsked, desk, given
from gateway.pages.admin.form_page import Action, Asks


class Rebuild(Reason):
    """Why, and whether what only Redis knows is given up; that is asked once it is known."""

    lose: Literal["", "yes"] = ""


async def _asks_rebuild(_asked: AdminAsked) -> Asks:
    return Asks(
        title="Rebuild Redis from Postgres",
        lead="A new epoch begins, into which accounts are loaded as they are needed. It is safe "
        "while gateways serve. Where Postgres went back, nothing is done before you have seen "
        "what would be lost.",
        button="Rebuild it",
        back="/system",
        inputs=(REASON,),
        danger=True,
    )


async def _rebuild(asked: AdminAsked, form: Rebuild) -> Response:
    draft = given(RebuildDraft, reason=form.reason, lose_data=form.lose == "yes")
    answer = await recovery.rebuild(desk(asked), draft)
    if answer.done:
        return asked.onward("/system", done=f"epoch-{answer.epoch}")
    return asked.shows("admin/lost.html", status=409, lost=answer.lost, reason=form.reason)


async def _asks_reload(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Load {called(account)} anew",
        lead="Redis forgets the account and takes it from Postgres again, in the running epoch. "
        "Its calls wait meanwhile.",
        button="Load it anew",
        back=f"/accounts/{account.id}",
        inputs=(REASON,),
    )


async def _reload(asked: AdminAsked, form: Reason) -> Response:
    done = await recovery.reload(desk(asked), asked.path["account"], given(Why, reason=form.reason))
    return asked.onward(f"/accounts/{done.id}", done="reloaded")


ACTIONS = (
    Action(path="/system/rebuild", name="system", model=Rebuild, asks=_asks_rebuild, do=_rebuild),
    Action(path=f"{ACCOUNT}/reload", name="accounts", model=Reason, asks=_asks_reload, do=_reload),
)
