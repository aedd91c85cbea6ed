"""The gateway's flows: charged requests through the whole proxy, and what admins do with money."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from config import Settings, load_price_list
from gateway.app import App
from gateway.operations import (
    accounts,
    credit_types,
    facts,
    grants,
    imports,
    keys,
    prices,
    recovery,
    refunds,
)
from gateway.operations.desk import Desk
from gateway.paging import PageQuery
from gateway.prices import LivePrices
from gateway.publishing import FilePlace
from ledger import plans, price_versions
from ledger.errors import Conflict
from ledger.ledger import Ledger
from tests.counting_backend import CountingBackend, counting_backend
from tests.failpoints.ledger_scenarios import poison
from tests.failpoints.run import CLOCK, LIFETIME_MS, Customer, Run, Scenario, tried, until

PRICES = """
version: 1
credit_types: { credits: { scale: 0 } }
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, upstream: api, price: 2, limits: { per_account: { quota: { requests: 1000000, per: month } } }, idempotency: replay }
  - { path: /fail, upstream: api, price: 2 }
  - { path: /reset, upstream: api, price: 2 }
  - { path: /calls, upstream: api, price: 2 }
  - { path: /sse, upstream: api, idempotency: replay, price: { per: [{ body: /n, unit: 1, cost: 1, default: 3 }], max: 9 } }
  - { path: /chat, methods: [POST], upstream: api, price: { per: [{ body: /n, unit: 1, cost: 1, default: 1 }], max: 9 } }
  - { path: /pieces, upstream: api, price: 1 }
  - { path: /metered, upstream: api, price: { hold: 9, per: [{ response: /usage/total_tokens, unit: 1, cost: 1 }] } }
  - { path: /search, upstream: api, price: 2, strict: true }
  - { path: /free, upstream: api, price: 0 }
  - { path: /open, upstream: api, public: true, price: 0 }
  - { path: /watched, upstream: api, price: 3, observe: true }
"""
ON_PLANS = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, upstream: api, price: 2 }
  - { path: /search, upstream: api, price: 4, feature: fast }
  - { path: /watched, upstream: api, price: 3, observe: true }
plans: { pro: { factor: 3 } }
"""

Answer = tuple[int, bytes]


@asynccontextmanager
async def app(
    run: Run, ledger: Ledger, units: dict[str, int], prices: str = PRICES
) -> AsyncIterator[App]:
    """The application of a worker before a backend that writes down what it serves."""
    async with counting_backend() as backend:
        _write_down(backend, run, units)
        price_list = load_price_list(prices.replace("{api}", backend.url), environ={})
        for route in price_list.routes:
            object.__setattr__(route, "lifetime_ms", LIFETIME_MS)  # a file may say 10 s at least
        async with ledger.database.connection() as connection:
            current = await price_versions.current(connection)
        assert current is not None
        live = LivePrices(price_list, current.version, {"credits": run.stage.credit_type})
        yield App(
            ledger=ledger,
            open_billing=None,  # type: ignore[arg-type] # nothing is sold here
            prices=live,
            settings=Settings.from_environment({}),
            link_secret=b"links",
            write_log=lambda lines: None,
            clock=CLOCK,
        )


def _write_down(backend: CountingBackend, run: Run, units: dict[str, int]) -> None:
    """Before the backend answers, what it does is in the diary."""
    inner = backend.served

    class Told(type(inner)):  # type: ignore[misc]
        def __setitem__(self, request_id: str, count: int) -> None:
            super().__setitem__(request_id, count)
            path = backend.heads[-1][1].partition("?")[0]
            if units.get(path):
                run.serve(bytes.fromhex(request_id), units[path])

    backend.served = Told()


async def ask(
    served_by: App,
    method: str,
    path: str,
    customer: Customer | None,
    body: bytes = b"",
    *,
    key: str = "",
) -> Answer:
    """One request, as the server hands it over."""
    headers = [(b"host", b"gateway")]
    if body:
        length = str(len(body)).encode()
        headers += [(b"content-type", b"application/json"), (b"content-length", length)]
    if key:
        headers.append((b"idempotency-key", key.encode()))
    if customer is not None:
        headers.append((b"authorization", f"Bearer {customer.secret}".encode()))
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    over = asyncio.Event()
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if sent:
            return sent.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "path": path,
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "http_version": "1.1",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }
    try:
        await served_by(scope, receive, send)  # type: ignore[misc]
    finally:
        over.set()
    return answer[0]["status"], b"".join(each.get("body", b"") for each in answer[1:])


async def charged_requests(run: Run) -> None:
    """Served whole and as a stream, with and without a body; failed, refused, free and watched."""
    [one, two] = run.customers
    poor = Customer(two.account, two.key, "fbx_nobody")
    run.begin()
    async with (
        run.ledger() as ledger,
        app(run, ledger, {"/ok": 2, "/sse": 3, "/chat": 4, "/pieces": 1, "/metered": 7}) as serving,
    ):

        async def requests() -> None:
            assert (await ask(serving, "GET", "/watched", two))[0] == 200  # asks whose key it is
            assert (await ask(serving, "GET", "/ok", one))[0] == 200
            assert (await ask(serving, "GET", "/sse", one))[0] == 200
            assert (await ask(serving, "GET", "/pieces", one))[0] == 200
            assert (await ask(serving, "GET", "/metered", two))[0] == 200
            assert (await ask(serving, "POST", "/chat", two, b'{"n": 4}')) == (200, b'{"n": 4}')
            await until(lambda: not ledger.settler.unsettled)

        async def others() -> None:
            assert (await ask(serving, "GET", "/fail", one))[0] == 500
            assert (await ask(serving, "GET", "/reset", one))[0] == 502
            assert (await ask(serving, "GET", "/free", one))[0] == 200
            assert (await ask(serving, "GET", "/open", None))[0] == 200
            assert (await ask(serving, "GET", "/watched", two))[0] == 200
            assert (await ask(serving, "GET", "/ok", None))[0] == 401
            assert (await ask(serving, "GET", "/ok", poor))[0] == 401
            await until(lambda: not ledger.settler.unsettled)

        await run.step("requests", requests)
        await run.step("others", others)
        await run.step("settled", lambda: run.settled(ledger))
        await serving._upstreams.aclose()


async def strict_requests(run: Run) -> None:
    """Forwarded only once Postgres has the hold; somebody posts beside them."""
    [one, two] = run.customers
    run.begin()
    async with run.ledger() as ledger, app(run, ledger, {"/search": 2}) as serving:

        async def requests() -> None:
            asking = asyncio.gather(*(ask(serving, "GET", "/search", each) for each in (one, two)))
            while not asking.done():
                await tried(ledger.post_all)
                await asyncio.sleep(0.005)
            assert [status for status, _ in await asking] == [200, 200]

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))
        await serving._upstreams.aclose()


async def requests_with_a_key(run: Run) -> None:
    """Each sent until it is answered, by whoever is there then, and once more when it was."""
    [one, two] = run.customers
    run.begin()
    async with (
        run.ledger() as ledger,
        app(run, ledger, {"/ok": 2, "/sse": 3, "/calls": 2}) as serving,
    ):

        async def answered(customer: Customer, path: str) -> None:
            key = f"{path[1:]}-of-{customer.account}"
            while (await ask(serving, "POST", path, customer, b"{}", key=key))[0] != 200:
                if path == "/calls" and (await _done(ledger, customer)):
                    return
                await tried(ledger.sweeper.expire_holds)
                await tried(ledger.post_all)
                await asyncio.sleep(0.005)

        async def requests() -> None:
            for path in ("/ok", "/sse", "/calls"):
                await asyncio.gather(answered(one, path), answered(two, path))

        async def repeats() -> None:
            for path, status in (("/ok", 200), ("/sse", 200), ("/calls", 409)):
                key = f"{path[1:]}-of-{one.account}"
                assert (await ask(serving, "POST", path, one, b"{}", key=key))[0] == status
                assert (await ask(serving, "POST", path, one, b"{ }", key=key))[0] == 422

        await run.step("requests", requests)
        await run.step("settled", lambda: run.settled(ledger))
        await run.step("repeats", repeats)
        await run.step("forgotten", lambda: _forgotten(ledger, one))
        await serving._upstreams.aclose()


async def _forgotten(ledger: Ledger, customer: Customer) -> None:
    """As if it were a day later."""
    async with ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE replies SET kept_at = now() - interval '25 hours' WHERE account_id = $1",
            customer.account,
        )
    await ledger._forget_what_is_over()


async def _done(ledger: Ledger, customer: Customer) -> bool:
    """Whether its call is charged: then no repeat is served."""
    async with ledger.database.connection() as connection:
        row = await connection.fetchrow(
            "SELECT true FROM claims k JOIN charges c ON c.id = k.charge_id"
            " WHERE k.account_id = $1 AND c.state IN (2, 5) AND NOT EXISTS"
            " (SELECT FROM replies r WHERE r.account_id = $1 AND r.key_hash = k.key_hash)",
            customer.account,
        )
    return row is not None


async def requests_on_plans(run: Run) -> None:
    """Priced by a plan that is set, changed and taken off again; closed by it, and watched on it."""
    [one, two] = run.customers
    account = f"acc_{one.account}"
    run.begin()
    async with (
        run.ledger("worker") as ledger,
        app(run, ledger, {"/ok": 6, "/search": 4}, ON_PLANS) as serving,
    ):
        admin = desk(ledger)

        async def put_on() -> None:
            unique = accounts.PlanChange(plan=f"pro {secrets.token_hex(4)}")
            await accounts.set_plan(admin, account, unique)
            await accounts.set_plan(admin, account, accounts.PlanChange(plan="pro"))
            await accounts.set_plan(admin, account, accounts.PlanChange(plan="pro"))

        async def subscribed() -> None:
            async with ledger.database.connection() as connection:
                on = plans.OnPlan("", ("fast",))
                await plans.subscribe(connection, two.account, on, actor="stripe")
                await plans.names(connection)
            await ledger.pusher.push(two.account)

        async def requests() -> None:
            assert (await ask(serving, "GET", "/watched", one))[0] == 200
            assert (await ask(serving, "GET", "/ok", one))[0] == 200
            assert (await ask(serving, "GET", "/search", one))[0] == 403
            assert (await ask(serving, "GET", "/search", two))[0] == 200
            await until(lambda: not ledger.settler.unsettled)

        async def ended() -> None:
            async with ledger.database.connection() as connection:
                await plans.subscribe(connection, two.account, None, actor="stripe")
            await ledger.pusher.push(two.account)

        await run.step("put on", put_on)
        await run.step("subscribed", subscribed)
        await run.step("requests", requests)
        await run.step("ended", ended)
        await run.step("settled", lambda: run.settled(ledger))
        await serving._upstreams.aclose()


def desk(ledger: Ledger) -> Desk:
    """An admin."""
    return Desk(ledger, "admin", os.urandom, "http://127.0.0.1/farebox")


async def money_by_admins(run: Run) -> None:
    """Grants, corrections, refunds of charges, and many grants at once."""
    [one, two] = run.customers
    account = f"acc_{one.account}"
    rows = "account,amount,credit_type,reference\n" + "".join(
        f"acc_{each.account},5,credits,import\n" for each in run.customers
    )
    run.begin()
    async with run.ledger("command") as ledger:
        admin = desk(ledger)

        async def request() -> str:
            async with run.ledger() as worker:
                await run.buy(worker, one, 10, 10)
                await run.settled(worker)
            async with ledger.database.connection() as connection:
                charge: bytes = await connection.fetchval(
                    "SELECT id FROM charges WHERE account_id = $1 AND captured = 10"
                    " ORDER BY id DESC LIMIT 1",
                    one.account,
                )
            return charge.hex()

        charge = await run.step("request", request)

        async def refund() -> None:
            draft = refunds.RefundDraft(amount=4, reference="r")
            await refunds.refund(admin, charge, draft)
            await refunds.typed_refund(admin, charge, "4")

        async def grant() -> None:
            await grants.grant(admin, account, grants.GrantDraft(amount=50, reference="g"))
            await grants.listed(admin, account, PageQuery())
            await grants.ending(admin, account)
            await credit_types.credit_type_of(admin, "credits")

        async def adjust() -> None:
            change = grants.Adjustment(amount=-7, reason="why", reference="a")
            await grants.adjust(admin, account, change)

        async def load() -> None:
            await imports.from_csv(admin, rows.encode())

        await run.step("refund", refund)
        await run.step("grant", grant)
        await run.step("adjust", adjust)
        await run.step("load", load)
        run.put_in[one.account] += 4 + 50 - 7 + 5
        run.put_in[two.account] += 5
        await run.step("posted", ledger.post_all)


async def keys_and_accounts(run: Run) -> None:
    """Made, changed, frozen; keys made, replaced and revoked."""
    [one, _] = run.customers
    account, name = f"acc_{one.account}", f"customer {one.account}"
    run.begin()
    async with run.ledger("command") as ledger:
        admin = desk(ledger)

        async def people() -> None:
            try:
                await accounts.create(admin, accounts.AccountDraft(external_id=name))
            except Conflict as conflict:
                if conflict.code != "external-id-used":
                    raise
            await accounts.put(admin, name, accounts.AccountChange(plan="pro"))
            await accounts.put(admin, f"{name} too", accounts.AccountChange(name="N"))
            await accounts.put(admin, f"{name} too", accounts.AccountChange(name="N"))
            await accounts.show(admin, account)
            await accounts.show(admin, name)
            await accounts.listed(admin, accounts.AccountQuery())
            await accounts.sign_in(admin, account)

        async def frozen() -> None:
            why = accounts.Why(reason="why")
            await accounts.freeze(admin, account, why)
            await accounts.thaw(admin, account, why)

        async def secrets_of_it() -> None:
            made = await keys.create(admin, account, keys.KeyDraft())
            later = await keys.rotate(
                admin, made.id, keys.Rotation(overlap_s=60), owner=one.account
            )
            cap = keys.CapDraft(per="day", amount=1_000)
            await keys.put_caps(admin, later.id, keys.CapsDraft(caps=[cap]))
            await keys.put_caps(admin, later.id, keys.CapsDraft(caps=[]))
            await keys.rename(admin, later.id, keys.KeyName(name="again"), owner=one.account)
            now = await keys.rotate(admin, later.id, keys.Rotation(overlap_s=0))
            await keys.revoke(admin, now.id)
            await keys.revoke(admin, now.id)
            await keys.listed(admin, account)

        await run.step("people", people)
        await run.step("frozen", frozen)
        await run.step("keys", secrets_of_it)
        await run.step("posted", ledger.post_all)


async def price_versions_change(run: Run) -> None:
    """A version published, others by an admin into a file too, and back; and a file refused."""
    run.begin()
    async with run.ledger("command") as ledger:
        admin = desk(ledger)

        async def published() -> int:
            async with ledger.database.connection() as connection:
                rules = [price_versions.Rule(0, "ok", "/ok", ("GET",), "credits", {})]
                before = await price_versions.current(connection)
                assert before is not None
                text = f"{PRICES}# {secrets.token_hex(4)}\n"
                for _ in range(2):
                    await price_versions.publish(connection, text, rules, actor="test")
                problem = {"line": 1, "column": 1, "message": "no", "hint": None}
                await price_versions.refuse(connection, "gw", b"s" * 32, [problem])
            await prices.last_refusal(admin)
            return before.version

        place = FilePlace(Path(f"{run.diary}.prices"))

        async def by_an_admin() -> None:
            for _ in range(2):
                text = f"{PRICES.replace('{api}', 'http://127.0.0.1:9')}# {secrets.token_hex(4)}\n"
                await prices.publish(admin, text, environ={}, expected=None, place=place)
            shown = await prices.show(admin, None)
            assert _text_in(place.path) == text == shown.text

        before = await run.step("published", published)
        await run.step("by an admin", by_an_admin)
        await run.step("back", lambda: _rolled_back(admin, before))

        async def looked() -> None:
            await prices.listed(admin, PageQuery())
            await prices.show(admin, None)
            await prices.show(admin, before)

        await run.step("looked", looked)


def _text_in(path: Path) -> str:
    return path.read_text("utf-8")


async def _rolled_back(admin: Desk, version: int) -> None:
    await prices.rollback(admin, version)


async def recovery_by_admins(run: Run) -> None:
    """A poisoned fact decided about by its id, an epoch, an account loaded anew and released."""
    [one, two] = run.customers
    account = f"acc_{one.account}"
    run.begin()
    async with run.ledger() as ledger:
        admin = desk(ledger)

        async def resolved() -> None:
            query = facts.FactQuery(account=account, limit=50)
            for row in (await facts.listed(admin, query)).items:
                await facts.show(admin, row.id)
                await facts.resolve(admin, row.id, facts.FactDecision(reason="seen"))

        async def rebuilt() -> None:
            await recovery.rebuild(admin, recovery.RebuildDraft(reason="why"))
            await until(lambda: tried(ledger.windows.tell))

        async def released() -> None:
            why = accounts.Why(reason="decided")
            try:
                await recovery.release(admin, account, why)
            except Conflict as conflict:
                if conflict.code != "not-quarantined":
                    raise
            await until(lambda: _thawed(admin, account))

        async def reloaded() -> None:
            await recovery.reload(admin, f"acc_{two.account}", accounts.Why(reason="why"))

        await run.step("poisoned", lambda: poison(run, ledger, one))
        await run.step("rebuilt", rebuilt)
        await run.step("told again", lambda: run.settled(ledger))
        await run.step("resolved", resolved)
        await run.step("released", released)
        await run.step("reloaded", reloaded)
        await run.step("settled", lambda: run.settled(ledger))


async def _thawed(admin: Desk, account: str) -> bool:
    return (await accounts.thaw(admin, account, accounts.Why(reason="decided"))).applied


SCENARIOS: tuple[Scenario, ...] = (
    charged_requests,
    strict_requests,
    requests_with_a_key,
    requests_on_plans,
    money_by_admins,
    keys_and_accounts,
    price_versions_change,
    recovery_by_admins,
)
