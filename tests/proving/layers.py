"""The layers of the proof: what each runs, at the size of every change and at that of a night."""

from dataclasses import dataclass

PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
"""After the interpreter. One process: what is shared are two cores, and each row has its own servers."""

REDIS_LOSS = (
    "ledger_redis_loss",
    "append_only_cuts",
    "redis_failover",
    "redis_full",
    "redis_loss_bounds",
    "strict",
)


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


_CALLS = {"FAREBOX_LIMITED_CALLS": "500", "FAREBOX_REPEATS": "500"}

LAYERS = (
    Layer(
        "T1",
        "The ledger in a played world",
        ("-m", "tests.simulation"),
        {"FAREBOX_SEEDS": "20000", "FAREBOX_MINUTES": "20"},
        {"FAREBOX_SEEDS": "1000000", "FAREBOX_MINUTES": "480"},
    ),
    Layer(
        "T1m",
        "The same with one mechanism removed at a time",
        ("-m", "tests.simulation", "--mutants"),
        {"FAREBOX_SEEDS": "300", "FAREBOX_MINUTES": "20"},
        {"FAREBOX_SEEDS": "20000", "FAREBOX_MINUTES": "240"},
    ),
    Layer(
        "T2",
        "The scripts on a real server against a model",
        (*PYTEST, "tests/ledger/test_lua_model.py", "tests/ledger/test_lua_hostile.py"),
        {"FAREBOX_EXAMPLES": "300", "FAREBOX_STEPS": "100"},
        {"FAREBOX_EXAMPLES": "5000", "FAREBOX_STEPS": "200"},
    ),
    Layer(
        "T3",
        "Killed before and after every wait",
        (*PYTEST, "tests/failpoints"),
        {"FAREBOX_POINTS": "all"},
        {"FAREBOX_POINTS": "all", "FAREBOX_REPEATS": "20"},
    ),
    Layer(
        "T4",
        "Chaos on real processes",
        ("-m", "tests.chaos"),
        {"FAREBOX_FAULTS": "200", "FAREBOX_REQUESTS": "50000"},
        {
            "FAREBOX_FAULTS": "2000",
            "FAREBOX_REQUESTS": "1000000",
            "FAREBOX_GATEWAYS": "3",
            "FAREBOX_LONGEST": "120",
        },
    ),
    Layer(
        "T5",
        "Redis loses what it had",
        (*PYTEST, *(f"tests/flows/test_{name}.py" for name in REDIS_LOSS)),
        {"FAREBOX_ROUNDS": "20", "FAREBOX_CUTS": "50", "FAREBOX_STRICT_ROUNDS": "5"},
        {"FAREBOX_ROUNDS": "100", "FAREBOX_CUTS": "0", "FAREBOX_STRICT_ROUNDS": "50"},
    ),
    Layer(
        "T6",
        "Many at once",
        (
            *PYTEST,
            "tests/flows/test_ledger_races.py",
            "tests/flows/test_process_races.py",
            "tests/flows/test_payment_races.py",
            "tests/flows/test_limits.py",
            "tests/flows/test_idempotency.py",
            "tests/flows/test_idempotency_property.py",
        ),
        _races(100) | _CALLS | {"FAREBOX_EXAMPLES": "150"},
        _races(2_000) | _CALLS | {"FAREBOX_EXAMPLES": "2000"},
    ),
    Layer(
        "attacks",
        "Hostile requests: what the backend saw is what was charged",
        (*PYTEST, "tests/attacks/test_echo_fuzz.py"),
        {"FAREBOX_EXAMPLES": "1000"},
        {"FAREBOX_EXAMPLES": "20000"},
    ),
)
