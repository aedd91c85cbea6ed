"""The demo: seeded once, edited prices kept, ports that are free, a welcome that works."""

import socket
from pathlib import Path

import pytest

from config import Settings, load_price_list
from gateway.data_folder import DataFolder
from gateway.demo.seeding import Seeded
from gateway.demo.show import PRICES, Demo, free_port, price_file, refuse_real_money, welcome
from gateway.serve import Gateway, listening
from gateway.startup import Refused

PACKAGES = {
    "starter": (100, 1_000),
    "professional": (500, 4_500),
    "business": (1_000, 8_000),
    "enterprise": (5_000, 35_000),
}


def test_its_price_file_is_good_and_sells_the_four_packages() -> None:
    prices = load_price_list(PRICES.read_text(), environ={"DEMO_BACKEND": "http://127.0.0.1:9"})
    sold = {name: (p.credits, p.price["usd"]) for name, p in prices.packages.items()}
    assert sold == PACKAGES


def test_its_price_file_lies_in_the_data_folder_and_an_edited_one_stays(tmp_path: Path) -> None:
    path = price_file(DataFolder(tmp_path / "demo"))
    assert path.read_text() == PRICES.read_text()
    path.write_text("edited")
    assert price_file(DataFolder(tmp_path / "demo")).read_text() == "edited"


def test_a_port_that_is_taken_is_not_insisted_on() -> None:
    with listening("127.0.0.1", 0, "--port") as taken:
        assert free_port("127.0.0.1", taken.getsockname()[1]) == 0


def test_a_port_that_is_free_is_taken() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert free_port("127.0.0.1", port) == port


def test_the_welcome_names_the_keys_the_addresses_and_how_to_buy() -> None:
    gateway = Gateway(
        public_url="http://127.0.0.1:8000",
        admin_url="http://127.0.0.1:8001",
        admin_token="not shown",
        admin_token_path=Path("/d/admin-token"),
        postgres_url="",
        redis_url="",
        keeper=None,
    )
    seeded = Seeded("acc_1", "fbx_key", 1_000, 1, "fbx_poor")
    demo = Demo(gateway, "http://b", "http://s", Path("/d/farebox.yaml"), Path("/d"), seeded)
    text = welcome(demo)
    assert 'curl -i http://127.0.0.1:8000/v1/products/B000123456 -H "X-Api-Key: fbx_key"' in text
    assert "acc_1, 1,000 credits" in text
    assert "/d/admin-token" in text
    assert "not shown" not in text
    assert 'curl -i http://127.0.0.1:8000/v1/products/B000123456 -H "X-Api-Key: fbx_poor"' in text
    assert "402, with a `buy` link" in text
    assert "4242 4242 4242 4242" in text
    assert "http://s " in text


def test_the_welcome_does_not_promise_a_402_to_who_has_bought() -> None:
    gateway = Gateway("http://p", "http://a", "t", None, "", "", None)
    seeded = Seeded("acc_1", "fbx_key", 1_000, 99, "fbx_poor")
    text = welcome(Demo(gateway, "http://b", "http://s", Path("/f"), Path("/d"), seeded))
    assert "402, with a `buy` link" not in text


def test_real_money_is_refused() -> None:
    settings = Settings.from_environment({"STRIPE_SECRET_KEY": "sk_live_" + "x" * 24})
    with pytest.raises(Refused, match="no live key"):
        refuse_real_money(settings)


def test_the_keys_are_not_in_what_a_log_would_show() -> None:
    assert "fbx" not in repr(Seeded("acc_1", "fbx_key", 1, 1, "fbx_poor"))
