"""
Mail to accounts, handed to the operator's mail server.

`smtps://` is TLS from the start; `smtp://` is upgraded where the server offers it, and a password
is never sent in clear to another machine. The standard library's client blocks, so it works in a
thread.
"""

import asyncio
import re
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from billing.telling.delivery import NotTaken, NowhereToGo, Refused, Told
from billing.telling.letters import write

LIMIT_S = 20.0
"""For each step of the conversation; several are still well within `delivery.LEASE`."""

_USUAL_PORT = {"smtp": 25, "smtps": 465}
_MAILBOX = re.compile(r"[^\s<>@:;,]+@")
_OWN_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


class Mail:
    """Sends notices to the mail addresses of their accounts."""

    def __init__(
        self, url: str, sender: str, pages_url: str, *, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or _USUAL_PORT[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._pages_url = pages_url
        self._tls = tls or ssl.create_default_context()

    async def send(self, told: Told) -> None:
        """
        Send one notice; the server has taken it on return.

        Raises:
            NotTaken: The server is away, busy, or will not let us in.
            Refused: It will never take this mail, or this recipient.
            NowhereToGo: The account has no mail address that can be used.

        """
        message = write(told, sender=self._sender, pages_url=self._pages_url)
        if message is None:
            raise NowhereToGo("the account has no mail address")
        await asyncio.to_thread(self._hand_in, message)

    def _hand_in(self, message: EmailMessage) -> None:
        try:
            with self._connect() as server:
                self._sign_in(server)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            raise _fate(*next(iter(refused.recipients.values()))) from refused
        except smtplib.SMTPDataError as refused:
            raise _fate(refused.smtp_code, refused.smtp_error) from refused
        except smtplib.SMTPNotSupportedError as unable:
            raise Refused(str(unable)) from unable
        except (smtplib.SMTPException, OSError) as away:
            # Also a sender or a password that is refused: the operator can put that right.
            raise NotTaken(str(away) or type(away).__name__) from away

    def _connect(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=LIMIT_S, context=self._tls)
        server = smtplib.SMTP(self._host, self._port, timeout=LIMIT_S)
        try:
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls"):
                server.starttls(context=self._tls)
                server.ehlo()
            elif self._user and self._host not in _OWN_MACHINE:
                raise NotTaken("the server offers no TLS, and the password is not sent in clear")
        except BaseException:
            server.close()
            raise
        return server

    def _sign_in(self, server: smtplib.SMTP) -> None:
        if not self._user:
            return
        try:
            server.login(self._user, self._password)
        except smtplib.SMTPNotSupportedError as unable:
            raise NotTaken(f"the server takes no password: {unable}") from unable


def _fate(code: int, said: bytes | str) -> NotTaken | Refused:
    """Return what an answer of the server means: 5yz is for good, by RFC 5321."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    # Servers repeat whom they refuse, and this is logged and shown: the domain says enough.
    sentence = _MAILBOX.sub("...@", f"{code} {words}")[:500]
    return Refused(sentence) if code >= 500 else NotTaken(sentence)
