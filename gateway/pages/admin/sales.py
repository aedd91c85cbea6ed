"""What was sold: orders with money back, payments, subscriptions, disputes."""

import secrets
from typing import Annotated, Literal, get_args

from pydantic import Field
from starlette.responses import Response

from billing.money import exponent, money_text
from config import parse_amount
from gateway.operations import alerts, orders, payments, subscriptions
from gateway.operations.alerts import DisputeQuery
from gateway.operations.orders import MoneyBackDraft, OrderQuery, State
from gateway.operations.payments import PaymentQuery
from gateway.operations.subscriptions import CancelQuery, SubscriptionQuery
from gateway.pages import forms
from gateway.pages.admin.asking import (
    ROWS,
    AdminAsked,
    Paged,
    Word,
    filters,
    given,
    paging,
    query,
)
from gateway.pages.admin.form_page import Action, Asks, Input, act
from ledger.errors import InvalidInput

STATES = get_args(State)
SUBSCRIPTION_STATES = (
    "active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled",
)  # fmt: skip


class OfAccount(Paged):
    """Whose."""

    account: Word = None


class OrderSearch(OfAccount):
    """Which orders."""

    state: Word = None


class SubscriptionSearch(OfAccount):
    """Which subscriptions."""

    status: Word = None


class MoneyBack(forms.Fields):
    """Money to give back; empty: all that is left. once: made with the form."""

    amount: Annotated[str, Field(max_length=40)] = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    once: str | None = None


class Ending(forms.Fields):
    """When a subscription ends."""

    when: Literal["period-end", "now"] = "period-end"


async def list_orders(asked: AdminAsked) -> Response:
    """Show orders, newest first."""
    search = query(asked, OrderSearch)
    page = await orders.listed(
        asked.services.shop,
        given(
            OrderQuery,
            account=search.account,
            state=search.state,
            cursor=search.cursor,
            limit=ROWS,
        ),
    )
    return asked.shows(
        "admin/orders.html",
        page=page,
        form=filters(asked),
        states=STATES,
        paging=paging(asked, page.next),
    )


async def show_order(asked: AdminAsked) -> Response:
    """Show an order with its payments and what was given back."""
    order = await orders.show(asked.services.shop, asked.path["order"])
    return asked.shows(
        "admin/order.html", order=order, done=asked.request.query_params.get("done", "")
    )


async def _approve(asked: AdminAsked) -> Response:
    order = await orders.approve(asked.services.shop, asked.path["order"], actor=asked.who.name)
    return asked.onward(f"/orders/{order.id}", done="approved")


async def _asks_money_back(asked: AdminAsked) -> Asks:
    order = await orders.show(asked.services.shop, asked.path["order"])
    paid = sum(one.paid_minor for one in order.payments)
    gone = sum(one.reversed_minor for one in order.payments)
    return Asks(
        title="Give money back",
        lead=f"{money_text(paid, order.currency)} were paid on this order, "
        f"{money_text(gone, order.currency)} of that are gone already. Credits are taken back in "
        "proportion; what was spent becomes a debt.",
        button="Give the money back",
        back=f"/orders/{order.id}",
        values={"once": f"page-{secrets.token_hex(8)}"},
        danger=True,
        inputs=(
            Input("amount", f"Amount in {order.currency.upper()}", "Empty: all that is left."),
            Input("reason", "Reason", "Kept in the audit log.", kind="lines"),
            Input("once", "", kind="hidden"),
        ),
    )


async def _give_back(asked: AdminAsked, form: MoneyBack) -> Response:
    shop = asked.services.shop
    order = await orders.show(shop, asked.path["order"])
    minor = _minor(form.amount, order.currency) if form.amount else None
    draft = given(MoneyBackDraft, amount_minor=minor, reason=form.reason, reference=form.once)
    await orders.give_back(shop, order.id, draft, actor=asked.who.name)
    return asked.onward(f"/orders/{order.id}", done="given-back")


def _minor(text: str, currency: str) -> int:
    try:
        return parse_amount(text, exponent(currency))
    except ValueError:
        sentence = f"write it like 10 with at most {exponent(currency)} decimals"
        raise InvalidInput("amount", sentence) from None


async def list_payments(asked: AdminAsked) -> Response:
    """Show payments, newest first."""
    search = query(asked, OfAccount)
    page = await payments.listed(
        asked.services.shop,
        given(PaymentQuery, account=search.account, cursor=search.cursor, limit=ROWS),
    )
    return asked.shows(
        "admin/payments.html", page=page, form=filters(asked), paging=paging(asked, page.next)
    )


async def list_subscriptions(asked: AdminAsked) -> Response:
    """Show subscriptions, newest first, and how many there are."""
    search = query(asked, SubscriptionSearch)
    page = await subscriptions.listed(
        asked.services.shop,
        given(
            SubscriptionQuery,
            account=search.account,
            status=search.status,
            cursor=search.cursor,
            limit=ROWS,
        ),
    )
    return asked.shows(
        "admin/subscriptions.html",
        page=page,
        form=filters(asked),
        states=SUBSCRIPTION_STATES,
        paging=paging(asked, page.next),
        done=asked.request.query_params.get("done", ""),
    )


async def _asks_ending(asked: AdminAsked) -> Asks:
    return Asks(
        title=f"End subscription {asked.path['subscription']}",
        lead="Credits already given stay until they expire, and no money is given back.",
        button="End the subscription",
        back="/subscriptions",
        danger=True,
        values={"when": "period-end"},
        inputs=(
            Input("when", "When", kind="choice", options=(
                ("period-end", "At the end of the period that is paid"), ("now", "Now"),
            )),
        ),
    )  # fmt: skip


async def _end(asked: AdminAsked, form: Ending) -> Response:
    await subscriptions.cancel_any(
        asked.services.shop,
        asked.path["subscription"],
        given(CancelQuery, when=form.when),
        actor=asked.who.name,
    )
    return asked.onward("/subscriptions", done="ended")


async def list_disputes(asked: AdminAsked) -> Response:
    """Show disputes, newest first."""
    search = query(asked, OfAccount)
    page = await alerts.disputes(
        asked.services.shop,
        given(DisputeQuery, account=search.account, cursor=search.cursor, limit=ROWS),
    )
    return asked.shows(
        "admin/disputes.html", page=page, form=filters(asked), paging=paging(asked, page.next)
    )


APPROVE = act("/orders/{order}/approve", "orders", _approve)
ACTIONS = (
    Action(path="/orders/{order}/refund", name="orders", model=MoneyBack,
           asks=_asks_money_back, do=_give_back),
    Action(path="/subscriptions/{subscription}/end", name="subscriptions", model=Ending,
           asks=_asks_ending, do=_end),
)  # fmt: skip
