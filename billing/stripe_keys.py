"""What a key for Stripe begins with: it decides whether money is real."""

LIVE_KEYS = ("sk_live_", "rk_live_")
TEST_KEYS = ("sk_test_", "rk_test_")
