"""The layers of the proof: what each runs, at the size of every change and at that of a night."""

from dataclasses import dataclass

PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
"""After the interpreter. One process: what is shared are two cores, and each row has its own servers."""


@dataclass(frozen=True)
class Layer:
    """One way to look for a loss of money."""

    name: str
    what: str
    command: tuple[str, ...]
    change: dict[str, str]
    night: dict[str, str]


def _races(rounds: int) -> dict[str, str]:
    return {"FAREBOX_ROUNDS": str(rounds)}


LAYERS = (
    Layer(
        "T2",
        "The scripts on a real server against a model",
        (*PYTEST, "tests/ledger/test_lua_model.py"),
        {"FAREBOX_EXAMPLES": "300", "FAREBOX_STEPS": "100"},
        {"FAREBOX_EXAMPLES": "5000", "FAREBOX_STEPS": "200"},
    ),
    Layer(
        "T5",
        "Redis loses what it had",
        (*PYTEST, "tests/flows/test_ledger_redis_loss.py"),
        _races(20),
        _races(100),
    ),
    Layer(
        "T6",
        "Many at once",
        (*PYTEST, "tests/flows/test_ledger_races.py"),
        _races(100),
        _races(2_000),
    ),
    Layer(
        "attacks",
        "Hostile requests: what the backend saw is what was charged",
        (*PYTEST, "tests/attacks/test_echo_fuzz.py"),
        {"FAREBOX_EXAMPLES": "1000"},
        {"FAREBOX_EXAMPLES": "20000"},
    ),
)
