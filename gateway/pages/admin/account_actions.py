"""What an admin does to one account: frozen, thawed, released, let into its own pages."""

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from gateway.operations import accounts, recovery
from gateway.operations.accounts import AccountAnswer, Why
from gateway.pages import forms
from gateway.pages.admin.asking import AdminAsked, desk, given
from gateway.pages.admin.form_page import Action, Asks, Input, secret_shown

NAME = "accounts"
REASON = Input("reason", "Reason", "Kept in the audit log.", kind="lines", required=True)
ACCOUNT = "/accounts/{account}"


class Reason(forms.Fields):
    """Why something is done."""

    reason: Annotated[str, Field(min_length=1, max_length=1_000)]


async def account_of(asked: AdminAsked) -> AccountAnswer:
    """Return the account that the address names."""
    return await accounts.show(desk(asked), asked.path["account"])


def called(account: AccountAnswer) -> str:
    """Return what people call it."""
    return account.name or account.external_id or account.id


async def _asks_freeze(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Freeze {called(account)}",
        lead="Every call of this account is refused from now on, until it is thawed. "
        "Calls under way end as usual.",
        button="Freeze the account",
        back=f"/accounts/{account.id}",
        inputs=(REASON,),
        danger=True,
    )


async def _freeze(asked: AdminAsked, form: Reason) -> Response:
    done = await accounts.freeze(desk(asked), asked.path["account"], given(Why, reason=form.reason))
    return asked.onward(f"/accounts/{done.id}", done="frozen")


async def _asks_thaw(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Thaw {called(account)}",
        lead="Its calls are served again.",
        button="Thaw the account",
        back=f"/accounts/{account.id}",
        inputs=(REASON,),
    )


async def _thaw(asked: AdminAsked, form: Reason) -> Response:
    done = await accounts.thaw(desk(asked), asked.path["account"], given(Why, reason=form.reason))
    return asked.onward(f"/accounts/{done.id}", done="thawed")


async def _asks_release(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Release {called(account)} from quarantine",
        lead="Decide about its findings and dead facts first. It is frozen then, until it is "
        "thawed.",
        button="Release the account",
        back=f"/accounts/{account.id}",
        inputs=(REASON,),
        danger=True,
    )


async def _release(asked: AdminAsked, form: Reason) -> Response:
    done = await recovery.release(
        desk(asked), asked.path["account"], given(Why, reason=form.reason)
    )
    return asked.onward(f"/accounts/{done.id}", done="released")


async def _asks_sign_in(asked: AdminAsked) -> Asks:
    account = await account_of(asked)
    return Asks(
        title=f"Sign-in link for {called(account)}",
        lead="It opens this account's pages for whoever has it: once, within ten minutes. "
        "Send it only to the owner.",
        button="Make the link",
        back=f"/accounts/{account.id}",
        inputs=(),
    )


async def _sign_in(asked: AdminAsked, _form: forms.Fields) -> Response:
    link = await accounts.sign_in(desk(asked), asked.path["account"])
    return secret_shown(
        asked,
        "Sign-in link",
        "It works once, for ten minutes, and is shown only now.",
        link.url,
        f"/accounts/{asked.path['account']}",
    )


ACTIONS = (
    Action(path=f"{ACCOUNT}/freeze", name=NAME, model=Reason, asks=_asks_freeze, do=_freeze),
    Action(path=f"{ACCOUNT}/thaw", name=NAME, model=Reason, asks=_asks_thaw, do=_thaw),
    Action(path=f"{ACCOUNT}/release", name=NAME, model=Reason, asks=_asks_release, do=_release),
    Action(path=f"{ACCOUNT}/sign-in", name=NAME, model=forms.Fields, asks=_asks_sign_in,
           do=_sign_in),
)  # fmt: skip
