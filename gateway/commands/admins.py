"""`farebox admin`: who may use the admin listener."""

import click

from gateway.commands.session import Said, operates
from gateway.commands.text import columns
from gateway.operations import admins
from gateway.operations.desk import Desk


@click.group()
def admin() -> None:
    """Look after the named admins."""


@admin.command("create")
@click.argument("name")
@operates
async def create(desk: Desk, name: str) -> Said:
    """Make an admin and print the token, once. Every change the token makes names NAME."""
    made = await admins.create(desk, admins.AdminDraft(name=name))
    return Said(made, made.token, aside="This is the only time the token is shown.")


@admin.command("list")
@operates
async def listed(desk: Desk) -> Said:
    """List all admins there ever were."""
    found = await admins.listed(desk)
    rows = [
        (
            row.name,
            "revoked" if row.revoked_at else "active",
            f"{row.created_at:%Y-%m-%d %H:%M} UTC",
        )
        for row in found.items
    ]
    return Said(found, columns(("name", "status", "made"), rows))


@admin.command("revoke")
@click.argument("name")
@operates
async def revoke(desk: Desk, name: str) -> Said:
    """Refuse an admin's token from now on."""
    gone = await admins.revoke(desk, name)
    return Said(gone, f"{gone.name} is revoked")
