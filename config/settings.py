"""Settings: flags, then the environment, then defaults. Nothing else reads the environment."""

import difflib
import os
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from config.problems import SettingsError

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
    "postgres_url": "FAREBOX_POSTGRES_URL",
    "redis_url": "FAREBOX_REDIS_URL",
    "admin_token": "FAREBOX_ADMIN_TOKEN",
    "public_url": "FAREBOX_PUBLIC_URL",
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


def _long_enough(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"it must have at least {SHORTEST_TOKEN} characters")
    return token


WebAddress = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """
    All that is decided outside the price file. Showing it shows no secret.

    Database addresses are plain text because their drivers want them so, but they may hold
    passwords: `repr` leaves them out, and nobody logs them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    config: Path = Path("farebox.yaml")
    data: Path = Path(".farebox")
    host: str = "127.0.0.1"
    port: Port = 8000
    """0 takes any free one."""
    admin_host: str = "127.0.0.1"
    admin_port: Port = 8001
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Open ones of clients, for each worker: each takes memory and a file descriptor."""
    connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    """Of these, from one address, so that no caller takes the place of all; see FramingLimits."""
    postgres_url: Annotated[str, AfterValidator(_postgres_address)] | None = Field(None, repr=False)
    """None: an embedded one under `data`."""
    redis_url: Annotated[str, AfterValidator(_redis_address)] | None = Field(None, repr=False)
    """None: an embedded one under `data`."""
    admin_token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """Of the admin named `root`; None: `serve` makes one under `data`."""
    public_url: WebAddress | None = None
    """Where consumers reach this gateway; None: what the request itself says."""
    retention_months: Annotated[int, Field(ge=1, le=1_200)] | None = None
    """How long single charges are kept; None: for ever. Balances and totals stay in any case."""
    head_key_file: Path | None = None
    """The key that signs heads, the same for all gateways; None: one is made under `data`."""
    smtp_url: Annotated[str, AfterValidator(_mail_server)] | None = Field(None, repr=False)
    """Where mail for consumers is handed in; smtps: TLS from the start; None: no mail is sent."""
    mail_from: Annotated[str, AfterValidator(_mail_address)] | None = None
    """The sender of that mail."""
    notice_url: WebAddress | None = None
    """Where the operator's own system takes notices, signed; None: it takes none."""
    notice_secret: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """Signs what goes to `notice_url`."""
    stripe_secret_key: SecretStr | None = None
    stripe_webhook_secrets: tuple[SecretStr, ...] = ()
    """Several while one is rotated."""
    stripe_api_base: WebAddress | None = None
    """Another address than Stripe's, for tests; never with a live key."""

    _environ: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _keys_are_stripes_and_live_ones_go_there(self) -> Self:
        key = self.stripe_secret_key.get_secret_value() if self.stripe_secret_key else ""
        if key and not key.startswith(("sk_live_", "rk_live_", "sk_test_", "rk_test_")):
            raise ValueError(
                "STRIPE_SECRET_KEY cannot be used: it begins with sk_live_, rk_live_, sk_test_ "
                "or rk_test_"
            )
        if self.stripe_api_base and key.startswith(("sk_live_", "rk_live_")):
            raise ValueError("STRIPE_API_BASE is for tests and cannot be used with a live key")
        return self

    @model_validator(mode="after")
    def _an_end_is_whole(self) -> Self:
        if self.smtp_url and not self.mail_from:
            raise ValueError("FAREBOX_SMTP_URL needs FAREBOX_MAIL_FROM: who the mail is from")
        if self.notice_url and not self.notice_secret:
            raise ValueError("FAREBOX_NOTICE_URL needs FAREBOX_NOTICE_SECRET, which signs notices")
        return self

    @property
    def environ(self) -> Mapping[str, str]:
        """What `${NAME}` in the price file may name: the environment as it was read."""
        return self._environ

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about variables that look like ours but are none."""
        return self._warnings

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
        try:
            settings = cls(**{**values, **given})
        except ValidationError as error:
            raise SettingsError(_sentences(error, given)) from None
        settings._environ = environ
        settings._warnings = _unknown(environ)
        return settings


def _sentences(error: ValidationError, given: Mapping[str, Any]) -> str:
    sentences = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        said = problem["msg"].removeprefix("Value error, ")
        if not name:
            sentences.append(f"{said}.")
            continue
        shown = f"--{name.replace('_', '-')}" if name in given else VARIABLES.get(name, name)
        sentences.append(f"{shown} cannot be used: {said[0].lower()}{said[1:]}.")
    return " ".join(sentences)


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
