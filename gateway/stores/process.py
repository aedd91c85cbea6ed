"""One store's process: started through the launcher, waited for, stopped, never left behind."""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")

START_LIMIT_S = 60
"""A first start on a slow, busy machine; a warm one takes a tenth of a second to two."""

STOP_LIMIT_S = 30
"""A Postgres that must write back its buffers; after that it is killed, which loses nothing."""

POLL_S = 0.02
"""How often a starting or stopping store is looked at."""

SHORT_PATH = Path("/tmp")  # noqa: S108 - a private folder is made in it
"""Where sockets are: their paths must be short, which a temporary folder of one's own is not."""

UNPRIVILEGED = ("postgres", "nobody", "daemon")
"""Users that exist on nearly every Unix, the first one found is taken when we are root."""


class StoreFailed(Exception):
    """A store did not start or died; the sentence ends with the last lines of its log."""


class StoreProcess:
    """A running server, tied to the life of this process."""

    def __init__(self, name: str, log: Path, *, stop_signal: signal.Signals) -> None:
        """Say nothing runs yet; `log` collects what the server prints."""
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise StoreFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, command: list[str], *, user: str | None, ready: Callable[[], bool]) -> None:
        """
        Run `command` as `user` and wait until `ready` says yes.

        A server that still ends in this folder, because whoever ran it was killed, is waited
        for: two on the same data would ruin them.

        Raises:
            StoreFailed: It died or was not ready within `START_LIMIT_S`; it is not running then.

        """
        with self._alone() as lock, self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [
                    *(sys.executable, "-I", "-S", str(LAUNCHER)),
                    *(str(int(self._stop_signal)), user or "-", "--", *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],  # for as long as the server, or a child of it, lives
                start_new_session=True,  # Ctrl-C is for us; we stop it in the right order
            )
        limit = time.monotonic() + START_LIMIT_S
        while not ready():
            if self._process.poll() is not None:
                raise StoreFailed(f"{self.name} did not start: {self.last_words()}")
            if time.monotonic() > limit:
                self.kill()
                raise StoreFailed(f"{self.name} was not ready in {START_LIMIT_S} s")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End the server and wait until it is gone; harmless when it is gone already."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """Yield a lock on the folder; who inherits its descriptor keeps the lock."""
        descriptor = os.open(self._log.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            limit = time.monotonic() + STOP_LIMIT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise StoreFailed(
                            f"the {self.name} that ran here before does not end"
                        ) from None
                    time.sleep(POLL_S)
            yield descriptor
        finally:
            os.close(descriptor)

    def last_words(self) -> str:
        """Return the end of the server's log, on one line."""
        lines = self._log.read_text(errors="replace").strip().splitlines()[-4:]
        return " | ".join(line.strip() for line in lines) or "it printed nothing"


def unprivileged_user() -> str | None:
    """
    Return the user a server runs as that refuses to be root; None when we are not root.

    Raises:
        StoreFailed: We are root and none of the usual users exists.

    """
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise StoreFailed(
        "Postgres does not run as root and none of the users "
        f"{', '.join(UNPRIVILEGED)} exists: run farebox as another user"
    )


def socket_folder(user: str | None) -> Path:
    """
    Make a private folder with a short path for a Unix socket (sun_path holds 107 bytes).

    `user` owns it, if given, so that a server that is not root can make its socket there.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix="fbx-", dir=SHORT_PATH))
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    return folder


def _sweep() -> None:
    """Remove empty folders of those who were killed: servers take their sockets along, no more."""
    for folder in SHORT_PATH.glob("fbx-*"):
        with suppress(OSError):  # in use, somebody else's, or gone
            if time.time() - folder.stat().st_mtime > 2 * START_LIMIT_S:
                folder.rmdir()
