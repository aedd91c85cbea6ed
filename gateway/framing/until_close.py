"""Answers to HTTP/1.0, which knows no chunks: a body of unknown length ends with the connection."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class UntilClose:
    """
    Stands before uvicorn's sending, which would send chunks to any client.

    Attributes:
        endless: The head has told no length: only the end of the connection ends the body.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        """Take the place of the cycle's `send`, for its one answer."""
        self.endless = False
        self._cycle = cycle
        self._send = cycle.send
        cycle.send = self.send  # type: ignore[method-assign]

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        if message["type"] == "http.response.start":
            self.endless = all(name != b"content-length" for name, _ in message["headers"])
            if self.endless:
                self._cycle.chunked_encoding = False
        elif self.endless:
            # uvicorn counts down to an announced end; here each piece is as long as it is.
            self._cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)
