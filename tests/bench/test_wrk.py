"""What is read of wrk's words."""

import pytest

from bench.wrk import Load, read

GOOD = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   635.10us    1.1ms  22.12ms   93.12%
  Latency Distribution
     50%  310.00us
     75%    1.02ms
     90%    2.00ms
     99%    1.50s\x20
  50000 requests in 1.10s, 10.00MB read
Requests/sec:  45454.54
"""
BAD = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 20\n"


def test_a_load_is_read_with_its_units() -> None:
    assert read(GOOD) == Load(50_000, 0, pytest.approx(1.1), pytest.approx(310e-6), 1.5)


def test_broken_connections_and_refusals_are_errors() -> None:
    assert read(GOOD.replace("Requests/sec", f"{BAD}Requests/sec")).errors == 30
