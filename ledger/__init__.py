"""
Balances and their record: accounts, API keys, grants, charges, entries, and what keeps them right.

`ledger.ledger.Ledger` is where a process begins; the modules listed here are what others may use.
"""

__all__ = [
    "accounts",
    "admins",
    "api_keys",
    "audit",
    "charges",
    "checks",
    "controls",
    "credit_types",
    "database",
    "entries",
    "errors",
    "findings",
    "gateways",
    "grants",
    "holds",
    "ids",
    "ledger",
    "migrations",
    "partitions",
    "ports",
    "price_versions",
    "reasons",
    "usage",
    "verify",
]
