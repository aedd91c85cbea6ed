"""
A host of the pages' own (`FAREBOX_PAGES_HOST`), where nothing of the backend is served.

Browsers let whatever one host serves act for whoever is signed in there. On a host that the pages
share with the backend, a page of the backend's could use the session of somebody who looks at
his credits. On a host of their own nothing else can.
"""

import secrets
from collections.abc import Callable
from email.utils import formatdate

from gateway.problems import Problem
from gateway.request import Scope, Send

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

    def is_asked(self, scope: Scope) -> bool:
        """Whether a request is for this host."""
        for name, value in scope["headers"]:
            if name == b"host":
                return same_host(value.decode("latin-1")) == self._host
        return False

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Lead from the bare host to the pages; nothing else is here."""
        prefix = self._prefix()
        if scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            status, body = 303, b""
            headers = [(b"location", f"{prefix}/".encode()), (b"content-length", b"0")]
        else:
            problem = Problem(
                "not-found", "There are only pages on this host; the API has another."
            )
            status, body = problem.status, problem.body(secrets.token_hex(12), prefix)
            headers = problem.header_list(len(body))
        headers.append((b"date", formatdate(usegmt=True).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown, "more_body": False})
