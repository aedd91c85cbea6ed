"""Accounts: made, found, listed, frozen, and given a way into the pages."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.models import Answer, GivenBody, LongText, Text, Time
from gateway.operations.desk import Desk
from gateway.operations.shown import Display, display
from gateway.paging import PageQuery, pack_cursor, unpack_number
from ledger import accounts, admins, plans
from ledger.database import Connection
from ledger.ids import account_text

Status = Literal["active", "frozen", "quarantined"]
Line = Annotated[str, Field(max_length=200)]


class AccountDraft(GivenBody):
    """A new account."""

    external_id: Annotated[
        Text | None, Field(description="Your own name for it: unique, not like `acc_12`.")
    ] = None
    name: Line = ""
    email: Line = ""
    plan: Line = ""


class AccountChange(GivenBody):
    """What an account is to be; a field that is left out stays as it is."""

    name: Line | None = None
    email: Line | None = None
    plan: Line | None = None


class PlanChange(GivenBody):
    """What an account is to be on; empty: on no plan."""

    plan: Line


class AccountQuery(PageQuery):
    """Which accounts."""

    search: Annotated[
        str | None,
        Field(
            max_length=200, description="An id, or part of the external id, the name or the e-mail."
        ),
    ] = None


class Why(GivenBody):
    """The reason for a change, kept in the audit."""

    reason: LongText


class Limited(Answer):
    """Credits that may be used on some routes only."""

    routes: list[str]
    available: Annotated[int, Field(description="May be spent now, on these routes.")]
    expires_at: Annotated[Time | None, Field(description="When the first of them end.")]
    display: Display


class Balance(Answer):
    """Credits of one type, as far as they are posted: at most a few seconds behind."""

    credit_type: str
    scale: int
    available: Annotated[
        int, Field(description="May be spent now, on any route; below 0 is a debt.")
    ]
    limited: Annotated[
        list[Limited], Field(description="Beside those: may be spent on some routes only.")
    ]
    held: Annotated[int, Field(description="Reserved by requests under way.")]
    debt: Annotated[int, Field(description="What the next grant pays first.")]
    purchased: Annotated[int, Field(description="Bought, since ever.")]
    granted: Annotated[int, Field(description="Put in, since ever; bought ones included.")]
    used: Annotated[int, Field(description="Charged, since ever.")]
    refunded: Annotated[int, Field(description="Given back after a charge, since ever.")]
    expired: Annotated[int, Field(description="Lost by expiry, since ever.")]
    clawed_back: Annotated[int, Field(description="Taken back, since ever.")]
    scheduled: Annotated[int, Field(description="In grants that enter later.")]
    expiring: Annotated[int, Field(description="Left in grants that end some day.")]
    expires_at: Annotated[Time | None, Field(description="When the first of those ends.")]
    display: Display


class AccountRow(Answer):
    """An account in a list, without balances."""

    id: str
    external_id: str | None
    name: str
    email: str
    plan: str
    status: Status
    created_at: Time


class AccountAnswer(AccountRow):
    """An account; `balances` is empty until the first grant is posted."""

    updated_at: Time
    plan_in_force: Annotated[
        str, Field(description="What it is on: its subscription's plan, else its own.")
    ]
    features: Annotated[list[str], Field(description="What subscriptions opened beside it.")]
    plan_applied: Annotated[
        bool, Field(description="Whether calls are priced by it yet, as far as posted.")
    ]
    balances: list[Balance]


class AccountPage(Answer):
    """A page of accounts, by number."""

    items: list[AccountRow]
    next: str | None


class AccountChanged(Answer):
    """What an account is from now on, or (`applied` false) as soon as Redis answers."""

    id: str
    status: Status
    applied: bool


class SignIn(Answer):
    """A link into the account's pages: works once, for ten minutes."""

    url: str
    expires_at: Time


async def create(desk: Desk, draft: AccountDraft) -> AccountAnswer:
    """Make an account."""
    async with desk.ledger.database.connection() as connection:
        made = await accounts.create(
            connection,
            actor=desk.actor,
            external_id=draft.external_id,
            name=draft.name,
            email=draft.email,
            plan=draft.plan,
        )
    return await _pushed(desk, made)


async def put(desk: Desk, external_id: str, change: AccountChange) -> AccountAnswer:
    """Make the account with this external id, or change it; a repeat changes nothing."""
    async with desk.ledger.database.connection() as connection:
        account, _ = await accounts.put(
            connection,
            external_id,
            actor=desk.actor,
            name=change.name,
            email=change.email,
            plan=change.plan,
        )
    return await _pushed(desk, account)


async def set_plan(desk: Desk, account: str, change: PlanChange) -> AccountAnswer:
    """Put an account on a plan from its next call on; a repeat changes nothing."""
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
        changed = await accounts.set_plan(connection, found.id, change.plan, actor=desk.actor)
    return await _pushed(desk, changed)


async def show(desk: Desk, account: str) -> AccountAnswer:
    """Return an account with its balances."""
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
        return await _answer(connection, found)


async def listed(desk: Desk, query: AccountQuery) -> AccountPage:
    """Return a page of accounts, by number."""
    after = unpack_number("accounts", query.cursor)
    async with desk.ledger.database.connection() as connection:
        found = await accounts.search(
            connection, text=query.search or "", after=after or 0, limit=query.limit
        )
    return AccountPage(
        items=[AccountRow(**_who(account)) for account in found],
        next=pack_cursor("accounts", found[-1].id) if len(found) == query.limit else None,
    )


async def freeze(desk: Desk, account: str, why: Why) -> AccountChanged:
    """Refuse every request of an account."""
    return await _set_frozen(desk, account, why, frozen=True)


async def thaw(desk: Desk, account: str, why: Why) -> AccountChanged:
    """Let a frozen account call again."""
    return await _set_frozen(desk, account, why, frozen=False)


async def sign_in(desk: Desk, account: str) -> SignIn:
    """Make a link into the account's pages, which works once."""
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
        token = await admins.new_link(
            connection, found.id, actor=desk.actor, random_bytes=desk.random_bytes
        )
    return SignIn(
        url=f"{desk.pages_url}/sign-in?token={token}",
        expires_at=datetime.now(UTC) + timedelta(minutes=admins.LINK_MINUTES),
    )


async def balances(connection: Connection, account_id: int) -> list[Balance]:
    """Return an account's credits by type, with the same amounts as decimal text."""
    return [_balance(row) for row in await accounts.balances(connection, account_id)]


async def _set_frozen(desk: Desk, account: str, why: Why, *, frozen: bool) -> AccountChanged:
    async with desk.ledger.database.connection() as connection:
        found = await accounts.find(connection, account)
        added = await accounts.freeze(
            connection, found.id, frozen=frozen, actor=desk.actor, reason=why.reason
        )
    return AccountChanged(
        id=account_text(found.id),
        status="frozen" if frozen else "active",
        applied=await desk.push(found.id, added.cseq),
    )


async def _pushed(desk: Desk, account: accounts.Account) -> AccountAnswer:
    """Answer once Redis has the plan; where it does not answer, `plan_applied` says so."""
    ordered = account.cseq_head > account.cseq_applied
    applied = await desk.push(account.id, account.cseq_head if ordered else None)
    async with desk.ledger.database.connection() as connection:
        return (await _answer(connection, account)).model_copy(update={"plan_applied": applied})


async def _answer(connection: Connection, account: accounts.Account) -> AccountAnswer:
    standing = await plans.standing(connection, account.id)
    return AccountAnswer(
        **_who(account),
        updated_at=account.updated_at,
        plan_in_force=standing.on.name,
        features=list(standing.on.features),
        plan_applied=standing.applied,
        balances=await balances(connection, account.id),
    )


def _who(account: accounts.Account) -> dict[str, Any]:
    return {
        "id": account_text(account.id),
        "external_id": account.external_id,
        "name": account.name,
        "email": account.email,
        "plan": account.plan,
        "status": account.status.word,
        "created_at": account.created_at,
    }


AMOUNTS = (
    "available",
    "held",
    "debt",
    "purchased",
    "granted",
    "used",
    "refunded",
    "expired",
    "clawed_back",
    "scheduled",
    "expiring",
)


def _balance(row: accounts.Balance) -> Balance:
    amounts = {name: getattr(row, name) for name in AMOUNTS}
    return Balance(
        credit_type=row.credit_type,
        scale=row.scale,
        expires_at=row.expires_at,
        limited=[
            Limited(
                routes=one.routes,
                available=one.available,
                expires_at=one.expires_at,
                display=display(row.scale, {"available": one.available}),
            )
            for one in row.limited
        ],
        display=display(row.scale, amounts),
        **amounts,
    )
