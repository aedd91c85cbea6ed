"""
A host of the pages' own (`FAREBOX_PAGES_HOST`), where nothing of the backend is served.

Browsers let whatever one host serves act for whoever is signed in there. On a host that the pages
share with the backend, a page of the backend's could use the session of somebody who looks at
his credits. On a host of their own nothing else can.
"""

import secrets
from collections.abc import Callable
from email.utils import formatdate

from gateway.asgi import AsgiTurn
from gateway.framing import Turn
from gateway.headers import Headers
from gateway.problems import Problem

_USUAL_PORTS = (":80", ":443")


def same_host(host: str) -> str:
    """Return a Host header's value in the one spelling that is compared."""
    lower = host.lower()
    for port in _USUAL_PORTS:
        lower = lower.removesuffix(port)
    return lower.removesuffix(".")


def pages_base(public_url: str, pages_host: str | None) -> str:
    """Return where pages are reached, without the prefix; pages keep the public address' scheme."""
    if pages_host is None:
        return public_url.rstrip("/")
    scheme = "https" if public_url.startswith("https://") else "http"
    return f"{scheme}://{pages_host}"


class PagesHost:
    """Answers what is asked of the pages' host and is no page."""

    def __init__(self, host: str, prefix: Callable[[], str]) -> None:
        """Know the host; `prefix` is where the pages lie, and may change."""
        self._host = same_host(host)
        self._prefix = prefix

    def is_asked(self, headers: Headers) -> bool:
        """Whether a request with these headers is for this host."""
        for name, value in headers:
            if name == b"host":
                return same_host(value.decode("latin-1")) == self._host
        return False

    async def answer(self, turn: Turn | AsgiTurn) -> None:
        """Lead from the bare host to the pages; nothing else is here."""
        prefix, head = self._prefix(), turn.head
        if head.target == b"/" and head.method in (b"GET", b"HEAD"):
            status, body = 303, b""
            headers = [(b"location", f"{prefix}/".encode()), (b"content-length", b"0")]
        else:
            problem = Problem(
                "not-found", "There are only pages on this host; the API has another."
            )
            status, body = problem.status, problem.body(secrets.token_hex(12), prefix)
            headers = problem.header_list(len(body))
        await turn.begin(status, [*headers, (b"date", formatdate(usegmt=True).encode())])
        await turn.body(b"" if head.method == b"HEAD" else body, more=False)
