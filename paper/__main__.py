"""``python -m paper [--check]``: make the article's equations and figures, then the PDF.

Equations are the formulas that ``derivations/`` derived; figures are those of a ``verify`` run, the
one that ``lagrangenet verify --json`` prints. Both are written to ``paper/generated/``. With a TeX
installation (latexmk), ``paper/build/main.pdf`` follows. ``--check`` writes nothing and exits with
status 1 if an equation differs from what the derivation gives.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from derivations.__main__ import documents
from derivations.cells import execute
from derivations.latex import characters, inline
from lagrangenet.experiments.case import example
from lagrangenet.verify import Certificate, verify

FOLDER = Path(__file__).parent
GENERATED = FOLDER / "generated"
COMMAND = "python -m paper"
#: The problems whose certificate the article quotes: those of ``lagrangenet verify``.
PROBLEMS = {"xor": [2, 3, 1], "digits": [64, 16, 10]}


def equations() -> dict[str, str]:
    """Files ``eq-NAME.tex``: every named formula of the homework, which the article follows."""
    path = documents()["01_homework"]
    files = {}
    for name, formula in execute(path).formulas.items():
        note = f"% {name} of derivations/{path.name}, written by `{COMMAND}`\n"
        files[f"eq-{name}.tex"] = f"{note}{formula.body}%\n"
    return files


def certificate() -> Certificate:
    """The certificate of the default problems."""
    cases = [example(name, widths) for name, widths in PROBLEMS.items()]
    return Certificate.joined([verify(problem, X, Y) for problem, X, Y in cases])


def figures(made: Certificate) -> str:
    """Macros for the numbers of the text, and the rows of the table of checks."""
    named = ("python", "numpy", "scipy", "sympy")
    macros = {
        "Checks": str(sum(check.verdict != "inapplicable" for check in made.checks)),
        "Agreeing": str(sum(check.verdict == "agree" for check in made.checks)),
        "Verdict": made.verdict,
        "Versions": ", ".join(f"{name} {made.environment[name]}" for name in named),
        "DigitsSamples": str(made.problem["digits"]["samples"]),
        "DigitsParameters": str(made.problem["digits"]["parameters"]),
        "DigitsSubproblem": inline(made.problem["digits"]["subproblem"]),
    }
    lines = [f"% The figures of one `lagrangenet verify --json`, written by `{COMMAND}`."]
    lines += [rf"\newcommand{{\fig{name}}}{{{value}}}" for name, value in macros.items()]
    rows = " \\\\\n  ".join(_rows(made))
    return "\n".join([*lines, f"\\newcommand{{\\figRows}}{{%\n  {rows}%\n}}", ""])


def _rows(made: Certificate) -> list[str]:
    """One row a check: name, the figure of each problem, tolerance."""
    found = {(check.problem, check.name): check for check in made.checks}
    names = list(dict.fromkeys(check.name for check in made.checks))
    rows = []
    for name in names:
        checks = [found[problem, name] for problem in PROBLEMS]
        values = [_number(check.figure) for check in checks]
        rows.append(" & ".join([inline(name), *values, _number(checks[0].tolerance)]))
    return rows


def _number(value: float | None) -> str:
    if value is None:
        return "--"
    if value == 0:
        return "$0$"
    digits, exponent = f"{value:.0e}".split("e")
    return rf"${digits} \cdot 10^{{{int(exponent)}}}$"


def stale(files: Mapping[str, str]) -> list[str]:
    """Generated files that are missing or differ."""
    return [
        name
        for name, text in files.items()
        if not (GENERATED / name).is_file() or (GENERATED / name).read_text("utf-8") != text
    ]


def build() -> int:
    """Run latexmk, if there is one; its exit status."""
    latexmk = shutil.which("latexmk")
    if latexmk is None:
        print("no PDF was built: latexmk is not installed (a TeX distribution has it)")
        return 0
    command = [latexmk, "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-quiet",
               "-output-directory=build", "main.tex"]  # fmt: skip
    status = subprocess.run(command, cwd=FOLDER, check=False, capture_output=True, text=True)
    print(status.stdout if status.returncode else "built paper/build/main.pdf")
    return status.returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    options = parser.parse_args(arguments)
    files = {**equations(), "characters.tex": characters()}
    if options.check:
        old = stale(files)
        for name in old:
            print(f"stale: paper/generated/{name}; run `{COMMAND}`")
        return int(bool(old))
    GENERATED.mkdir(exist_ok=True)
    files["figures.tex"] = figures(certificate())
    for name, text in files.items():
        (GENERATED / name).write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {len(files)} files to paper/generated")
    return build()


if __name__ == "__main__":
    sys.exit(main())
