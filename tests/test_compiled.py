"""Compiled objectives: many threads, forks, wrong arguments, the cache, machines without a compiler."""

import itertools
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from lagrangenet import L2, DataError, chain, generate
from lagrangenet.errors import DerivationError
from lagrangenet.runtime import compiled
from lagrangenet.runtime.compiled import CompiledEngine, NotCompiled
from tests.compilers import (
    TOLERANCE,
    Point,
    cache_in,
    derivation,
    forget,
    library,
    needs_compiler,
    text,
)

SMALL = chain([2, 3, 1], "tanh", regularizer=L2(0.01))
#: Large enough that a call releases the interpreter lock, and too small for BLAS.
LARGE = chain([20, 40, 10], "tanh", "cross_entropy")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with cache_in(tmp_path_factory.mktemp("compiled")):
        yield


def objective_of(point, threads=1, order=2):
    code = generate(derivation(point.problem, order), point.dtype, "c", threads)
    return code.objective(point.X, point.Y)


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def script(text, *arguments, **environment):
    """A Python program in a process of its own, which sees this package."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        cwd=ROOT,
    )


def finished(process, seconds=100):
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"no end after {seconds} s: {out}{err}")
    assert process.returncode == 0, out + err
    return out.strip()


# -- as an objective -------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_objective_in_c_computes_what_numpy_computes(dtype):
    point = Point(LARGE, 30, dtype)
    objective = objective_of(point)
    assert objective.target == "c"
    J, gradient = objective(point.theta)
    found = (
        objective.value(point.theta),
        J,
        gradient,
        objective.hessp(point.theta, point.p),
        objective.gauss_newtonp(point.theta, point.p),
    )
    for value, expected in zip(found, point.expected, strict=True):
        np.testing.assert_allclose(value, expected, rtol=100 * TOLERANCE[dtype], atol=1e-6)
    assert {a.dtype for a in found[2:]} == {np.dtype(dtype)}
    out = np.empty_like(point.theta)
    assert objective.into(point.theta, out) == J
    np.testing.assert_array_equal(out, gradient)
    assert objective.hessp(point.theta, point.p, out) is out
    np.testing.assert_array_equal(out, found[3])


@needs_compiler
def test_data_are_copied_in_any_layout():
    point = Point(SMALL, 12)
    expected = objective_of(point)(point.theta)
    X = np.asfortranarray(np.repeat(point.X, 2, axis=0))[::2]
    Y = point.Y[::-1].copy()[::-1]
    code = generate(derivation(SMALL), target="c")
    objective = code.objective(X, Y)
    assert_equal(objective(point.theta), expected)
    X[...], Y[...] = 7, 7
    assert_equal(objective(point.theta), expected)


@needs_compiler
def test_no_products_of_the_first_order():
    point = Point(SMALL, 4)
    objective = objective_of(point, order=1)
    assert objective.target == "c"
    with pytest.raises(DerivationError, match="first order"):
        objective.hessp(point.theta, point.p)


# -- what is refused -------------------------------------------------------------------------------


def vectors_that_do_not_fit(good):
    swapped = good.astype(good.dtype.newbyteorder())
    unaligned = np.frombuffer(b"\0" + good.tobytes(), np.uint8)[1:].view(good.dtype)
    return {
        "list": good.tolist(),
        "None": None,
        "float32": good.astype("float32"),
        "integers": np.ones(good.shape, int),
        "complex": good.astype(complex),
        "byte order": swapped,
        "too short": good[:-1].copy(),
        "too long": np.append(good, 0.0),
        "a row": good[None],
        "a scalar": np.float64(1),
        "strided": np.repeat(good, 2)[::2],
        "backwards": good[::-1],
        "unaligned": unaligned,
        "memoryview": memoryview(good),
    }


BAD = sorted(vectors_that_do_not_fit(np.zeros(13)))


@needs_compiler
@pytest.mark.parametrize("bad", BAD)
def test_vectors_that_do_not_fit_are_refused(bad):
    point = Point(SMALL, 5)
    engine = CompiledEngine(text(SMALL, 5), point.X, point.Y)
    good, out = point.theta, np.zeros_like(point.theta)
    value = vectors_that_do_not_fit(good)[bad]
    for call in (
        lambda: engine.into(value, out),
        lambda: engine.into(good, value),
        lambda: engine.value(value),
        lambda: engine.product("hessian_product", value, good, out),
        lambda: engine.product("hessian_product", good, value, out),
        lambda: engine.product("gauss_newton_product", good, good, value),
    ):
        with pytest.raises(DataError, match="vector of 13 numbers of type float64"):
            call()
    assert not out.any()


@needs_compiler
@pytest.mark.parametrize("bad", BAD)
def test_an_objective_converts_or_refuses(bad):
    """It takes what can be converted without loss, and says of the rest what is wrong."""
    point = Point(SMALL, 5)
    objective = objective_of(point)
    value = vectors_that_do_not_fit(point.theta)[bad]
    with pytest.raises(DataError, match=r"13 numbers|13 float64"):
        objective.into(value, np.empty(13))
    if value is not None:
        with pytest.raises(DataError, match=r"13 numbers|13 float64"):
            objective.hessp(point.theta, point.p, value)
    if bad in {"None", "complex", "too short", "too long", "a row", "a scalar", "unaligned"}:
        with pytest.raises(DataError, match="theta"):
            objective(value)
    else:
        expected = objective(np.array(value, dtype=float))
        assert_equal(objective(value), expected)


@needs_compiler
def test_wrong_numbers_of_arguments_and_wrong_data_are_refused():
    point = Point(SMALL, 5)
    engine = CompiledEngine(text(SMALL, 5), point.X, point.Y)
    for arguments in ((), (point.theta,), (point.theta,) * 3):
        with pytest.raises(TypeError, match=f"expected 2 arguments, got {len(arguments)}"):
            engine.into(*arguments)
    kind = type(engine.into.__self__)
    for X, Y in (
        (point.X[:4], point.Y),
        (point.X, point.Y[:, [0, 0]]),
        (point.X.astype("float32"), point.Y),
        (point.X.astype(point.X.dtype.newbyteorder()), point.Y),
        (np.asfortranarray(point.X), point.Y),
        (point.X.tolist(), point.Y),
    ):
        with pytest.raises(DataError, match="has to be a contiguous array of shape"):
            kind(X, Y)
    with pytest.raises(TypeError):
        kind(point.X)


# -- many threads, forks ---------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize(
    ("problem", "samples", "threads"), [(SMALL, 8, 1), (LARGE, 60, 1), (LARGE, 60, 2)]
)
def test_one_objective_in_many_threads(problem, samples, threads):
    """Eight threads, a thousand calls each, at eight points: every call gives equal bits."""
    point = Point(problem, samples)
    objective = objective_of(point, threads)
    rng = np.random.default_rng(1)
    thetas = [point.theta + rng.normal(size=point.theta.shape) for _ in range(8)]
    expected = [
        (*objective(theta), objective.value(theta), objective.hessp(theta, point.p))
        for theta in thetas
    ]
    wrong, start = [], threading.Barrier(8)

    def work(theta, right):
        out = np.empty_like(theta)
        start.wait()
        for j in range(1000):
            found = [objective.into(theta, out), out]
            if j % 10 == 0:
                found += [objective.value(theta), objective.hessp(theta, point.p)]
            pairs = zip(found, right, strict=False)
            if not all(np.array_equal(a, b) for a, b in pairs):
                wrong.append(j)

    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(thetas, expected, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@needs_compiler
def test_objectives_made_in_many_threads_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LAGRANGENET_CACHE", str(tmp_path))
    point = Point(SMALL, 6)
    source, found = text(SMALL, 6), []

    def work():
        found.append(point.found(CompiledEngine(source, point.X, point.Y)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for one in found:
        assert_equal(one, found[0])
    assert len(found) == 4


FORK = """
    import os, signal, sys
    import numpy as np
    from lagrangenet import chain, derive, generate

    threads, *counts = map(int, sys.argv[1:])
    derivation = derive(chain([20, 40, 10]))
    code, plain = generate(derivation, target="c", threads=threads), generate(derivation)
    theta = np.random.default_rng(0).normal(size=plain.problem.size)
    data = [[np.random.default_rng(n).normal(size=(n, m)) for m in (20, 10)] for n in counts]
    expected = [plain.fun(theta, *each)[1] for each in data]

    def check(which):
        objective = code.objective(*data[which])
        assert objective.target == "c"
        np.testing.assert_allclose(objective(theta)[1], expected[which], rtol=1e-9)

    check(0)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = 1
        try:
            for which in (1, 0, 1):
                check(which)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    check(0)
    print(os.waitstatus_to_exitcode(status))
"""


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(
    ("threads", "first", "then"),
    [(1, 60, 60), (2, 60, 60), (2, 60, 61)],
    ids=["one thread", "two threads", "another objective in the child"],
)
def test_a_forked_child_computes(threads, first, then):
    """Threads that the parent has started do not come along; whatever started them."""
    quiet = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}  # of fork with threads, Python 3.12
    assert finished(script(FORK, threads, first, then, **quiet)) == "0"


CORES = """
    import os, sys
    from pathlib import Path
    from lagrangenet.runtime.compiled import CompiledEngine
    from tests.test_compiled import LARGE, Point, text

    allowed = sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]
    os.sched_setaffinity(0, allowed)
    alone = set(os.listdir("/proc/self/task"))

    def cores():
        found = []
        for thread in sorted(set(os.listdir("/proc/self/task")) - alone):
            status = Path("/proc/self/task", thread, "status").read_text()
            listed = status.split("Cpus_allowed_list:")[1].split()[0].split(",")
            ends = [list(map(int, part.split("-"))) for part in listed]
            found.append({core for end in ends for core in range(end[0], end[-1] + 1)})
        return found

    for samples in (60, 61):  # two modules
        point = Point(LARGE, samples)
        engine = CompiledEngine(text(LARGE, samples, threads=3, order=1), point.X, point.Y, 3)
        for core in allowed * 2:
            os.sched_setaffinity(0, [core])  # the caller moves
            os.sched_setaffinity(0, allowed)
            engine.value(point.theta)
            assert all(found < set(allowed) for found in cores()), cores()
            assert os.sched_getaffinity(0) == set(allowed)
    print(len(cores()))
"""


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="cores are known on Linux only")
@pytest.mark.parametrize("cores", [1, 2])
def test_threads_stay_on_the_cores_of_the_process(cores):
    """All modules share one for each further core, kept from that of the caller."""
    if len(os.sched_getaffinity(0)) < cores:
        pytest.skip(f"there are no {cores} cores")
    single = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")
    assert finished(script(CORES, cores, **single)) == f"{cores - 1}"


# -- memory ----------------------------------------------------------------------------------------

MEMORY = """
    import resource, sys
    import numpy as np
    from tests.test_compiled import LARGE, Point, objective_of

    point = Point(LARGE, 2000)  # about a megabyte each
    out = np.empty_like(point.theta)

    def use(times):
        for _ in range(times):
            objective = objective_of(point)
            objective.into(point.theta, out)
            try:
                objective.into(point.theta, out[:-1])
            except ValueError:
                pass
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    print(use(300) - use(20))
"""


@needs_compiler
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_deleted_objective_frees_its_memory():
    assert int(finished(script(MEMORY), 300)) < 20_000  # kilobytes; nothing freed is 300 MB


def numbers(problem, samples):
    """Parameters, their gradient, the states of all layers, and the labels; no multipliers."""
    widths = problem.widths
    return 2 * problem.size + samples * (sum(widths) + widths[-1])


@needs_compiler
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("widths", "samples"),
    [
        ([64, 64, 64, 10], 128),
        ([32] * 51, 64),
        ([784, 512, 512, 10], 256),
        ([1024, 2048, 1024], 512),
    ],
    ids=["medium", "deep", "large", "wide"],
)
def test_memory_of_a_compiled_objective(widths, samples, dtype, tmp_path):
    """Workspace, data, parameters and gradient: no more than 1.3 times what has to be there."""
    problem = chain(widths, "tanh", "cross_entropy")
    loaded = library(text(problem, samples, dtype, order=1), tmp_path)
    sizes = ("model_work_size", "model_inputs_size", "model_labels_size")
    held = 2 * problem.size + sum(int(getattr(loaded, name)()) for name in sizes)
    assert held <= 1.3 * numbers(problem, samples)


# -- the cache -------------------------------------------------------------------------------------

#: One weight and one bias: J = |w x + b - y|²/2M.
TINY = chain([1, 1])
THETA, INPUTS, LABELS = np.array([2.0, -1.0]), np.arange(5.0)[:, None], np.ones((5, 1))
PROGRAM = """
    import numpy as np
    from lagrangenet import chain, derive, generate

    code = generate(derive(chain([1, 1])), target="c")
    objective = code.objective(np.arange(5.0)[:, None], np.ones((5, 1)))
    print(objective.target, *objective(np.array([2.0, -1.0]))[1].round(12))
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache, and a compiler that writes a line for each file that it compiles."""
    log, wrapper = tmp_path / "log", tmp_path / "cc"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) ;; *) echo compiled >> {log} ;; esac\n'
        f'exec {shutil.which("gcc") or shutil.which("clang")} "$@" -O0\n'
    )
    wrapper.chmod(0o755)
    log.touch()
    monkeypatch.setenv("CC", str(wrapper))
    monkeypatch.setenv("LAGRANGENET_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def compilations(folder):
    return len((folder / "log").read_text().splitlines())


def entry_in(folder):
    (entry,) = (folder / "cache").glob("*.so")
    return entry


def assert_computes(samples=5, target="c"):
    """An objective that is made as if the program had just started."""
    compiled._module.cache_clear()
    code = generate(derivation(TINY, 1), target="c")
    X = np.arange(float(samples))[:, None]
    objective = code.objective(X, np.ones((samples, 1)))
    assert objective.target == target
    rest = 2 * X - 2
    np.testing.assert_allclose(objective(THETA)[1], [np.mean(rest * X), np.mean(rest)])


@needs_compiler
def test_what_is_in_the_cache_is_not_compiled_again(fresh):
    assert_computes()
    assert compilations(fresh) == 1
    names = sorted(path.name.rsplit(".", 1)[-1] for path in (fresh / "cache").iterdir())
    assert names == ["lock", "sha256", "so"]
    assert (fresh / "cache").stat().st_mode & 0o077 == 0  # nobody else's business
    for _ in range(2):
        forget()
        assert_computes()
    assert compilations(fresh) == 1
    assert_computes(samples=6)
    assert compilations(fresh) == 2
    assert finished(script(PROGRAM)) == "c 8.0 2.0"
    assert compilations(fresh) == 2


def overwrite(text):
    def damage(entry):
        entry.write_bytes(text)

    return damage


def truncate(entry):
    entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])


def one_bit(entry):
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(bytes(data))


def digest_file(entry):
    return entry.with_name(f"{entry.name}.sha256")


def no_module(entry):
    """Intact, and no extension module: as if built for another interpreter."""
    entry.write_bytes(b"no module")
    digest_file(entry).write_text(compiled._digest(entry))


DAMAGES = {
    "truncated": truncate,
    "empty": overwrite(b""),
    "overwritten": overwrite(b"\x7fELF something else"),
    "one bit": one_bit,
    "removed": Path.unlink,
    "wrong digest": lambda entry: digest_file(entry).write_text("0" * 64),
    "no digest": lambda entry: digest_file(entry).unlink(),
    "no text": lambda entry: digest_file(entry).write_bytes(b"\xff\xfe"),
    "no module": no_module,
}


@needs_compiler
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_damaged_entry_is_built_again(damage, fresh, monkeypatch):
    """It is damaged before this process has seen it: a module that is loaded stays loaded."""
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "_imported", lambda entry: entry)
        entry = compiled._load(compiled_source(), ())
    DAMAGES[damage](entry)
    assert_computes()
    assert compilations(fresh) == 2
    assert compiled._sound(entry)
    assert digest_file(entry).read_text() == compiled._digest(entry)


def compiled_source():
    return generate(derivation(TINY, 1), target="c").linked_source(5)


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_a_foreign_file_is_built_again(fresh, monkeypatch):
    assert_computes()
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert_computes()
    assert compilations(fresh) == 2


@needs_compiler
def test_everything_that_code_depends_on_is_in_its_name(fresh, monkeypatch):
    assert_computes()
    (fresh / "binding.c").write_bytes(compiled._BINDING.read_bytes() + b"\n")
    changes = {
        "FLAGS": (*compiled.FLAGS, "-fno-inline"),
        "_machine": lambda compiler: ("another compiler, machine or interpreter",),
        "_BINDING": fresh / "binding.c",
    }
    for count, (name, value) in enumerate(changes.items(), 2):
        with monkeypatch.context() as patch:
            patch.setattr(compiled, name, value)
            assert_computes()
        assert compilations(fresh) == count
    told = compiled._machine(os.environ["CC"])
    assert {os.environ["CC"], np.__version__, platform.python_version()} <= set(told)


@needs_compiler
def test_two_processes_at_once(fresh):
    """Both compute, and one of them has compiled."""
    both = [script(PROGRAM) for _ in range(2)]
    assert [finished(process) for process in both] == ["c 8.0 2.0"] * 2
    assert compilations(fresh) == 1


@needs_compiler
def test_without_locks_both_compile_and_both_are_right(fresh):
    unlocked = "import sys\nsys.modules['fcntl'] = None\n" + textwrap.dedent(PROGRAM)
    both = [script(unlocked) for _ in range(2)]
    assert [finished(process) for process in both] == ["c 8.0 2.0"] * 2
    assert 1 <= compilations(fresh) <= 2
    assert compiled._sound(entry_in(fresh))


# -- with BLAS or without --------------------------------------------------------------------------

WIDE = chain([40, 60, 2], "tanh")


def raced(monkeypatch, folder, times):
    """An objective of WIDE where a clock says how long each call has taken."""
    monkeypatch.setenv("LAGRANGENET_CACHE", str(folder))
    clock = itertools.accumulate(itertools.cycle([0.0, times[0], 0.0, times[1]]))
    monkeypatch.setattr(compiled.time, "perf_counter", lambda: next(clock))
    rng = np.random.default_rng(0)
    X, Y, theta = (rng.normal(size=size) for size in ((9, 40), (9, 2), WIDE.size))
    return generate(derivation(WIDE, 1), target="c").objective(X, Y)(theta)[1]


@pytest.fixture(scope="module")
def raced_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("raced")


@needs_compiler
def test_the_winner_of_a_race_stays_the_winner(raced_folder, monkeypatch):
    """Equal objectives give equal bits: in this process always, in others by a note."""
    monkeypatch.setattr(compiled, "_WINNERS", {})
    first = raced(monkeypatch, raced_folder, (1, 2))
    (note,) = raced_folder.glob("*.race")
    assert note.read_text() == "0"
    note.write_text("1")  # another process has found otherwise, a moment later
    np.testing.assert_array_equal(raced(monkeypatch, raced_folder, (2, 1)), first)
    compiled._WINNERS.clear()
    other = raced(monkeypatch, raced_folder, (1, 2))
    assert not np.array_equal(other, first)
    np.testing.assert_allclose(other, first, rtol=1e-11, atol=1e-13)


@needs_compiler
@pytest.mark.parametrize("damaged", ["", "2", "-1", "one", "\xff"])
def test_a_note_that_makes_no_sense_is_written_again(damaged, raced_folder, monkeypatch):
    monkeypatch.setattr(compiled, "_WINNERS", {})
    raced(monkeypatch, raced_folder, (2, 1))
    (note,) = raced_folder.glob("*.race")
    note.write_text(damaged, encoding="latin-1")
    compiled._WINNERS.clear()
    raced(monkeypatch, raced_folder, (2, 1))
    assert note.read_text() == "1"


# -- what there is instead -------------------------------------------------------------------------


def said(caplog):
    """What was logged by the package, and at which level."""
    assert {r.levelno for r in caplog.records if r.name == "lagrangenet"} <= {logging.WARNING}
    return [r.getMessage() for r in caplog.records if r.name == "lagrangenet"]


def unwritable_file(fresh):
    """A file where the folder should be; also for those who may write anywhere."""
    (fresh / "file").touch()
    return fresh / "file" / "cache"


def unwritable_lock(fresh):
    """A lock that cannot be opened."""
    key = compiled._load(compiled_source(), ()) and entry_in(fresh).with_suffix(".lock")
    key.unlink()
    key.mkdir()
    return fresh / "cache"


def unwritable_entry(fresh):
    """An entry that cannot be replaced."""
    compiled._load(compiled_source(), ())
    entry = entry_in(fresh)
    entry.unlink()
    (entry / "folder").mkdir(parents=True)
    return fresh / "cache"


@needs_compiler
@pytest.mark.parametrize("make", [unwritable_file, unwritable_lock, unwritable_entry])
def test_an_unwritable_cache_gives_way_to_a_temporary_one(make, fresh, monkeypatch, caplog):
    folder = make(fresh)
    monkeypatch.setenv("LAGRANGENET_CACHE", str(folder))
    before = sorted(Path(compiled.tempfile.gettempdir()).glob("lagrangenet-*"))
    for _ in range(2):
        assert_computes()
    (message,) = said(caplog)
    assert message.startswith(f"compiled code cannot be kept in {folder} (")
    assert message.endswith("; it is built anew")
    assert sorted(Path(compiled.tempfile.gettempdir()).glob("lagrangenet-*")) == before


@needs_compiler
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else(fresh, monkeypatch, caplog):
    (fresh / "cache").mkdir(mode=0o500)
    assert_computes()
    assert "Permission denied" in said(caplog)[0]


def no_compiler(fresh, monkeypatch):
    monkeypatch.setenv("CC", "/nonexistent/cc")
    return r"there is no C compiler \(/nonexistent/cc\)"


def none_of_all_compilers(fresh, monkeypatch):
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(fresh / "nowhere"))
    return r"there is no C compiler \(gcc, clang or cc\)"


def a_script(answer):
    def broken_compiler(fresh, monkeypatch):
        (fresh / "broken").write_text(f"#!/bin/sh\n{answer}\n")
        (fresh / "broken").chmod(0o755)
        monkeypatch.setenv("CC", str(fresh / "broken"))
        return rf".*{fresh}/broken (does not run: .*|failed: (no message|error: it is broken))"

    return broken_compiler


def no_headers(fresh, monkeypatch):
    paths = {**compiled.sysconfig.get_paths(), "include": str(fresh)}
    monkeypatch.setattr(compiled.sysconfig, "get_paths", lambda: paths)
    return r"the headers of Python are not installed \(python3-dev\)"


def no_module_made(fresh, monkeypatch):
    """The compiler says that it worked, and what it made is no module."""
    (fresh / "odd").write_text(
        '#!/bin/sh\nwhile [ "$#" -gt 0 ]; do [ "$1" = -o ] && echo text > "$2"; shift; done\n'
    )
    (fresh / "odd").chmod(0o755)
    monkeypatch.setenv("CC", str(fresh / "odd"))
    return "compiled code cannot be loaded: .*"


def too_slow(fresh, monkeypatch):
    monkeypatch.setattr(compiled, "PATIENCE", 0.01)
    return f"{fresh}/cc took more than 0.01 seconds"


@needs_compiler
@pytest.mark.parametrize(
    "obstacle",
    [
        no_compiler,
        none_of_all_compilers,
        a_script("exit 1"),
        a_script('case "$*" in *--version*) ;; *) echo "error: it is broken" >&2; exit 1;; esac'),
        a_script('case "$*" in *--version*) ;; *) exit 1;; esac'),
        no_headers,
        no_module_made,
        too_slow,
    ],
)
def test_numpy_computes_where_c_cannot_be_compiled(obstacle, fresh, monkeypatch, caplog):
    reason = obstacle(fresh, monkeypatch)
    for _ in range(2):
        assert_computes(target="numpy")
    (message,) = said(caplog)
    assert re.fullmatch(
        f"{reason}; computing with the target 'numpy' instead of 'c'", message, re.DOTALL
    )
    with pytest.raises(NotCompiled):
        CompiledEngine(compiled_source(), INPUTS, LABELS)
    assert not list((fresh / "cache").glob("*.so")) or obstacle is no_module_made


@needs_compiler
def test_an_error_in_the_source_is_no_reason_to_be_silent(fresh):
    with pytest.raises(NotCompiled, match=r"cc failed: .*error: .*nonsense"):
        compiled._load(compiled_source() + "#error nonsense\n", ())
    assert not list((fresh / "cache").glob("*.so"))
    assert not list((fresh / "cache").glob("build-*"))


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LAGRANGENET_CACHE", "/somewhere")
    assert compiled.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("LAGRANGENET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.cache_folder() == tmp_path / "lagrangenet"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert compiled.cache_folder() == tmp_path / ".cache" / "lagrangenet"
