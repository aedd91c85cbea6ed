"""Charges repriced one by one, and added up while they pass."""

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Any

from config import HeirFinder, Limit, PriceList, Route
from config.words import route_words
from gateway.limits import limits_on, limits_over_all
from gateway.operations.price_book import PriceBook
from gateway.operations.rehearsed_limits import Asking, Tallies
from gateway.plan_repricing import ChargePlans, repricing_on
from gateway.repricing import NotRepriced, Recorded, Repriced, Repricing, not_repriced
from ledger import price_versions
from ledger.database import Connection
from ledger.ids import minted_us
from ledger.replays import Sums

MOST_REMEMBERED = 20_000
"""Amounts kept for charges that are alike: with fixed prices nearly all are."""

MOST_VERSIONS = 8
"""Price versions kept apart at once; charges come in the order of time, and so do versions."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One route of one version, ready to reprice its charges.

    repricing: None where the version's text cannot be read.
    now: The route of the new file; None where it is none, or not known which.
    allowances: What calls of that route have free; one counts as `weight`.
    """

    repricing: Repricing | None
    route: str
    name: str = ""
    now: str | None = None
    old_type: str = ""
    new_type: str = ""
    allowances: tuple[Limit, ...] = ()
    weight: int = 1
    plan: str = ""

    @classmethod
    def of(cls, repricing: Repricing, prices: PriceList, plan: str) -> "Rule":
        """Name what a repricing is about, for accounts on a plan; `prices` is the new list."""
        old, new = repricing.old, repricing.new
        return cls(
            repricing,
            route=route_words(old.path, old.methods),
            name=old.name,
            now=None if new is None else route_words(new.path, new.methods),
            old_type=old.price.credit_type,
            new_type=(old if new is None else new).price.credit_type,
            allowances=_allowances(prices, new, plan) if new else (),
            weight=new.weight if new else 1,
            plan=plan,
        )


class Rules:
    """The routes of earlier versions beside the new list; a few versions at a time."""

    def __init__(self, connection: Connection, new: PriceList) -> None:
        """Read nothing yet; versions are read on this connection as they come."""
        self._connection = connection
        self._new = new
        self._book = PriceBook(None)
        self._versions: OrderedDict[int, tuple[PriceList, HeirFinder] | None] = OrderedDict()
        self._rules: dict[tuple[int, int, str], Rule] = {}
        self.plans = ChargePlans(connection, new)
        self._amounts: dict[tuple[Any, ...], Repriced | NotRepriced] = {}

    def repriced(self, rule: Rule, row: Sequence[Any]) -> Repriced | NotRepriced:
        """Return what a charge comes to now, or why nobody knows: the same for all alike."""
        key = (row[1] is None, rule.plan, *row[2:-2])
        found = self._amounts.get(key)
        if found is None:
            if len(self._amounts) >= MOST_REMEMBERED:
                self._amounts.clear()
            found = self._amounts[key] = _repriced(rule, row)
        return found

    def known(self, row: Sequence[Any]) -> Rule | None:
        """Return the rule of a charge, on the plan that counts for it, if it was made before."""
        found = self._versions.get(row[2])
        plan = self.plans.of(found[0], row[1], row[-1]) if found is not None else ""
        return self._rules.get((row[2], row[3], plan))

    async def of_charge(self, row: Sequence[Any]) -> Rule:
        """Return the same, made where it is the first."""
        version, number = row[2], row[3]
        if version not in self._versions:
            await self.of(version, number)
        found = self._versions[version]
        plan = "" if found is None else self.plans.of(found[0], row[1], row[-1])
        return await self.of(version, number, plan)

    async def of(self, version: int, number: int, plan: str = "") -> Rule:
        """Return a rule of a version, read from its text when it is the first."""
        if len(self._rules) >= MOST_REMEMBERED:
            self._rules.clear()
        if version not in self._versions:
            prices = await self._book.version(self._connection, version)
            self._versions[version] = (
                None if prices is None else (prices, HeirFinder(prices, self._new))
            )
            if len(self._versions) > MOST_VERSIONS:
                gone, _ = self._versions.popitem(last=False)
                self._rules = {key: one for key, one in self._rules.items() if key[0] != gone}
        made = self._rules[version, number, plan] = self._made(version, number, plan)
        return made

    async def free(self) -> list[Rule]:
        """Return the free rules of the version in force: their requests leave no charge."""
        current = await price_versions.current(self._connection)
        if current is None:
            return []
        await self.of(current.version, 0)
        found = self._versions[current.version]
        routes = () if found is None else found[0].routes
        free = [one.index for one in routes if one.price.is_free and not one.observe]
        return [await self.of(current.version, number) for number in free]

    def _made(self, version: int, number: int, plan: str) -> Rule:
        found = self._versions[version]
        if found is None or number >= len(found[0].routes):
            return Rule(None, f"rule {number} of version {version}")
        prices, finder = found
        old = prices.routes[number]
        repricing = repricing_on(plan, prices, self._new, old, finder.of(old))
        return Rule.of(repricing, self._new, plan)


@dataclass(slots=True)
class Tally:
    """
    What has been added up so far.

    routes: By rule's words (route, name, route now) and credit type: charges, before, after.
    accounts: The same by number and credit type; emptied now and then into the database.
    unrepriced: Count and sum by why, sentence, route and credit type.
    free: How many an allowance pays for now.
    """

    charges: int = 0
    repriced: int = 0
    free: int = 0
    allowances: Tallies = field(default_factory=Tallies)
    routes: dict[tuple[str, str, str | None, str], list[int]] = field(default_factory=dict)
    accounts: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    unrepriced: dict[tuple[str, str, str, str], tuple[int, int]] = field(default_factory=dict)

    def totals(self) -> dict[str, Sums]:
        """Add up all routes by credit type."""
        found: dict[str, Sums] = {}
        for (*_, credit_type), sums in self.routes.items():
            before = found.get(credit_type, Sums(0, 0, 0))
            found[credit_type] = Sums._make(map(add, before, sums))
        return found


async def count(rows: Sequence[Sequence[Any]], rules: Rules, tally: Tally) -> None:
    """Reprice rows of `replays.recorded` and add them up."""
    await rules.plans.learn({row[1] for row in rows if row[1] is not None})
    for row in rows:
        tally.charges += 1
        account, due = row[1], row[8]
        rule = rules.known(row) or await rules.of_charge(row)
        now = rules.repriced(rule, row)
        if isinstance(now, NotRepriced):
            key = (now.code, now.sentence, rule.route, rule.old_type)
            before, charged = tally.unrepriced.get(key, (0, 0))
            tally.unrepriced[key] = (before + 1, charged + due)
            continue
        tally.repriced += 1
        after = now.amount
        if now.counts and rule.allowances and _is_free(tally, rule, row):
            tally.free += 1
            after = 0
        if rule.old_type == rule.new_type:
            _add(tally, rule, account, rule.old_type, (1, due, after))
        else:
            _add(tally, rule, account, rule.old_type, (1, due, 0))
            _add(tally, rule, account, rule.new_type, (0, 0, after))


def _allowances(prices: PriceList, route: Route, plan: str) -> tuple[Limit, ...]:
    over_all = limits_over_all(prices, prices.plan_of(plan))
    return tuple(limit for limit in limits_on(prices, route, over_all) if limit.free is not None)


def _is_free(tally: Tally, rule: Rule, row: Sequence[Any]) -> bool:
    """Count a charge by the allowances of its route; one that has room pays for it."""
    at_us, account, key = minted_us(row[0]), row[1], row[-2]
    if account is None:
        return False
    asking = Asking(at_us, at_us, account, key or 0, 0, limits=rule.allowances, weight=rule.weight)
    allowance = tally.allowances.allowance(asking)
    if allowance is None:
        return False
    tally.allowances.count(asking, allowance=allowance, cost=0)
    return True


def _repriced(rule: Rule, row: Sequence[Any]) -> Repriced | NotRepriced:
    if rule.repricing is None:
        return not_repriced("version-unknown")
    _, account, _, _, state, reason, status, held, due, *texts, note, _, _ = row
    units, measured, record = (None if text is None else json.loads(text) for text in texts)
    charge = Recorded(account, state, reason, status, held, due, units, measured, record, note)
    try:
        return rule.repricing.reprice(charge)
    except NotRepriced as unknown:
        return unknown


def _add(
    tally: Tally, rule: Rule, account: int | None, credit_type: str, more: tuple[int, int, int]
) -> None:
    parts = [tally.routes.setdefault((rule.route, rule.name, rule.now, credit_type), [0, 0, 0])]
    if account is not None:
        parts.append(tally.accounts.setdefault((account, credit_type), [0, 0, 0]))
    for sums in parts:
        sums[0] += more[0]
        sums[1] += more[1]
        sums[2] += more[2]
