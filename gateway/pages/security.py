"""
What keeps pages safe: what a browser may load and send, and which forms are really ours.

A form of ours carries a token made of the session's, which no other site can know. Beside it the
browser itself says where a form was sent from, and what comes from another site is refused; that
also covers the forms of people who have no session yet.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.problems import Problem

CSRF_FIELD = "form_token"

_PURPOSE = b"farebox form 1"
_SAME = frozenset({"same-origin", "none"})  # none: typed, reloaded or from a bookmark


def headers(*form_targets: str) -> dict[str, str]:
    """Return what every page says; a form may also lead on to `form_targets` by a redirect."""
    targets = " ".join(("'self'", *form_targets))
    return {
        "cache-control": "no-store",
        "content-security-policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
            f"connect-src 'self'; form-action {targets}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",  # a link's token must not travel on
        "x-content-type-options": "nosniff",
    }


def form_token(session: str) -> str:
    """Return what the forms of a session carry; it tells nothing about the session's own token."""
    return hmac.new(session.encode(), _PURPOSE, hashlib.sha256).hexdigest()


def check_form(session: str, given: str) -> None:
    """
    Check that a form was made for this session.

    Raises:
        Problem: 403 for any other; nothing was changed.

    """
    if not hmac.compare_digest(form_token(session).encode(), given.encode()):
        raise Problem(
            "form-invalid",
            "The form is not of this session, or you have signed in again since. "
            "Open the page again and repeat it.",
        )


def check_origin(request: Request) -> None:
    """
    Check that a form was sent from a page of ours.

    Raises:
        Problem: 403 where the browser says that it was another site's.

    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site in _SAME:
            return
    else:
        # Browsers leave it out on plain http. Ours say `null` then, as our pages send no referrer;
        # the form's token decides.
        origin = request.headers.get("origin", "null")
        if origin == "null" or urlsplit(origin).netloc == request.headers.get("host"):
            return
    raise Problem("form-invalid", "The form was sent from another site. Nothing was changed.")
