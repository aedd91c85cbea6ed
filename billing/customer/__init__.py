"""An account's customer at Stripe, its saved cards and its portal."""
