"""From an order to its payment: Checkout, what its session came to, and the credits it gives."""
