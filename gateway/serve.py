"""
`farebox serve`: one parent that starts everything, keeps it running and ends it in order.

    serve ── keeper of the stores   embedded Postgres and Valkey, where no addresses were given
          ├─ steward                posting, sweeps, price file, admin listener
          └─ worker 1..N            requests, all on one public socket

`serving` reads from top to bottom as it starts; it ends in the reverse order, so that the
workers settle before the steward posts the last facts, and the stores stop last.
"""

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from billing.migrations import components
from config import PriceFileError, PriceList, Settings, load_price_list, read_price_file
from gateway.child import Child, Job
from gateway.data_folder import DataFolder, Running
from gateway.head_book import HeadBook
from gateway.pages_host import pages_base
from gateway.parent import DRAIN_LIMIT_S
from gateway.selling_sentences import selling_sentences
from gateway.startup import Refused, judged, schema_sentence
from gateway.supervisor import Supervisor
from ledger.checks import check_postgres, check_redis
from ledger.database import Database
from ledger.link import Link, RedisError
from ledger.migrations import migrate, schema_state
from ledger.ports import Clock

WORKER_STOP_LIMIT_S = DRAIN_LIMIT_S + 10
"""Requests drain for 30 s; the rest is for settlements that wait for a slow Redis."""

STEWARD_STOP_LIMIT_S = 15
STORES_STOP_LIMIT_S = 60

BACKLOG = 2_048
"""Connections that wait while workers are restarted or busy; the kernel may cap it lower."""

CHECK_LIMIT_MS = 5_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """
    What one `serve` was asked for.

    Attributes:
        settings: Where no store is named, an embedded one runs under `settings.data`; port 0
            takes any free one, and `Gateway` says which.
        variables: What `${NAME}` in the price file may name besides the environment.
        allow_unsafe_redis: Serve on a Redis without persistence all the same: for trials.
    """

    settings: Settings
    variables: Mapping[str, str] = field(default_factory=dict)
    allow_unsafe_redis: bool = False


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that answers."""

    public_url: str
    admin_url: str
    admin_token: str
    admin_token_path: Path | None
    postgres_url: str
    redis_url: str
    keeper: Child | None

    async def until_broken(self) -> None:
        """
        Wait for as long as it works; what can be started again is, meanwhile.

        Raises:
            Refused: The embedded stores are gone for good.

        """
        if self.keeper is None:
            await asyncio.Event().wait()
        else:
            await self.keeper.ended.wait()
            raise Refused(["the keeper of the embedded stores died; start farebox again"])


KEEPER = "gateway.keeper"
STEWARD = "gateway.steward"
WORKER = "gateway.worker"


@asynccontextmanager
async def serving(options: ServeOptions, supervisor: Supervisor) -> AsyncIterator[Gateway]:
    """
    Serve for as long as the block runs; leaving it drains and stops everything.

    Raises:
        Refused: Something is missing or unsafe; nothing was served.
        FolderInUse: Another `serve` has the data folder.
        ChildFailed: A process did not get ready; it has printed why.

    """
    settings = options.settings
    prices = checked_price_file(settings.config, {**settings.environ, **options.variables})
    for sentence in (*settings.warnings, *selling_sentences(settings)):
        supervisor.say(sentence)
    folder = DataFolder(settings.data)
    async with AsyncExitStack() as undo:
        lock = undo.enter_context(folder.locked())
        HeadBook(settings).key()  # a key that cannot be used is said now, not in an hour
        life_line = undo.enter_context(pipe())
        public = undo.enter_context(listening(settings.host, settings.port, "--port"))
        admin = undo.enter_context(
            listening(settings.admin_host, settings.admin_port, "--admin-port")
        )

        keeper = keeper_job(settings, folder, lock=lock, life_line=life_line.reading)
        urls = {"postgres_url": settings.postgres_url, "redis_url": settings.redis_url}
        if keeper is not None:
            supervisor.say("starting the embedded stores")
            (told,) = await undo.enter_async_context(
                supervisor.running(keeper, stop_limit_s=STORES_STOP_LIMIT_S)
            )
            urls |= {name: url for name, url in told.items() if url is not None}
        await prepare_database(
            str(urls["postgres_url"]), ours=settings.postgres_url is None, say=supervisor.say
        )
        for warning in await check_stores(
            str(urls["postgres_url"]),
            str(urls["redis_url"]),
            clock=supervisor.clock,
            allow_unsafe_redis=options.allow_unsafe_redis,
        ):
            supervisor.say(warning)

        token, token_path = admin_token(settings, folder)
        orders = {
            "settings": {
                "config": str(settings.config.absolute()),
                "data": str(folder.path),
                "workers": settings.workers,
                "admin_token": token,
                **urls,
                **stripe_settings(settings),
            },
            "pages_url": pages_url(settings, public, prices.prefix),
            "variables": dict(options.variables),
            "gateway": f"{socket.gethostname()}-{secrets.token_hex(4)}",
            "metrics": str(emptied(folder.path / "metrics")),
        }
        inherited = [lock, life_line.writing]
        await undo.enter_async_context(
            supervisor.running(
                Job(
                    "steward",
                    STEWARD,
                    orders | {"socket": admin.fileno()},
                    [*inherited, admin.fileno()],
                ),
                stop_limit_s=STEWARD_STOP_LIMIT_S,
            )
        )
        await undo.enter_async_context(
            supervisor.running(
                *(
                    Job(
                        f"worker {number}",
                        WORKER,
                        orders | {"socket": public.fileno(), "number": number},
                        [*inherited, public.fileno()],
                    )
                    for number in range(1, settings.workers + 1)
                ),
                stop_limit_s=WORKER_STOP_LIMIT_S,
            )
        )
        # Closed first of all: from then on the kernel refuses whom no worker would accept.
        undo.callback(public.close)
        gateway = Gateway(
            public_url=address(public),
            admin_url=address(admin),
            admin_token=token,
            admin_token_path=token_path,
            postgres_url=str(urls["postgres_url"]),
            redis_url=str(urls["redis_url"]),
            keeper=supervisor.child(keeper.name) if keeper else None,
        )
        folder.publish(
            Running(
                pid=os.getpid(),
                gateway=str(orders["gateway"]),
                public_url=gateway.public_url,
                admin_url=gateway.admin_url,
                postgres_url=gateway.postgres_url,
                redis_url=gateway.redis_url,
                config=str(settings.config.absolute()),
            )
        )
        yield gateway


def checked_price_file(path: Path, variables: Mapping[str, str]) -> PriceList:
    """
    Read the file once before anything is started.

    Raises:
        Refused: It cannot be read, or it is not valid; one sentence for each problem.

    """
    try:
        return load_price_list(read_price_file(path), environ=variables)
    except PriceFileError as error:
        raise Refused(f"{path}:{problem}" for problem in error.problems) from error


def keeper_job(settings: Settings, folder: DataFolder, *, lock: int, life_line: int) -> Job | None:
    """Describe the keeper's job; None where both stores were given by address."""
    postgres, redis = settings.postgres_url is None, settings.redis_url is None
    if not (postgres or redis):
        return None
    return Job(
        "keeper of the embedded stores",
        KEEPER,
        {"folder": str(folder.path), "postgres": postgres, "redis": redis, "life_line": life_line},
        [lock, life_line],
        restart=False,  # its stores would come back under other addresses
        may_be_cut_off=False,
    )


def stripe_settings(settings: Settings) -> dict[str, object]:
    """Return how Stripe is reached, for the processes: the demo decides it without variables."""
    key = settings.stripe_secret_key
    return {
        "stripe_secret_key": key.get_secret_value() if key else None,
        "stripe_webhook_secrets": [
            one.get_secret_value() for one in settings.stripe_webhook_secrets
        ],
        "stripe_api_base": settings.stripe_api_base,
    }


def admin_token(settings: Settings, folder: DataFolder) -> tuple[str, Path | None]:
    """Return the token of the admin named root and, unless the environment gave it, its place."""
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value(), None
    return folder.admin_token()


async def prepare_database(url: str, *, ours: bool, say: Say) -> None:
    """
    Bring an embedded database to this release's schema; refuse an outside one that is not.

    An outside database is shared with gateways of the previous release, so a person decides.
    """
    if ours:
        for step in await migrate(url, components=components()):
            say(f"migrated {step.component} to {step.number} ({step.name})")
        return
    database = await Database.connect(url, most=1)
    try:
        async with database.connection() as connection:
            sentence = schema_sentence(await schema_state(connection, components()))
    finally:
        await database.close()
    if sentence:
        raise Refused([sentence])


async def check_stores(
    postgres_url: str, redis_url: str, *, clock: Clock, allow_unsafe_redis: bool = False
) -> list[str]:
    """Return the warnings about both stores; refuse what loses money."""
    database = await Database.connect(postgres_url, most=1)
    try:
        async with database.connection() as connection:
            findings = await check_postgres(connection)
    finally:
        await database.close()
    try:
        link = await Link.connect(redis_url, clock=clock, timeout_ms=CHECK_LIMIT_MS)
    except (OSError, RedisError) as error:
        raise Refused([f"Redis does not answer ({error}): check FAREBOX_REDIS_URL"]) from error
    try:
        findings += await check_redis(link, allow_unsafe=allow_unsafe_redis)
    finally:
        link.close()
    return judged(findings)


@contextmanager
def listening(host: str, port: int, flag: str) -> Iterator[socket.socket]:
    """Bind once, here, so that workers come and go without a connection refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP: asyncio sends small writes at once only on a socket that says so.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise Refused(
                [f"cannot listen on {host} port {port} ({error.strerror}): choose another {flag}"]
            ) from error
        listener.listen(BACKLOG)
        yield listener


def address(listener: socket.socket) -> str:
    """Return the URL under which a browser on this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def pages_url(settings: Settings, public: socket.socket, prefix: str) -> str:
    """Return where consumers find their pages: in links, and where buyers come back to."""
    base = pages_base(settings.public_url or address(public), settings.pages_host)
    return f"{base}{prefix}"


@dataclass(frozen=True, slots=True)
class Pipe:
    """Both ends of a pipe."""

    reading: int
    writing: int


@contextmanager
def pipe() -> Iterator[Pipe]:
    """Make a pipe; its writing end lives as long as anybody who inherited it."""
    ends = Pipe(*os.pipe())
    try:
        yield ends
    finally:
        os.close(ends.reading)
        os.close(ends.writing)


def emptied(folder: Path) -> Path:
    """Make the folder, without what an earlier run left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
