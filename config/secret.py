"""Text that is not shown by accident."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A key or token. Showing it shows that there is one."""

    _value: str = field(repr=False)

    def get_secret_value(self) -> str:
        """Return it, for where it is used and not shown."""
        return self._value
