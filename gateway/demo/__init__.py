"""A small backend to charge for, and what else `farebox demo` needs to show a charged request."""
