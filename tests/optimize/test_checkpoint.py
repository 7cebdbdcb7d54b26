"""Results in files: whole or not at all, read without trust, and a killed run goes on from one."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lagrangenet import DataError, load, minimize, save
from tests.optimize import solved as problems
from tests.optimize.solved import classes, code, skip, xor


def solved(data, *arguments, **options):
    return minimize(*data, *arguments, routines=code(data.problem), **options)


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize("make", [xor, classes, skip])
def test_what_is_saved_is_what_is_loaded(make, tmp_path):
    result = solved(make(), "l-bfgs-b")
    save(result, tmp_path / "deep" / "result.npz")
    again = load(tmp_path / "deep" / "result.npz")
    for name in ("x", "theta", "states", "multipliers"):
        assert equal(result[name], again[name])
    for name in ("fun", "optimality", "nit", "success", "status", "message", "history", "method"):
        assert again[name] == result[name]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["result.npz"]


def test_bounds_and_their_multipliers_are_kept(tmp_path):
    result = solved(xor(), "l-bfgs-b", bounds={"W1": (-1, 1)})
    save(result, tmp_path / "a.npz")
    assert equal(load(tmp_path / "a.npz").bound_multipliers, result.bound_multipliers)


@pytest.mark.parametrize("method", ["l-bfgs-b", "slsqp", "auto"])
def test_a_run_in_two_parts_ends_where_one_run_does(method, tmp_path):
    data, file = xor(), tmp_path / "half.npz"
    whole = solved(data, method)
    half = solved(data, method, options={"maxiter": 8}, checkpoint=file)
    assert not half.success
    resumed = solved(data, method, file)
    assert resumed.success, resumed.message
    assert len(resumed.history) == 8 + resumed.nit
    assert resumed.fun == pytest.approx(whole.fun, abs=1e-12)


_RUN = """
import sys, time
from lagrangenet import minimize
from tests.optimize import solved

def slow(intermediate_result):
    time.sleep(0.1)

file, make, method = sys.argv[1:]
minimize(*getattr(solved, make)(), method, callback=slow, checkpoint=file)
"""


def killed(file, make, method, iterations):
    """Start a run in another process and kill it once it has saved so many iterations."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", _RUN, str(file), make, method]
    child = subprocess.Popen(command, cwd=root, env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and len(load(file).history) >= iterations):
            assert child.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    return load(file)


@pytest.mark.parametrize(
    ("make", "method", "iterations"), [("convex", "l-bfgs-b", 20), ("xor", "newton-cg", 10)]
)
def test_a_killed_run_resumes_to_the_same_result(make, method, iterations, tmp_path):
    """The convex problem has one solution; XOR's solutions calculate the same."""
    file = tmp_path / "run.npz"
    kept = killed(file, make, method, iterations)
    assert not kept.success
    assert "had not ended" in kept.message
    data = getattr(problems, make)()
    whole, resumed = solved(data, method), solved(data, method, file)
    assert whole.success
    assert resumed.success, resumed.message
    assert resumed.history[: len(kept.history)] == kept.history
    assert resumed.fun == pytest.approx(whole.fun, abs=1e-12)
    np.testing.assert_allclose(np.abs(resumed.states[-1]), np.abs(whole.states[-1]), atol=1e-4)
    if make == "convex":  # ‖θ − θ*‖ ≤ ‖∇J‖ / ρ, for both
        bound = 2 * np.sqrt(len(whole.x)) * whole.tol / data.problem.strength
        assert np.linalg.norm(resumed.x - whole.x) <= bound


# -- files that are not what they should be ------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    save(solved(xor(), "bfgs"), tmp_path / "result.npz")
    return tmp_path / "result.npz"


def arrays(file):
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def written(file, changed):
    np.savez(file, **changed)
    return file


def refused(file):
    with pytest.raises(DataError) as raised:
        load(file)
    assert str(file.name) in str(raised.value)
    return str(raised.value)


def test_no_file_and_no_result(tmp_path):
    assert "No such file" in refused(tmp_path / "nothing.npz")
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    assert "not a zip file" in refused(text)


def test_a_cut_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:-200])
    assert "damaged" in refused(file)


def test_pickles_are_refused(file):
    assert "no array of its size" in refused(
        written(file, {**arrays(file), "x": np.array([{"a": 1}, None], dtype=object)})
    )


def test_an_array_that_claims_to_be_larger_than_it_is_takes_no_memory(file):
    header = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    text += b" " * (118 - len(text) - 1) + b"\n"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("huge.npy", header + len(text).to_bytes(2, "little") + text)
    assert "huge.npy is no array of its size" in refused(file)


def test_a_file_of_something_else_is_refused(file):
    found = arrays(file)
    del found["meta"]
    assert "lacks 'meta'" in refused(written(file, found))
    meta = np.frombuffer(json.dumps({"schema": "lagrangenet.result/99"}).encode(), np.uint8)
    assert "schema 'lagrangenet.result/99'" in refused(written(file, {**found, "meta": meta}))


def test_a_result_of_another_problem_is_refused(file):
    with pytest.raises(DataError, match="has 13 parameters, the problem has 17"):
        solved(xor(4), "bfgs", file)
    data = xor()
    with pytest.raises(DataError, match="states of x0"):
        minimize(data.problem, data.X[:3], data.Y[:3], "bfgs", file)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match="cannot write"):
        save(solved(xor(), "bfgs"), blocked / "result.npz")
