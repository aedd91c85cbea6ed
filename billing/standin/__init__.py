"""Plays Stripe on this machine, for trying and testing: honest about rules, without any money."""

from billing.standin.server import StandIn
from billing.standin.world import World

__all__ = ["StandIn", "World"]
