"""
The schema as text, from the catalogue: to hold a database against `sql/schema.sql`.

Partitions of `charges` are left out, since they come and go, and so is the runner's table.
"""

from ledger.database import Connection, Queries

_SQL = Queries("schema")


async def describe(connection: Connection, schema: str = "public") -> str:
    """Return every table, view, sequence, function, constraint, index and trigger, sorted."""
    lines = []
    for part in ("relations", "columns", "constraints", "indexes", "triggers", "functions"):
        lines.append(f"-- {part}")
        rows = await connection.fetch(getattr(_SQL, part), schema)
        lines.extend(row["line"].rstrip() for row in rows)
        lines.append("")
    return "\n".join(lines)
