"""The price file is refused for anything that could surprise, with the place and what to do."""

import pytest

from config import LARGEST_AMOUNT, PriceFileError, Problem, RateLimit, load_price_list
from tests.config.files import EXAMPLE, HEAD, TOKEN, example, problems, routes


def wrong_route(line: str) -> Problem:
    """The one problem of a file with this route in line 5, which begins in column 5."""
    found = problems(HEAD + f"routes:\n  - {{ upstream: api, {line} }}\n")
    assert len(found) == 1, found
    assert found[0].line == 5
    return found[0]


def changed(before: str, after: str) -> list[Problem]:
    """What is wrong with the example after one change."""
    assert before in EXAMPLE
    return problems(EXAMPLE.replace(before, after))


def test_the_documented_example_is_read_whole() -> None:
    price_list = example()
    api = price_list.upstreams["api"]
    assert (api.scheme, api.host, api.port, api.timeout_ms) == ("http", "127.0.0.1", 9000, 30_000)
    assert api.headers == ((b"authorization", b"Bearer s3cret-of-the-upstream"),)
    assert [route.index for route in price_list.routes] == [0, 1, 2, 3, 4, 5]
    assert [limit.rate for limit in price_list.limits.all] == [RateLimit(600, 60)]
    assert price_list.packages["starter"].price == {"usd": 1000}
    assert price_list.routes[0].name == "asin_query"
    assert price_list.routes[1].name == "/v1/search"
    assert price_list.routes[1].max_body == 1024 * 1024
    assert price_list.routes[0].max_body is None


def test_only_named_statuses_are_charged() -> None:
    usual, chat, live = (example().routes[n].charge_on for n in (0, 2, 4))
    assert [usual.covers(s) for s in (200, 299, 304, 404, 500, 101)] == [True] * 3 + [False] * 3
    assert not chat.covers(304)
    assert live.covers(101)


@pytest.mark.parametrize(
    ("before", "after", "place", "said"),
    [
        ("methods: [GET]\n    upstream", "metods: [GET]\n    upstream", (12, 5), "Did you mean `methods`?"),
        ("version: 1", "version: 2", (1, 10), "between 1 and 1"),
        ("version: 1", "version: '1'", (1, 10), "whole number"),
        ("version: 1", "version: 1\nversion: 1", (2, 1), "given twice"),
        ("version: 1", "verson: 1", (1, 1), "`verson` is not known"),
        ("scale: 2", "scale: 2.0", (4, 21), "whole number"),
        ("scale: 2", "scale: 10", (4, 21), "between 0 and 9"),
        ("timeout: 30s", "timeout: 30", (8, 14), "500ms, 30s"),
        ("timeout: 30s", "timeout: 2d", (8, 14), "between"),
        ("UPSTREAM_TOKEN", "OTHER_TOKEN", (9, 31), "OTHER_TOKEN is not set"),
        ("UPSTREAM_TOKEN", "not a name", (9, 31), "does not name a variable"),
        ("methods: [GET]\n", "methods: [get]\n", (12, 15), "one of"),
        ("methods: [GET]\n", "methods: [GET, GET]\n", (12, 14), "given twice"),
        ("methods: [GET]\n", "methods: []\n", (12, 14), "Between 1 and"),
        ("methods: [GET]\n", "methods: GET\n", (12, 14), "list is needed"),
        ("methods: [GET]\n", "methods: [CONNECT]\n", (12, 15), "one of"),
        ("price: 2\n", "price: -2\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: 2.5\n", (14, 12), "0 decimal places"),
        ("price: 2\n", "price: 1e3\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: 1_000\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: 0x10\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: 010\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: .inf\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price: yes\n", (14, 12), "amount of credits"),
        ("price: 2\n", "price:\n", (14, 11), "no value"),
        ("price: 2\n", "price: [2]\n", (14, 12), "one value or a mapping"),
        ("price: 2\n", "price: 90000000000001\n", (14, 12), "90000000000000"),
        ("price: 2\n", "price: ${P}\n", (14, 12), "not expanded here"),
        ("name: asin_query", "name: 12", (15, 11), "quotes"),
        ("name: asin_query", "name: true", (15, 11), "quotes"),
        ("path/asin", "path/sku", (16, 15), "no {sku}"),
        ("path/asin", "header/authorization", (16, 15), "never recorded"),
        ("path/asin", "body/asin", (16, 15), "does not read the body"),
        ("path/asin", "cookie/asin", (16, 21), "source"),
        ("websocket: true", "websocket: yes", (32, 16), "true or false"),
        ("websocket: true", "websocket: 'true'", (32, 16), "true or false"),
        ("websocket: true", "websocket: True", (32, 16), "true or false"),
        ("charge_on: [2xx]", "charge_on: [2XX]", (25, 17), "Like 2xx"),
        ("charge_on: [2xx]", "charge_on: [600]", (25, 17), "Like 2xx"),
        ("hold: 500, ", "", (24, 12), "Give `hold`"),
        ("seconds: true", "seconds: false", (33, 31), "must be true"),
        ("    websocket: true\n", "", (32, 12), "Give `hold`"),
        ("cost: 3", "cost: 0", (24, 84), "adds nothing"),
        ("unit: 1000", "unit: 0", (24, 72), "between 1"),
        ("missing: 500", "missing: 501", (24, 98), "above `hold`"),
        ("credit_type: calling", "credit_type: calls", (29, 41), "no credit type `calls`"),
        ("upstream: api\n    price: 2", "upstream: app\n    price: 2", (13, 15), "no upstream `app`"),
        ("price: 0, public", "price: 1, public", (34, 71), "nobody to charge"),
        ("usd: 1000", "usd: 10.00", (36, 57), "whole number"),
        ("usd: 1000", "USD: 1000", (36, 52), "currency"),
        ("credits: 100,", "credits: 0,", (36, 38), "some credits"),
        ("per: minute", "per: fortnight", (37, 42), "one of"),
        ("requests: 600", "requests: 0", (37, 32), "between 1"),
        ("http://127", "ftp://127", (7, 10), "http://"),
        ("http://127", "http://u:p@127", (7, 10), "password"),
        (":9000", ":99000", (7, 10), "not a URL"),
        (":9000", ":9000/a/../b", (7, 10), "ambiguous"),
        (":9000", ":9000/?x=1", (7, 10), "query"),
        ("Authorization:", "Farebox-Account:", (9, 16), "gateway itself"),
        ("Authorization:", "'bad name':", (9, 16), "header name"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_at_its_place(
    before: str, after: str, place: tuple[int, int], said: str
) -> None:
    found = changed(before, after)
    assert [(p.line, p.column) for p in found if said in f"{p.message} {p.hint}"] == [place], found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\nroutes: &r []\n", "anchor"),
        ("version: 1\nroutes: *r\n", "alias"),
        ("version: !!int 1\n", "tag"),
        ("<<: {}\nversion: 1\n", "merges"),
        ("version: 1\n---\nversion: 1\n", "second document"),
        ("- version: 1\n", "mapping"),
        ("", "mapping"),
        ("version: [\n", "not valid YAML"),
        ("version: \x00\n", "character"),
        ("version: \ud800\n", "character"),
        ("? [a]\n: 1\n", "plain word"),
        ("[" * 1000, "nested deeper"),
        ("a: " * 1000, "YAML"),
        ("x" * (4 * 1024 * 1024 + 1), "more than"),
        ("version: 1\nroutes:\n  - { path: /a/{id}, price: 1 }\n", "in quotes"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, said: str) -> None:
    assert any(said in f"{p.message} {p.hint}" for p in problems(text))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("path: /farebox, price: 1", "own routes"),
        ("path: /farebox/x, price: 1", "own routes"),
        ("path: /a//b, price: 1", "empty segment"),
        ("path: /a/../b, price: 1", "dot segment"),
        ("path: /%61, price: 1", "Write /a."),
        ("path: /café, price: 1", "Write /caf%C3%A9."),
        ("path: a, price: 1", "begins with /"),
        ("path: /a/*/b, price: 1", "last segment"),
        ("path: /a*, price: 1", "last segment"),
        ('path: "/a-{x}", price: 1', "whole segment"),
        ('path: "/{x}/{x}", price: 1', "used twice"),
        ('path: "/{1}", price: 1', "whole segment"),
        ("path: /a, price: {}", "says nothing"),
        ("path: /a, price: { max: 5 }", "says nothing"),
        ("path: /a, price: { flat: 1, hold: 5 }", "`hold` is for"),
        ("path: /a, price: { flat: 1, min: 6, max: 5 }", "above `max`"),
        ("path: /a, price: { hold: 6, max: 5, settle: { response: /a, cost: 1 } }", "above `max`"),
        ("path: /a, price: { hold: 0, settle: { response: /a, cost: 1 } }", "reserves nothing"),
        ("path: /a, price: { hold: 5, settle: { query: a, cost: 1 } }", "under `per`"),
        ("path: /a, price: { per: [{ query: a, body: /a, cost: 1 }] }", "exactly one"),
        ("path: /a, price: { per: [{ cost: 1 }] }", "exactly one"),
        ("path: /a, price: { per: [{ query: a, cost: 1 }, { query: a, cost: 2 }] }", "priced twice"),
        ("path: /a, price: { per: [{ body: a, cost: 1 }] }", "JSON pointer"),
        ("path: /a, price: { per: [{ body: /a~2, cost: 1 }] }", "JSON pointer"),
        ("path: /a, price: { per: [{ path: x, cost: 1 }] }", "no {x}"),
        ("path: /a, price: { per: [{ response_bytes: true, cost: 1 }] }", "Give `hold`"),
        ("path: /a, price: { per: [{ seconds: true, cost: 1 }] }", "Give `hold`"),
        ("path: /a, price: { per: [{ messages: true, cost: 1 }] }", "websocket: true"),
        ("path: /a, price: { per: [{ connection: true, cost: 1 }] }", "websocket: true"),
        ("path: /a, websocket: true, price: { per: [{ messages: true, cost: 1 }] }", "Give `hold`"),
        ("path: /a, websocket: true, price: { hold: 1, settle: { response: /u, cost: 1 } }", "no answer"),
        ("path: /a, price: { per: [{ request_bytes: true, cost: 1, default: 1 }] }", "never absent"),
        ("path: /a, price: { per: [{ header: cookie, cost: 1 }] }", "secret header"),
        ("path: /a, websocket: true, methods: [POST], price: 1", "begins with GET"),
        ("path: /a, price: 1, linger: 5s", "answer decides"),
        ("path: /a, price: 1, on_cut: delivered", "answer decides"),
        ("path: /a, price: 0, strict: true", "holds nothing"),
        ("path: /a, price: 1, observe: true, strict: true", "only observes"),
        ("path: /a, websocket: true, price: 1, strict: true", "cannot be strict"),
        ("path: /a, price: 1, strict: 1", "true or false"),
        ("path: /a, price: 0, idempotency: replay", "never charged twice"),
        ("path: /a, price: 1, observe: true, idempotency: once", "charges nothing"),
        ("path: /a, websocket: true, price: 1, idempotency: replay", "cannot be repeated"),
        ("path: /a, price: 1, idempotency: twice", "once, replay"),
        ("path: /a, price: 1, idempotency: once, linger: 5s", "`linger` is for prices"),
        ("path: /a, price: 1, idempotence: true", "not known"),
        ("path: /a, price: { per: [{ body: /a, cost: 1 }] }, max_body: 1GiB", "in memory"),
        ("path: /a, price: 1, max_body: 1MB", "KiB"),
        ("path: /a, price: { flat: 9e13 }", "amount of credits"),
        (f"path: /a, price: {{ flat: {LARGEST_AMOUNT}, per: [{{ query: a, cost: 1, default: 1 }}] }}", "can exceed"),
        (f"path: /a, websocket: true, price: {{ per: [{{ seconds: true, cost: {LARGEST_AMOUNT} }}] }}", "can exceed"),
        ("path: /a, price: 1, record: { a: query/a, b: query/b, c: query/c, d: query/d, e: query/e, f: query/f }", "Between 0 and 5"),
    ],
)  # fmt: skip
def test_a_route_that_could_not_work_is_refused(line: str, said: str) -> None:
    problem = wrong_route(line)
    assert said in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("path: /a, price: 1", "path: /a, price: 2"),
        ('path: "/a/{x}", price: 1', 'path: "/a/{y}", methods: [GET], price: 1'),
        ('path: "/a/*", methods: [GET, POST], price: 1', 'path: "/a/*", methods: [POST, PUT], price: 1'),
    ],
)  # fmt: skip
def test_two_routes_for_one_path_and_method_are_refused(first: str, second: str) -> None:
    with pytest.raises(PriceFileError) as refused:
        routes(first, second)
    assert [(p.line, "served already" in p.message) for p in refused.value.problems] == [(6, True)]


def test_several_problems_are_reported_at_once_in_file_order() -> None:
    text = EXAMPLE.replace("price: 2\n", "price: two\n").replace("usd: 1000", "usd: x")
    found = problems(text.replace("upstream: api\n    websocket", "upstream: app\n    websocket"))
    assert [p.line for p in found] == [14, 31, 36]


def test_a_wrong_upstream_is_not_reported_again_for_each_of_its_routes() -> None:
    assert [p.line for p in changed("http://127", "x://127")] == [7]


def test_a_window_must_fit_the_largest_ceiling() -> None:
    narrow = EXAMPLE.replace("{ scale: 0 }", "{ scale: 0, window: 499 }")
    assert [(p.line, "Raise the window." in p.hint) for p in problems(narrow)] == [(3, True)]
    assert problems(narrow.replace("499", "500")) == []
    unbounded = narrow.replace("499", "500").replace(", max: 50", "")
    assert [(p.line, "needs `max`" in p.message) for p in problems(unbounded)] == [(20, True)]


def test_a_secret_is_in_no_message_and_no_repr() -> None:
    secret = "hunter2\nInjected: 1"
    found = problems(EXAMPLE, {"UPSTREAM_TOKEN": secret})
    assert len(found) == 1
    assert "hunter2" not in str(found)
    assert TOKEN["UPSTREAM_TOKEN"] not in repr(example())


def test_a_dollar_can_be_written_plainly() -> None:
    text = EXAMPLE.replace("${UPSTREAM_TOKEN}", "$${UPSTREAM_TOKEN}")
    headers = load_price_list(text, environ={}).upstreams["api"].headers
    assert headers == ((b"authorization", b"Bearer ${UPSTREAM_TOKEN}"),)


def test_a_stored_version_can_be_explained_without_its_environment() -> None:
    stored = load_price_list(EXAMPLE, environ=None)
    assert [r.price for r in stored.routes] == [r.price for r in example().routes]


def test_other_decisions_have_their_defaults_and_can_be_made() -> None:
    usual = example()
    assert (usual.prefix, usual.observe, usual.upstream_client) == ("/farebox", False, "own")
    assert usual.cors.allows("https://any.example")
    text = EXAMPLE + (
        "prefix: /fbx\nobserve: true\nupstream_client: httpx\nprices: file\n"
        "trusted_proxies: [10.0.0.0/8, '::1', \"${LB}\"]\ncors: { origins: [https://app.example] }\n"
    )
    made = load_price_list(text, environ={**TOKEN, "LB": "192.0.2.1"})
    assert (made.prefix, made.observe, made.upstream_client) == ("/fbx", True, "httpx")
    assert all(route.observe for route in made.routes)
    assert [made.trusts(a) for a in ("10.1.2.3", "::ffff:10.0.0.1", "192.0.2.1", "11.0.0.1", "x")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert (made.cors.allows("https://app.example"), made.cors.allows("https://x")) == (True, False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trusted_proxies: [10.0.0.1/8]", "host bits"),
        ("cors: { origins: [app.example] }", "origin"),
        ("cors: maybe", "one of"),
        ("prices: elsewhere", "one of"),
        ("prefix: /a/b", "One segment"),
    ],
)
def test_other_decisions_are_checked(line: str, said: str) -> None:
    found = problems(EXAMPLE + line + "\n")
    assert [said in f"{p.message} {p.hint}" for p in found] == [True]


def test_packages_keep_what_billing_needs() -> None:
    text = EXAMPLE.replace(
        "price: { usd: 1000 } }",
        "price: { usd: 1000, jpy: 1500, kwd: 3000 }, credit_type: calling, interval: month, expires: 30d,"
        " tax: txcd_10000000, promotion_codes: true, adjustable_quantity: { min: 1, max: 10 }, sort: 3,"
        " active: false, description: A start., metadata: { tier: one } }",
    )
    package = load_price_list(text, environ=TOKEN).packages["starter"]
    assert (package.credits, package.credit_type, package.interval) == (10_000, "calling", "month")
    assert (package.expires_ms, package.tax) == (30 * 86_400_000, "txcd_10000000")
    assert (package.adjustable_quantity, package.active) == ((1, 10), False)
    assert package.metadata == {"tier": "one"}


def test_packages_say_what_promotions_and_trials_give() -> None:
    text = EXAMPLE.replace(
        "price: { usd: 1000 } }",
        "price: { usd: 1000 }, credit_type: calling, interval: month, allow_free: true,"
        " discounted: share, trial: { days: 14, credits: 0.50 }, plan_tier: Pro,"
        " feature_flags: [fast, beta] }",
    )
    package = load_price_list(text, environ=TOKEN).packages["starter"]
    assert (package.allow_free, package.discounted) == (True, "share")
    assert (package.trial_days, package.trial_credits) == (14, 50)
    assert (package.plan_tier, package.feature_flags) == ("Pro", ("fast", "beta"))


def test_a_packages_credits_may_be_for_some_routes() -> None:
    text = EXAMPLE.replace(
        "price: { usd: 1000 } }",
        "price: { usd: 1000 }, routes: [asin_query, /v1/search, asin_query] }",
    )
    package = load_price_list(text, environ=TOKEN).packages["starter"]
    assert package.routes == ("asin_query", "/v1/search")


def test_a_package_for_a_route_that_is_not_there_names_those_that_are() -> None:
    [problem] = changed("price: { usd: 1000 } }", "price: { usd: 1000 }, routes: [asin_qery] }")
    assert (problem.line, problem.column) == (36, 73)
    assert problem.message == "There is no route `asin_qery`."
    assert problem.hint.startswith(
        "There are: /health, /live, /v1/calls/*, /v1/chat, /v1/search, asin_query"
    )


def test_a_package_is_not_wrong_because_its_route_is() -> None:
    with_routes = EXAMPLE.replace("usd: 1000 } }", "usd: 1000 }, routes: [asin_query] }")
    for wrong in ("2.5", "two"):
        [problem] = problems(with_routes.replace("price: 2\n", f"price: {wrong}\n"))
        assert problem.line == 14


@pytest.mark.parametrize(("price", "needed"), [("isk: 1050", "00"), ("kwd: 1005", "0")])
def test_money_that_stripe_would_refuse_is_refused_here(price: str, needed: str) -> None:
    text = EXAMPLE.replace("price: { usd: 1000 } }", f"price: {{ {price} }} }}")
    with pytest.raises(PriceFileError, match=f"only with (a )?{needed} as last digit"):
        load_price_list(text, environ=TOKEN)


def test_only_a_subscription_has_a_trial() -> None:
    text = EXAMPLE.replace("price: { usd: 1000 } }", "price: { usd: 1000 }, trial: { days: 14 } }")
    with pytest.raises(PriceFileError, match="Only a subscription can be tried"):
        load_price_list(text, environ=TOKEN)


def test_selling_freezes_unless_told_otherwise() -> None:
    assert example().selling.freeze_on_dispute
    text = f"{EXAMPLE}\nselling: {{ freeze_on_dispute: false }}\n"
    selling = load_price_list(text, environ=TOKEN).selling
    assert (selling.freeze_on_dispute, selling.freeze_on_fraud_warning) == (False, True)


def test_what_a_call_costs_the_operator_is_read_exactly() -> None:
    text = EXAMPLE.replace(
        "name: asin_query", "name: asin_query\n    upstream_cost: { usd: 0.2 }", 1
    )
    costs = [route.upstream_cost for route in load_price_list(text, environ=TOKEN).routes]
    assert costs[0] == {"usd": 200_000}
    assert costs[1] == {}


def test_the_largest_ceiling_is_known_for_each_type() -> None:
    assert example().largest_ceiling("credits") == 500
    assert example().largest_ceiling("calling") == 25
    assert example().largest_ceiling("other") == 0
