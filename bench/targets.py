"""What each figure must be, and what it aims at; all within one run, on one machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """
    A figure and its bounds.

    name: as rows of the bench report it.
    unit: how it is shown: `x` a multiple, `%`, `µs`, `ms`, `MB`, `bytes`, or nothing.
    least: the bounds are the least it may be, not the most.
    """

    name: str
    what: str
    must: float
    aim: float
    unit: str = "x"
    least: bool = False

    def verdict(self, value: float | None) -> tuple[str, str]:
        """Say of must and aim whether they are met."""
        if value is None:
            return "not measured", "not measured"
        return self._says(value, self.must), self._says(value, self.aim)

    def _says(self, value: float, bound: float) -> str:
        met = value >= bound if self.least else value <= bound
        return "met" if met else "missed"

    def share(self, value: float) -> float:
        """How much of what it may be it is: up to 1 the must is met."""
        if self.least:
            return self.must / value if value > 0 else float("inf")
        return max(value, 0.0) / self.must if self.must else float(value > 0) * 2

    def shown(self, value: float) -> str:
        """The value with its unit, and as many digits as mean something."""
        if self.unit == "":
            return f"{value:,.0f}"
        size = abs(value)
        digits = 3 if size < 0.1 else 2 if size < 10 else 1 if size < 100 else 0
        return f"{value:,.{digits}f} {self.unit}"

    @property
    def sign(self) -> str:
        return "≥" if self.least else "≤"


TARGETS = (
    Target("cpu nginx+lua", "CPU per request against nginx + Lua + Redis", 1.3, 1.0),
    Target("cpu hello", "CPU per request against raw uvicorn hello", 2.6, 1.9),
    Target("cpu simple", "CPU per request against Starlette, redis-py, httpx", 1 / 25, 1 / 40),
    Target("growth", "growth of CPU per request, 32 to 256 connections", 15, 5, "%"),
    Target("latency", "added median latency, 1 connection, against nginx + Lua's", 1.3, 1.0),
    Target("bytes per charge", "Postgres per charge, indexes included", 400, 250, "bytes"),
    Target("sse first", "SSE, added time to the first byte", 1.0, 0.3, "ms"),
    Target("sse event", "SSE, added time per event", 0.2, 0.05, "ms"),
    Target("posting", "posting against COPY of the same rows", 0.4, 0.6, least=True),
    Target("redis fixed", "Redis CPU per request, fixed price", 12, 10, "µs"),
    Target("redis metered", "Redis CPU per request, metered", 15, 12, "µs"),
    Target("redis fixed ratio", "the same against two bare scripts, fixed price", 0.8, 0.8),
    Target("redis metered ratio", "the same against two bare scripts, metered", 1.0, 1.0),
    Target("memory idle", "memory of an idle worker", 60, 45, "MB"),
    Target("memory growth", "growth of it after a million requests", 5, 1, "MB"),
    Target("unsettled", "holds left unsettled after 10,000 disconnects", 0, 0, ""),
)
"""In the order of the tables."""
