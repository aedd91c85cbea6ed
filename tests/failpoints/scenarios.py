"""All scenarios by name, and the stage they are played on."""

import secrets
from dataclasses import asdict, replace
from typing import Any

from ledger import accounts, api_keys, credit_types, grants, price_versions
from ledger.controls import Grant
from ledger.ledger import Ledger
from tests.failpoints import (
    billing_scenarios,
    gateway_scenarios,
    ledger_scenarios,
    limited_scenarios,
)
from tests.failpoints.run import CLOCK, FUNDS, Customer, Scenario, Stage

WINDOW = 10_000_000

SCENARIOS: dict[str, Scenario] = {
    f"{area}: {function.__name__.replace('_', ' ')}": function
    for area, module in (
        ("ledger", ledger_scenarios),
        ("ledger", limited_scenarios),
        ("gateway", gateway_scenarios),
        ("billing", billing_scenarios),
    )
    for function in module.SCENARIOS
}


async def set_stage(stage: Stage, count: int) -> dict[str, Any]:
    """Make so many customers with `FUNDS` each, known to both stores."""
    ledger = await Ledger.open(stage.options, "worker", clock=CLOCK)
    try:
        async with ledger.database.connection() as connection:
            credit_type = (await credit_types.register(connection, {"credits": 0}))["credits"]
            rules = [price_versions.Rule(0, "all", "/*", ("GET",), "credits", {})]
            await price_versions.publish(connection, "the first", rules, actor="test")
        await ledger.windows.choose({credit_type: WINDOW})
        customers = []
        async with ledger.database.transaction() as connection:
            for _ in range(count):
                account = await accounts.create(connection, actor="test")
                made = await api_keys.create(
                    connection, account.id, actor="test", random_bytes=secrets.token_bytes
                )
                await grants.give(connection, account.id, Grant(credit_type, FUNDS), actor="test")
                customers.append(asdict(Customer(account.id, made.key.id, made.secret)))
        await ledger.pusher.poll()
        await ledger.post_all()
    finally:
        await ledger.aclose()
    return {"stage": asdict(replace(stage, credit_type=credit_type)), "customers": customers}
