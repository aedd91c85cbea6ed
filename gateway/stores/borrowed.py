"""The Postgres of a command: given, found beside a running `serve`, or started for its duration."""

from collections.abc import Iterator
from contextlib import contextmanager

from config import Settings
from gateway.data_folder import DataFolder
from gateway.stores.postgres import EmbeddedPostgres


@contextmanager
def postgres_of(settings: Settings) -> Iterator[str]:
    """
    Yield the address of the ledger's database for as long as the block runs.

    Raises:
        FolderInUse: A `serve` is just starting or stopping there.
        StoreMissing, StoreFailed: Nothing runs there, and no Postgres can be started.

    """
    folder = DataFolder(settings.data)
    running = folder.running()
    if settings.postgres_url is not None:
        yield settings.postgres_url
    elif running is not None:
        yield running.postgres_url
    else:
        with folder.locked():
            postgres = EmbeddedPostgres(folder.path / "postgres")
            postgres.start()
            try:
                yield postgres.url()
            finally:
                postgres.stop()
