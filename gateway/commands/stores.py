"""Where the stores are: given, found beside a running `serve`, or started for one command."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from billing.migrations import components
from config import Settings
from gateway.commands.failed import CommandFailed
from gateway.data_folder import DataFolder
from gateway.pages_host import pages_base
from gateway.startup import schema_sentence
from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from ledger.ledger import Ledger, LedgerOptions
from ledger.migrations import migrate, schema_state

PREFIX = "/farebox"
"""Where the pages are unless the price file says otherwise."""


@dataclass(frozen=True, slots=True)
class Stores:
    """
    Where the stores are.

    Attributes:
        pages_url: Where consumers find their pages.
        alone: Nothing else runs on them: what a steward would do, this process must do.

    """

    postgres_url: str
    redis_url: str
    pages_url: str
    alone: bool = False


@contextmanager
def found_stores(settings: Settings) -> Iterator[Stores]:
    """
    Find both stores, for as long as the block runs.

    Raises:
        FolderInUse: A `serve` is just starting or stopping there.
        StoreMissing: Nothing runs, and the machine has no store that could be started.
        StoreFailed: One was started and did not answer.

    """
    postgres_url, redis_url = settings.postgres_url, settings.redis_url
    folder = DataFolder(settings.data)
    running = folder.running()
    public_url = settings.public_url or (running.public_url if running else "")
    pages_url = f"{pages_base(public_url, settings.pages_host)}{PREFIX}"
    if postgres_url and redis_url:
        yield Stores(postgres_url, redis_url, pages_url)
        return
    if running:
        yield Stores(
            postgres_url or running.postgres_url, redis_url or running.redis_url, pages_url
        )
        return
    with ExitStack() as stack:
        stack.enter_context(folder.locked())
        if not postgres_url:
            postgres = EmbeddedPostgres(folder.path / "postgres")
            postgres.start()
            stack.callback(postgres.stop)
            postgres_url = postgres.url()
            asyncio.run(migrate(postgres_url, components=components()))
        if not redis_url:
            redis = EmbeddedRedis(folder.path / "redis")
            redis.start()
            stack.callback(redis.stop)
            redis_url = redis.url
        yield Stores(postgres_url, redis_url, pages_url, alone=True)


@asynccontextmanager
async def opened_ledger(stores: Stores, *, catch_up: bool = True) -> AsyncIterator[Ledger]:
    """
    Open the ledger on the stores, for as long as the block runs.

    With `catch_up`, where no steward works, what the journal holds is posted before and after.

    Raises:
        CommandFailed: The database's schema is not the one this release needs.

    """
    options = LedgerOptions(postgres_url=stores.postgres_url, redis_url=stores.redis_url)
    ledger = await Ledger.open(options, "command")
    try:
        async with ledger.database.connection() as connection:
            sentence = schema_sentence(await schema_state(connection, components()))
        if sentence:
            raise CommandFailed(sentence)
        if stores.alone and catch_up:
            await ledger.shard.ready()  # its Redis has just started, which begins an epoch
            await ledger.post_all()
        yield ledger
        if stores.alone and catch_up:
            await ledger.post_all()
    finally:
        await ledger.aclose()
