"""The benchmark of solvers, on its smallest case, and its tables."""

import json
import sys

import numpy as np
import pytest

from benchmarks import __main__, solve
from lagrangenet.optimize.task import Task


def test_the_quick_run_reports_time_convergence_and_objective(monkeypatch, capsys, tmp_path):
    arguments = ["benchmarks", "solve", "--quick", "--json", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    __main__.main()
    printed = json.loads(capsys.readouterr().out)
    (contender,) = printed["parts"]["quick"]["contenders"]
    assert contender["starts"] == 2
    assert contender["converged"] == 1
    assert contender["seconds"] > 0
    assert contender["objective"] == pytest.approx(printed["parts"]["quick"]["best"], rel=1e-4)
    assert json.loads((tmp_path / "solve.json").read_text())["parts"] == printed["parts"]
    assert "| lifted-newton (default) | 2 |" in (tmp_path / "solve.md").read_text()
    assert (tmp_path / "solve.png").stat().st_size > 0


def test_a_run_that_is_not_stationary_has_not_converged():
    task = Task(*solve.regression(5))
    theta = solve.start(task.problem, 0)
    good, fun = solve._judged(task, solve.Found(theta, None, None, 0))
    assert not good
    assert fun == pytest.approx(task.fun(theta))


def test_the_fit_is_the_power():
    sizes = [10, 20, 40]
    assert solve._power(sizes, [3 * n**2 for n in sizes]) == pytest.approx(2)


def test_ipopt_solves_the_same_problem():
    pytest.importorskip("casadi")
    task = Task(*solve.regression(6, (1, 3, 1), 1e-2))
    found = solve.ipopt(task)(solve.start(task.problem, 1))
    good, _ = solve._judged(task, found)
    assert good
    assert np.abs(task.fun_and_grad(found.theta)[1]).max() <= 1e-7
