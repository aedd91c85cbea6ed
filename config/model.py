"""What the price file says, once read: plain values, checked, that never change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from config.limits import Limit
from config.pricing.facts import RequestFacts, Unpriceable
from config.pricing.pointer import ABSENT, Pointer, read_strictly
from config.pricing.price import Price
from config.pricing.query import query_value

LONGEST_RECORDED_BYTES = 100
"""Of each value that `record` keeps on the charge."""


@dataclass(frozen=True, slots=True)
class CreditType:
    """One sort of credits; balances of different types never mix."""

    name: str
    scale: int = 0
    """Decimal places; amounts inside are whole numbers of the smallest unit."""
    window: int | None = None
    """The most, in smallest units, that may be in flight unposted; None: the ledger's default."""
    low_balance: int | None = None
    """Accounts are told when less than this is available; None: not unless they ask."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A backend. What was expanded from the environment is never shown."""

    name: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    prefix: bytes = b""
    """Goes in front of every path; no slash at its end."""
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    """Sent with every request, names in lower case; the caller's of the same name are replaced."""
    timeout_ms: int = 30_000
    """From the request sent to the answer's head, and between bytes of its body."""
    connect_timeout_ms: int = 5_000
    max_connections: int = 256
    ca_file: str | None = None
    """Certificates trusted instead of the system's."""
    authority: bytes = field(init=False, repr=False)
    """What is sent as Host."""

    def __post_init__(self) -> None:
        """Work out once what every request would ask."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        authority = (host if self.port == usual else f"{host}:{self.port}").encode()
        object.__setattr__(self, "authority", authority)


@dataclass(frozen=True, slots=True)
class StatusSet:
    """The statuses of the upstream for which a request is charged."""

    statuses: frozenset[int] = field(repr=False)

    def covers(self, status: int) -> bool:
        """Whether an answer with this status is charged."""
        return status in self.statuses

    @classmethod
    def of(cls, words: Iterable[str]) -> "StatusSet":
        """Make a set from words like 2xx and 304."""
        statuses: set[int] = set()
        for word in words:
            first = int(word[0]) * 100
            statuses |= set(range(first, first + 100)) if word[1:] == "xx" else {int(word)}
        return cls(frozenset(statuses))


@dataclass(frozen=True, slots=True)
class Recorded:
    """One named value that is kept on the charge."""

    name: str
    source: Literal["path", "query", "header", "body"]
    selector: str


@dataclass(frozen=True, slots=True)
class Cors:
    """How requests of pages from other origins are met."""

    preflights: bool = True
    """Forward preflights on a known path, unpriced and without key."""
    origins: frozenset[str] | None = None
    """Origins that may read our own errors; None: any."""

    def allows(self, origin: str) -> bool:
        """Whether our own errors may be read by a page of this origin."""
        return self.preflights and (self.origins is None or origin in self.origins)


@dataclass(frozen=True, slots=True)
class Route:
    """One priced path with its methods."""

    index: int
    """Place in the file, from 0: the rule that a charge names, together with its price version."""
    name: str
    path: str
    methods: tuple[str, ...]
    upstream: Upstream
    price: Price
    charge_on: StatusSet
    line: int = 0
    public: bool = False
    """No key is asked for."""
    observe: bool = False
    """Price, record and show; charge and refuse nothing."""
    websocket: bool = False
    strict: bool = False
    """Forward only what Postgres has the hold of: slower, and no loss of Redis hides the call."""
    idempotency: Literal["once", "replay"] = "once"
    """What a repeat under one Idempotency-Key gets: that it is done, or the same answer again."""
    record: tuple[Recorded, ...] = ()
    max_body: int | None = None
    """Bytes of the request's body; None: no limit, which only streamed bodies may have."""
    linger_ms: int = 30_000
    """How long to read on for the usage after the client went away."""
    on_cut: Literal["void", "delivered"] = "void"
    """What an answer cut by the upstream costs: nothing, or what was delivered."""
    timeout_ms: int = 30_000
    lifetime_ms: int = 120_000
    """After this long without renewal a hold expires."""
    encoded_slash: bool = False
    """Take `%2F` in a segment."""
    cors: Cors = field(default_factory=Cors)
    upstream_cost: Mapping[str, int] = field(default_factory=dict)
    """What a charged request costs the operator: millionths of a minor unit, by currency."""
    limits: tuple[Limit, ...] = ()
    """Of this route alone, besides those of the file."""
    weight: int = 1
    """How many requests one counts as in rates, quotas and allowances."""
    plans: tuple[str, ...] = ()
    """Only accounts on one of these may call it, or those that have its `feature`; empty: all."""
    feature: str | None = None

    @property
    def replays(self) -> bool:
        """Whether answers to requests with an Idempotency-Key are kept."""
        return self.idempotency == "replay"

    def recorded(self, facts: RequestFacts) -> dict[str, str]:
        """Give the values to keep; absent or unreadable ones are left out, never a refusal."""
        values: dict[str, str] = {}
        for wanted in self.record:
            value = _recorded_value(wanted, facts)
            if value is not None:
                cut = value.encode(errors="replace")[:LONGEST_RECORDED_BYTES]
                values[wanted.name] = cut.decode(errors="ignore")
        return values


def _recorded_value(wanted: Recorded, facts: RequestFacts) -> str | None:
    try:
        match wanted.source:
            case "path":
                return facts.path_params.get(wanted.selector)
            case "query":
                return query_value(facts.query, wanted.selector)
            case "header":
                values = facts.header_values(wanted.selector.encode())
                return values[0].decode("latin-1") if values else None
            case "body":
                value = Pointer.parse(wanted.selector).find(read_strictly(facts.body or b""))
                return str(value) if isinstance(value, (str, int)) and value is not ABSENT else None
    except Unpriceable:
        return None


@dataclass(frozen=True, slots=True)
class Package:
    """Credits for sale."""

    id: str
    name: str
    credits: int
    """Smallest units of the credit type, for each one bought."""
    credit_type: str
    price: Mapping[str, int]
    """Money in minor units by currency, like {"usd": 1000} for ten dollars."""
    description: str = ""
    interval: Literal["day", "week", "month", "year"] | None = None
    """A subscription that is paid this often; None: bought once."""
    expires_ms: int | None = None
    """How long the credits live; None: for ever, or with a subscription to the period's end."""
    tax: str | None = None
    """None: no tax; "automatic", or Stripe's tax code."""
    promotion_codes: bool = False
    adjustable_quantity: tuple[int, int] | None = None
    """The least and the most a buyer may choose; None: one."""
    sort: int = 0
    active: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    allow_free: bool = False
    """Give the credits also where a promotion left nothing to pay; else a person decides."""
    discounted: Literal["whole", "share"] = "whole"
    """What a discounted sale gives: all its credits, or the share that was paid."""
    trial_days: int | None = None
    """A subscription begins unpaid for this long."""
    trial_credits: int | None = None
    """Smallest units given once for the trial; None: none."""
    plan_tier: str = ""
    feature_flags: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    """Names of the only routes its credits may be used on; none: all."""


@dataclass(frozen=True, slots=True)
class SellingRules:
    """What selling does by itself, and what it leaves to a person."""

    freeze_on_dispute: bool = True
    """Refuse the account's calls while a dispute of its payments is open."""
    freeze_on_fraud_warning: bool = True
    """Refuse them when Stripe warns of fraud, until an admin thaws the account."""


Network = IPv4Network | IPv6Network
