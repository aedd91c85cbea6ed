"""What a replay answers: sums at the old prices and at the new ones, by whatever people ask for."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from gateway.models import Answer, Given, Time
from gateway.operations.shown import Display


class ReplayQuery(Given):
    """Which charges; the last 24 hours of all accounts if nothing is named."""

    since: Annotated[
        AwareDatetime | None, Field(alias="from", description="Begun then or later.")
    ] = None
    until: Annotated[AwareDatetime | None, Field(alias="to", description="Begun before.")] = None
    account: Annotated[str | None, Field(description="Only of this account.")] = None


class ReplaySum(Answer):
    """What charges came to, and what they would come to; smallest units."""

    credit_type: str
    scale: int
    charges: int
    before: int
    after: int
    change: Annotated[int, Field(description="`after` less `before`.")]
    display: Display


class ReplayRoute(ReplaySum):
    """Of one route of the files that the charges were made with."""

    route: Annotated[str, Field(description="Method and path.")]
    name: str
    now: Annotated[str | None, Field(description="The route of the new file; null: none, or many.")]


class ReplayPlan(ReplaySum):
    """Of all accounts that have a plan now; empty: none."""

    plan: str


class ReplayAccount(ReplaySum):
    """Of one account."""

    account: str
    external_id: str | None
    plan: str


class DryAccount(ReplayAccount):
    """An account whose credits would not last for the same calls once more."""

    available: Annotated[int, Field(description="Now.")]
    lasts_s: Annotated[int, Field(description="So long, at the pace and the prices replayed.")]
    anyway: Annotated[bool, Field(description="Nor would they at the prices of that time.")]


class Unrepriced(Answer):
    """Charges that cannot be repriced, and why. They count nowhere else."""

    why: Annotated[str, Field(description="A stable word.")]
    sentence: str
    route: str
    credit_type: str
    charges: int
    charged: Annotated[int, Field(description="What they came to; smallest units.")]


class Replay(Answer):
    """
    The recorded charges at the prices of another file.

    `before` is what the charges came to, `after` what the same requests would come to, with the
    allowances of the new file unused at `since`. Limits, balances and refusals are not played
    again, and refunds are not taken off.
    """

    since: Time
    until: Time
    charges: int
    repriced: int
    free: Annotated[int, Field(description="Of these, charges that an allowance would pay for.")]
    totals: list[ReplaySum]
    routes: list[ReplayRoute]
    plans: list[ReplayPlan]
    accounts: Annotated[list[ReplayAccount], Field(description="Greatest changes first; 100.")]
    accounts_changed: int
    dry: Annotated[list[DryAccount], Field(description="Soonest first; 100.")]
    accounts_dry: int
    unrepriced: list[Unrepriced]
    notes: list[str]
