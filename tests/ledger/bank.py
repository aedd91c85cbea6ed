"""A Postgres with an account in it, and a played Redis beside it, for tests of the ledger."""

from collections.abc import Iterable

from ledger import accounts, controls, credit_types, price_versions, shards
from ledger.accounts import Account
from ledger.controls import Added, Control, Grant
from ledger.database import Connection, Database
from ledger.facts import Fact
from ledger.findings import Finding
from ledger.posting import Outcome, Posted, post
from ledger.price_versions import Rule
from ledger.verify import verify
from tests.ledger.journal import Journal
from tests.ledger.player import Player

CREDITS = 1
CALLING = 2
RULES = [
    Rule(0, "asin_query", "/v1/products/{asin}", ["GET"], "credits", {"flat": 2}),
    Rule(1, "chat", "/v1/chat", ["POST"], "credits", {"hold": 500}),
]


class Bank:
    """Epoch 1 is open, two credit types are there, and price version 1."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.journal = Journal()
        self.players: dict[int, Player] = {}

    async def open(self) -> "Bank":
        async with self.database.connection() as connection:
            await credit_types.register(connection, {"credits": 0, "calling": 2})
            await price_versions.publish(connection, "version: 1", RULES, actor="root")
            await shards.advance(connection, 0, 0, "a redis")
        return self

    async def account(self, name: str = "acme", units: int = 0) -> Account:
        """A new account, with this many units in one lot, applied and posted."""
        async with self.database.connection() as connection:
            account = await accounts.create(connection, external_id=name, actor="root")
        self.players[account.id] = Player(account.id)
        if units:
            await self.grant(account.id, units)
        return account

    async def add(self, account_id: int, control: Control, source_id: str | None = None) -> Added:
        async with self.database.transaction() as connection:
            return await controls.add(connection, account_id, control, "test", source_id, "root")

    async def grant(self, account_id: int, amount: int, **more: object) -> int:
        """A grant, applied and posted; its number."""
        added = await self.add(account_id, Grant(CREDITS, amount, **more))
        await self.apply(account_id)
        return added.object_id

    async def apply(self, account_id: int) -> Outcome:
        """Let the played Redis apply what Postgres ordered, and post that."""
        async with self.database.connection() as connection:
            lines = await controls.pending(connection, account_id)
        player = self.players[account_id]
        return await self.post(*(player.control(line) for line in lines))

    async def post(self, *facts: Fact) -> Outcome:
        """One entry with these facts, posted; they must be folded, all of them."""
        outcome = await self.try_post(*facts)
        assert isinstance(outcome, Posted)
        assert outcome.dead == 0, await self.dead()
        return outcome

    async def try_post(self, *facts: Fact) -> Outcome:
        entries = [self.journal.entry(*facts)] if facts else []
        async with self.database.connection() as connection:
            return await post(connection, 0, entries)

    async def dead(self) -> list[str]:
        return [row["why"] for row in await self.rows("SELECT why FROM dead_facts ORDER BY q")]

    async def verify(self) -> list[Finding]:
        async with self.database.connection() as connection:
            return await verify(connection)

    async def row(self, query: str, *arguments: object) -> dict[str, object]:
        rows = await self.rows(query, *arguments)
        assert len(rows) == 1
        return dict(rows[0])

    async def rows(self, query: str, *arguments: object) -> list[dict[str, object]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def execute(self, *statements: str) -> None:
        async with self.database.connection() as connection:
            for statement in statements:
                await connection.execute(statement)

    async def pool(self, account_id: int, credit_type: int = CREDITS) -> dict[str, object]:
        return await self.row(
            "SELECT * FROM pools WHERE account_id = $1 AND credit_type_id = $2",
            account_id,
            credit_type,
        )


def checks(findings: Iterable[Finding]) -> set[str]:
    """The names of the checks that found something."""
    return {finding.check for finding in findings}


async def emptied(connection: Connection) -> None:
    """Bring a migrated database back to how the migrations left it."""
    tables = await connection.fetch(
        "SELECT c.relname AS name, c.relispartition AND c.relname <> 'charges_default' AS month"
        "  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
        "   AND c.relkind = 'r' AND c.relname <> 'farebox_migrations'"
    )
    names = ", ".join(table["name"] for table in tables if not table["month"])
    months = [f"DROP TABLE {table['name']};" for table in tables if table["month"]]
    await connection.execute(
        f"{' '.join(months)} TRUNCATE {names} RESTART IDENTITY CASCADE;"
        "INSERT INTO shards (id) VALUES (0); ALTER SEQUENCE session_numbers RESTART;"
        "ALTER TABLE batches ENABLE TRIGGER ALL; ALTER TABLE batch_lines ENABLE TRIGGER ALL"
    )
