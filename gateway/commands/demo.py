"""`farebox demo`: all of it at once, to try things out."""

from pathlib import Path
from typing import Any

import click

from gateway.commands.options import chosen, store_options
from gateway.commands.run import listener_options, run, settings_of
from gateway.demo.show import demonstrating, welcome
from gateway.supervisor import Supervisor


@click.command()
@listener_options
@store_options
def demo(**flags: Any) -> int:
    """Run a gateway with a backend, an account, credits and a key, to try things out."""
    settings = settings_of(flags, data=chosen("data") or Path(".farebox") / "demo")

    async def work(supervisor: Supervisor) -> None:
        async with demonstrating(settings, supervisor) as shown:
            click.echo(welcome(shown))
            await shown.gateway.until_broken()

    return run(work)
