"""What Stripe delivers: signatures, the inbox, and the worker that settles what an event names."""
