"""`farebox serve`, `migrate` and `backup`: what runs a gateway and its stores."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from billing.migrations import components
from config import Settings, SettingsError
from gateway.backup import back_up
from gateway.child import ChildFailed
from gateway.commands.options import chosen, json_option, store_options
from gateway.serve import Gateway, ServeOptions, serving
from gateway.startup import Refused
from gateway.stores.borrowed import postgres_of
from gateway.supervisor import Supervisor, until_signalled
from ledger.migrations import migrate as migrate_schema
from ledger.ports import SystemClock

WRONG_USE = 2

LISTENERS = (
    click.option("--host", help="Where consumers are answered.  [default: 127.0.0.1]"),
    click.option("--port", type=int, help="0 takes any free one.  [default: 8000]"),
    click.option("--admin-host", help="Where admins are answered.  [default: 127.0.0.1]"),
    click.option("--admin-port", type=int, help="0 takes any free one.  [default: 8001]"),
    click.option("--workers", type=int, help="Processes that serve requests.  [default: 1]"),
)


def listener_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where to listen, and with how many workers."""
    for option in reversed(LISTENERS):
        command = option(command)
    return command


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="The price file.  [default: farebox.yaml]"
)
@listener_options
@click.option(
    "--allow-unsafe-redis", is_flag=True, help="Serve on a Redis that forgets at a restart."
)
@store_options
def serve(*, allow_unsafe_redis: bool, **flags: Any) -> int:
    """Run the gateway until Ctrl-C or SIGTERM; a second one does not wait for requests."""
    options = ServeOptions(settings=settings_of(flags), allow_unsafe_redis=allow_unsafe_redis)

    async def work(supervisor: Supervisor) -> None:
        async with serving(options, supervisor) as gateway:
            for sentence in announced(gateway):
                supervisor.say(sentence)
            await gateway.until_broken()

    return run(work)


@click.command()
@click.option("--component", type=click.Choice(["ledger", "billing"]), help="Only this one's.")
@click.option("--to", type=click.IntRange(min=0), help="A number to go up or down to.")
@click.option("--yes-lose-data", is_flag=True, help="Allow a way down that loses data.")
@store_options
@json_option
def migrate(*, component: str | None, to: int | None, yes_lose_data: bool) -> int:
    """Bring the database to the schema of this release; running it again does nothing."""
    if to is not None and component is None:
        raise click.UsageError("--to needs --component: each has numbers of its own")
    parts = [part for part in components() if component in (None, part.name)]
    with postgres_of(settings_of({})) as url:
        steps = asyncio.run(migrate_schema(url, to, allow_loss=yes_lose_data, components=parts))
    if chosen("as_json"):
        click.echo(json.dumps({"steps": [asdict(step) for step in steps]}, indent=2))
        return 0
    for step in steps:
        click.echo(f"{'up' if step.up else 'down'}: {step.component} {step.number} {step.name}")
    if not steps:
        click.echo("nothing to do")
    return 0


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@store_options
@json_option
def backup(file: Path) -> int:
    """
    Write the ledger's database to FILE, also while a gateway serves.

    The file holds all accounts, balances and charges: Redis is built up from them. Restore
    it into an empty database with pg_restore, and serve it with an empty Redis.
    """
    with postgres_of(settings_of({})) as url:
        size_bytes = back_up(url, file)
    if chosen("as_json"):
        click.echo(json.dumps({"file": str(file), "size_bytes": size_bytes}, indent=2))
        return 0
    click.echo(f"{file}: {size_bytes:,} bytes; restore with: pg_restore --dbname URL {file}")
    return 0


def settings_of(flags: dict[str, Any], **more: Any) -> Settings:
    """Read the settings; what was given on the command line wins."""
    stores = {name: chosen(name) for name in ("data", "postgres_url", "redis_url")}
    try:
        return Settings.from_environment(**{**stores, **flags, **more})
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def run(work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> int:
    """Do the work until a signal comes; a reason not to is said, one line for each."""
    supervisor = Supervisor(clock=SystemClock(), say=say)
    try:
        asyncio.run(until_signalled(work(supervisor), supervisor))
    except Refused as refused:
        for sentence in refused.sentences:
            say(sentence)
        return WRONG_USE
    except ChildFailed as failed:
        say(str(failed))
        return WRONG_USE
    return 0


def announced(gateway: Gateway) -> list[str]:
    """Say where the gateway answers."""
    sentences = [
        f"answering on {gateway.public_url}",
        f"the admin listener is on {gateway.admin_url}",
    ]
    if gateway.admin_token_path is not None:
        sentences.append(f"the token of the admin named root is in {gateway.admin_token_path}")
    return sentences


def say(sentence: str) -> None:
    """Print one line for the operator."""
    click.echo(f"farebox: {sentence}", err=True)
