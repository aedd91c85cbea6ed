"""
Run seeds, or tell the story of one.

    python -m tests.simulation --seeds 200 --from 1 --processes 2
    python -m tests.simulation --seed 123 --story
"""

import argparse
import sys
import time

from tests.simulation.run import simulate


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--from", dest="first", type=int, default=1)
    options.add_argument("--seed", type=int)
    options.add_argument("--story", action="store_true")
    asked = options.parse_args()
    if asked.seed is not None:
        outcome = simulate(asked.seed, tell=asked.story)
        print("\n".join(outcome.story))
        print("\n".join(outcome.findings) or "nothing is wrong")
        print(dict(outcome.stats))
        sys.exit(bool(outcome.findings))
    began = time.monotonic()
    for seed in range(asked.first, asked.first + asked.seeds):
        outcome = simulate(seed)
        if outcome.findings:
            print(seed, outcome.findings[:3])
    print(f"{asked.seeds} seeds in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
