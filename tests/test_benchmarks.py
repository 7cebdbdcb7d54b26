"""The benchmark commands run and print what they measured; the figures themselves are not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.derivation import Row, sentence, table

ROOT = Path(__file__).parent.parent


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_derivation_as_json():
    done = run("derivation", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert [row["depth"] for row in figures["rows"]] == [1, 3]
    assert all(row["derive"] > 0 and row["generate"] > 0 for row in figures["rows"])
    reference = figures["rows"][1]
    assert reference["derive_ratio"] == reference["generate_ratio"] == 1


def test_the_table_ends_with_the_finding():
    rows = [Row(3, 0.4, 1.0, 0.1, 1.0), Row(1000, 0.5, 1.25, 2.0, 20.0)]
    lines = table(rows, 5).splitlines()
    assert lines[2].split() == ["3", "0.400", "1.00", "0.100", "1.00"]
    assert lines[3].split() == ["1000", "0.500", "1.25", "2.000", "20.00"]
    assert lines[-1] == sentence(rows)
    assert "1000 layers takes 1.25 times as long" in lines[-1]


@pytest.mark.parametrize("arguments", [[], ["unknown"]])
def test_an_unknown_benchmark_is_refused(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m benchmarks" in done.stderr
