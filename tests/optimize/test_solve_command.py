"""``lagrangenet solve``: what it prints and writes, and with which status it ends."""

import json
import re

import numpy as np
import pytest

from lagrangenet import load
from lagrangenet.cli import main
from lagrangenet.optimize import METHODS
from lagrangenet.report.solutions import finite, progress_view


@pytest.fixture
def run(capsys):
    """Run the command in this process: status, standard output, standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["solve", *map(str, arguments)])
        captured = capsys.readouterr()
        code = stopped.value.code
        return 0 if code is None else code, captured.out, captured.err

    return call


def data(run, *arguments):
    status, out, err = run(*arguments, "--json")
    assert err == ""
    return status, json.loads(out)


def refused(run, *arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").rstrip("\n")


def test_without_options_it_solves_xor(run):
    status, out, err = run()
    assert (status, err) == (0, "")
    assert out.startswith("xor: 2 → 3 tanh → 1 identity, squared_error + L2(strength=0.001)")
    assert "13 parameters, 16 states" in out
    assert "textbook backpropagation" in out
    assert "converged: stationary to " in out


def test_json_has_the_documented_keys(run):
    status, found = data(run, "--method", "lifted-newton", "--seed", 3)
    assert status == 0
    assert found["schema"] == "lagrangenet.solve/1"
    assert found["method"] == "lifted-newton"
    assert found["success"] is True
    assert found["status"] == 0
    assert found["seed"] == 3
    assert found["optimality"] <= found["tol"] == 1e-8
    assert found["constr_violation"] <= 1e-8
    assert found["fun"] == pytest.approx(0.0045955262, abs=1e-9)
    assert found["nit"] == len(found["history"])
    assert found["wall_s"] > 0
    assert sum(found["inertia"]) == 13
    assert found["certificate"]["holds"] is True
    assert found["message"].startswith("converged")


def test_what_does_not_converge_ends_with_one(run):
    status, found = data(run, "--max-iterations", 2)
    assert status == 1
    assert found["success"] is False
    assert "limit of 2 iterations" in found["message"]
    status, out, _ = run("--max-iterations", 2)
    assert status == 1
    assert "✗" in out


def test_a_comparison_is_one_table(run):
    status, out, _ = run("--compare", "auto,lifted-newton,l-bfgs-b,slsqp")
    assert status == 0
    rows = re.findall(r"│ ✓ │ (\S.*?) +│ +(\d+) │ +(\d+) │ (\S+) │ +(\S+) │", out)
    assert [row[0] for row in rows] == [
        "auto: reduced-newton",
        "lifted-newton",
        "l-bfgs-b",
        "slsqp",
    ]
    assert {row[3] for row in rows} == {"0.004595526217"}
    assert all(float(row[4]) <= 1e-8 for row in rows)


def test_in_a_comparison_a_refusal_is_a_row(run):
    arguments = ("--dataset", "iris", "--layers", "4,8,3", "--l2", 1e-3)
    status, found = data(run, *arguments, "--compare", "l-bfgs-b,slsqp")
    assert status == 1
    good, bad = found["results"]
    assert good["success"] is True
    assert bad["success"] is False
    assert bad["method"] == "slsqp"
    assert "would not finish" in bad["message"]
    assert "would not finish" in refused(run, *arguments, "--method", "slsqp")


def test_files_are_written_and_a_run_goes_on_from_them(run, tmp_path):
    folder = tmp_path / "out"
    status, _, _ = run("--method", "bfgs", "--max-iterations", 5, "--out", folder)
    assert status == 1
    assert sorted(p.name for p in folder.iterdir()) == ["xor-bfgs.json", "xor-bfgs.npz", "xor.toml"]
    saved = load(folder / "xor-bfgs.npz")
    assert saved.nit == 5
    assert json.loads((folder / "xor-bfgs.json").read_text())["nit"] == 5
    status, found = data(run, "--method", "bfgs", "--resume", folder / "xor-bfgs.npz")
    assert status == 0
    assert found["history"][:5] == saved.history
    again = ("--problem", folder / "xor.toml", "--dataset", "xor", "--method", "bfgs")
    _, from_file = data(run, *again)
    assert from_file["fun"] == pytest.approx(found["fun"], abs=1e-12)


def test_a_picture_is_drawn(run, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("convergence.png", "convergence.svg"):
        assert run("--compare", "lifted-newton,bfgs", "--plot", tmp_path / name)[0] == 0
        assert (tmp_path / name).stat().st_size > 10_000
    text = (tmp_path / "convergence.svg").read_text()
    assert text.count("<svg") == 1


def test_a_graph_is_solved(run, tmp_path):
    problem = tmp_path / "skip.toml"
    problem.write_text(
        """
loss = "squared_error"
regularizer = {name = "L2", strength = 0.01}
[inputs]
x = 2
[[constraints]]
state = "h"
layer = "dense"
of = "x"
m = 2
activation = "tanh"
[[constraints]]
state = "s"
layer = "add"
of = ["h", "x"]
[[constraints]]
state = "y"
layer = "dense"
of = "s"
m = 1
"""
    )
    status, found = data(run, "--problem", problem, "--dataset", "xor")
    assert status == 0
    assert found["certificate"]["holds"] is True


def test_the_choice_is_explained(run):
    assert "because" not in run()[1]
    assert "reduced-newton, because: 2 layers" in run("--explain")[1]


def test_code_and_type_are_chosen(run):
    status, found = data(run, "--code", "numpy-workspace", "--method", "bfgs")
    assert status == 0
    status, found = data(run, "--dtype", "float32", "--method", "l-bfgs-b", "--dataset", "iris",
                         "--layers", "4,3,3", "--l2", 0.01)  # fmt: skip
    assert status == 0
    assert found["tol"] == 1e-4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "adam"], "unknown method 'adam'; known: auto, "),
        (["--compare", "bfgs,adam"], "unknown method 'adam'"),
        (["--compare", ","], "--compare needs methods"),
        (["--compare", "bfgs", "--method", "cg"], "drop --method"),
        (["--resume", "nothing.npz"], "'nothing.npz': No such file"),
        (["--tol", "0"], "tol is 0.0"),
        (["--max-seconds", "0"], "the option 'seconds' is 0.0"),
        (["--dataset", "xor", "--loss", "cross_entropy"], "needs classes"),
        (["--dtype", "float16"], "unknown dtype 'float16'"),
        (["--code", "fortran"], "unknown target 'fortran'"),
    ],
)
def test_bad_input_is_one_line(run, arguments, words):
    assert words in refused(run, *arguments)


def test_every_method_is_in_the_help(run):
    status, out, _ = run("--help")
    plain = re.sub(r"[\s│]+", " ", out)
    assert status == 0
    assert all(name in plain for name in METHODS)
    assert "Exit status: 0 converged, 1 not converged" in plain


def test_numbers_that_are_not_finite_are_null():
    assert finite({"a": [np.nan, np.float64(1)], "b": (np.inf,)}) == {"a": [None, 1.0], "b": [None]}


def test_progress_shows_the_last_iterations():
    records = [
        {"nit": k, "fun": 1 / k, "optimality": 1.0, "constr_violation": 0.0, "step": 1.0}
        for k in range(1, 31)
    ]
    table = progress_view("bfgs", records)
    assert list(table.columns[0].cells)[-1] == "30"
    assert table.row_count == 12
