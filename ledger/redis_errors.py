"""
What Redis says instead of a reply, by the first word of its answer; redis-py has the same names.

* RedisError
  - ResponseError         the server refused; nothing was done
    - NoScriptError       it does not know the script (any more)
    - OutOfMemoryError    its memory is full
    - ReadOnlyError       it is a replica
    - NoPermissionError   the user may not do this
    - MasterDownError     a replica without its master
  - BusyLoadingError      it reads its data, and will answer
  - AuthenticationError   the password is wrong, or none was given

`ledger.link` adds what it is to have no reply at all.
"""

from collections.abc import Mapping
from types import MappingProxyType


class RedisError(Exception):
    """Anything but a reply."""


class ResponseError(RedisError):
    """The server refused."""


class NoScriptError(ResponseError):
    """The script is not known."""


class OutOfMemoryError(ResponseError):
    """The server's memory is full."""


class ReadOnlyError(ResponseError):
    """The server is a replica."""


class NoPermissionError(ResponseError):
    """The user may not do this."""


class MasterDownError(ResponseError):
    """A replica without its master."""


class BusyLoadingError(RedisError):
    """The server reads its data."""


class AuthenticationError(RedisError):
    """The password is wrong, or there is none."""


_BY_CODE: Mapping[str, type[RedisError]] = MappingProxyType(
    {
        "LOADING": BusyLoadingError,
        "MASTERDOWN": MasterDownError,
        "NOAUTH": AuthenticationError,
        "NOPERM": NoPermissionError,
        "NOSCRIPT": NoScriptError,
        "OOM": OutOfMemoryError,
        "READONLY": ReadOnlyError,
        "WRONGPASS": AuthenticationError,
    }
)


def error_of(text: str) -> RedisError:
    """Return the exception for an error reply; its first word is the code."""
    return _BY_CODE.get(text.partition(" ")[0], ResponseError)(text)
