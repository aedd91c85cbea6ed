"""`farebox admin`: who may use the admin listener."""

import click

from gateway.commands.session import Said, operates
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
