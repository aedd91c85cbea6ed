"""The least that a Python server can do: what uvicorn alone costs."""

from typing import Any

_BODY = b'{"answer": "' + b"x" * 177 + b'"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"191")],
}


async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})
