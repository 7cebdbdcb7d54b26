"""``python -m benchmarks derivation [--json] [--quick]``."""

from __future__ import annotations

import argparse
import json
import os
import platform

from benchmarks import derivation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", choices=["derivation"])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--quick", action="store_true", help="one round of the small depths: for the tests"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    depths, rounds = ((1, 3), 1) if arguments.quick else (derivation.DEPTHS, derivation.ROUNDS)
    rows = derivation.measure(depths, rounds)
    if arguments.json:
        figures = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "rounds": rounds,
            "rows": [row._asdict() for row in rows],
            "sentence": derivation.sentence(rows),
        }
        print(json.dumps(figures, indent=2))
    else:
        print(derivation.table(rows, rounds))


if __name__ == "__main__":
    main()
