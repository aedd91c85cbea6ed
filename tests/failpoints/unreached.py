"""Points at which no scenario dies, by the reason. The name of a module or function means all of it."""

UNREACHED: dict[str, tuple[str, ...]] = {}
