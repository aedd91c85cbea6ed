"""
Run the layers of the proof, and print what they showed.

    python -m tests.proving                         as for every change
    python -m tests.proving --long                  as for a night
    python -m tests.proving T2 T5                   only these layers
    python -m tests.proving --write docs/safety.md  put the tables into that document

Ends with status 1 if a layer failed; its output is then shown whole, and nothing is written.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.proof import told
from tests.proving.layers import LAYERS, Layer
from tests.proving.table import Ran, in_document, summary

MINUTE_S = 60
LAST_CHARACTERS = 100


def main() -> int:
    asked = _options().parse_args()
    ran = [
        _run(layer, long=asked.long) for layer in LAYERS if layer.name in (asked.layers or _NAMES)
    ]
    print(summary(ran))
    failed = [result.layer.name for result in ran if not result.passed]
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if asked.write:
        asked.write.write_text(
            in_document(asked.write.read_text("utf-8"), ran, long=asked.long), "utf-8"
        )
        print(f"\nWritten to {asked.write}")
    return 0


_NAMES = tuple(layer.name for layer in LAYERS)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.proving")
    options.add_argument(
        "layers", nargs="*", choices=_NAMES, metavar="LAYER", help=", ".join(_NAMES)
    )
    options.add_argument("--long", action="store_true", help="the sizes of a night")
    options.add_argument("--write", type=Path, help="a document with the marks of the tables")
    return options


def _run(layer: Layer, *, long: bool) -> Ran:
    """One layer in processes of its own; what it prints is shown only if it fails."""
    print(f"{layer.name}  {layer.what} ...", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farebox-proof-") as folder:
        proof, said = Path(folder) / "proof.jsonl", Path(folder) / "output"
        size = layer.night if long else layer.change
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *layer.command],
                env=os.environ | size | {"FAREBOX_PROOF": str(proof)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                status = _followed(process, layer, said)
            except BaseException:
                process.terminate()  # it ends its own processes
                process.wait()
                raise
        result = Ran(layer, status == 0, told(proof), round(time.monotonic() - began))
        if not result.passed:
            print(said.read_text("utf-8", "replace"))
    print(
        f"{layer.name}  {'passed' if result.passed else 'FAILED'} in {result.seconds} s", flush=True
    )
    return result


def _followed(process: subprocess.Popen[bytes], layer: Layer, said: Path) -> int:
    """Wait for its end, and say each minute how far it is: its last line."""
    minutes = 0
    while True:
        try:
            return process.wait(MINUTE_S)
        except subprocess.TimeoutExpired:
            minutes += 1
            lines = said.read_text("utf-8", "replace").split()
            last = " ".join(lines[-12:])
            print(f"{layer.name}  {minutes} min  {last[-LAST_CHARACTERS:]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
