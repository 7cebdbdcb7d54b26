"""The benchmark commands run and print what they measured; the figures themselves are not tested."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks import auto, gradient, hessian, suite, table
from benchmarks.apart import Processes
from benchmarks.cores import _ticks
from benchmarks.derivation import Row, sentence
from benchmarks.derivation import table as derivation_table
from benchmarks.floor import Products, gemms
from benchmarks.peers import Peers
from benchmarks.suite import Options
from benchmarks.timing import Calls, Contender, WrongResult, check, measure
from benchmarks.workloads import ACTIVATIONS, DTYPES, WORKLOADS, case, packed, unpacked

ROOT = Path(__file__).parent.parent
TINY = case(WORKLOADS["tiny"], "float64", "tanh")
CASE = {"workload": "tiny", "dtype": "float64", "threads": 1, "activation": "tanh"}
#: What a row of the results has, and nothing else.
KEYS = {
    "workload",
    "dtype",
    "threads",
    "activation",
    "target",
    "generated_us",
    "peers",
    "best_peer",
    "ratio",
    "floor_us",
    "floor_ratio",
}


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def options(**changes):
    """One short round of the smallest network, with NumPy alone."""
    smallest = Options(["tiny"], ["float64"], ["tanh"], 1, ["numpy"], [], False, 1, 1e-5)
    return smallest._replace(**changes)


def with_peers(**builds):
    """The gradient suite with other peers; each is a function of a case, or a package's name."""
    peers = Peers()
    for name, build in builds.items():
        if isinstance(build, str):
            peers.add(name, build)(None)
        else:
            peers.add(name, "numpy")(build)
    return gradient.SUITE._replace(peers=peers)


def exact(case):
    """A peer that is right: generated code under another name."""
    return gradient.contender(case, "numpy")


def exact_result(case):
    return suite.start(lambda: exact(case), 1).result


# -- derivation ------------------------------------------------------------------------------------


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
    lines = derivation_table(rows, 5).splitlines()
    assert lines[2].split() == ["3", "0.400", "1.00", "0.100", "1.00"]
    assert lines[3].split() == ["1000", "0.500", "1.25", "2.000", "20.00"]
    assert lines[-1] == sentence(rows)
    assert "1000 layers takes 1.25 times as long" in lines[-1]


@pytest.mark.parametrize("arguments", [[], ["unknown"]])
def test_an_unknown_benchmark_is_refused(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: python -m benchmarks" in done.stderr


# -- the commands ----------------------------------------------------------------------------------


def test_gradient_as_json_and_as_files(tmp_path):
    done = run(
        *("gradient", "--quick", "--json", "--targets", "numpy", "--peers", "autograd"),
        *("--output", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["environment"].keys() >= {
        "python",
        "processor",
        "cores",
        "packages",
        "processes",
    }
    (row,) = figures["results"]
    assert row.keys() == KEYS
    assert (row["workload"], row["dtype"], row["threads"]) == ("tiny", "float64", 1)
    assert 0.1 < row["generated_us"] < 1e5
    assert 0.1 < row["floor_us"] < 1e5
    assert all(0 < found["seconds"] < 60 for found in figures["first_calls"])
    # A peer is either measured or named with the package that it needs.
    assert (row["best_peer"] == "autograd") != (figures["missing"] == {"autograd": "autograd"})
    assert json.loads((tmp_path / "results.json").read_text()) == figures
    assert (tmp_path / "table.md").read_text().startswith("| workload |")
    pytest.importorskip("matplotlib")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_pieces_are_joined_and_several_threads_have_a_process_for_each_contender(tmp_path):
    command = ("gradient", "--quick", "--json", "--peers", "--output", str(tmp_path))
    first = json.loads(run(*command, "--targets", "numpy").stdout)
    done = run(*command, "--targets", "numpy", "numpy-workspace", "--threads", "2", "1")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    cases = [(row["threads"], row["target"]) for row in figures["results"]]
    assert sorted(cases) == [(n, name) for n in (1, 2) for name in ("numpy", "numpy-workspace")]
    assert figures["results"][0]["generated_us"] != first["results"][0]["generated_us"]
    assert len(figures["first_calls"]) == 4
    assert figures["environment"]["processes"].keys() == {"1", "2"}
    assert len((tmp_path / "table.md").read_text().split("\n\n")[0].splitlines()) == 4
    figures["environment"]["processor"] = "another"
    (tmp_path / "results.json").write_text(json.dumps(figures))
    done = run(*command, "--targets", "numpy")
    assert done.returncode == 1
    assert "of another environment (processor)" in done.stderr


def test_auto_against_all_targets():
    done = run("auto", "--quick", "--json", "--fit", "--targets", "numpy", "numpy-workspace")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    times = {row["target"]: row["generated_us"] for row in figures["results"]}
    assert [row["machine"] for row in figures["choices"]] == [*auto.MACHINES]
    for row in figures["choices"]:
        assert row["ratio"] == pytest.approx(times[row["auto"]] / min(times.values()), 1e-3)
    assert figures["costs"].keys() == times.keys()


def test_the_costs_of_exact_times_are_those_that_made_them():
    constants = [3e-6, 2e-7, 4e-9, 5e-10, 2e-9, 9e-9, 1e-11]
    rows = []
    for workload, dtype, activation in product(
        ("tiny", "small-32", "notes", "deep"), DTYPES, ("tanh", "sigmoid", "relu")
    ):
        row = {"workload": workload, "dtype": dtype, "threads": 1, "activation": activation}
        amounts = auto.amounts(auto._program(row), WORKLOADS[workload].samples, dtype)
        rows.append(
            row | {"target": "numpy", "generated_us": 1e6 * np.dot([*amounts.values()], constants)}
        )
    assert list(auto.costs(rows)["numpy"].values()) == pytest.approx(constants, 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_auto_is_almost_the_best_target_of_the_suite(activation):
    """Never more than 1.15 times slower, whatever is installed."""
    done = run("auto", "--json", "--rounds", "5", "--activation", activation)
    assert done.returncode == 0, done.stderr
    worst = max(json.loads(done.stdout)["choices"], key=lambda row: row["ratio"])
    assert worst["ratio"] <= 1.15, worst


def test_contenders_in_processes_of_their_own():
    large = case(WORKLOADS["medium"], "float64", "tanh", 2)
    with Processes() as processes:
        started = processes(gradient.SUITE, TINY, "target", "numpy")
        check("the other process", started.result, exact_result(TINY), "float64")
        assert started.seconds > 0
        assert started.timed.seconds(2) > 0
        with pytest.raises(suite.Skipped, match="more than 5000 multiplications"):
            processes(gradient.SUITE, large, "peer", "casadi-sx")
        with pytest.raises(SystemExit, match="the process of target numpy ended"):
            started.timed.ask("start", "nonsense")


def test_what_cannot_be_measured_is_refused():
    assert "invalid choice: 'huge'" in run("gradient", "--workload", "huge").stderr
    done = run("gradient", "--quick", "--targets", "fortran")
    assert done.returncode == 1
    assert "unknown target 'fortran'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gradient", "hessian"])
def test_all_installed_peers_agree(name):
    done = run(
        *(name, "--quick", "--json", "--targets", "numpy", "--workload", "small-32"),
        *("--dtype", *DTYPES, "--activation", *ACTIVATIONS),
    )
    assert done.returncode == 0, done.stderr


# -- comparing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [gradient.SUITE, hessian.SUITE], ids=lambda which: which.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_for_each_target(which, dtype):
    found = suite.run(which, options(dtypes=[dtype]))
    (row,) = found["results"]
    assert row.keys() == KEYS
    assert (row["target"], row["dtype"]) == ("numpy", dtype)
    assert row["best_peer"] is row["ratio"] is None
    assert row["floor_ratio"] == pytest.approx(row["generated_us"] / row["floor_us"], 1e-3)


def test_ratios_are_to_the_fastest_peer():
    def slow(case):
        contender = exact(case)

        def function(flat, g):
            for _ in range(20):
                contender.function(flat, g)
            return contender.function(flat, g)

        return contender._replace(function=function)

    found = suite.run(with_peers(slow=slow, exact=exact), options(peers=None, rounds=3))
    (row,) = found["results"]
    assert row["best_peer"] == "exact"
    assert row["ratio"] == pytest.approx(row["generated_us"] / row["peers"]["exact"], 1e-3)
    assert row["peers"]["slow"] > 5 * row["peers"]["exact"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda J, g: (2 * J, g), r"wrong differs .* by 1.0e\+00"),
        (lambda J, g: (J, g + 1e-3), "wrong differs"),
        (lambda J, g: (J, g * np.nan), "wrong differs .* by nan"),
        (lambda J, g: (J, g[:-1]), r"wrong gives shape \(8,\) instead of \(9,\)"),
    ],
)
def test_a_wrong_peer_is_refused(change, message):
    def wrong(case):
        contender = exact(case)
        return contender._replace(read=lambda returned: change(*contender.read(returned)))

    with pytest.raises(WrongResult, match=message):
        suite.run(with_peers(wrong=wrong), options(peers=None))


def test_the_result_is_compared_before_the_next_call_overwrites_it():
    memory = np.zeros(2)
    started = suite.start(lambda: Contender(lambda: memory, (), lambda found: (found,)), 1)
    memory += 1
    check("itself", started.result, (np.zeros(2),), "float64")


def test_missing_packages_are_named():
    found = suite.run(with_peers(absent="no_such_package"), options(peers=None))
    assert found["missing"] == {"absent": "no_such_package"}
    assert found["results"][0]["peers"] == {}


def test_slow_peers_are_measured_on_demand():
    peers = Peers()
    peers.add("quick", "numpy")(exact)
    peers.add("slow", "numpy", slow=True)(exact)
    for changes, expected in (
        ({"peers": None}, {"quick"}),
        ({"peers": None, "slow": True}, {"quick", "slow"}),
        ({"peers": ["slow"]}, {"slow"}),
        ({"peers": []}, set()),
    ):
        assert suite._installed(peers, options(**changes), {}).keys() == expected


def test_skipped_peers_are_named_with_the_reason():
    def skipped(case):
        raise suite.Skipped("too large")

    found = suite.run(with_peers(skipped=skipped), options(peers=None))
    assert found["skipped"] == [CASE | {"peer": "skipped", "reason": "too large"}]


def test_a_target_that_falls_back_to_another_is_not_measured(monkeypatch):
    made = gradient.generated.objective(TINY, "numpy", order=1)
    made.target = "another"
    monkeypatch.setattr("lagrangenet.Routines.objective", lambda self, X, Y: made)
    with pytest.raises(suite.Skipped, match="another"):
        gradient.contender(TINY, "numpy")
    assert suite.run(gradient.SUITE, options())["results"] == []


def test_the_softmax_of_one_output_is_not_measured(capsys):
    assert suite.run(gradient.SUITE, options(activations=["softmax"]))["results"] == []
    assert "softmax of one output" in capsys.readouterr().err


# -- its parts -------------------------------------------------------------------------------------


def test_a_call_gets_its_arguments():
    calls = []
    contender = Contender(lambda *arguments: calls.append(arguments), (1, 2), lambda _: ())
    seconds = measure({"one": Calls(contender, 1)}, rounds=3, threads=1, shortest=1e-6)
    assert seconds["one"] > 0
    assert set(calls) == {(1, 2)}


def test_the_floor_has_three_products_per_layer_but_the_first(monkeypatch):
    shapes = []
    monkeypatch.setattr(np, "matmul", lambda left, right, out: shapes.append(out.shape))
    gemms(TINY, Products(1, 1, 0), Products(1, 1, 1)).function()
    assert shapes == [(4, 2), (2, 2), (4, 1), (1, 2), (4, 2)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_as_a_vector(dtype):
    tiny = case(WORKLOADS["tiny"], dtype, "softmax")
    flat = packed(tiny.theta)
    assert flat.dtype == tiny.X.dtype == tiny.Y.dtype == dtype
    for (W, b), (V, c) in zip(tiny.theta, unpacked(flat, (2, 2, 1)), strict=True):
        assert (W == V).all()
        assert (b == c).all()


def test_the_table_shows_the_best_target_of_each_case():
    peers = {"fast": 2.0, "slow": 8.0}
    rows = [suite.row(CASE, "numpy", 4.0, peers, 1.0), suite.row(CASE, "c", 0.5, peers, 1.0)]
    means = table.geometric_means(rows)
    assert means["numpy"] == {"cases": 1, "ratio": 2.0, "floor_ratio": 4.0}
    assert means["best"] == means["c"] == {"cases": 1, "ratio": 0.25, "floor_ratio": 0.5}
    # The geometric mean of a quarter and four is one.
    other = suite.row(CASE | {"dtype": "float32"}, "c", 8.0, peers, 1.0)
    assert table.geometric_means([*rows, other])["best"]["ratio"] == 1
    first = [CASE | {"target": "c", "seconds": 1.5}]
    figures = {"results": rows, "first_calls": first, "missing": {"jax": "jax"}}
    figures["geometric_mean"] = means
    lines = table.markdown(figures).splitlines()
    cells = [
        "tiny",
        "float64",
        "1",
        "tanh",
        "0.5 µs",
        "c",
        "fast",
        "2 µs",
        "0.25",
        "0.50",
        "1.50 s",
    ]
    assert lines[2] == f"| {' | '.join(cells)} |"
    assert lines[-1] == "- not installed: jax (jax)"


def test_durations_have_three_digits():
    assert [table.duration(us) for us in (0.2345, 99.94, 123.4, 1500.0, 262345.0)] == [
        "0.234 µs",
        "99.9 µs",
        "123 µs",
        "1.5 ms",
        "262 ms",
    ]


def test_idle_time_is_read_from_the_counters_of_the_cores():
    text = "cpu 9 9 9 9 9 9 9 9 9 9\ncpu0 10 0 5 80 5 0 0 0 7 7\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5"
    assert _ticks(text) == {0: (100, 85), 1: (8, 2)}
