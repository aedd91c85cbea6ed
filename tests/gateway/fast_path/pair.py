"""Two gateways, one of them without the fast path, that are asked the same and must do the same."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.access_log import Line
from ledger import accounts
from tests.charging import Charging, Customer, Stores, charging
from tests.gateway.fast_path.rig import (
    Answer,
    Client,
    Passages,
    Played,
    client_of,
    counted_passages,
    get,
    keep_connections,
    played_backend,
)

KEY = b"<key>"  # stands for the customer's, which is another on each side
ID = re.compile(rb"\b[0-9a-f]{24}\b")
HIDDEN = (
    (re.compile(rb"(?m)^date: (?!Sat, 21 Nov 2026 20:00:00).*\r\n"), b""),
    (re.compile(rb";t=[0-9]+"), b";t=_"),
    (re.compile(rb"retry-after: [0-9]+"), b"retry-after: _"),
    (re.compile(rb"in [0-9]+ s\b"), b"in _ s"),
    (re.compile(rb"token=[^\"]+"), b"token=_"),
    (re.compile(rb"127\.0\.0\.1:[0-9]+/farebox"), b"us"),
    (re.compile(rb"content-length: [0-9]+\r\ncontent-type: application/problem"), b"problem"),
)
OWN = {"id", "opened_at", "closed_at", "deadline", "duration_ms"}
"""Columns of a charge that may differ."""


@dataclass
class Side:
    """One of the two."""

    gateway: Charging
    customers: list[Customer]
    clients: list[Client]
    lines: list[Line]


class Told(NamedTuple):
    """What came of some requests: answers, and what must be the same on the other side."""

    answers: list[Answer]
    answered: list[bytes]
    seen: list[bytes]
    logged: list[Line]


@dataclass
class Both:
    """The gateway with the fast path, and the one without."""

    sides: tuple[Side, Side]
    backend: Played
    passages: Passages

    async def same(self, *requests: bytes, who: int = 0) -> list[Answer]:
        """Ask both, one request after another; the answers of the first, each equal."""
        first, second = [await self._ask(side, requests, who) for side in self.sides]
        assert first.answered == second.answered
        assert first.seen == second.seen
        assert first.logged == second.logged
        return first.answers

    async def _ask(self, side: Side, requests: Sequence[bytes], who: int) -> "Told":
        heads, bodies = self.backend.heads, self.backend.upstream.bodies
        heads.clear()
        bodies.clear()
        side.lines.clear()
        answers = [
            await side.clients[who].ask(request.replace(KEY, self.secret(side, who)))
            for request in requests
        ]
        await side.gateway.quiet()
        return Told(
            answers,
            self.shown([one.raw for one in answers]),
            self.shown([*heads, *bodies]),
            [line._replace(at_us=0, request_id="", duration_us=0) for line in side.lines],
        )

    @staticmethod
    def secret(side: Side, who: int) -> bytes:
        return side.customers[who].secret.encode()

    @staticmethod
    def shown(messages: Sequence[bytes]) -> list[bytes]:
        """What two gateways must have in common; ids as numbers, in their order."""
        ids: dict[bytes, bytes] = {}
        shown = []
        for message in messages:
            text = ID.sub(lambda id_: ids.setdefault(id_[0], b"<%d>" % len(ids)), message)
            for pattern, instead in HIDDEN:
                text = pattern.sub(instead, text)
            shown.append(text)
        return shown

    async def books(self) -> None:
        """Charges, balances and counters are the same, and nothing is held."""
        found: list[Any] = []
        for side in self.sides:
            gateway = side.gateway
            await gateway.settled()
            async with gateway.ledger.database.connection() as connection:
                rows = await connection.fetch("SELECT * FROM charges ORDER BY id")
            charges = [{k: v for k, v in dict(row).items() if k not in OWN} for row in rows]
            counted = gateway.app._metrics.snapshot({})
            counted["requests"] = sorted(counted["requests"])
            for timed in ("buckets", "duration_us"):
                del counted[timed]
            balances = [
                await gateway.available(customer, kind)
                for customer in side.customers
                for kind in ("credits", "calls")
            ]
            assert all(row["closed_at"] for row in rows if row["state"] != "o")
            found.append((charges, counted, balances))
        first, second = found
        for ours, theirs in zip(first[0], second[0], strict=True):
            assert ours == theirs
        assert first[1:] == second[1:]
        assert first[1]["open"] == 0


def ask(target: str, *lines: str, method: str = "GET", body: bytes | None = None) -> bytes:
    more = [] if body is None else [f"content-length: {len(body)}"]
    head = get(None, target, "x-api-key: <key>", *lines, *more, method=method)
    return head + (body or b"")


@asynccontextmanager
async def pair(stores: Sequence[Stores], prices: str, plans: Sequence[str]) -> AsyncIterator[Both]:
    """Run both, each with its own stores and a customer on each of these plans."""
    async with AsyncExitStack() as stack:
        passages = stack.enter_context(counted_passages())
        backend = await stack.enter_async_context(played_backend())
        sides = []
        for store, fast_path in zip(stores, (True, False), strict=True):
            gateway = await stack.enter_async_context(
                charging(store, prices, upstream=backend.url, fast_path=fast_path)
            )
            keep_connections(gateway)
            lines: list[Line] = []
            gateway.app._access_log.add = lines.append  # type: ignore[method-assign]
            customers = [await gateway.customer(credits=50_000) for _ in plans]
            for customer, plan in zip(customers, plans, strict=True):
                async with gateway.ledger.database.connection() as connection:
                    await accounts.set_plan(connection, customer.account, plan, actor="test")
                assert await gateway.ledger.pusher.push(customer.account) == "applied"
            clients = [await stack.enter_async_context(client_of(gateway)) for _ in customers]
            sides.append(Side(gateway, customers, clients, lines))
        yield Both((sides[0], sides[1]), backend, passages)
