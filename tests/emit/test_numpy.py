"""The emitted NumPy module: its text, its structure, and that it runs with numpy alone."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from lagrangenet import L2, Routines, chain
from lagrangenet.verify.textbook import Textbook
from tests.problems import BANK, case, flat, random_problem, relative_error, routines

GOLDEN = {
    "xor": BANK["xor"],
    "classes": chain([4, 5, 3], "relu", "cross_entropy", regularizer=L2(0.01), name="classes"),
    "mixed": BANK["mixed"],
    "softmax-throughout": BANK["softmax-throughout"],
}
ARCHITECTURES = {
    **{name: BANK[name] for name in sorted(BANK)},
    **{f"random {seed}": random_problem(seed) for seed in range(20)},
    **GOLDEN,
}

architectures = pytest.mark.parametrize("problem", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_source(name, golden):
    golden(f"module-{name}.txt", routines(GOLDEN[name]).source)


# -- structure -------------------------------------------------------------------------------------


def parsed(problem):
    return ast.parse(routines(problem).source)


def functions(tree):
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


ROUTINES = {"forward", "loss", "backward", "gradient", "update", "residuals"}


@architectures
def test_only_numpy_is_imported_and_scipy_where_numpy_lacks_a_function(problem):
    imports = [n for n in ast.walk(parsed(problem)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    erf = any(layer.activation.name == "gelu" for layer in problem.layers)
    scipy = ["from scipy.special import ndtr"] * erf
    assert [ast.unparse(node) for node in imports] == ["import numpy as np", *scipy]


@architectures
def test_matrix_products_are_written_with_an_at_sign(problem):
    tree = parsed(problem)
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"einsum", "dot", "matmul", "tensordot", "inner", "outer", "vdot"}
    (forward,) = (f for f in functions(tree) if f.name == "forward")
    products = [n for n in ast.walk(forward) if isinstance(n, ast.MatMult)]
    assert len(products) == problem.depth


@architectures
def test_every_computed_line_is_labelled_with_its_equation(problem):
    """On the line itself or alone on the line above."""
    source = routines(problem).source
    lines = source.splitlines()
    label = re.compile(r"# \((S\d(, S\d)*|J|step)\)  \S")
    labelled = 0
    for function in functions(ast.parse(source)):
        if function.name not in ROUTINES:
            continue
        for node in function.body:
            if not isinstance(node, (ast.Assign, ast.AugAssign)):
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Tuple) or target.id == "M":
                continue
            above = lines[node.lineno - 2].strip()
            assert label.search(lines[node.lineno - 1]) or label.match(above), lines[
                node.lineno - 1
            ]
            labelled += 1
    program = routines(problem).program
    assert labelled == sum(len(routine.body) for routine in program.routines)


@architectures
def test_signs_are_written_as_a_person_would(problem):
    for node in ast.walk(parsed(problem)):
        if isinstance(node, ast.UnaryOp):
            assert not isinstance(node.op, ast.UAdd)
            assert not isinstance(node.operand, ast.UnaryOp)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            assert not isinstance(node.right, ast.UnaryOp), ast.unparse(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            ones = [s for s in (node.left, node.right) if isinstance(s, ast.Constant)]
            assert all(constant.value != 1 for constant in ones), ast.unparse(node)


@architectures
def test_no_name_is_assigned_and_not_used_nor_used_and_not_assigned(problem):
    tree = parsed(problem)
    module = {f.name for f in functions(tree)} | {"np"}
    module |= {n.targets[0].id for n in tree.body if isinstance(n, ast.Assign)}
    module |= {a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    loaded_anywhere = set()
    for function in functions(tree):
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)} - {"_"}
        loaded = {n.id for n in names if isinstance(n.ctx, ast.Load)}
        arguments = {a.arg for a in function.args.args}
        assert stored <= loaded, function.name
        assert loaded <= stored | arguments | module, function.name
        loaded_anywhere |= loaded
    # no helper, constant or import is left over
    assert module - ROUTINES - {"np"} <= loaded_anywhere


@architectures
def test_every_function_and_the_module_have_a_docstring(problem):
    tree = parsed(problem)
    assert " ".join(ast.get_docstring(tree).split()).startswith(f"{problem}.")
    for function in functions(tree):
        assert ast.get_docstring(function).endswith(".")
    assert {f.name for f in functions(tree)} >= ROUTINES


@architectures
def test_lines_are_short_and_end_clean(problem):
    source = routines(problem).source
    assert source.endswith("\n")
    assert not source.endswith("\n\n")
    for line in source.splitlines():
        assert line == line.rstrip()
        assert "\t" not in line
        assert len(line) <= 99


@architectures
def test_equal_problems_give_equal_text(problem):
    again = type(problem).from_toml(problem.to_toml())
    assert routines(again).source == routines(problem).source


def test_text_does_not_depend_on_the_hash_seed():
    program = (
        "from lagrangenet import *\n"
        "p = chain([2, 4, 3, 2], 'softplus', 'cross_entropy', regularizer=L2(0.1))\n"
        "print(generate(derive(p)).source, generate(derive(chain([2, 3, 1]))).source)"
    )
    sources = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sources) == 1


def test_a_name_of_a_problem_cannot_become_code():
    problem = chain([1, 1], name='"""\nimport os\nraise SystemExit(3)\n"""')
    source = routines(problem).source
    assert "SystemExit" not in {
        n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)
    }
    assert Routines(problem, source).problem == problem


# -- what it computes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BANK))
def test_every_problem_of_the_bank_against_the_textbook(name):
    problem, theta, X, Y = case(BANK[name], seed=3)
    book, code = Textbook(problem), routines(problem)
    value, gradient = code.value_and_grad(theta, X, Y)
    assert value == pytest.approx(book.loss(theta, X, Y), rel=1e-13)
    assert relative_error(flat(gradient), flat(book.gradient(theta, X, Y))) <= 1e-12
    for (Z, X_k), (z, x) in zip(code.forward(theta, X), book.forward(theta, X), strict=True):
        np.testing.assert_allclose(Z, z, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(X_k, x, rtol=1e-13, atol=1e-15)
    multipliers = code.backward(theta, code.forward(theta, X), Y)
    for (_, lam), delta in zip(multipliers, book.deltas(theta, X, Y), strict=True):
        assert relative_error(-len(X) * lam, delta) <= 1e-12


@pytest.mark.parametrize("name", sorted(BANK))
def test_residuals_vanish_after_the_two_passes_and_hold_the_gradient(name):
    problem, theta, X, Y = case(BANK[name], seed=4)
    code = routines(problem)
    states = code.forward(theta, X)
    multipliers = code.backward(theta, states, Y)
    found = code.residuals(theta, X, Y, states, multipliers)
    size = max(np.abs(lam).max() for _, lam in multipliers)
    for r_lam, r_x, _, _ in found:
        assert np.abs(r_lam).max() <= 1e-14
        assert np.abs(r_x).max() <= 1e-13 * size
    gradient = code.gradient(theta, X, Y)
    assert relative_error(flat([(dW, db) for *_, dW, db in found]), flat(gradient)) <= 1e-12


@pytest.mark.parametrize("name", ["xor", "softmax-throughout", "mixed", "deep"])
def test_a_small_step_of_the_update_decreases_the_objective(name):
    problem, theta, X, Y = case(BANK[name], seed=5)
    code = routines(problem)
    before, gradient = code.value_and_grad(theta, X, Y)
    squared = (flat(gradient) ** 2).sum()
    eta = 1e-5 / (1 + squared)
    after = code.loss(code.update(theta, gradient, eta), X, Y)
    assert before - after == pytest.approx(eta * squared, rel=1e-2)


def test_rows_are_samples():
    """J of a batch is the mean over its rows, and states belong to rows."""
    problem, theta, X, Y = case(BANK["xor"], samples=6)
    code = routines(problem)
    each = [code.loss(theta, X[i : i + 1], Y[i : i + 1]) for i in range(6)]
    assert code.loss(theta, X, Y) == pytest.approx(np.mean(each), rel=1e-14)
    order = np.array([3, 0, 5, 1, 2, 4])
    for (Z, _), (moved, _) in zip(
        code.forward(theta, X), code.forward(theta, X[order]), strict=True
    ):
        np.testing.assert_allclose(moved, Z[order], rtol=1e-14)
    gradients = [code.gradient(theta, X[i : i + 1], Y[i : i + 1]) for i in range(6)]
    mean = np.mean([flat(gradient) for gradient in gradients], axis=0)
    assert relative_error(flat(code.gradient(theta, X, Y)), mean) <= 1e-13


# -- numpy alone -----------------------------------------------------------------------------------

ALONE = """
import sys

sys.path.insert(0, sys.argv[1])


class OnlyNumpy:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {"numpy", "net"}:
            raise ImportError(f"the emitted module imports {name}")


sys.meta_path.insert(0, OnlyNumpy())
import net
import numpy as np

data = np.load(sys.argv[1] + "/data.npz", allow_pickle=False)
theta = tuple((data[f"W{k}"], data[f"b{k}"]) for k in range(1, int(data["depth"]) + 1))
states = net.forward(theta, data["X"])
multipliers = net.backward(theta, states, data["Y"])
gradient = net.gradient(theta, data["X"], states, multipliers)
out = np.concatenate([array.ravel() for layer in gradient for array in layer])
np.savez(sys.argv[1] + "/out.npz", loss=net.loss(theta, states, data["Y"]), gradient=out)
assert "lagrangenet" not in sys.modules and "sympy" not in sys.modules
"""


def run_alone(python, tmp_path, name):
    problem, theta, X, Y = case(BANK[name], seed=6)
    code = routines(problem)
    (tmp_path / "net.py").write_text(code.source, encoding="utf-8")
    (tmp_path / "run.py").write_text(ALONE, encoding="utf-8")
    arrays = {
        f"{s}{k}": a for k, pair in enumerate(theta, 1) for s, a in zip("Wb", pair, strict=True)
    }
    np.savez(tmp_path / "data.npz", X=X, Y=Y, depth=problem.depth, **arrays)
    command = [str(python), "-I", "-W", "error", str(tmp_path / "run.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz", allow_pickle=False) as out:
        value, gradient = code.value_and_grad(theta, X, Y)
        assert float(out["loss"]) == value
        np.testing.assert_array_equal(out["gradient"], flat(gradient))


@pytest.mark.parametrize("name", ["xor", "softmax-throughout", "mixed"])
def test_the_module_runs_with_numpy_alone(name, tmp_path):
    run_alone(sys.executable, tmp_path, name)


def test_the_import_hook_of_the_test_above_forbids_other_packages(tmp_path):
    (tmp_path / "net.py").write_text("import sympy\n")
    (tmp_path / "run.py").write_text(ALONE)
    command = [sys.executable, "-I", str(tmp_path / "run.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the emitted module imports sympy" in done.stderr


@pytest.mark.slow
def test_the_module_runs_in_an_environment_that_holds_numpy_alone(tmp_path):
    """A fresh environment without pip; numpy's installed files are copied into it."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ask = [str(python), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    numpy = importlib.metadata.distribution("numpy")
    for file in numpy.files:
        if ".." in file.parts or "tests" in file.parts:
            continue
        target = site / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file.locate(), target)
    listing = "import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))"
    ask = [str(python), "-I", "-c", listing]
    found = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert found.strip() == "['numpy']"
    run_alone(python, tmp_path, "softmax-throughout")
