"""Charges repriced one by one, and added up while they pass."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config import HeirFinder, PriceList
from config.words import route_words
from gateway.operations.price_book import PriceBook
from gateway.repricing import NotRepriced, Recorded, Repricing, not_repriced
from ledger import price_versions
from ledger.database import Connection
from ledger.replays import Sums

MOST_VERSIONS = 8
"""Price versions kept apart at once; charges come in the order of time, and so do versions."""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One route of one version, ready to reprice its charges.

    repricing: None where the version's text cannot be read.
    now: The route of the new file; None where it is none, or not known which.
    """

    repricing: Repricing | None
    route: str
    name: str = ""
    now: str | None = None
    old_type: str = ""
    new_type: str = ""

    @classmethod
    def of(cls, repricing: Repricing) -> "Rule":
        """Name what a repricing is about."""
        old, new = repricing.old, repricing.new
        return cls(
            repricing,
            route=route_words(old.path, old.methods),
            name=old.name,
            now=None if new is None else route_words(new.path, new.methods),
            old_type=old.price.credit_type,
            new_type=(old if new is None else new).price.credit_type,
        )


class Rules:
    """The routes of earlier versions beside the new list; a few versions at a time."""

    def __init__(self, connection: Connection, new: PriceList) -> None:
        """Read nothing yet; versions are read on this connection as they come."""
        self._connection = connection
        self._new = new
        self._book = PriceBook(None)
        self._versions: OrderedDict[int, tuple[PriceList, HeirFinder] | None] = OrderedDict()
        self._rules: dict[tuple[int, int], Rule] = {}

    async def of(self, version: int, number: int) -> Rule:
        """Return a rule of a version."""
        known = self._rules.get((version, number))
        if known is not None:
            return known
        if version not in self._versions:
            prices = await self._book.version(self._connection, version)
            self._versions[version] = (
                None if prices is None else (prices, HeirFinder(prices, self._new))
            )
            if len(self._versions) > MOST_VERSIONS:
                gone, _ = self._versions.popitem(last=False)
                self._rules = {key: one for key, one in self._rules.items() if key[0] != gone}
        made = self._rules[version, number] = self._made(version, number)
        return made

    async def live(self) -> list[Rule]:
        """Return all rules of the version in force; none where it cannot be read."""
        current = await price_versions.current(self._connection)
        if current is None:
            return []
        await self.of(current.version, 0)
        found = self._versions[current.version]
        count = 0 if found is None else len(found[0].routes)
        return [await self.of(current.version, number) for number in range(count)]

    def _made(self, version: int, number: int) -> Rule:
        found = self._versions[version]
        if found is None or number >= len(found[0].routes):
            return Rule(None, f"rule {number} of version {version}")
        prices, finder = found
        old = prices.routes[number]
        return Rule.of(Repricing(old, finder.of(old)))


@dataclass(slots=True)
class Tally:
    """
    What has been added up so far.

    routes: By rule's words (route, name, route now) and credit type.
    accounts: By number and credit type; emptied now and then into the database.
    unrepriced: Count and sum by why, sentence, route and credit type.
    """

    charges: int = 0
    repriced: int = 0
    routes: dict[tuple[str, str, str | None, str], Sums] = field(default_factory=dict)
    accounts: dict[tuple[int, str], Sums] = field(default_factory=dict)
    unrepriced: dict[tuple[str, str, str, str], tuple[int, int]] = field(default_factory=dict)

    def totals(self) -> dict[str, Sums]:
        """Add up all routes by credit type."""
        found: dict[str, Sums] = {}
        for (*_, credit_type), sums in self.routes.items():
            found[credit_type] = _plus(found.get(credit_type), sums)
        return found


async def count(rows: Iterable[Mapping[str, Any]], rules: Rules, tally: Tally) -> None:
    """Reprice rows of `replays.recorded` and add them up."""
    for row in rows:
        tally.charges += 1
        rule = await rules.of(row["price_version"], row["rule"])
        charge = Recorded(
            row["account_id"], row["state"], row["reason"], row["status"], row["held"], row["due"],
            row["units"], row["measured"], row["record"], row["note"],
        )  # fmt: skip
        try:
            if rule.repricing is None:
                raise not_repriced("version-unknown")
            after = rule.repricing.amount(charge)
        except NotRepriced as unknown:
            key = (unknown.code, unknown.sentence, rule.route, rule.old_type)
            before, charged = tally.unrepriced.get(key, (0, 0))
            tally.unrepriced[key] = (before + 1, charged + charge.due)
            continue
        tally.repriced += 1
        if rule.old_type == rule.new_type:
            _add(tally, rule, charge, rule.old_type, Sums(1, charge.due, after))
        else:
            _add(tally, rule, charge, rule.old_type, Sums(1, charge.due, 0))
            _add(tally, rule, charge, rule.new_type, Sums(0, 0, after))


def _add(tally: Tally, rule: Rule, charge: Recorded, credit_type: str, sums: Sums) -> None:
    route = (rule.route, rule.name, rule.now, credit_type)
    tally.routes[route] = _plus(tally.routes.get(route), sums)
    if charge.account_id is not None:
        account = (charge.account_id, credit_type)
        tally.accounts[account] = _plus(tally.accounts.get(account), sums)


def _plus(one: Sums | None, other: Sums) -> Sums:
    if one is None:
        return other
    return Sums(one.charges + other.charges, one.before + other.before, one.after + other.after)
