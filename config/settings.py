"""Settings: flags, then the environment, then defaults. Nothing else reads the environment."""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from config.problems import SettingsError
from config.secret import Secret

VARIABLES = {
    "config": "FAREBOX_CONFIG",
    "data": "FAREBOX_DATA",
    "host": "FAREBOX_HOST",
    "port": "FAREBOX_PORT",
    "admin_host": "FAREBOX_ADMIN_HOST",
    "admin_port": "FAREBOX_ADMIN_PORT",
    "workers": "FAREBOX_WORKERS",
    "connections": "FAREBOX_CONNECTIONS",
    "connections_per_address": "FAREBOX_CONNECTIONS_PER_ADDRESS",
    "busy_poll_us": "FAREBOX_BUSY_POLL_US",
    "postgres_url": "FAREBOX_POSTGRES_URL",
    "redis_url": "FAREBOX_REDIS_URL",
    "admin_token": "FAREBOX_ADMIN_TOKEN",
    "public_url": "FAREBOX_PUBLIC_URL",
    "pages_host": "FAREBOX_PAGES_HOST",
    "retention_months": "FAREBOX_RETENTION_MONTHS",
    "head_key_file": "FAREBOX_HEAD_KEY_FILE",
    "smtp_url": "FAREBOX_SMTP_URL",
    "mail_from": "FAREBOX_MAIL_FROM",
    "notice_url": "FAREBOX_NOTICE_URL",
    "notice_secret": "FAREBOX_NOTICE_SECRET",
    "stripe_secret_key": "STRIPE_SECRET_KEY",
    "stripe_webhook_secrets": "STRIPE_WEBHOOK_SECRET",
    "stripe_api_base": "STRIPE_API_BASE",
}
"""Setting -> environment variable. A variable that is set but empty counts as not set."""

_IGNORED = "FAREBOX_TEST_"  # the test suite's own
SHORTEST_TOKEN = 16


def _web_address(text: str) -> str:
    try:
        url = urlsplit(text)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("it must be like https://api.example.com")
    return text.rstrip("/")


def _host(text: str) -> str:
    try:
        url = urlsplit(f"//{text}")
        sound = url.netloc == text and bool(url.hostname) and "@" not in text and url.port != 0
    except ValueError:
        sound = False
    if not sound or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it must be a host like credits.example.com, without http://")
    return text.lower()


def _postgres_address(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("it must be like postgresql://user@host:5432/name")
    return text


def _mail_server(text: str) -> str:
    if not text.startswith(("smtp://", "smtps://")) or not urlsplit(text).hostname:
        raise ValueError("it must be like smtp://user:password@mail.example.com:587")
    return text


def _redis_address(text: str) -> str:
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must be like redis://host:6379/0")
    return text


def _mail_address(text: str) -> str:
    if not parseaddr(text)[1].partition("@")[2]:
        raise ValueError("it must be like Billing <billing@example.com>")
    return text


def _long_secret(text: str) -> Secret:
    if len(text) < SHORTEST_TOKEN:
        raise ValueError(f"it must have at least {SHORTEST_TOKEN} characters")
    return Secret(text)


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(given: object) -> int:
        text = str(given).strip()
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and least <= int(text) <= most):
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return int(text)

    return read


READERS: Mapping[str, Callable[[Any], Any]] = {
    "config": Path,
    "data": Path,
    "port": _number(0, 65_535),
    "admin_port": _number(0, 65_535),
    "workers": _number(1, 256),
    "connections": _number(1, 1_000_000),
    "connections_per_address": _number(1, 1_000_000),
    "busy_poll_us": _number(0, 1_000),
    "postgres_url": _postgres_address,
    "redis_url": _redis_address,
    "admin_token": _long_secret,
    "public_url": _web_address,
    "pages_host": _host,
    "retention_months": _number(1, 1_200),
    "head_key_file": Path,
    "smtp_url": _mail_server,
    "mail_from": _mail_address,
    "notice_url": _web_address,
    "notice_secret": _long_secret,
    "stripe_secret_key": Secret,
    "stripe_webhook_secrets": lambda some: tuple(map(Secret, some)),
    "stripe_api_base": _web_address,
}
"""How what was given becomes a value, or a ValueError that says what it must be; else: as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    All that is decided outside the price file. Showing it shows no secret.

    Database addresses are plain text because their drivers want them so, but they may hold
    passwords: `repr` leaves them out, and nobody logs them.
    """

    config: Path = Path("farebox.yaml")
    data: Path = Path(".farebox")
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    admin_host: str = "127.0.0.1"
    admin_port: int = 8001
    workers: int = 1
    connections: int = 10_000
    """Open ones of clients, for each worker: each takes memory and a file descriptor."""
    connections_per_address: int = 1_000
    """Of these, from one address, so that no caller takes the place of all; see FramingLimits."""
    busy_poll_us: int = 200
    """How long a worker with one request looks again and again for what comes next, where that has
    come so soon lately, before it sleeps; 0: never."""
    postgres_url: str | None = field(default=None, repr=False)
    """None: an embedded one under `data`."""
    redis_url: str | None = field(default=None, repr=False)
    """None: an embedded one under `data`."""
    admin_token: Secret | None = None
    """Of the admin named `root`; None: `serve` makes one under `data`."""
    public_url: str | None = None
    """Where consumers reach this gateway; None: what the request itself says."""
    pages_host: str | None = None
    """A host for the consumer's pages alone, which leads to this gateway too; None: they are on the
    host that the backend is on, and ask for a key again before what lets somebody spend more."""
    retention_months: int | None = None
    """How long single charges are kept; None: for ever. Balances and totals stay in any case."""
    head_key_file: Path | None = None
    """The key that signs heads, the same for all gateways; None: one is made under `data`."""
    smtp_url: str | None = field(default=None, repr=False)
    """Where mail for consumers is handed in; smtps: TLS from the start; None: no mail is sent."""
    mail_from: str | None = None
    """The sender of that mail."""
    notice_url: str | None = None
    """Where the operator's own system takes notices, signed; None: it takes none."""
    notice_secret: Secret | None = None
    """Signs what goes to `notice_url`."""
    stripe_secret_key: Secret | None = None
    stripe_webhook_secrets: tuple[Secret, ...] = ()
    """Several while one is rotated."""
    stripe_api_base: str | None = None
    """Another address than Stripe's, for tests; never with a live key."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `${NAME}` in the price file may name: the environment as it was read."""
    warnings: tuple[str, ...] = ()
    """Sentences about variables that look like ours but are none."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, **flags: Any) -> Self:
        """
        Read the settings: a flag wins over its variable, which wins over the default.

        Args:
            environ: Instead of this process's environment.
            flags: By setting; None stands for a flag that was not given.

        Raises:
            SettingsError: A value cannot be used; the sentence names it and never shows it.
        """
        environ = dict(os.environ if environ is None else environ)
        values: dict[str, Any] = {
            name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)
        }
        if "stripe_webhook_secrets" in values:
            secrets = values["stripe_webhook_secrets"].split(",")
            values["stripe_webhook_secrets"] = tuple(s.strip() for s in secrets if s.strip())
        given = {name: value for name, value in flags.items() if value is not None}
        read, sentences = {}, []
        for name, value in {**values, **given}.items():
            try:
                read[name] = READERS.get(name, str)(value)
            except ValueError as error:
                shown = f"--{name.replace('_', '-')}" if name in given else VARIABLES[name]
                sentences.append(f"{shown} cannot be used: {error}.")
        settings = cls(**read, environ=environ, warnings=_unknown(environ))
        sentences = sentences or settings._at_odds()
        if sentences:
            raise SettingsError(" ".join(sentences))
        return settings

    def _at_odds(self) -> list[str]:
        """Say which of them cannot be together."""
        sentences = []
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else ""
        if key and not key.startswith(("sk_live_", "rk_live_", "sk_test_", "rk_test_")):
            sentences.append(
                "STRIPE_SECRET_KEY cannot be used: it begins with sk_live_, rk_live_, sk_test_ "
                "or rk_test_."
            )
        if self.stripe_api_base and key.startswith(("sk_live_", "rk_live_")):
            sentences.append("STRIPE_API_BASE is for tests and cannot be used with a live key.")
        if self.pages_host and not self.public_url:
            sentences.append("FAREBOX_PAGES_HOST needs FAREBOX_PUBLIC_URL: where the API is.")
        if self.smtp_url and not self.mail_from:
            sentences.append("FAREBOX_SMTP_URL needs FAREBOX_MAIL_FROM: who the mail is from.")
        if self.notice_url and not self.notice_secret:
            sentences.append("FAREBOX_NOTICE_URL needs FAREBOX_NOTICE_SECRET, which signs notices.")
        return sentences


def _unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = set(VARIABLES.values())
    sentences = []
    for name in sorted(environ):
        if not name.startswith("FAREBOX_") or name.startswith(_IGNORED) or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        sentences.append(f"The environment variable {name} is not known and does nothing.{hint}")
    return tuple(sentences)
