"""Lines of a tick by chance, mostly sensible ones: drawn field by field they would hardly meet."""

from random import Random

from ledger.claims import Claim, Standing, There
from ledger.facts import HoldFact
from ledger.ids import hold_id
from ledger.limits import ALL_ROUTES, Limit, window_id
from tests.ledger.journal_audit import JournalAudit
from tests.ledger.model import Model
from tests.ledger.tick_lines import (
    HoldLine,
    LateLine,
    Line,
    ObservedLine,
    RenewLine,
    SettleLine,
    Within,
)
from tests.ledger.twin import ACCOUNTS, NEVER_MINTED, PLAIN

LATER_TYPE, NO_TYPE = 3, 4
"""A credit type that the operator may add, and one that nobody adds."""
PLANS = (0, 1, 2**32 - 1)
_STANDINGS = {
    None: Standing.OPEN,
    "c": Standing.CAPTURED,
    "l": Standing.CAPTURED,
    "v": Standing.GIVEN_BACK,
    "x": Standing.GIVEN_BACK,
}
REASONS = (1, 5, 20, 26, 40)
BY_DAY = Limit("a", ALL_ROUTES, window_id("Q", "day"), "Q", 4)
REACHES = (1, 2, 9)
WITHIN = (
    None,
    Within(9, frozenset()),
    Within(9, frozenset((1,))),
    Within(9, frozenset((1, 2))),
    Within(9, frozenset((2, 9))),
    Within(9, frozenset(REACHES)),
    Within(2, frozenset((2,))),
)
"""As gateways that have learned of reaches at different times say it of different routes."""

LIMITS = (
    Limit("k", ALL_ROUTES, b"F1..", "F", 1),
    Limit("k", ALL_ROUTES, b"R1..", "R", 400_000, 800_000),
    Limit("k", b"road", b"R1..", "R", 2_000_000, 2_000_000),
    Limit("a", ALL_ROUTES, b"R1..", "R", 700_000, 2_800_000),
    Limit("a", b"road", b"F1..", "F", 3),
    Limit("e", ALL_ROUTES, b"R1..", "R", 300_000, 3_000_000),
    Limit("e", b"road", b"F1..", "F", 4),
    Limit("k", b"road", window_id("Q", "month"), "Q", 3),
    BY_DAY,
    Limit("e", ALL_ROUTES, window_id("Q", "day"), "Q", 6),
    Limit("a", b"road", window_id("A", "day"), "A", 4),
    Limit("k", ALL_ROUTES, window_id("A", "month"), "A", 3),
)


class DrawnLines:
    """Makes lines about what is in the shard, and what was."""

    def __init__(self, model: Model, audit: JournalAudit) -> None:
        self.model = model
        self.audit = audit
        self.minted: list[bytes] = []
        self.claims: dict[bytes, Claim] = {}
        self._epoch = 0
        self._seen: dict[Claim, list[There]] = {}
        self._endings: dict[bytes, str] = {}
        self._owners: dict[tuple[int, bytes], bytes] = {}

    def hold_at(self, pick: int) -> bytes:
        """One of the holds asked for lately, or one that never was."""
        recent = self.minted[-12:]
        return recent[pick % len(recent)] if recent and pick % 17 else NEVER_MINTED

    def draw(self, session: int, chance: Random) -> Line:
        if self._epoch != self.model.epoch:  # as Postgres had it when the epoch began
            self._epoch, self._seen = self.model.epoch, {}
            self._endings, self._owners = dict(self.audit.endings), dict(self.audit.owners)
        hold = self.hold_at(chance.randrange(1000))
        opened = list(self.model.open_holds)
        if opened and chance.random() < 0.7:
            hold = chance.choice(opened)
        account = chance.choice(list(self.model.accounts) or ACCOUNTS)
        if chance.random() < 0.05:
            account = chance.choice(ACCOUNTS)
        credit_type, amount = _credit_type(chance), _amount(chance)
        kind = chance.choices("HSKLRO", (40, 35, 4, 6, 8, 3))[0]
        match kind:
            case "H" | "K":
                return self._hold(session, chance, account, only_check=kind == "K")
            case "S":
                known = self.model.holds.get(hold)
                price = known.price if isinstance(known, HoldFact) else 50
                reason = chance.choice(REASONS)
                captured = chance.choice((price, price // 2, price // 3, amount, 0))
                sensible = reason < 20 or chance.random() < 0.05
                return SettleLine(hold, captured if sensible else 0, reason)
            case "L" if self.may_be_late(hold):
                account, credit_type, _ = self.audit.prices.get(hold, (account, credit_type, 0))
                amount *= chance.choice((1, 1, 5))  # now and then all there is, and more
                within = _within(chance)
                claim = self.claims.get(hold)
                if claim is not None:
                    account = claim.account
                there = claim and (claim, self._there(claim, chance))
                return LateLine(hold, account, 10 * account, credit_type, amount, within, there)
            case "R":
                return RenewLine(hold, self.model.now + chance.choice((0, 100, 90_000)))
            case _:
                return ObservedLine(hold, credit_type, amount)

    def _hold(self, session: int, chance: Random, account: int, *, only_check: bool) -> HoldLine:
        if chance.random() < 0.03:
            session += 1  # an id of somebody else
        new = hold_id(len(self.minted) + 1, session)
        if chance.random() < 0.03 and self.minted:
            passed = hold_id(chance.randint(1, len(self.minted)), session)
            new = passed if passed not in self.minted else new
        if not only_check:
            self.minted.append(new)
        claim = None
        if not only_check and chance.random() < 0.4 and new not in self.claims:
            key, asked = chance.choice((7, 7, 8)), chance.choice((1, 1, 1, 2))
            claim = self.claims[new] = Claim(account, bytes([key]) * 16, bytes([asked]) * 16)
        return HoldLine(
            new,
            account,
            10 * (account if chance.random() < 0.95 else chance.choice((1, 9))),
            _credit_type(chance),
            _amount(chance),
            self.model.now + chance.choice((0, 500, 60_000)),
            2 if chance.random() < 0.05 else 1,
            chance.choice(((0, 0), (0, 0), (0, 0), (5_000_000, 5_000_000))),
            only_check,
            *_limits(chance),
            _within(chance),
            plan=self._plan(account, chance),
            claim=claim and (claim, self._there(claim, chance)),
        )

    def plain(self, session: int, chance: Random) -> Line:
        """A hold that asks nothing more than its key's rate, or the capture of such a one."""
        known = [self.model.holds[hold] for hold in self.model.open_holds]
        opened = [hold for hold in known if isinstance(hold, HoldFact) and hold.account == PLAIN]
        if opened and chance.random() < 0.5:
            hold = chance.choice(opened)
            part = chance.choice((hold.price, hold.price, hold.price // 2, hold.price // 3))
            more = chance.random() < 0.05
            return SettleLine(hold.hold_id, part + more, chance.choice((1, 1, 1, 1, 5, 20)))
        new = hold_id(len(self.minted) + 1, session + (chance.random() < 0.03))
        if chance.random() < 0.05 and self.minted:
            new = chance.choice(self.minted[-12:])
        else:
            self.minted.append(new)
        return HoldLine(
            new,
            PLAIN,
            10 * (PLAIN if chance.random() < 0.95 else 1),
            1 if chance.random() < 0.95 else 2,
            chance.choice((1, _amount(chance))),
            self.model.now + 60_000,
            2 if chance.random() < 0.03 else 1,
            chance.choice(((0, 0), (0, 0), (0, 0), (5_000_000, 5_000_000))),
        )

    def _plan(self, account: int, chance: Random) -> int | None:
        """Mostly the account's, or none at all; now and then what it was, or will be."""
        known = self.model.accounts.get(account)
        if chance.random() < 0.1:
            return chance.choice(PLANS)
        return known.plan if known is not None and chance.random() < 0.5 else None

    def _there(self, claim: Claim, chance: Random) -> There:
        """What Postgres has of a key, or had at some moment of this epoch."""
        seen = self._seen.setdefault(claim, [self._as_of(claim, self._owners, self._endings)])
        seen.append(self._as_of(claim, self.audit.owners, self.audit.endings))
        return seen[-1] if chance.random() < 0.6 else chance.choice(seen)

    def _as_of(
        self, claim: Claim, owners: dict[tuple[int, bytes], bytes], endings: dict[bytes, str]
    ) -> There:
        owner = owners.get((claim.account, claim.key_hash))
        if owner is None:
            return There(self.model.epoch)
        standing = _STANDINGS[endings.get(owner)]
        return There(self.model.epoch, standing, owner)

    def of_a_quota(self, session: int, account: int) -> HoldLine:
        """A small hold that uses a quota by day."""
        new = hold_id(len(self.minted) + 1, session)
        self.minted.append(new)
        deadline = self.model.now + 90_000_000
        every = Within(9, frozenset(REACHES))
        return HoldLine(new, account, 10 * account, 1, 1, deadline, limits=(BY_DAY,), reaches=every)

    def within_reach(self, session: int, account: int, reach: int, ceiling: int) -> HoldLine:
        """A hold of a route that has this reach, and no other."""
        new = hold_id(len(self.minted) + 1, session)
        self.minted.append(new)
        deadline, within = self.model.now + 60_000, Within(9, frozenset((reach,)))
        return HoldLine(new, account, 10 * account, 1, ceiling, deadline, reaches=within)

    def of_a_claim(self, session: int, account: int, there: There | None = None) -> HoldLine:
        """A small hold with a key, by one who read this in Postgres, or what is there now."""
        new = hold_id(len(self.minted) + 1, session)
        self.minted.append(new)
        claim = self.claims[new] = Claim(account, bytes([8]) * 16, bytes([1]) * 16)
        there = there or self._as_of(claim, self.audit.owners, self.audit.endings)
        deadline = self.model.now + 500
        return HoldLine(new, account, 10 * account, 1, 1, deadline, claim=(claim, there))

    def late_with_its_claim(self, hold: HoldLine) -> LateLine:
        """Its late booking, by one who has just read Postgres."""
        assert hold.claim is not None
        claim = hold.claim[0]
        there = self._as_of(claim, self.audit.owners, self.audit.endings)
        return LateLine(hold.hold_id, hold.account, hold.key, 1, 1, None, (claim, there))

    def may_be_late(self, hold: bytes) -> bool:
        """Whether a gateway that loaded the account and asked Postgres would book it late."""
        if hold in self.model.holds:
            return True
        open_elsewhere = hold in self.audit.prices and hold not in self.audit.endings
        return not open_elsewhere and self.audit.endings.get(hold, "x") == "x"


def _credit_type(chance: Random) -> int:
    return chance.choices((1, 2, LATER_TYPE, NO_TYPE), (75, 15, 5, 5))[0]


def _limits(chance: Random) -> tuple[tuple[Limit, ...] | None, int]:
    """Few different ones, so that they meet; sometimes none, or only the key's own rate."""
    if chance.random() < 0.5:
        return None, 1
    return tuple(one for one in LIMITS if chance.random() < 0.25), chance.choice((1, 1, 1, 2))


def _within(chance: Random) -> Within | None:
    return chance.choices(WITHIN, (5, 10, 20, 30, 20, 30, 5))[0]


def _amount(chance: Random) -> int:
    return chance.choice((chance.randint(1, 20), chance.randint(1, 200)))
