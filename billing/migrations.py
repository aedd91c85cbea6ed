"""Which numbered changes make up the whole database: the ledger's, then billing's upon them."""

import importlib.resources

from ledger.migrations import Component, ledger_component


def billing_component() -> Component:
    """Return where billing's own migrations are; its tables lie in the schema `billing`."""
    return Component("billing", importlib.resources.files("billing") / "sql" / "migrations")


def components() -> list[Component]:
    """Return all components, in the order in which they build on each other."""
    return [ledger_component(), billing_component()]
