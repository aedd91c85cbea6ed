"""`farebox prices`: published, listed, and gone back to, by whoever types it."""

from pathlib import Path

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
