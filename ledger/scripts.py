"""
The Lua scripts: read from `ledger/lua` once, named by their hash, run by EVALSHA.

`-- include NAME` on a line of its own stands for `ledger/lua/parts/NAME.lua`, in parts too.
The tick is there twice from one source: as written, so that it is refused first when memory
is full, and as `tick_settling` with the flag `allow-oom`, for calls that only give back or book.
That one is without what stands between `-- of holds` and `-- end of holds`: Lua's collector goes
through all that is loaded again and again.
"""

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple, Protocol

from ledger.claims import Claim
from ledger.keys import Keys
from ledger.redis_errors import NoScriptError

HEAD = struct.Struct("<dddI")
SETTLING = "tick_settling"

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)
_OF_HOLDS = re.compile(r"^-- of holds\n.*?^-- end of holds\n", re.MULTILINE | re.DOTALL)


class Caller(Protocol):
    """What runs commands: a `ledger.link.Link`, or an adapter of another client."""

    async def call(self, *args: str | bytes | float) -> Any:
        """Run one command."""


class Reply(NamedTuple):
    """
    What every script answers: OK or a guard word, the shard's q, an answer per line.

    Answers are words; only a tick has numbers among them (`ledger.tick.give_out`).
    """

    word: str
    q: int
    answers: list[Any]


@dataclass(frozen=True, slots=True)
class Script:
    """One script as it is sent, and the hash Redis knows it by."""

    name: str
    text: str
    sha: str


class Scripts:
    """All scripts by the name of their file, without `.lua`."""

    def __init__(self) -> None:
        self._scripts = {script.name: script for script in _read_all()}

    def __getitem__(self, name: str) -> Script:
        return self._scripts[name]

    @property
    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._scripts)

    async def load(self, link: Caller) -> None:
        """Make the server know all scripts. A restart or a promotion forgets them."""
        for script in self._scripts.values():
            await link.call("SCRIPT", "LOAD", script.text)

    async def run(
        self,
        link: Caller,
        name: str,
        keys: Keys,
        epoch: int,
        args: Sequence[bytes],
        *,
        clock_ms: int = 0,
        watermark: int = 0,
        session: int = 0,
        account: int | None = None,
    ) -> Reply:
        """
        Run one script on a connection that need not be verified, as a fence does.

        Args:
            link: The connection.
            name: The script's file name without `.lua`.
            keys: The shard's keys.
            epoch: Of the keys, and the one the guard compares.
            args: What follows the head.
            clock_ms: The caller's clock; every script but `freeze` and `open` compares it.
            watermark: The highest q seen in this epoch.
            session: Of the holds in a tick.
            account: Whose load token is KEYS[5], for the scripts that load.

        Raises:
            RedisError: Nothing was changed, unless it is a LinkLost: then that is unknown.

        """
        script = self._scripts[name]
        command = evalsha(
            script,
            keys_of(keys, epoch, account),
            HEAD.pack(epoch, watermark, clock_ms, session),
            args,
        )
        try:
            raw = await link.call(*command)
        except NoScriptError:
            # Nothing ran, so sending it once more cannot do anything twice.
            await link.call("SCRIPT", "LOAD", script.text)
            raw = await link.call(*command)
        return read_reply(raw)


def keys_of(
    keys: Keys, epoch: int, account: int | None = None, claims: Sequence[Claim] = ()
) -> tuple[str, ...]:
    """Return KEYS of any script; from the fifth on a load token's name, or those of claims."""
    four = keys.of(epoch)
    if claims:
        return (*four, *(keys.claim(epoch, one.account, one.key_hash) for one in claims))
    return four if account is None else (*four, keys.token(epoch, account))


def evalsha(
    script: Script, keys: Sequence[str], head: bytes, args: Sequence[bytes]
) -> tuple[str | bytes | int, ...]:
    """Return the command that runs a script."""
    return ("EVALSHA", script.sha, len(keys), *keys, head, *args)


def read_reply(raw: Any) -> Reply:
    """Return a script's reply as a value."""
    return Reply(raw[0].decode("ascii"), raw[1], raw[2:])


def resolved(folder: Traversable, text: str) -> str:
    """Return the text of a script, or of a part, with the parts that it includes."""

    def part(match: re.Match[str]) -> str:
        return resolved(folder, folder.joinpath("parts", f"{match[1]}.lua").read_text("utf-8"))

    return _INCLUDE.sub(part, text)


def without_holds(text: str) -> str:
    """Return the text of a script, or of a part, without what only holds and checks need."""
    return _OF_HOLDS.sub("", text)


def _read_all() -> list[Script]:
    folder = files("ledger").joinpath("lua")
    scripts = [
        _script(source.name.removesuffix(".lua"), resolved(folder, source.read_text("utf-8")))
        for source in folder.iterdir()
        if source.name.endswith(".lua")
    ]
    tick = next(script for script in scripts if script.name == "tick")
    flagged = tick.text.replace("#!lua\n", "#!lua flags=allow-oom\n", 1)
    scripts.append(_script(SETTLING, without_holds(flagged)))
    return scripts


def _script(name: str, text: str) -> Script:
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, sha)
