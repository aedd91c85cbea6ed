from pathlib import Path

import pytest

from config import Settings, SettingsError

LIVE = "sk_" + "live_" + "x" * 20


def test_a_flag_wins_over_its_variable_which_wins_over_the_default() -> None:
    environ = {"FAREBOX_PORT": "9001", "FAREBOX_DATA": "/var/lib/farebox"}
    settings = Settings.from_environment(environ, port=9002, host=None)
    assert (settings.port, settings.data, settings.host) == (
        9002,
        Path("/var/lib/farebox"),
        "127.0.0.1",
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environment({"FAREBOX_PORT": ""}).port == 8000


def test_secrets_are_not_shown() -> None:
    settings = Settings.from_environment(
        {
            "FAREBOX_ADMIN_TOKEN": "token-hunter2-long",
            "FAREBOX_POSTGRES_URL": "postgresql://u:hunter2@h/d",
            "FAREBOX_REDIS_URL": "redis://:hunter2@h",
            "STRIPE_SECRET_KEY": "sk_test_hunter2",
            "STRIPE_WEBHOOK_SECRET": "whsec_hunter2, whsec_hunter22",
        }
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert [s.get_secret_value() for s in settings.stripe_webhook_secrets] == [
        "whsec_hunter2",
        "whsec_hunter22",
    ]
    assert settings.postgres_url == "postgresql://u:hunter2@h/d"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FAREBOX_PORT", "x"),
        ("FAREBOX_PORT", "65536"),
        ("FAREBOX_WORKERS", "0"),
        ("FAREBOX_POSTGRES_URL", "mysql://hunter2"),
        ("FAREBOX_REDIS_URL", "http://hunter2"),
        ("FAREBOX_PUBLIC_URL", "hunter2"),
        ("FAREBOX_ADMIN_TOKEN", "hunter2"),
        ("STRIPE_API_BASE", "hunter2"),
        ("STRIPE_SECRET_KEY", "pk_test_hunter2"),
        ("STRIPE_SECRET_KEY", " sk_test_hunter2"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name_and_not_shown(
    variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment({variable: value})
    assert variable in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    with pytest.raises(SettingsError, match="--admin-port"):
        Settings.from_environment({}, admin_port=-1)


def test_a_live_key_never_goes_to_another_address() -> None:
    environ = {"STRIPE_SECRET_KEY": LIVE, "STRIPE_API_BASE": "http://127.0.0.1:1"}
    with pytest.raises(SettingsError, match="live key") as refused:
        Settings.from_environment(environ)
    assert LIVE not in str(refused.value)


def test_unknown_variables_of_ours_are_warned_of() -> None:
    environ = {"FAREBOX_CONFG": "x", "FAREBOX_TEST_POSTGRES_URL": "x", "OTHER": "x"}
    warnings = Settings.from_environment(environ).warnings
    assert len(warnings) == 1
    assert "FAREBOX_CONFG" in warnings[0]
    assert "FAREBOX_CONFIG?" in warnings[0]


def test_the_process_environment_is_read_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAREBOX_PORT", "8123")
    settings = Settings.from_environment()
    assert settings.port == 8123
    assert settings.environ["FAREBOX_PORT"] == "8123"


def test_the_pages_host_is_a_host_in_lower_case() -> None:
    address = {"FAREBOX_PUBLIC_URL": "https://api.example.com"}
    read = Settings.from_environment({**address, "FAREBOX_PAGES_HOST": "Credits.Example.com:8443"})
    assert read.pages_host == "credits.example.com:8443"


@pytest.mark.parametrize(
    "wrong",
    ["https://credits.example.com", "a/b", "a b", "user@a", ":80", "a:x", "a:0", "é.example"],
)
def test_a_pages_host_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="without http://"):
        Settings.from_environment({"FAREBOX_PAGES_HOST": wrong})


def test_pages_on_a_host_of_their_own_need_to_know_where_the_api_is() -> None:
    with pytest.raises(SettingsError, match="needs FAREBOX_PUBLIC_URL"):
        Settings.from_environment({"FAREBOX_PAGES_HOST": "credits.example.com"})
