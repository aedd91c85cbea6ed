"""Building upstreams: an address that can be called, and headers that can be sent."""

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from config.model import Upstream
from config.paths import BadPath, canonical_path
from config.reading.kinds import Entry, Reading, WrongValueError
from config.reading.nodes import Node, Scalar

_NOWHERE = "http://unexpanded.invalid"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|")
_OURS = re.compile(
    r"farebox-.*|host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive"
    r"|expect|proxy-.*"
)


def build_upstream(name: str, key: Scalar, entry: Entry, reading: Reading) -> Upstream | None:
    """Make an upstream; None where something is wrong, which is noted. Values are never quoted."""
    try:
        headers = _headers(entry, reading)
        # Unexpanded, only prices and words are wanted: the address may hold a ${NAME}.
        expanded = reading.environ is not None
        url = _split(entry.get("url") if expanded else _NOWHERE, entry.node("url"))
        scheme: Literal["http", "https"] = "https" if url.scheme == "https" else "http"
        return Upstream(
            name=name,
            scheme=scheme,
            host=url.hostname or "",
            port=url.port or {"http": 80, "https": 443}[scheme],
            prefix=url.path.rstrip("/").encode(),
            headers=headers,
            timeout_ms=entry.get("timeout", 30_000),
            connect_timeout_ms=entry.get("connect_timeout", 5_000),
            max_connections=entry.get("max_connections", 256),
            ca_file=entry.get("ca_file"),
        )
    except WrongValueError as wrong:
        reading.note(wrong if wrong.node else WrongValueError(key, wrong.message, wrong.hint))
        return None


def _split(text: str, node: Node) -> SplitResult:
    hint = "Like http://127.0.0.1:9000 or https://api.example.com/v2."
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise WrongValueError(node, "This is not a URL.", hint) from None
    if url.scheme not in {"http", "https"} or not _HOST.fullmatch(url.hostname or "") or port == 0:
        raise WrongValueError(node, "The URL needs http:// or https:// and a host.", hint)
    if url.username is not None or url.password is not None:
        raise WrongValueError(
            node, "The URL holds a password.", "Send it in `headers`, as Authorization."
        )
    if "?" in text or "#" in text:
        raise WrongValueError(node, "The URL has a query or fragment.", "Leave it out.")
    if re.search(r"[\s\x00-\x20\\]", text):
        raise WrongValueError(node, "The URL has a character that URLs cannot have.", hint)
    try:
        if url.path.strip("/") and canonical_path(url.path.encode()) != url.path.encode():
            raise BadPath
    except BadPath:
        raise WrongValueError(node, "The URL's path is ambiguous.", "Write it plainly.") from None
    return url


def _headers(entry: Entry, reading: Reading) -> tuple[tuple[bytes, bytes], ...]:
    headers: dict[bytes, bytes] = {}
    for name, (key, value) in entry.get("headers", {}).items():
        if value is None:
            continue
        if _OURS.fullmatch(name.lower().replace("_", "-")):
            raise WrongValueError(key, f"The header `{name}` is set by the gateway itself.")
        if name.lower().encode() in headers:
            raise WrongValueError(key, f"The header `{name}` is given twice.")
        if reading.environ is not None and not _HEADER_VALUE.fullmatch(value):
            message = f"The value of `{name}` cannot be sent as a header."
            hint = "It must be one line without spaces around it; look at what ${NAME} holds."
            raise WrongValueError(entry.at.entries["headers"][1], message, hint)
        headers[name.lower().encode()] = value.encode("latin-1", "replace")
    return tuple(headers.items())
