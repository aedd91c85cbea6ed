"""Price files for tests: short to write, complete to read."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from config import PriceFileError, PriceList, Problem, RequestFacts, Unpriceable, load_price_list

T = TypeVar("T")

HEAD = """\
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9000" } }
"""

EXAMPLE = """\
version: 1
credit_types:
  credits: { scale: 0 }
  calling: { scale: 2 }
upstreams:
  api:
    url: "http://127.0.0.1:9000"
    timeout: 30s
    headers: { Authorization: "Bearer ${UPSTREAM_TOKEN}" }
routes:
  - path: "/v1/products/{asin}"
    methods: [GET]
    upstream: api
    price: 2
    name: asin_query
    record: { asin: path/asin }
  - path: /v1/search
    methods: [POST]
    upstream: api
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }
  - path: /v1/chat
    methods: [POST]
    upstream: api
    price: { hold: 500, settle: { response: /usage/total_tokens, unit: 1000, cost: 3 }, missing: 500 }
    charge_on: [2xx]
  - path: "/v1/calls/*"
    methods: [POST]
    upstream: api
    price: { flat: "0.25", credit_type: calling }
  - path: /live
    upstream: api
    websocket: true
    price: { per: [{ seconds: true, unit: 60, cost: 2 }] }
  - { path: /health, methods: [GET], upstream: api, price: 0, public: true }
packages:
  starter: { name: Starter, credits: 100, price: { usd: 1000 } }
limits: { per_key: { requests: 600, per: minute } }
"""
"""The example of the documentation, in block style."""

TOKEN = {"UPSTREAM_TOKEN": "s3cret-of-the-upstream"}


def example() -> PriceList:
    return load_price_list(EXAMPLE, environ=TOKEN)


def routes(*lines: str) -> PriceList:
    """Load a file with these routes; each line is what stands between the braces."""
    text = HEAD + "routes:\n" + "".join(f"  - {{ upstream: api, {line} }}\n" for line in lines)
    return load_price_list(text, environ={})


def problems(text: str, environ: Mapping[str, str] = TOKEN) -> list[Problem]:
    """What is wrong with a file; empty if nothing is."""
    try:
        load_price_list(text, environ=environ)
    except PriceFileError as error:
        return error.problems
    return []


def facts(
    *,
    path: dict[str, str] | None = None,
    query: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes | None = None,
    request_bytes: int | None = 0,
) -> RequestFacts:
    return RequestFacts(path or {}, query, headers or [], body, request_bytes)


def json_facts(body: bytes, content_type: bytes = b"application/json") -> RequestFacts:
    headers = [(b"content-type", content_type)]
    return facts(headers=headers, body=body, request_bytes=len(body))


def attempt(work: Callable[[], T]) -> T | Unpriceable | PriceFileError:
    """What work gives, or how it refuses; any other error is a failure of the test."""
    try:
        return work()
    except (Unpriceable, PriceFileError) as refused:
        return refused
