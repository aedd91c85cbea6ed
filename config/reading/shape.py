"""
The shape of the price file: every key there is, what it takes, and one sentence about it.

Read top to bottom this is the reference; `docs/price-file.md` and `farebox.schema.json` follow it.
"""

from config.amounts import LARGEST_QUANTITY, LARGEST_SCALE
from config.reading.kinds import ByForm, Field, Fields, ListOf, MapOf
from config.reading.scalars import (
    Amount,
    AmountOr,
    Choice,
    Duration,
    Expanded,
    Factor,
    Present,
    Size,
    Status,
    Text,
    Truth,
    Whole,
)

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
WINDOWS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
LARGEST_BODY = 1024**4
MOST_ROUTES = 10_000
MOST_PACKAGES = 1_000
MOST_PLANS = 1_000
UNPRICED = "unpriced"
"""Stands where a price will be; such a route can only observe."""

MOST_PARTS = 16
"""Of one price: each is an entry on every charge."""

MOST_PARTS_OF_LIMITS = 4
"""Of one owner: each limit is counted with every request."""

NAME = Text(
    "A short name",
    r"[a-z][a-z0-9_-]{0,62}",
    "Use lower-case letters, digits, _ and -, beginning with a letter.",
)
LABEL = Text("A line of text", r"[^\x00-\x1f\x7f]{1,200}", "1 to 200 characters.")
TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"  # noqa: S105 - the token of RFC 9110
HEADER = Text("A header name", TOKEN)
PATH = Text(
    "A path",
    r"/[^\s?#]{0,2000}",
    "It begins with / and has no query; quote it where it has { or }.",
)
POINTER = Text(
    "A JSON pointer", r"(?:/(?:[^~/\x00-\x1f]|~[01])*){1,16}", "Like /usage/total_tokens."
)

CURRENCY = Text("A currency", "[a-z]{3}", "Three lower-case letters, like usd.")

UNIT = Fields(
    {
        "query": Field(LABEL, "A number in the query, by its name."),
        "header": Field(HEADER, "A number in a request header."),
        "path": Field(LABEL, "A number in the path, by the name of its {x}."),
        "body": Field(POINTER, "A number in the JSON body, by its pointer."),
        "request_bytes": Field(Present(), "Bytes of the request's body."),
        "response": Field(
            POINTER, "A number in the JSON answer, or the last SSE event that has it."
        ),
        "response_header": Field(HEADER, "A number in a header of the answer."),
        "response_bytes": Field(Present(), "Bytes of the answer's body."),
        "seconds": Field(Present(), "Time until the answer ended; fractions count."),
        "connection": Field(Present(), "1 for each WebSocket connection."),
        "messages": Field(Present(), "Messages from the client of a WebSocket."),
        "unit": Field(
            Whole(1, LARGEST_QUANTITY), "The quantity is divided by this; 1 if left out."
        ),
        "cost": Field(Amount(), "Credits for each `unit` of the quantity.", required=True),
        "default": Field(Whole(0, LARGEST_QUANTITY), "The quantity where there is none."),
    },
    one_of=(
        "query",
        "header",
        "path",
        "body",
        "request_bytes",
        "response",
        "response_header",
        "response_bytes",
        "seconds",
        "connection",
        "messages",
    ),
    title="Unit",
)

PRICE = Fields(
    {
        "flat": Field(Amount(), "Credits for every request."),
        "per": Field(ListOf(UNIT, MOST_PARTS, 1), "Credits by quantity, added to `flat`."),
        "min": Field(Amount(), "The least a request costs."),
        "max": Field(Amount(), "The most a request costs."),
        "credit_type": Field(NAME, "Which credits; `credits` if left out, or the only type."),
        "hold": Field(Amount(), "What is reserved where only the answer tells the cost."),
        "settle": Field(
            ByForm(mapping=UNIT, sequence=ListOf(UNIT, MOST_PARTS, 1)),
            "Quantities that the answer tells; one, or a list.",
        ),
        "missing": Field(
            Amount(), "The cost where the answer does not tell; the hold if left out."
        ),
    },
    title="Price",
)

CORS = ByForm(
    scalar=Choice(("pass", "off")),
    mapping=Fields(
        {
            "origins": Field(
                ListOf(Expanded("An origin"), 100, 1),
                "Origins whose pages may read our own errors, like https://app.example.com.",
                required=True,
            )
        }
    ),
)

PER_CALENDAR = Fields(
    {
        "requests": Field(Whole(1, 1_000_000_000), "How many.", required=True),
        "per": Field(Choice(("day", "month")), "Which window, in UTC.", required=True),
    }
)
LIMIT = Fields(
    {
        "requests": Field(Whole(1, 1_000_000), "How many, `per` window."),
        "per": Field(Choice(tuple(WINDOWS_S)), "In which time."),
        "burst": Field(Whole(1, 1_000_000), "How many at once; `requests` if left out."),
        "in_flight": Field(Whole(1, 100_000), "Charged requests at once."),
        "quota": Field(PER_CALENDAR, "How many in a day or month of the calendar."),
        "free": Field(PER_CALENDAR, "How many in a day or month cost nothing."),
        "credit_type": Field(NAME, "Only requests priced in these credits."),
    },
    title="Limit",
)
SOME_LIMITS = ByForm(mapping=LIMIT, sequence=ListOf(LIMIT, MOST_PARTS_OF_LIMITS, 1))

LIMITS = Fields(
    {
        "per_key": Field(SOME_LIMITS, "Requests of each key."),
        "per_account": Field(SOME_LIMITS, "Requests of each account, all its keys together."),
        "everyone": Field(SOME_LIMITS, "Requests of all accounts together."),
    },
    title="Limits",
)

ROUTE = Fields(
    {
        "path": Field(PATH, "{x} is one segment, a trailing * one or more.", required=True),
        "methods": Field(
            ListOf(Choice(METHODS), len(METHODS), 1),
            "All usual ones if left out; GET implies HEAD.",
        ),
        "upstream": Field(NAME, "Where requests go.", required=True),
        "price": Field(
            ByForm(scalar=AmountOr(UNPRICED), mapping=PRICE),
            "Credits, or how to compute them; `unpriced` where that is not known yet.",
            required=True,
        ),
        "name": Field(LABEL, "Shown to consumers as the operation; the path if left out."),
        "record": Field(
            MapOf(
                NAME,
                Text(
                    "A source",
                    r"(?:path|query|header|body)/.{1,200}",
                    "Like path/asin, query/market, header/x-client or body/model.",
                ),
                most=5,
            ),
            "Up to 5 values kept on the charge, 100 bytes each.",
        ),
        "charge_on": Field(
            ListOf(Status(), 50, 1),
            "Statuses that are charged; 2xx and 304 if left out.",
        ),
        "public": Field(Truth(), "No key is asked for; the price must be 0."),
        "observe": Field(Truth(), "Price, record and show; charge and refuse nothing."),
        "websocket": Field(Truth(), "The route is a WebSocket."),
        "strict": Field(Truth(), "Forward only when Postgres has the hold: for dear calls."),
        "idempotency": Field(
            Choice(("once", "replay")),
            "What a repeat with the same Idempotency-Key gets: 409, or the answer kept; once.",
        ),
        "max_body": Field(
            Size(LARGEST_BODY), "Largest request body; 1MiB where the body is priced."
        ),
        "linger": Field(
            Duration(0, 5 * MINUTE), "How long to read on for the usage when the client went away."
        ),
        "on_cut": Field(
            Choice(("void", "delivered")), "What an answer costs that the upstream cut."
        ),
        "timeout": Field(Duration(100, HOUR), "Instead of the upstream's."),
        "lifetime": Field(Duration(10 * SECOND, DAY), "When an unrenewed hold expires; 2m."),
        "encoded_slash": Field(Choice(("allow", "refuse")), "Whether %2F is taken in a segment."),
        "cors": Field(CORS, "Instead of the file's."),
        "upstream_cost": Field(
            MapOf(CURRENCY, Amount(), most=10, least=1),
            "What a charged request costs you, in minor units by currency, for the margin: "
            "{ usd: 0.2 } is a fifth of a cent.",
        ),
        "limits": Field(LIMITS, "What callers may do on this route, within the file's limits."),
        "weight": Field(
            Whole(1, 10_000), "How many requests one counts as in rates, quotas and allowances; 1."
        ),
        "plans": Field(ListOf(LABEL, 100, 1), "Only accounts on one of these plans may call it."),
        "feature": Field(NAME, "Only accounts that have this feature may call it."),
    },
    title="Route",
)

PLAN = Fields(
    {
        "factor": Field(Factor(), "Of the price of all routes that `routes` does not price."),
        "routes": Field(
            MapOf(
                LABEL,
                Fields(
                    {
                        "price": Field(Amount(), "Credits for every request."),
                        "factor": Field(Factor(), "Of the route's own price; rounded up."),
                        "limits": Field(LIMITS, "Of this route, instead of its own."),
                    },
                    title="Plan's route",
                ),
                MOST_ROUTES,
            ),
            "What is other on single routes, by their name or path.",
        ),
        "limits": Field(LIMITS, "Over all routes: instead of the file's, or beside them."),
        "features": Field(ListOf(NAME, 50), "What its accounts may use: see a route's `feature`."),
    },
    title="Plan",
)

UPSTREAM = Fields(
    {
        "url": Field(
            Expanded("A URL"), "Where it is; a path in it goes before each request's.", True
        ),
        "timeout": Field(
            Duration(100, HOUR), "For the answer to begin, and between its bytes; 30s."
        ),
        "connect_timeout": Field(Duration(100, MINUTE), "For a connection; 5s."),
        "headers": Field(
            MapOf(HEADER, Expanded("A header value"), 50),
            "Sent with each request, such as a secret.",
        ),
        "max_connections": Field(Whole(1, 10_000), "At once, for each worker; 256."),
        "ca_file": Field(Expanded("A file"), "Certificates to trust instead of the system's."),
    },
    title="Upstream",
)

PACKAGE = Fields(
    {
        "name": Field(LABEL, "Shown to buyers.", required=True),
        "credits": Field(Amount(), "What one of it gives.", required=True),
        "price": Field(
            MapOf(
                CURRENCY,
                Whole(1, 99_999_999),
                most=50,
                least=1,
            ),
            "Money in minor units by currency: { usd: 1000 } is ten dollars.",
            required=True,
        ),
        "credit_type": Field(NAME, "Which credits; `credits` if left out, or the only type."),
        "description": Field(Text("A text", r"[^\x00-\x08\x0b-\x1f\x7f]{1,2000}"), "For buyers."),
        "interval": Field(Choice(("day", "week", "month", "year")), "Paid again this often."),
        "expires": Field(Duration(HOUR, 36_500 * DAY), "How long the credits live, like 365d."),
        "tax": Field(
            Text(
                "A tax code",
                r"automatic|txcd_[0-9]{8}",
                "`automatic`, or a code like txcd_10000000.",
            ),
            "Let Stripe compute tax, with its usual or with this tax code.",
        ),
        "promotion_codes": Field(Truth(), "Whether buyers may enter one."),
        "adjustable_quantity": Field(
            ByForm(
                scalar=Truth(),
                mapping=Fields(
                    {
                        "min": Field(Whole(1, 999_999), "The least."),
                        "max": Field(Whole(1, 999_999), "The most."),
                    }
                ),
            ),
            "Whether buyers may choose how many.",
        ),
        "sort": Field(Whole(0, 1_000_000), "Lower ones are shown first."),
        "active": Field(Truth(), "Whether it can be bought."),
        "metadata": Field(
            MapOf(Text("A key", r"[A-Za-z0-9_.-]{1,40}"), LABEL, 20), "Kept with each purchase."
        ),
        "allow_free": Field(
            Truth(), "Give the credits also where a promotion left nothing to pay."
        ),
        "discounted": Field(
            Choice(("whole", "share")),
            "What a discounted sale gives: all its credits, or the share that was paid; whole.",
        ),
        "trial": Field(
            Fields(
                {
                    "days": Field(Whole(1, 730), "How long.", required=True),
                    "credits": Field(Amount(), "Given once for it; none if left out."),
                }
            ),
            "A subscription begins unpaid for some days.",
        ),
        "routes": Field(
            ListOf(LABEL, 100, least=1),
            "Names of the only routes its credits may be used on; all if left out.",
        ),
        "plan_tier": Field(LABEL, "The plan that its subscribers are on."),
        "feature_flags": Field(ListOf(NAME, 50), "What its subscribers may use."),
    },
    title="Package",
)

PRICE_FILE = Fields(
    {
        "version": Field(Whole(1, 1), "The version of this format: 1.", required=True),
        "credit_types": Field(
            MapOf(
                NAME,
                Fields(
                    {
                        "scale": Field(Whole(0, LARGEST_SCALE), "Decimal places; 0 if left out."),
                        "window": Field(Amount(), "The most that may be in flight unposted."),
                        "low_balance": Field(
                            Amount(), "Accounts are told when less than this is available."
                        ),
                    }
                ),
                most=255,
                least=1,
            ),
            "Sorts of credits; one named `credits` if left out.",
        ),
        "upstreams": Field(MapOf(NAME, UPSTREAM, 1_000), "Backends by name."),
        "routes": Field(
            ListOf(ROUTE, MOST_ROUTES, 1, partial=True), "What is served, at what price.", True
        ),
        "plans": Field(
            MapOf(LABEL, PLAN, MOST_PLANS),
            "What is other for accounts on a plan; `default` is for those on none of these.",
        ),
        "packages": Field(MapOf(NAME, PACKAGE, MOST_PACKAGES), "Credits for sale."),
        "selling": Field(
            Fields(
                {
                    "freeze_on_dispute": Field(
                        Truth(), "Refuse an account's calls while a payment is disputed; true."
                    ),
                    "freeze_on_fraud_warning": Field(
                        Truth(), "Refuse them when Stripe warns of fraud; true."
                    ),
                }
            ),
            "What selling does by itself.",
        ),
        "limits": Field(LIMITS, "What callers may do over all routes."),
        "prefix": Field(
            Text("A path", r"/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,62}", "One segment, like /farebox."),
            "Where Farebox's own routes are; /farebox.",
        ),
        "cors": Field(CORS, "How requests from pages of other origins are met; pass."),
        "trusted_proxies": Field(
            ListOf(Expanded("A network"), 100), "Networks whose X-Forwarded-* are believed."
        ),
        "observe": Field(Truth(), "All routes: price, record and show; charge and refuse nothing."),
        "prices": Field(
            Choice(("file", "database")), "Where prices live: here, or in the database."
        ),
        "upstream_client": Field(Choice(("own", "httpx")), "Which HTTP client calls upstreams."),
    },
    title="Farebox price file",
)
