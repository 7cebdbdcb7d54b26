"""The command line: what it prints, what it writes, and with which status it ends."""

import csv
import json
import os
import re
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest

import lagrangenet
from lagrangenet import Problem, chain, derive, generate
from lagrangenet.cli import main
from lagrangenet.experiments import load_dataset, read_csv
from lagrangenet.runtime import Routines
from lagrangenet.verify import Certificate, verify
from lagrangenet.verify import check as checks
from lagrangenet.verify.check import Check


@pytest.fixture
def run(capsys):
    """Run the command line in this process: status, standard output, standard error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        code = stopped.value.code
        return 0 if code is None else code, captured.out, captured.err

    return call


@pytest.fixture
def few(monkeypatch):
    """All checks but those at SciPy's solutions, which take seconds."""
    cheap = [k for k in Check.registered if not k.__module__.endswith("solution_checks")]
    monkeypatch.setattr(Check, "registered", cheap)


def _python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, encoding="utf-8",
        timeout=120, check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8"}, **options
    )  # fmt: skip


def _error(status, out, err):
    """The one line that bad input ends with."""
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    return err.removeprefix("error: ").rstrip("\n")


# -- verify, without arguments ---------------------------------------------------------------------

#: The largest figure that each required kind of check may show.
REQUIRED = {
    "gradient (∂L/∂W, ∂L/∂b) against textbook backpropagation": 1e-12,
    "forward pass (∂L/∂λ = 0) against the textbook": 1e-12,
    "objective J against the textbook": 1e-12,
    "backward pass (∂L/∂x = 0) against the textbook": 1e-12,
    "gradient against complex step": 1e-14,
    "gradient against central differences": 1e-7,
    "residual blocks ∂L/∂λ and ∂L/∂x vanish": 1e-12,
    "residual blocks ∂L/∂W and ∂L/∂b equal the textbook gradient": 1e-12,
    "∇L at arbitrary points against an element-by-element SymPy Lagrangian": 1e-12,
    "parameter step against θ − η·(textbook gradient)": 1e-12,
    "constraint qualification (LICQ): ∂c/∂x is unit triangular": 0.0,
    "SLSQP solutions: constraint violation": 1e-10,
    "SLSQP solutions: residual blocks ∂L/∂x, ∂L/∂W, ∂L/∂b": 1e-8,
    "SLSQP solutions: SLSQP's multipliers": 1e-5,
    "trust-constr solutions: constraint violation": 1e-10,
    "trust-constr solutions: residual blocks ∂L/∂x, ∂L/∂W, ∂L/∂b": 1e-8,
    "trust-constr solutions: its multipliers": 1e-5,
}


def test_verify_without_arguments_agrees_on_xor_and_digits():
    began = time.monotonic()
    done = _python("-m", "lagrangenet", "verify", "--json")
    elapsed = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert elapsed < 60
    assert data["verdict"] == "agree"
    summaries = {name: declared["summary"] for name, declared in data["problem"].items()}
    assert summaries == {
        "xor": "2 → 3 tanh → 1 identity, squared_error",
        "digits": "64 → 16 tanh → 10 softmax, cross_entropy",
    }
    assert {n: d["samples"] for n, d in data["problem"].items()} == {"xor": 4, "digits": 1797}
    for problem in summaries:
        rows = [row for row in data["checks"] if row["problem"] == problem]
        assert [row["name"] for row in rows] == [kind.name for kind in Check.registered]
        assert {row["verdict"] for row in rows} == {"agree"}
        for name, largest in REQUIRED.items():
            (row,) = [row for row in rows if row["name"].startswith(name)]
            assert row["figure"] <= largest, row
            assert row["tolerance"] <= largest, row


# -- verify ----------------------------------------------------------------------------------------


def test_a_table_shows_every_check_and_the_verdict(run, few):
    status, out, err = run("verify", "--dataset", "xor")
    assert (status, err) == (0, "")
    assert "xor: 2 → 3 tanh → 1 identity, squared_error (4 samples)" in out
    for kind in Check.registered:
        assert all(word in out for word in kind.name.split())
    count = len(Check.registered)
    assert out.count("✓") == count
    assert f"agree: symbols, code and numbers, in {count} of {count} checks" in out
    assert max(map(len, out.splitlines())) <= 110
    assert "\x1b" not in out


def test_json_on_standard_output_is_the_certificate(run, few):
    status, out, err = run("verify", "--layers", "4,5,3", "--loss", "cross_entropy", "--json")
    assert (status, err) == (0, "")
    certificate = Certificate.from_json(out)
    assert certificate.agrees
    assert certificate.problem["network"]["samples"] == 20


def test_a_disagreement_ends_with_status_1_and_says_where(run, few, monkeypatch):
    right = Routines.gradient

    def wrong(self, theta, X, Y):
        (W, b), *rest = right(self, theta, X, Y)
        return (-W, b), *rest

    monkeypatch.setattr(Routines, "gradient", wrong)
    status, out, err = run("verify", "--dataset", "xor")
    assert (status, err) == (1, "")
    assert "✗" in out
    assert "layer 1, (S5) ∂L/∂W" in out
    assert "the sign is reversed" in " ".join(out.replace("│", " ").split())
    assert re.search(r"disagree: \d+ of \d+ checks failed", out)
    status, out, err = run("verify", "--dataset", "xor", "--json")
    assert (status, err) == (1, "")
    assert json.loads(out)["verdict"] == "disagree"


def test_an_inconclusive_check_ends_with_status_1(run, few, monkeypatch):
    monkeypatch.setattr(checks, "kink_distance", lambda *_: 0.0)
    status, out, _ = run("verify", "--dataset", "xor")
    assert status == 1
    assert "?" in out
    assert "no random point keeps every preactivation clear of the kinks" in " ".join(
        out.replace("│", " ").split()
    )


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        (["--layers", "3,2"], "3 → 2 identity, squared_error"),
        (["--layers", "3,4,2", "--activation", "relu"], "3 → 4 relu → 2 identity, squared_error"),
        (["--layers", "3,4,2", "--loss", "binary_cross_entropy", "--l2", "0.1"],
         "3 → 4 tanh → 2 identity, binary_cross_entropy + L2(strength=0.1)"),
        (["--layers", "3,4,2", "--output", "softplus"], "3 → 4 tanh → 2 softplus, squared_error"),
        (["--dataset", "iris"], "4 → 16 tanh → 3 softmax, cross_entropy"),
        (["--dataset", "diabetes", "--layers", "10,4,1"],
         "10 → 4 tanh → 1 identity, squared_error"),
        (["--dataset", "breast_cancer", "--loss", "binary_cross_entropy"],
         "30 → 16 tanh → 1 identity, binary_cross_entropy"),
    ],
)  # fmt: skip
def test_options_declare_the_problem(run, few, options, summary):
    status, out, err = run("verify", *options, "--json")
    assert (status, err) == (0, "")
    ((_, declared),) = json.loads(out)["problem"].items()
    assert declared["summary"] == summary


def test_the_seed_is_recorded_and_changes_the_random_numbers(run, few):
    seen = []
    for seed in ("0", "0", "5"):
        status, out, _ = run("verify", "--layers", "2,3,1", "--seed", seed, "--json")
        assert status == 0
        seen.append(json.loads(out))
    assert seen[0] == seen[1]
    assert (seen[0]["seed"], seen[2]["seed"]) == (0, 5)
    data = [certificate["problem"]["network"]["data_sha256"] for certificate in seen]
    assert data[0] != data[2]


def test_the_seed_does_not_change_given_data(run, few):
    hashes = set()
    for seed in ("0", "7"):
        _, out, _ = run("verify", "--dataset", "iris", "--seed", seed, "--json")
        hashes.add(json.loads(out)["problem"]["iris"]["data_sha256"])
    assert len(hashes) == 1


def test_progress_stays_off_standard_error_without_a_terminal(run, few):
    assert run("verify", "--dataset", "xor")[2] == ""


# -- bad input -------------------------------------------------------------------------------------

MALFORMED = {
    "not TOML": ("inputs = = 2", "not a TOML problem file"),
    "no layers": ('inputs = 2\nloss = "squared_error"', "the problem file has no 'layers'"),
    "no loss": ("inputs = 2\n[[layers]]\nwidth = 1", "the problem file has no 'loss'"),
    "an unknown key": ('inputs = 2\nloss = "squared_error"\ndepth = 2\n[[layers]]\nwidth = 1',
                       "a problem has no key 'depth'"),
    "layers as text": ('inputs = 2\nloss = "squared_error"\nlayers = "2"', "array of tables"),
    "no width": ('inputs = 2\nloss = "squared_error"\n[[layers]]\nactivation = "tanh"',
                 "layer 1 has no width"),
    "width 0": ('inputs = 2\nloss = "squared_error"\n[[layers]]\nwidth = 0', "at least 1"),
    "a fraction": ('inputs = 2.5\nloss = "squared_error"\n[[layers]]\nwidth = 1',
                   "not a whole number"),
    "an unknown function": ('inputs = 2\nloss = "squared_error"\n[[layers]]\nwidth = 1\nactivation = "eval"', "unknown activation 'eval'"),
    "bytes": (b"\xff\xfe\x00", "cannot read the problem file"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["verify", "derive", "generate"])
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_problem_file_is_refused(run, tmp_path, command, case):
    content, message = MALFORMED[case]
    file = tmp_path / "problem.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in _error(*run(command, "--problem", file))


NETWORK = ["--layers", "2,3,1"]
REFUSED = {
    "an unknown loss": (["verify", *NETWORK, "--loss", "hubert"],
                        "unknown loss 'hubert'; known: "),
    "an unknown activation": (["verify", *NETWORK, "--activation", "gelo"],
                              "unknown activation 'gelo'; known: "),
    "an unknown output": (["verify", *NETWORK, "--output", "gelo"], "unknown activation 'gelo'"),
    "an unknown dataset": (["verify", "--dataset", "mnist"], "unknown dataset 'mnist'; known: "),
    "inputs that do not fit the data": (["verify", "--dataset", "iris", "--layers", "5,8,3"],
                                        "has 4 inputs, the network has 5: --layers has to begin with 4"),
    "outputs that do not fit the data": (["verify", "--dataset", "iris", "--layers", "4,8,2"],
                                         "has 3 outputs, the network has 2: --layers has to end with 3"),
    "a loss that does not fit the data": (["verify", "--dataset", "iris", "--loss",
                                           "binary_cross_entropy"], "exactly two classes"),
    "cross-entropy without softmax": (["verify", "--layers", "2,3", "--loss", "cross_entropy",
                                       "--output", "sigmoid"], "end in 'softmax'"),
    "width 0": (["verify", "--layers", "2,0,1"], "is 0; it has to be at least 1"),
    "a negative width": (["verify", "--layers", "2,-3,1"], "is -3; it has to be at least 1"),
    "one width": (["verify", "--layers", "2"], "a chain needs at least two widths"),
    "text for a width": (["verify", "--layers", "2,three,1"],
                         "--layers '2,three,1': 'three' is not a whole number"),
    "an empty width": (["verify", "--layers", "2,,1"], "'' is not a whole number"),
    "no layers": (["verify", "--layers", ""], "'' is not a whole number"),
    "a loss without a network": (["verify", "--loss", "cross_entropy"], "say which network"),
    "no network to generate": (["generate"], "say which network"),
    "data without a target": (["verify", "--data", "some.csv"], "--data needs --target COLUMN"),
    "a target without data": (["verify", "--target", "y"], "--target belongs to --data"),
    "two sources of data": (["verify", "--data", "a.csv", "--dataset", "xor"], "exclude each other"),
    "a missing problem file": (["verify", "--problem", "missing.toml"],
                               "cannot read the problem file 'missing.toml'"),
    "a missing data file": (["verify", "--data", "missing.csv", "--target", "y"],
                            "CSV file 'missing.csv': there is no such file"),
    "a negative strength": (["verify", *NETWORK, "--l2", "-1"], "positive and finite"),
    "no number for a strength": (["verify", *NETWORK, "--l2", "nan"], "positive and finite"),
    "a depth that is text": (["derive", "--depth", "deep"], "--depth 'deep': say N, or a whole"),
    "an unknown notation": (["derive", "--notation", "physics"], "unknown notation 'physics'; known: "),
    "no notation file": (["derive", "--notation", "absent.toml"], "cannot read notation file"),
    "δ without μ": (["derive", "--variable", "delta", "--splitting", "activation"],
                    "choose the preactivation splitting"),
    "depth 0": (["derive", "--depth", "0"], "at least one layer"),
    "another depth": (["derive", "--layers", "4,5,3", "--depth", "3"], "the network has 2 layers"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_ends_with_status_2_and_one_line(run, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    arguments, message = REFUSED[case]
    assert message in _error(*run(*arguments))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more",
    [["--layers", "2,1"], ["--loss", "squared_error"], ["--output", "identity"], ["--l2", "0.1"],
     ["--activation", "relu"]],
)  # fmt: skip
def test_a_problem_file_excludes_the_options_that_it_declares(run, tmp_path, more):
    file = tmp_path / "problem.toml"
    file.write_text(chain([2, 3, 1]).to_toml())
    message = _error(*run("generate", "--problem", file, *more))
    assert more[0] in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["derive", "--format", "pdf"],
        ["derive", "--variable", "gamma"],
        ["derive", "--order", "3"],
        ["derive", "--splitting", "both"],
        ["verify", "--seed", "-1"],
        ["verify", "--seed", "x"],
        ["verify", "--l2", "strong", "--layers", "2,1"],
        ["verify", "--unknown"],
        ["unknown"],
        ["verify", "surplus"],
    ],
)
def test_usage_errors_end_with_status_2(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "Usage:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "target"),
    [("verify", "file/certificate"), ("generate", "file/net.py"), ("derive", "file/a.tex")],
)
def test_a_place_that_cannot_be_written_to_is_refused(run, few, tmp_path, command, target):
    (tmp_path / "file").write_text("")
    arguments = [] if command == "derive" else NETWORK
    message = _error(*run(command, *arguments, "--out", tmp_path / target))
    assert "cannot write" in message
    assert (tmp_path / "file").read_text() == ""


def test_a_defect_ends_with_status_3_and_a_traceback(run, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("lagrangenet.cli.verify.verify_problem", broken)
    status, out, err = run("verify", "--dataset", "xor")
    assert (status, out) == (3, "")
    assert "Traceback (most recent call last)" in err
    assert "ZeroDivisionError: a defect" in err
    assert err.splitlines()[-1].startswith("this is a defect of lagrangenet")


# -- a table of one's own --------------------------------------------------------------------------


def _wine():
    """The wine data: five columns, and the cultivar as text."""
    datasets = pytest.importorskip("sklearn.datasets")
    wine = datasets.load_wine()
    names = [name.replace("/", " ") for name in wine.feature_names[:5]]
    labels = np.array(["barolo", "grignolino", "barbera"])[wine.target]
    rows = [[*map(repr, map(float, row[:5])), label]
            for row, label in zip(wine.data, labels, strict=True)]  # fmt: skip
    return [[*names, "label"], *rows]


def _save(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_a_table_with_a_missing_value_is_refused_until_it_is_cleaned(run, few, tmp_path):
    rows, file = _wine(), tmp_path / "some.csv"
    value, rows[17][3] = rows[17][3], ""
    _save(file, rows)
    options = ["verify", "--data", file, "--target", "label", "--layers", "5,8,3"]
    options += ["--loss", "cross_entropy"]
    message = _error(*run(*options))
    assert "some.csv" in message
    assert "line 18, column 'alcalinity_of_ash': missing value ''" in message
    rows[17][3] = value
    _save(file, rows)
    status, out, err = run(*options, "--json")
    assert (status, err) == (0, "")
    declared = json.loads(out)["problem"]["some"]
    assert declared["summary"] == "5 → 8 tanh → 3 softmax, cross_entropy"
    assert declared["samples"] == 178
    assert read_csv(file, "label").classes == ("barbera", "barolo", "grignolino")


@pytest.mark.parametrize(
    ("target", "message"),
    [("cultivar", "no column 'cultivar'; columns: 'alcohol'"),
     ("alcohol", "column 'label': 'barolo' is not a number")],
)  # fmt: skip
def test_another_target_column_is_refused(run, tmp_path, target, message):
    _save(tmp_path / "some.csv", _wine())
    arguments = ["verify", "--data", tmp_path / "some.csv", "--target", target]
    assert message in _error(*run(*arguments))


def test_a_regression_table_takes_the_squared_error(run, few, tmp_path):
    rows = [row[:5] for row in _wine()]
    _save(tmp_path / "some.csv", rows)
    status, out, _ = run("verify", "--data", tmp_path / "some.csv", "--target", "ash", "--json")
    assert status == 0
    summary = json.loads(out)["problem"]["some"]["summary"]
    assert summary == "4 → 16 tanh → 1 identity, squared_error"


@pytest.mark.parametrize("name", ["data [b]", "data [", "a [red]b", "[", "ω"])
def test_the_name_of_a_file_is_shown_as_it_is(run, few, tmp_path, name):
    file = tmp_path / f"{name}.csv"
    _save(file, [row[:5] for row in _wine()])
    status, out, err = run("verify", "--data", file, "--target", "ash")
    assert (status, err) == (0, "")
    assert f"{name}: 4 → 16 tanh" in out


@pytest.mark.parametrize("name", ["[/b]", "[red]x[/blue]", "[bold]x"])
def test_the_name_of_a_problem_is_text(run, few, tmp_path, name):
    file = tmp_path / "problem.toml"
    file.write_text(chain([2, 1], name=name).to_toml())
    status, out, _ = run("verify", "--problem", file)
    assert status == 0
    assert f"{name}: 2 → 1 identity" in out


# -- generate --------------------------------------------------------------------------------------


def test_the_module_needs_nothing_but_numpy(run, tmp_path):
    file = tmp_path / "net.py"
    status, out, err = run("generate", "--layers", "4,5,3", "--out", file)
    assert (status, out, err) == (0, "", "")
    source = file.read_text(encoding="utf-8")
    assert re.findall(r"^ *(?:import|from) .*$", source, re.MULTILINE) == ["import numpy as np"]
    program = (
        "import sys, numpy as np, net\n"
        "rng = np.random.default_rng(0)\n"
        "theta = ((rng.normal(size=(5, 4)), np.zeros(5)), (rng.normal(size=(3, 5)), np.zeros(3)))\n"
        "X, Y = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))\n"
        "states = net.forward(theta, X)\n"
        "before = net.loss(theta, states, Y)\n"
        "gradients = net.gradient(theta, X, states, net.backward(theta, states, Y))\n"
        "theta = net.update(theta, gradients, 1e-3)\n"
        "assert net.loss(theta, net.forward(theta, X), Y) < before\n"
        "assert not {'lagrangenet', 'sympy', 'scipy'} & set(sys.modules)\n"
    )
    done = _python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_file_the_module_is_printed(run):
    status, out, err = run("generate", "--layers", "4,5,3")
    assert (status, err) == (0, "")
    assert out == generate(derive(chain([4, 5, 3]))).source


def test_a_module_goes_into_a_folder_under_its_name(run, tmp_path):
    assert run("generate", "--layers", "4,5,3", "--out", tmp_path)[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["network.py"]
    assert run("generate", "--layers", "4,5,3", "--out", tmp_path / "new" / "net.py")[0] == 0
    written = [tmp_path / "network.py", tmp_path / "new" / "net.py"]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_a_problem_file_declares_what_options_declare(run, tmp_path):
    problem = chain([4, 5, 3], "relu", "cross_entropy", regularizer={"name": "L2", "strength": 0.5})
    file = tmp_path / "problem.toml"
    file.write_text(problem.to_toml())
    options = [
        "--layers",
        "4,5,3",
        "--activation",
        "relu",
        "--loss",
        "cross_entropy",
        "--l2",
        "0.5",
    ]
    by_file, by_options = run("generate", "--problem", file), run("generate", *options)
    assert by_file == by_options
    assert by_file[1] == generate(derive(problem)).source


# -- what --out writes -----------------------------------------------------------------------------


def test_out_writes_what_reproduces_the_certificate(run, few, tmp_path):
    folder = tmp_path / "a" / "b"
    status, out, _ = run("verify", "--dataset", "iris", "--layers", "4,5,3", "--seed", "3",
                         "--out", folder, "--json")  # fmt: skip
    assert status == 0
    assert sorted(f.name for f in folder.iterdir()) == ["certificate.json", "iris.py", "iris.toml"]
    text = (folder / "certificate.json").read_text(encoding="utf-8")
    assert text == out
    certificate = Certificate.from_json(text)
    problem = Problem.load(folder / "iris.toml")
    assert problem.to_toml() == certificate.problem["iris"]["declaration"]
    source = (folder / "iris.py").read_text(encoding="utf-8")
    assert source == generate(derive(problem, order=2)).source
    data = load_dataset("iris").standardized()
    again = verify(
        problem, data.X, data.labels(problem.loss), seed=certificate.seed,
        routines=Routines(problem, source), only=Check.registered,
    )  # fmt: skip
    assert again == certificate
    status, out, _ = run("verify", "--problem", folder / "iris.toml", "--dataset", "iris",
                         "--seed", "3", "--json")  # fmt: skip
    assert status == 0
    assert out == text


def test_out_is_written_when_checks_disagree(run, few, tmp_path, monkeypatch):
    monkeypatch.setattr(Routines, "loss", lambda *_: 0.0)
    assert run("verify", *NETWORK, "--out", tmp_path)[0] == 1
    data = json.loads((tmp_path / "certificate.json").read_text(encoding="utf-8"))
    assert data["verdict"] == "disagree"


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "ROOT/outside", "certificate\0"])
@pytest.mark.parametrize("command", ["verify", "generate"])
def test_a_name_leads_to_no_place_outside_the_folder(run, few, tmp_path, command, name):
    file = tmp_path / "problem.toml"
    file.write_text(chain([2, 1], name=name.replace("ROOT", str(tmp_path))).to_toml())
    folder = tmp_path / "inside"
    folder.mkdir()
    status, _, err = run(command, "--problem", file, "--out", folder)
    assert status in {0, 2}
    assert "Traceback" not in err
    outside = {path for path in tmp_path.rglob("*") if folder not in (path, *path.parents)}
    assert outside == {file}


# -- derive ----------------------------------------------------------------------------------------


def test_the_text_shows_the_lagrangian_and_every_condition(run):
    status, out, err = run("derive")
    assert (status, err) == (0, "")
    assert out.startswith("L = (1/M) Σ_{i=1}^{M} ℓ(y_i, x_i^N) + ρ ")
    assert re.findall(r"^\((S\d)\)", out, re.MULTILINE) == ["S1", "S2", "S3", "S5", "S6"]
    lifted = run("derive", "--splitting", "preactivation")[1]
    labels = re.findall(r"^\((S\d)\)", lifted, re.MULTILINE)
    assert labels == ["S0", "S1", "S2", "S3", "S4", "S5", "S6"]


def _on_one_line(latex):
    """The Lagrangian is broken where its constraints begin."""
    return latex.replace(" \\\\\n  &\\quad + ", " + ")


def test_a_latex_fragment_is_one_aligned_environment(run):
    for form in ("index", "matrix", "batch"):
        status, out, _ = run("derive", "--format", "latex", "--fragment", "--form", form)
        assert status == 0
        assert out.startswith("\\begin{align*}\n")
        assert out.endswith("\\end{align*}\n")
        assert out.count(r"&\quad") == 1
        lines = _on_one_line(out).splitlines()[1:-1]
        assert [line.count("&=") for line in lines] == [1] * len(lines)
        assert all(line.endswith(r" \\") for line in lines[:-1])
        assert re.findall(r"\\tag\{(S\d)\}", out) == ["S1", "S2", "S3", "S5", "S6"]
        assert out.count("{") == out.count("}")
        assert out.count(r"\left") == out.count(r"\right")
        assert out.isascii()


def test_latex_is_a_document_unless_a_fragment_is_asked_for(run):
    status, out, _ = run("derive", "--format", "latex")
    assert status == 0
    assert out.startswith("\\documentclass")
    assert out.rstrip().endswith("\\end{document}")


def test_html_is_one_page(run):
    status, out, _ = run("derive", "--format", "html", "--layers", "4,8,3")
    assert status == 0
    assert out.startswith("<!DOCTYPE html>")
    assert "4 → 8 tanh → 3" in out


def test_a_notation_brings_its_form_splitting_and_variable(run):
    status, out, _ = run("derive", "--notation", "goodfellow")
    assert status == 0
    assert re.findall(r"^\((S\d)\)", out, re.MULTILINE) == [
        "S0",
        "S1",
        "S2",
        "S4",
        "S6",
        "S5",
        "S3",
    ]
    assert "g ← W^(k)ᵀ g" in out
    assert (
        "a_t = (I ⊗ o_{t−1}ᵀ) w_{t−1} + b_{t−1}" in run("derive", "--notation", "shalev-shwartz")[1]
    )


def test_options_decide_over_a_notation(run):
    out = run("derive", "--notation", "shalev-shwartz", "--form", "matrix", "--variable", "lambda")[
        1
    ]
    assert "ν_t = W_tᵀ (σ′(a_{t+1}) ⊙ ν_{t+1})" in out
    out = run("derive", "--variable", "delta", "--form", "matrix")[1]
    assert "δ_i^k = σ′^k(z_i^k) ⊙ (W^{k+1}ᵀ δ_i^{k+1})" in out


def test_a_notation_file(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[prefer]\nform = "matrix"\n[symbols]\nX = "h"\n')
    status, out, _ = run("derive", "--notation", file)
    assert status == 0
    assert "h_i^k = σ^k(z_i^k)" in out
    file.write_text("[symbols]\nX = '<b>'\n")
    assert "is no symbol" in _error(*run("derive", "--notation", file))


def test_the_second_order_is_printed_on_request(run):
    out = run("derive", "--order", "2")[1]
    labels = re.findall(r"^\(([ST]\d)\)", out, re.MULTILINE)
    assert labels == ["S1", "S2", "S3", "S5", "S6", "T1", "T2", "T3", "T5", "T6"]


def test_markdown_displays_each_equation(run):
    status, out, _ = run("derive", "--format", "markdown")
    assert status == 0
    assert out.count("$$") == 12
    displayed = re.findall(r"\$\$\n(.*)\n\$\$", out)
    latex = _on_one_line(run("derive", "--format", "latex", "--fragment")[1])
    lines = latex.replace("&= ", "= ").splitlines()[1:-1]
    assert displayed == [re.sub(r"( \\tag\{S\d\})?( \\\\)?$", "", line) for line in lines]


def test_json_of_a_derivation(run):
    status, out, _ = run("derive", "--json", "--form", "matrix", "--splitting", "preactivation")
    assert status == 0
    data = json.loads(out)
    assert data["schema"] == "lagrangenet.derivation/1"
    assert (data["splitting"], data["form"]) == ("preactivation", "matrix")
    shown = run("derive", "--form", "matrix", "--splitting", "preactivation")[1]
    assert data["lagrangian"] in shown
    for row in data["conditions"]:
        assert f"({row['label']})  {row['equation']}" in shown


def test_forms_differ(run):
    seen = {form: run("derive", "--form", form)[1] for form in ("index", "matrix", "batch")}
    assert len(set(seen.values())) == 3
    assert "x_ip^k = σ^k(z_ip^k)" in seen["index"]
    assert "x_i^k = σ^k(z_i^k)" in seen["matrix"]
    assert "x^k = σ^k(z^k)" in seen["batch"]


def test_a_derivation_is_written_to_a_file(run, tmp_path):
    file = tmp_path / "sub" / "kkt.tex"
    assert run("derive", "--format", "latex", "--out", file) == (0, "", "")
    assert file.read_text(encoding="utf-8") == run("derive", "--format", "latex")[1]


def _conditions(run, *options):
    status, out, _ = run("derive", "--json", *options)
    assert status == 0
    return [(row["label"], row["equation"]) for row in json.loads(out)["conditions"]]


DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _put(equation, layer, depth):
    """The symbolic equation with k and N replaced by numbers, in text."""

    def number(match):
        name, shift = match[1] or match[2], int((match[3] or "0").replace("−", "-"))
        return f"{(layer if name == 'k' else depth) + shift}".translate(DIGITS)

    return re.sub(r"\^(?:([kN])|\{([kN])([+−]\d)?\})", number, equation)


def _put_in_subscripts(equation, layer, depth):
    """Widths: n_k, n_{k+1} and n_{k−1} as numbers."""

    def number(match):
        shift = int((match[2] or "0").replace("−", "-"))
        return f"_{(layer if match[1] == 'k' else depth) + shift}"

    return re.sub(r"_\{?([kN])([+−]\d)?\}?", number, equation)


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
@pytest.mark.parametrize("form", ["matrix", "batch", "index"])
@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_number_put_for_the_layer_gives_the_equations_of_that_depth(run, splitting, form, depth):
    options = ["--splitting", splitting, "--form", form]
    symbolic = _conditions(run, *options)
    concrete = _conditions(run, *options, "--depth", depth)
    expected = []
    for label, equation in symbolic:
        layers = {"S2": [depth], "S3": range(1, depth)}.get(label, range(1, depth + 1))
        for k in layers:
            written = _put(equation, k, depth)
            if form == "index":
                written = re.sub(r"\{(n_\{?k[+−]?\d?\}?)\}", r"{\1}", written)
                written = _put_in_subscripts(written, k, depth)
            expected.append((label, written))
    assert concrete == expected


def test_the_depth_of_a_network_is_its_own(run):
    concrete = _conditions(run, "--form", "matrix", "--depth", "2")
    network = _conditions(run, "--form", "matrix", "--layers", "4,5,3", "--depth", "2")
    assert network == concrete
    out = run("derive", "--layers", "4,5,3")[1]
    assert out.endswith(
        "σ^k = tanh for k = 1; σ^k = identity for k = 2; ℓ = squared_error; ρ = 0\n"
    )


# -- targets ---------------------------------------------------------------------------------------


def test_c_is_written_with_its_header(run, tmp_path):
    status, out, err = run("generate", "--layers", "2,3,1", "--code", "c", "--out", tmp_path)
    assert (status, out, err) == (0, "", "")
    source, header = sorted(tmp_path.iterdir())
    assert (source.suffix, header.suffix) == (".c", ".h")
    assert "double model_value_and_grad(const double *theta" in header.read_text()
    assert "#define SAMPLES 128" in source.read_text()


def test_c_is_made_for_a_batch_and_a_type(run):
    options = ("--code", "c", "--samples", "7", "--dtype", "float32", "--order", "2")
    status, out, _ = run("generate", "--layers", "2,3,1", *options)
    assert status == 0
    assert "#define SAMPLES 7\n" in out
    assert "#define REAL_IS_DOUBLE 0\n" in out
    assert "void model_hessian_product(" in out


def test_another_target_is_verified(run, few):
    status, out, _ = run("verify", "--layers", "2,3,1", "--code", "numpy-workspace", "--json")
    assert status == 0
    certificate = json.loads(out)
    assert "numpy-workspace" in out
    assert certificate["verdict"] == "agree"


def test_an_unknown_target_is_named(run):
    status, _, err = run("generate", "--layers", "2,3,1", "--code", "fortran")
    assert status == 2
    assert "unknown target 'fortran'; known: " in err


def test_the_benchmarks_are_at_hand():
    done = _python("-m", "lagrangenet", "bench", "--help")
    assert done.returncode == 0
    assert "gradient" in done.stdout


# -- help, and the ways in -------------------------------------------------------------------------

OPTIONS = {
    "verify": ["problem", "layers", "activation", "output", "loss", "l2", "dataset", "data",
               "target", "code", "seed", "json", "out", "plot", "help"],
    "derive": ["problem", "layers", "activation", "output", "loss", "splitting", "form", "format",
               "depth", "json", "out", "help"],
    "generate": ["problem", "layers", "activation", "output", "loss", "l2", "code", "dtype",
                 "samples", "threads", "out", "help"],
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_every_option(run, command):
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert set(re.findall(r"--([a-z][a-z0-9]*)", out)) >= set(OPTIONS[command])
    assert re.search(rf"Usage: .* {command} \[OPTIONS\]", out)


@pytest.mark.parametrize("command", ["", *OPTIONS])
def test_help_says_what_the_exit_status_means(run, command):
    status, out, _ = run(*([command] if command else []), "--help")
    assert status == 0
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", out).split())
    for meaning in ("0 agreed", "1 disagreed", "2 bad input", "3 a defect"):
        assert meaning in text


def test_help_lists_the_commands(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(command in out for command in OPTIONS)


def test_nothing_asked_for_shows_the_help(run):
    status, out, err = run()
    assert status == 2
    assert "Usage: " in out + err
    assert all(command in out + err for command in OPTIONS)


def test_python_m_is_the_same_command_line(run):
    done = _python("-m", "lagrangenet", "generate", "--layers", "2,3,1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run("generate", "--layers", "2,3,1")[1]


def test_the_status_reaches_the_shell():
    done = _python("-m", "lagrangenet", "verify", "--layers", "2,0,1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the width of a Dense layer is 0")


def test_the_console_script_is_the_command_line(monkeypatch, capsys):
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="lagrangenet")
    assert script.load() is main
    monkeypatch.setattr(sys, "argv", ["lagrangenet", "generate", "--layers", "2,1"])
    with pytest.raises(SystemExit) as stopped:
        script.load()()
    assert stopped.value.code in {0, None}
    assert capsys.readouterr().out == generate(derive(chain([2, 1]))).source


def test_a_written_problem_file_is_toml(run, few, tmp_path):
    assert run("verify", *NETWORK, "--out", tmp_path)[0] == 0
    table = tomllib.loads((tmp_path / "network.toml").read_text(encoding="utf-8"))
    assert table["inputs"] == 2
    assert [layer["width"] for layer in table["layers"]] == [3, 1]


def test_the_version_is_that_of_the_package(run):
    status, out, err = run("--version")
    assert (status, err) == (0, "")
    assert out == f"lagrangenet {lagrangenet.__version__}\n"
