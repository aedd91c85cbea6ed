"""What deliveries missed: passes over events, state and books that find and settle it."""
