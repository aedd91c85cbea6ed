"""gateway/selling_sentences.py: what the operator is told of selling."""

from config import Settings
from gateway.selling_sentences import selling_sentences

TEST_KEY, LIVE_KEY = "sk_test_" + "x" * 24, "sk_live_" + "x" * 24


def said(**environ: str) -> list[str]:
    return selling_sentences(Settings.from_environment(environ))


def test_without_a_key_it_says_that_nothing_can_be_bought() -> None:
    assert said() == ["Nothing can be bought: STRIPE_SECRET_KEY is not set"]


def test_a_key_says_whether_money_is_real() -> None:
    hook = {"STRIPE_WEBHOOK_SECRET": "whsec_1", "FAREBOX_PUBLIC_URL": "https://api.example.com"}
    assert said(STRIPE_SECRET_KEY=TEST_KEY, **hook) == ["selling in test mode: no money moves"]
    assert said(STRIPE_SECRET_KEY=LIVE_KEY, **hook) == ["selling for real money"]


def test_a_stand_in_and_a_missing_secret_are_named_and_no_secret_is_shown() -> None:
    sentences = said(STRIPE_SECRET_KEY=TEST_KEY, STRIPE_API_BASE="http://127.0.0.1:8002")

    assert sentences[1] == "Stripe's stand-in at http://127.0.0.1:8002 takes Stripe's place"
    assert "STRIPE_WEBHOOK_SECRET is not set" in sentences[2]
    assert TEST_KEY not in " ".join(sentences)


def test_buyers_who_could_not_come_back_safely_are_warned_of() -> None:
    selling = {"STRIPE_SECRET_KEY": TEST_KEY, "STRIPE_WEBHOOK_SECRET": "whsec_1"}

    assert "FAREBOX_PUBLIC_URL is not set" in said(**selling)[1]
    assert "is not https" in said(**selling, FAREBOX_PUBLIC_URL="http://api.example.com")[1]
