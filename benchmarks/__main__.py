"""``python -m benchmarks {derivation,gradient,hessian,auto,solve} [--json] [--quick] ...``."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import solve
from benchmarks.peers import GRADIENTS, HESSIANS
from benchmarks.timing import SHORTEST
from benchmarks.workloads import ACTIVATIONS, DTYPES, WORKLOADS

SMALL = {"workload": ["tiny"], "dtype": ["float64"], "rounds": 2}
FULL = {
    "gradient": {"workload": None, "dtype": None, "rounds": 15},
    "hessian": {"workload": ["medium", "deep"], "dtype": None, "rounds": 15},
    "auto": {"workload": None, "dtype": None, "rounds": 7},
}


def main() -> None:
    arguments = _parser().parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.what == "derivation":
        _derivation(arguments)
    elif arguments.what == "auto":
        _auto(arguments)
    elif arguments.what == "solve":
        solve.main(arguments)
    else:
        _comparison(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    suites = parser.add_subparsers(dest="what", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the figures as JSON")
    common.add_argument("--quick", action="store_true", help="few rounds of the smallest")
    suites.add_parser(
        "derivation", parents=[common], help="what deriving and generating cost at each depth"
    )
    solve.add_to(suites, [common])
    for name, text, peers in (
        ("gradient", "a loss and its gradient, against other packages", GRADIENTS),
        ("hessian", "products with the Hessian, against other packages", HESSIANS),
    ):
        suite = suites.add_parser(name, parents=[common], help=text, description=text)
        _add_cases(suite)
        _several(suite, "--peers", "packages to compare with, or none", list(peers), nargs="*")
        suite.add_argument("--all", action="store_true", help="also peers that compile for long")
    text = 'all targets against the one that target="auto" takes'
    auto = suites.add_parser("auto", parents=[common], help=text, description=text)
    _add_cases(auto)
    auto.add_argument(
        "--fit", action="store_true", help="print the costs that these times give each target"
    )
    return parser


def _several(
    parser: argparse.ArgumentParser, option: str, what: str, choices: Iterable[str], nargs: str
) -> None:
    """An option with several values, which can be given several times."""
    text = f"{what}: {', '.join(choices)}"
    parser.add_argument(
        option, nargs=nargs, action="extend", choices=list(choices), metavar="NAME", help=text
    )


def _add_cases(parser: argparse.ArgumentParser) -> None:
    """What is measured, and how often."""
    _several(parser, "--workload", "networks", WORKLOADS, nargs="+")
    _several(parser, "--dtype", "floating types", DTYPES, nargs="+")
    several = "of the hidden layers, or softmax after tanh"
    _several(parser, "--activation", several, ACTIVATIONS, nargs="+")
    parser.add_argument(
        "--targets", nargs="+", action="extend", metavar="NAME", help="of the generated code"
    )
    parser.add_argument(
        "--threads",
        nargs="+",
        action="extend",
        type=_positive,
        metavar="N",
        help="how many, in a process for each number",
    )
    parser.add_argument("--rounds", type=_positive, metavar="N", help="timings of each contender")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write results.json, table.md and plot.png there; figures of earlier runs are kept",
    )


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _derivation(arguments: argparse.Namespace) -> None:
    from benchmarks import derivation

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


def _comparison(arguments: argparse.Namespace) -> None:
    from benchmarks import table

    figures = _measured(arguments, arguments.what, arguments.peers, arguments.all)
    figures["geometric_mean"] = table.geometric_means(figures["results"])
    if arguments.output:
        table.write(figures, arguments.output)
    print(json.dumps(figures, indent=2) if arguments.json else table.markdown(figures))


def _auto(arguments: argparse.Namespace) -> None:
    from benchmarks import auto

    figures = _measured(arguments, "gradient", [], False)
    figures["choices"] = auto.choices(figures["results"])
    if arguments.fit:
        figures["costs"] = auto.costs(figures["results"])
    if arguments.output:
        auto.write(figures, arguments.output)
    print(json.dumps(figures, indent=2) if arguments.json else auto.markdown(figures))


def _measured(
    arguments: argparse.Namespace, suite: str, peers: list[str] | None, slow: bool
) -> dict[str, Any]:
    """The figures of this run, joined to those of earlier ones."""
    from benchmarks import table, worker
    from benchmarks.environment import environment
    from benchmarks.suite import Options

    preset = SMALL if arguments.quick else FULL[arguments.what]
    figures: dict[str, Any] = {"environment": environment() | {"processes": {}}}
    figures |= {"results": [], "first_calls": [], "skipped": [], "missing": {}}
    if arguments.output and (kept := arguments.output / "results.json").exists():
        figures = table.joined(json.loads(kept.read_text()), figures)
    for threads in arguments.threads or [1]:
        options = Options(
            workloads=arguments.workload or preset["workload"] or list(WORKLOADS),
            dtypes=arguments.dtype or preset["dtype"] or DTYPES,
            activations=arguments.activation or ["tanh"],
            threads=threads,
            targets=arguments.targets,
            peers=peers,
            slow=slow,
            rounds=arguments.rounds or preset["rounds"],
            shortest=SHORTEST / 10 if arguments.quick else SHORTEST,
        )
        found = worker.run(suite, options)
        processes = {str(threads): found.pop("process")}
        found["environment"] = figures["environment"] | {"processes": processes}
        figures = table.joined(figures, found)
    return figures


if __name__ == "__main__":
    main()
