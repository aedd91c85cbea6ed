"""The first price file: everything passes, everything is shown, nothing is charged."""

import json

_STARTER = """\
# Farebox price file. Check it with `farebox check {name}`; every key: docs/price-file.md.
version: 1

# Price, record and show every request, but charge and refuse nothing.
# Remove this line when the prices are right: `farebox observed` says what they would come to.
observe: true

upstreams:
  api:
    url: {url}
    # timeout: 30s
    # headers: {{ Authorization: "Bearer ${{UPSTREAM_TOKEN}}" }}   # from the environment

routes:
  # The most specific path wins: a literal before {{x}} before *. What matches no route is a 404.
  - {{ path: "/", upstream: api, price: 1 }}
  - {{ path: "/*", upstream: api, price: 1 }}
  # - {{ path: "/v1/products/{{id}}", methods: [GET], upstream: api, price: 2, name: product }}
  # - path: /v1/search
  #   methods: [POST]
  #   upstream: api
  #   price: {{ flat: 1, per: [{{ body: /limit, unit: 100, cost: 1, default: 1 }}], max: 50 }}
  # - path: /v1/chat
  #   methods: [POST]
  #   upstream: api
  #   price: {{ hold: 500, settle: {{ response: /usage/total_tokens, unit: 1000, cost: 3 }} }}

# Credits for sale: money in minor units, so 1000 is ten dollars.
# packages:
#   starter: {{ name: Starter, credits: 100, price: {{ usd: 1000 }} }}

# What is other for accounts on a plan (`farebox account plan ACCOUNT pro`, or a subscription's).
# plans:
#   default: {{ limits: {{ per_account: {{ quota: {{ requests: 1000, per: day }} }} }} }}
#   pro: {{ factor: 0.8, routes: {{ product: {{ price: 1 }} }} }}

# limits: {{ per_key: {{ requests: 600, per: minute }} }}
"""


def starter_file(upstream_url: str, name: str = "farebox.yaml") -> str:
    """Give the text of a price file in observe mode for one upstream."""
    # A JSON string is a YAML string, and any address stays one value.
    return _STARTER.format(url=json.dumps(upstream_url, ensure_ascii=False), name=name)
