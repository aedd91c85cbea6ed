"""`farebox prices`: published, listed, and gone back to, by whoever types it."""

import json
from pathlib import Path

from gateway.commands.group import run
from gateway.commands.session import login
from tests.gateway.commands.conftest import PRICES, Shell

NEW = PRICES.replace("price: 1", "price: 3")
STORED = NEW + "prices: database\n"


def written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def test_publish_writes_the_price_file_too(shell: Shell) -> None:
    written("farebox.yaml", PRICES)

    code, out, err = shell("prices", "publish", written("new.yaml", NEW), "--expected", "1")

    file = Path("farebox.yaml").absolute()
    assert (code, out, err) == (0, f"version 2 is in force, and in {file}", "")
    assert file.read_text() == NEW
    assert shell("prices", "show")[1] == NEW.rstrip("\n")
    again = shell("prices", "publish", "new.yaml")
    assert again[:2] == (0, f"version 2 by command:{login()} has this text already, and in {file}")


def test_publish_and_roll_back_in_the_database_touch_no_file(shell: Shell) -> None:
    written("farebox.yaml", PRICES)

    made = shell.json("prices", "publish", written("new.yaml", STORED))
    shell.json("prices", "publish", written("dearer.yaml", STORED.replace("3", "4")))
    back = shell("prices", "rollback", "2", "--expected", "3")

    assert (made["version"], made["source"], made["home"], made["file"]) == (
        2,
        "admin",
        "database",
        None,
    )
    assert back == (0, "version 4 has the text of version 2", "")
    assert Path("farebox.yaml").read_text() == PRICES
    rows = [row.split() for row in shell("prices", "list")[1].splitlines()]
    assert [row[0] for row in rows[1:]] == ["4", "3", "2", "1"]
    assert rows[1][2:] == ["rollback", f"command:{login()}"]


def test_what_cannot_be_published_is_wrong_use(shell: Shell) -> None:
    written("farebox.yaml", PRICES)

    stale = shell("prices", "publish", written("new.yaml", NEW), "--expected", "7")
    wrong = shell("prices", "publish", written("bad.yaml", NEW.replace("price: 3", "price: -3")))
    absent = shell("prices", "publish", "nowhere.yaml")
    other = shell("prices", "rollback", "9")

    assert stale[0] == wrong[0] == absent[0] == other[0] == 2
    assert "version 1 by test is in force, not 7" in stale[2]
    assert "line 5" in wrong[2]
    assert Path("farebox.yaml").read_text() == PRICES


def test_a_file_with_changes_of_its_own_is_not_written_over(shell: Shell) -> None:
    written("farebox.yaml", PRICES + "# mine\n")

    code, _, err = shell("prices", "publish", written("new.yaml", NEW))

    assert code == 2
    assert "farebox diff live" in err


LIMITED = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes: [{ path: "/*", upstream: api, price: 7 }]
limits: { per_account: { free: { requests: 5, per: month } }, per_key: { quota: { requests: 3, per: day } } }
"""


def test_a_quote_for_an_account_knows_its_allowance_balance_and_caps(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "limited.yaml"
    path.write_text(LIMITED)
    shell("account", "create", "ann")
    shell("account", "create", "bob")
    shell.json("key", "create", "ann")
    shell.json("key", "caps", "key_1", "--type", "credits", "--day", "5")

    def quoted(*words: str, file: Path = path) -> tuple[int, str, str]:
        asked = [*shell.stores, "quote", "GET", "/x", "--config", str(file), *words]
        shell.capsys.readouterr()
        code = run(asked)
        printed = shell.capsys.readouterr()
        return code, printed.out, printed.err

    code, said, _ = quoted("--account", "ann")
    assert (code, said.splitlines()[0].split()) == (0, ["cost", "7", "credits"])
    assert "charged     0: an allowance pays" in said
    assert "left        5 of 5 free requests (account-free-month)" in said
    assert "key-quota" not in said

    code, said, _ = quoted("--account", "ann", "--key", "key_1")
    assert "left        3 of 3 requests (key-quota-day)" in said
    assert "left        5 of 5 credits (cap-day)" in said
    without = tmp_path / "without.yaml"
    without.write_text(LIMITED[: LIMITED.index("limits:")])
    _, said, _ = quoted("--account", "ann", "--key", "key_1", file=without)
    assert "refused     now, with key-cap (cap-day)" in said
    _, said, _ = quoted("--account", "ann", file=without)
    assert "refused     now, with insufficient-credits" in said

    shown = json.loads(quoted("--account", "ann", "--json")[1])
    assert (shown["cost"], shown["price"], shown["price_version"]) == (0, 7, None)
    assert quoted("--account", "bob", "--key", "key_1")[0] == 2
    assert quoted("--account", "ann", "--key", "one")[0] == 2
    assert quoted("--account", "nobody")[0] != 0
    assert quoted("--key", "key_1")[0] == 2
