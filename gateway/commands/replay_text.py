"""A replay's answer for people: tables, and the sentences that go with them."""

from collections.abc import Sequence

from config import format_amount
from gateway.commands.text import columns
from gateway.operations.replay_answer import DryAccount, Replay, ReplayAccount, ReplaySum

SUMS = ("charges", "before", "after", "change", "of")
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60


def replay_text(answer: Replay) -> str:
    """Say all of it; parts with nothing in them are left out."""
    since, until = (at.isoformat(timespec="seconds") for at in (answer.since, answer.until))
    free = f", {answer.free} of them free by an allowance" if answer.free else ""
    parts = [f"{answer.charges} charges from {since} to {until}, {answer.repriced} repriced{free}"]
    if answer.totals:
        parts.append(columns(("total", *SUMS), [("", *_sums(one)) for one in answer.totals]))
    if answer.routes:
        routes = [(one.route, one.now or "-", *_sums(one)) for one in answer.routes]
        parts.append(columns(("route", "now", *SUMS), routes))
    if any(one.plan for one in answer.plans):
        parts.append(
            columns(("plan", *SUMS), [(one.plan or "-", *_sums(one)) for one in answer.plans])
        )
    if answer.accounts:
        accounts = [(_name(one), *_sums(one)) for one in answer.accounts]
        said = _some(accounts, answer.accounts_changed)
        parts.append(said + columns(("account", *SUMS), accounts))
    if answer.dry:
        dry = [(_name(one), _available(one), _lasts(one), *_sums(one)) for one in answer.dry]
        titles = ("would run dry", "available", "lasts", *SUMS)
        parts.append(_some(dry, answer.accounts_dry) + columns(titles, dry))
    if answer.unrepriced:
        unknown = [
            (one.sentence, one.route, str(one.charges), f"{one.charged} {one.credit_type}".strip())
            for one in answer.unrepriced
        ]
        parts.append(columns(("not repriced", "route", "charges", "smallest units"), unknown))
    return "\n\n".join([*parts, *answer.notes])


def _sums(one: ReplaySum) -> tuple[str, str, str, str, str]:
    shown = one.display
    sign = "+" if one.change > 0 else ""
    change = f"{sign}{shown['change']}"
    return str(one.charges), shown["before"], shown["after"], change, one.credit_type


def _name(one: ReplayAccount) -> str:
    return one.external_id or one.account


def _available(one: DryAccount) -> str:
    return format_amount(one.available, one.scale)


def _lasts(one: DryAccount) -> str:
    words = next(
        (
            f"{one.lasts_s // size}{unit}"
            for size, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m"))
            if one.lasts_s >= size
        ),
        f"{one.lasts_s}s",
    )
    return f"{words} (before too)" if one.anyway else words


def _some(rows: Sequence[object], of: int) -> str:
    return f"the first {len(rows)} of {of}\n" if of > len(rows) else ""
