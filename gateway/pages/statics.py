"""
The style sheet and the script, under addresses that change with their content.

So a browser may keep each for ever, and never has an old one beside a new page.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import Problem

FOLDER = Path(__file__).with_name("static")
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HASH_CHARACTERS = 16

_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
}


class Statics:
    """The files of a folder, read once."""

    def __init__(self, base: Callable[[], str], folder: Path = FOLDER) -> None:
        """Read them; `base` is where the pages lie, like `/farebox`, and may change."""
        self._base = base
        self._files = {
            file.name: (file.read_bytes(), KINDS[file.suffix])
            for file in sorted(folder.iterdir())
            if file.suffix in KINDS
        }
        self._hashes = {
            name: hashlib.sha256(content).hexdigest()[:HASH_CHARACTERS]
            for name, (content, _) in self._files.items()
        }

    def address(self, name: str) -> str:
        """Return where a file is; an unknown name is an error of the template."""
        return f"{self._base()}/static/{self._hashes[name]}/{name}"

    def route(self, path: str) -> Route:
        """Return the route that serves them."""
        return Route(path, self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self._hashes.get(name) != request.path_params["hash"]:
            raise Problem("not-found", "There is no such file; open the page again.")
        content, kind = self._files[name]
        return Response(content, media_type=kind, headers=_HEADERS)
