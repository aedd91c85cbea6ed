"""
The keeper of the embedded stores: they live exactly as long as somebody uses them.

It is a process of its own so that a killed `serve` does not take the stores away from
workers that still settle what they served. Its life line is a pipe whose other end is held
by `serve` and all its children; when the last of them is gone, it reads the end of the
pipe, stops the stores in order and ends. A store that dies meanwhile is started again.

Run as `python -P -m gateway.keeper` by `serve`.
"""

import os
import select
import signal
import sys
from pathlib import Path

from gateway.parent import Parent
from gateway.stores import EmbeddedPostgres, EmbeddedRedis, StoreFailed, StoreMissing

LOOK_S = 0.5
"""How often the stores are looked at; a dead one is back well within a second."""

Store = EmbeddedPostgres | EmbeddedRedis


class Stopped(Exception):  # no failure: the way out of waiting
    """SIGTERM came."""


def keep(stores: list[Store], life_line: int) -> None:
    """Start again whatever dies, until the life line ends or SIGTERM comes."""
    while True:
        readable, _, _ = select.select([life_line], [], [], LOOK_S)
        if readable and not os.read(life_line, 64):
            return
        for store in stores:
            if not store.running:
                revive(store)


def revive(store: Store) -> None:
    """Start a dead store on its old data and address; failing is said and tried again."""
    say(f"{type(store).__name__} died; starting it again")
    try:
        store.start()
    except StoreFailed as error:
        say(str(error))


def say(sentence: str) -> None:
    """One line for the operator."""
    print(f"farebox: {sentence}", file=sys.stderr, flush=True)  # noqa: T201  # our terminal


def main() -> None:
    """Start the stores asked for, tell their addresses, keep them, stop them."""
    parent = Parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    folder = Path(parent.orders["folder"])
    postgres = EmbeddedPostgres(folder / "postgres") if parent.orders["postgres"] else None
    redis = EmbeddedRedis(folder / "redis") if parent.orders["redis"] else None
    stores = [store for store in (redis, postgres) if store is not None]
    try:
        for store in stores:
            store.start()
        parent.ready(
            postgres_url=postgres.url() if postgres else None,
            redis_url=redis.url if redis else None,
        )
        keep(stores, parent.orders["life_line"])
    except (StoreMissing, StoreFailed) as error:
        sys.exit(f"farebox: {error}")
    except Stopped:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for store in stores:
            store.stop()


def stop(*_: object) -> None:
    """Leave whatever is being waited for."""
    raise Stopped


if __name__ == "__main__":
    main()
