"""`farebox quote --account`: held against what an account has, and what its limits say."""

from collections.abc import Callable, Sequence

from config import PriceList, Quote, format_amount
from gateway.commands.failed import CommandFailed
from gateway.commands.session import Said
from gateway.operations.desk import Desk
from gateway.operations.limit_standing import Asker
from gateway.operations.quotes import QuoteAnswer, held_against
from ledger import accounts, api_keys, plans
from ledger.ids import parse_key
from ledger.ports import SystemClock


async def quoted_for(
    desk: Desk,
    prices: PriceList,
    ask: Callable[[str, Sequence[str]], Quote],
    said: Callable[[Quote], str],
    whose: tuple[str, str | None],
) -> Said:
    """
    Say what a request would cost an account (and key), on the plan that it has.

    `ask` prices the request for a plan and features, `said` puts that into words.

    Raises:
        NotFound: No such account or key.
        CommandFailed: The key is another account's.
        Unpriceable: As `ask`.

    """
    async with desk.ledger.database.connection() as connection:
        account, key = whose
        owner = (await accounts.find(connection, account)).id
        number = 0 if key is None else await _key_of(desk, owner, key)
        on = (await plans.standing(connection, owner)).on
        found = ask(on.name, on.features)
        asker = Asker(owner, number, SystemClock().now_ms())
        answer = await held_against(connection, prices, found, asker, version=None)
    return Said(
        answer, "\n".join([said(found), *(f"{name:<11} {value}" for name, value in _rows(answer))])
    )


async def _key_of(desk: Desk, account: int, text: str) -> int:
    number = parse_key(text)
    if number is None:
        raise CommandFailed(f"{text} is no key; keys are named like key_7")
    async with desk.ledger.database.connection() as connection:
        key = await api_keys.get(connection, number)
    if key.account_id != account:
        raise CommandFailed(f"{text} is not a key of this account")
    return number


def _rows(answer: QuoteAnswer) -> list[tuple[str, str]]:
    kind = answer.credit_type
    rows = [("available", f"{answer.display['available']} {kind}")]
    if answer.free:
        rows.append(("charged", "0: an allowance pays"))
    for one in answer.limits:
        if one.kind == "cap":
            left, most = (format_amount(amount, answer.scale) for amount in (one.left, one.most))
            rows.append(("left", f"{left} of {most} {kind} ({one.limit})"))
        else:
            free = "free " if one.kind == "free" else ""
            rows.append(("left", f"{one.left} of {one.most} {free}requests ({one.limit})"))
    if answer.refused:
        by = f" ({answer.refused_by})" if answer.refused_by else ""
        rows.append(("refused", f"now, with {answer.refused}{by}"))
    return rows
