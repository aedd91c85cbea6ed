"""gateway/commands: each prints what it promises, and says in its exit code how it went."""

import asyncio
from pathlib import Path

import pytest

from billing.migrations import components
from gateway.stores import EmbeddedRedis
from ledger.database import Database
from ledger.migrations import migrate
from ledger.pusher import Pusher
from tests.gateway.commands.conftest import PRICES, Shell


def account(shell: Shell, *words: str) -> str:
    code, out, err = shell("account", "create", *words)
    assert code == 0, err
    return out


def test_account_create_prints_the_id(shell: Shell) -> None:
    made = account(shell, "ann", "--name", "Ann", "--email", "ann@example.com", "--plan", "gold")

    shown = shell.json("account", "show", "ann")
    assert (shown["id"], shown["name"], shown["plan"]) == (made, "Ann", "gold")
    assert shell("account", "show", made)[1].splitlines()[0].split() == ["id", made]


def test_account_list_searches(shell: Shell) -> None:
    made = account(shell, "ann")
    account(shell, "bob")

    assert [row["id"] for row in shell.json("account", "list", "ann")["items"]] == [made]
    assert len(shell("account", "list")[1].splitlines()) == 3


def test_a_page_of_accounts_names_the_next(shell: Shell) -> None:
    account(shell, "ann")
    second = account(shell, "bob")

    _, _, aside = shell("account", "list", "--limit", "1")
    cursor = aside.partition("--cursor ")[2]
    rows = shell.json("account", "list", "--limit", "1", "--cursor", cursor)["items"]

    assert [row["id"] for row in rows] == [second]


def test_account_freeze_and_thaw_are_in_force_when_they_return(shell: Shell) -> None:
    made = account(shell)

    assert shell("account", "freeze", made, "--reason", "a dispute") == (0, f"{made} is frozen", "")
    assert shell.json("account", "thaw", made, "--reason", "settled")["applied"]
    assert shell("account", "freeze", made)[0] == 2


def test_key_create_prints_the_key_once(shell: Shell) -> None:
    made = account(shell)

    code, key, aside = shell("key", "create", made, "--name", "first", "--scope", "manage")
    code_listed, listed, _ = shell("key", "list", made)

    assert (code, code_listed) == (0, 0)
    assert key.startswith("fbx_")
    assert "only time" in aside
    assert key not in listed
    assert key[:12] in listed


def test_key_caps_are_set_and_lifted(shell: Shell) -> None:
    _, made, _ = shell("account", "create", "capped")
    key = shell.json("key", "create", made)["id"]
    caps = ("key", "caps", key, "--type", "credits")

    code, said, why = shell(*caps, "--day", "5", "--total", "100")
    assert (code, said, why) == (0, f"{key} may spend 5 credits per day, 100 credits in total", "")
    assert shell(*caps)[1] == f"{key} may spend what its account has"
    assert shell(*caps, "--day", "1.5")[0] == 2


def test_key_rotate_and_revoke(shell: Shell) -> None:
    made = account(shell)
    first = shell.json("key", "create", made)

    second = shell.json("key", "rotate", first["id"], "--overlap", "0")
    assert second["replaces"] == first["id"]
    assert shell("key", "revoke", second["id"])[1] == f"{second['id']} is revoked"
    statuses = [row["status"] for row in shell.json("key", "list", made)["items"]]
    assert statuses == ["revoked", "revoked"]


def test_admin_create_prints_the_token(shell: Shell) -> None:
    code, token, aside = shell("admin", "create", "Bea")

    assert (code, "only time" in aside) == (0, True)
    assert len(token) > 30
    assert shell("admin", "create", "Bea") == (2, "", "farebox: there is an admin Bea")


def test_grant_takes_decimals_of_the_type(shell: Shell) -> None:
    made = account(shell)

    given = shell.json("grant", made, "12.50", "--type", "calling", "--reference", "r1")
    again = shell.json("grant", made, "12.50", "--type", "calling", "--reference", "r1")

    assert (given["amount"], given["applied"], given["repeated"]) == (1250, True, False)
    assert (again["id"], again["repeated"]) == (given["id"], True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("12.505", "--type", "calling"), "decimal"),
        (("5",), "credit_type"),
        (("0", "--type", "credits"), "amount"),
        (("-5", "--type", "credits"), ""),
        (("many", "--type", "credits"), "amount"),
        (("5", "--type", "gold"), "must be one of credits, calling"),
        (("5", "--type", "credits", "--expires", "soon"), "is no time"),
        (("5", "--type", "credits", "--expires", "2000-01-01"), "expires_at"),
    ],
)
def test_a_wrong_grant_is_one_line_and_exit_code_2(shell: Shell, words, said) -> None:
    made = account(shell)

    code, out, err = shell("grant", made, *words)

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert said in err


def test_grants_import_reads_a_file_and_may_be_run_again(shell: Shell, tmp_path: Path) -> None:
    made = account(shell, "ann")
    file = tmp_path / "may.csv"
    file.write_text(
        "account,amount,reference,credit_type\nann,5,r1,credits\n" + f"{made},2.5,r2,calling\n"
    )

    first = shell.json("grants", "import", str(file))
    second = shell.json("grants", "import", str(file))
    file.write_text("account,amount,reference,credit_type\nnobody,5,r1,credits\n")
    code, out, _ = shell("grants", "import", str(file))

    assert (first["granted"], second["granted"], second["repeated"]) == (2, 0, 2)
    assert code == 1
    assert "no account nobody" in out


def test_adjust_takes_signed_amounts(shell: Shell) -> None:
    made = account(shell)
    shell.json("grant", made, "5", "--type", "credits")

    taken = shell.json("adjust", made, "-2", "--type", "credits", "--reason", "counted twice")
    given = shell.json("adjust", made, "+1", "--type", "credits", "--reason", "for the trouble")

    assert (taken["amount"], given["amount"]) == (-2, 1)
    assert shell("adjust", made, "5", "--type", "credits")[0] == 2


def test_what_is_not_there_is_one_line_and_exit_code_2(shell: Shell) -> None:
    for words in (
        ("account", "show", "nobody"),
        ("key", "create", "nobody"),
        ("key", "revoke", "key_7"),
        ("key", "revoke", "fbx_secret"),
        ("grant", "nobody", "5", "--type", "credits"),
        ("refund", "0" * 24),
        ("refund", "zz"),
        ("prices", "show", "7"),
    ):
        code, out, err = shell(*words)
        assert (code, out, len(err.splitlines())) == (2, "", 1), words


def test_verify_and_reconcile_are_clean(shell: Shell) -> None:
    made = account(shell)
    shell.json("grant", made, "5", "--type", "credits")

    assert shell("verify") == (0, "clean", "")
    assert shell.json("reconcile") == {"clean": True, "findings": []}


def test_prices_are_listed_shown_and_rolled_back(shell: Shell) -> None:
    assert [row["version"] for row in shell.json("prices", "list")["items"]] == [1]
    assert shell("prices", "show")[1] == PRICES.rstrip("\n")
    assert shell("prices", "rollback", "1")[0] == 0


def test_options_may_stand_before_or_after_the_command(shell: Shell) -> None:
    made = account(shell)

    from gateway.commands.group import run

    assert run([*shell.stores, "account", "show", made, "--json"]) == 0


def test_pending_is_said_with_exit_code_1(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    made = account(shell)
    monkeypatch.setattr(Pusher.push, "__defaults__", (0.0,))
    down = Shell(
        ("--postgres-url", shell.postgres_url, "--redis-url", "redis://127.0.0.1:1/0"),
        shell.capsys,
        shell.postgres_url,
    )

    code, out, _ = down("grant", made, "5", "--type", "credits")

    assert code == 1
    assert "pending" in out


def test_no_store_is_one_line_that_names_it(shell: Shell) -> None:
    nowhere = ("--postgres-url", "postgresql://farebox@127.0.0.1:1/x", *shell.stores[2:])
    down = Shell(nowhere, shell.capsys, shell.postgres_url)

    code, out, err = down("account", "list")

    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "Postgres" in err


def test_a_stopped_redis_is_one_line_and_exit_code_1(
    shell: Shell, command_redis: EmbeddedRedis
) -> None:
    stores = ("--postgres-url", shell.postgres_url, "--redis-url", "unix:///nowhere/redis.sock")
    nowhere = Shell(stores, shell.capsys, shell.postgres_url)

    code, _, err = nowhere("reconcile")

    assert (code, err.count("\n")) == (1, 0)
    assert err.startswith("farebox: Redis does not answer")
    assert "run it again" in err


def test_an_account_is_found_by_its_id(shell: Shell) -> None:
    made = account(shell, "ann")
    account(shell, "bob")

    assert [row["id"] for row in shell.json("account", "list", made)["items"]] == [made]


def test_a_key_is_renamed(shell: Shell) -> None:
    made = shell.json("key", "create", account(shell), "--name", "first")
    renamed = shell.json("key", "rename", made["id"], "second")
    assert (renamed["id"], renamed["name"]) == (made["id"], "second")
    assert shell("key", "rename", "key_99999", "x")[0] == 2


def test_a_key_that_has_ended_says_so_and_is_not_rotated(shell: Shell) -> None:
    made = account(shell)
    first = shell.json("key", "create", made)
    asyncio.run(ended(shell.postgres_url, first["id"]))

    [row] = shell.json("key", "list", made)["items"]
    code, _, err = shell("key", "rotate", first["id"])

    assert row["status"] == "expired"
    assert (code, err) == (2, f"farebox: {first['id']} has expired: create another")


async def ended(postgres_url: str, key: str) -> None:
    """Let a key's time be over."""
    database = await Database.connect(postgres_url, most=1)
    async with database.connection() as connection:
        await connection.execute("UPDATE api_keys SET expires_ms = 1 WHERE id = $1", int(key[4:]))
    await database.close()


def test_admins_are_listed_and_revoked(shell: Shell) -> None:
    shell("admin", "create", "Bea")

    assert shell("admin", "revoke", "Bea") == (0, "Bea is revoked", "")
    [row] = shell.json("admin", "list")["items"]
    assert row["revoked_at"] is not None
    assert shell("admin", "list")[1].splitlines()[1].split()[:2] == ["Bea", "revoked"]


def test_a_sign_in_link_is_printed(shell: Shell) -> None:
    account(shell, "ann")

    code, link, aside = shell("account", "sign-in", "ann", "--pages-url", "https://api.example/fb")

    assert (code, "once" in aside) == (0, True)
    assert link.startswith("https://api.example/fb/sign-in?token=")
    assert shell("account", "sign-in", "ann")[0] == 2


def test_a_group_without_a_command_prints_its_help(shell: Shell) -> None:
    code, out, err = shell_words("account", shell)

    assert (code, out) == (2, "")
    assert err.startswith("Usage: farebox account")


def shell_words(word: str, shell: Shell) -> tuple[int, str, str]:
    """Run a word alone: groups take no options of the stores."""
    return Shell((), shell.capsys, shell.postgres_url)(word)


@pytest.fixture
def new_shell(empty_database_url: str, command_redis: EmbeddedRedis, shell: Shell) -> Shell:
    """A shell on stores that no serve has used."""
    asyncio.run(migrate(empty_database_url, components=components()))
    stores = ("--postgres-url", empty_database_url, "--redis-url", command_redis.url)
    return Shell(stores, shell.capsys, empty_database_url)


def test_before_the_first_serve_the_price_file_names_the_credit_types(
    new_shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "farebox.yaml").write_text(PRICES.replace("credits: { scale: 0 }, ", ""))
    account(new_shell, "ann")

    made = new_shell.json("grant", "ann", "12.50")

    assert (made["credit_type"], made["amount"], made["applied"]) == ("calling", 1250, True)


def test_a_price_file_without_types_means_whole_credits(new_shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "farebox.yaml").write_text(
        PRICES.replace("credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }", "")
    )
    (tmp_path / "grants.csv").write_text("account,amount,reference\nann,5,r1\n")
    account(new_shell, "ann")

    assert new_shell.json("grants", "import", str(tmp_path / "grants.csv"))["granted"] == 1
    assert new_shell("adjust", "ann", "-1", "--reason", "a test")[0] == 0


def test_without_a_price_file_no_scale_is_guessed(new_shell: Shell) -> None:
    account(new_shell, "ann")

    code, _, err = new_shell("grant", "ann", "5")

    assert code == 2
    assert err == (
        "farebox: there is no credit type yet: run this beside the price file, "
        "name it with FAREBOX_CONFIG, or start farebox serve once"
    )


def test_a_wrong_price_file_is_said_and_nothing_is_registered(
    new_shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "farebox.yaml").write_text("version: 2\n")
    account(new_shell, "ann")

    code, _, err = new_shell("grant", "ann", "5")

    assert (code, err.count("\n")) == (2, 0)
    assert "see `farebox check farebox.yaml`" in err


@pytest.mark.parametrize(("to", "said"), [(1, "older"), (None, "newer")])
def test_a_database_of_another_release_is_said_so(
    empty_database_url: str, shell: Shell, to: int | None, said: str
) -> None:
    asyncio.run(migrated(empty_database_url, to))
    stores = ("--postgres-url", empty_database_url, "--redis-url", "redis://127.0.0.1:1")

    code, _, err = Shell(stores, shell.capsys, empty_database_url)("account", "list")

    assert (code, err.count("\n")) == (2, 0)
    assert f"the database's schema is {said} than this release" in err


async def migrated(url: str, to: int | None) -> None:
    """Bring a database to a number, or past all that this release knows."""
    if to is None:
        await migrate(url, components=components())
    else:
        await migrate(url, to)
    if to is None:
        database = await Database.connect(url, most=1)
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO farebox_migrations (component, number, name, sha256)"
                " SELECT component, 99, 'later', sha256 FROM farebox_migrations LIMIT 1"
            )
        await database.close()


def test_migrate_and_backup_answer_in_json(shell: Shell, tmp_path: Path) -> None:
    kept = tmp_path / "kept.dump"

    assert shell.json("migrate") == {"steps": []}
    assert shell.json("backup", str(kept)) == {
        "file": str(kept), "size_bytes": kept.stat().st_size,
    }  # fmt: skip


def test_a_backup_that_cannot_be_written_is_one_line(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("backup", str(tmp_path / "nowhere" / "kept.dump"))

    assert (code, err.count("\n")) == (2, 0)
    assert "No such file or directory" in err
