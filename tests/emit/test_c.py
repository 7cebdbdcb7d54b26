"""Emitted C: its text, that compilers have nothing to say about it, and its values against NumPy."""

import itertools
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from lagrangenet import L2, LOSSES, REGULARIZERS, DataError, Dense, DerivationError, Problem, chain
from lagrangenet.emit.c import module
from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.module import header
from lagrangenet.routines.ir import ref
from lagrangenet.runtime import compiled
from lagrangenet.symbolic import tensor as t
from tests.compilers import (
    COMPILERS,
    SAMPLES,
    Point,
    assert_agrees,
    cache_in,
    needs_compiler,
    program,
    run,
    stages,
    text,
    warnings,
)
from tests.problems import BANK, TRAINABLE, TRAINED, fits, random_problem

CLASSES = chain(
    [4, 5, 3],
    "relu",
    "cross_entropy",
    regularizer=REGULARIZERS["elastic_net"](l1=0.01, l2=0.03, strength=0.5, biases=True),
    name="classes",
    class_weights=(1.0, 2.0, 5.0),
)
#: Large layers between small ones: some products are BLAS's, if it takes part, some are not.
WIDE = chain([30, 80, 70, 5], "tanh", "cross_entropy", regularizer=L2(0.01), name="wide")
#: Operands that are too large for the first cache, and no multiples of anything.
WIDER = chain([301, 203, 47, 4], "sigmoid", name="wider")
MARGINS = chain([3, 4, 3], "softplus", "multiclass_hinge", regularizer=REGULARIZERS["L1"](0.02))
NAMED = {
    **{name: BANK[name] for name in ("xor", "softmax-throughout", "mixed", "deep")},
    "classes": CLASSES,
    "wide": WIDE,
    "wider": WIDER,
    "margins": MARGINS,
}
ALL = BANK | NAMED
DTYPES = ("float64", "float32")


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with cache_in(tmp_path_factory.mktemp("compiled")):
        yield


# -- text ------------------------------------------------------------------------------------------


def generated(source):
    """A file without what every file has: vectors, tiles and the calls at its end."""
    for path in sorted(Path(module.__file__).parent.glob("*.h")):
        fixed = path.read_text(encoding="utf-8").strip("\n")
        source = source.replace(fixed, f"/* {path.name} */")
    assert all(f"/* {name}.h */" in source for name in ("vector", "tiles", "calls"))
    return source


@pytest.mark.parametrize(
    ("name", "samples", "dtype", "order"),
    [("xor", 4, "float64", 2), ("classes", 1000, "float32", 1)],
)
def test_source(name, samples, dtype, order, golden):
    source = text(NAMED[name], samples, dtype, order=order, vector=32)
    golden(f"c-{name}.txt", generated(source))


def test_source_for_one_sample(golden):
    golden("c-one.txt", generated(text(CLASSES, 1, order=1, vector=64)))


def test_header(golden):
    golden("c-header.txt", header(program(NAMED["xor"]), "float32"))


@pytest.mark.parametrize("name", ["xor", "classes", "wide"])
def test_equal_problems_give_equal_text(name):
    assert text(NAMED[name], 17) == text(NAMED[name], 17)
    assert text(NAMED[name], 17) != text(NAMED[name], 18)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_function_is_called_and_every_call_is_labelled(name):
    source = generated(text(NAMED[name], 100))
    functions = re.findall(r"^(?:static NOINLINE|INLINE) void (\w+)\(", source, re.MULTILINE)
    assert len(set(functions)) == len(functions)
    for function in functions:
        assert len(re.findall(rf"\b{function}\(", source)) > 1, function
    tiles = re.findall(r"^static void tile_\w+\(.*?^}", source, re.MULTILINE | re.DOTALL)
    assert len(tiles) == 4
    for tile in tiles:
        calls = [
            line
            for line in tile.splitlines()[4:-1]
            if "spare;" not in line and "*const spare" not in line
        ]
        assert calls[0].startswith("    /* (S0)  z¹ = ")
        assert all(re.match(r"    (/\* \(\w+(, \w+)*\)  .* \*/|\w+\(.*\);)$", x) for x in calls)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (t.Call((), t.Fn("gamma"), (ref("X", 1),)), "no C form for the function 'gamma'"),
        (t.Number((), sp.Symbol("eta")), "no C form for the symbol eta"),
        (t.Transposed((), ref("W", 1)), "no C form for Transposed"),
    ],
)
def test_what_has_no_c_form_is_refused_by_name(node, message):
    expressions = Expressions(lambda array: array.name)
    with pytest.raises(DerivationError, match=message):
        expressions.value(node)


def test_equal_calls_become_one_variable():
    exp = t.Call((), t.Fn("exp"), (ref("X", 1),))
    expressions = Expressions(lambda array: array.name)
    expressions.value(t.product([exp, exp], [], ()))
    assert sum("v_exp(" in line for line in expressions.lines) == 1


@pytest.mark.parametrize("name", sorted(BANK))
def test_every_problem_of_the_bank_has_a_c_form(name):
    source = text(BANK[name], 17, DTYPES[len(name) % 2])
    assert "model_hessian_product" in source


# -- what compilers say ----------------------------------------------------------------------------

_EACH = list(itertools.product(DTYPES, (1, 3, 17, 300), (1, 2)))


@needs_compiler
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("name", "dtype", "samples", "threads", "order"),
    [
        ("xor", "float64", 1, 1, 1),
        ("classes", "float32", 300, 1, 2),
        ("wide", "float64", 300, 2, 1),
        ("wider", "float32", 17, 1, 1),
        ("margins", "float64", 17, 1, 2),
        ("deep", "float32", 3, 2, 2),
    ],
)
def test_no_warnings(name, dtype, samples, threads, order, compiler, tmp_path):
    source = text(NAMED[name], samples, dtype, threads, order)
    more = ("-pthread",) * (threads > 1)
    assert warnings(compiler, source, tmp_path, *more) == ""


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", sorted(ALL))
def test_no_warnings_for_the_whole_bank(name, compiler, tmp_path):
    turn = sorted(ALL).index(name)
    dtype, samples, threads = _EACH[turn % len(_EACH)]
    source = text(ALL[name], samples, dtype, threads, 1 + turn // 3 % 2)
    assert warnings(compiler, source, tmp_path, *("-pthread",) * (threads > 1)) == ""


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(("dtype", "samples", "threads"), _EACH)
def test_no_warnings_for_any_number_of_samples(dtype, samples, threads, compiler, tmp_path):
    for name, order in itertools.product(("xor", "classes", "wide"), (1, 2)):
        source = text(NAMED[name], samples, dtype, threads, order)
        assert warnings(compiler, source, tmp_path, *("-pthread",) * (threads > 1)) == ""


# -- values ----------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize(
    ("name", "samples", "dtype"),
    [
        ("xor", 1, "float64"),
        ("classes", 1, "float32"),
        ("softmax-throughout", 3, "float64"),
        ("mixed", 17, "float32"),
        ("deep", 100, "float64"),
        ("classes", 1000, "float64"),
        ("margins", 1000, "float32"),
    ],
)
def test_values(name, samples, dtype):
    assert_agrees(NAMED[name], samples, dtype)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("name", sorted(NAMED))
def test_values_for_any_number_of_samples(name, samples, dtype):
    for threads in (1, 2):
        assert_agrees(NAMED[name], samples, dtype, threads, seed=samples)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BANK))
def test_values_of_the_whole_bank(name):
    turn = sorted(BANK).index(name)
    samples, dtype = SAMPLES[turn % len(SAMPLES)], DTYPES[turn // 8 % 2]
    assert_agrees(BANK[name], samples, dtype, seed=turn)


_REGULARIZED = [
    None,
    REGULARIZERS["L2"](0.05, biases=True),
    REGULARIZERS["L1"](0.02, biases=True),
    REGULARIZERS["elastic_net"](l1=0.01, l2=0.03, strength=0.5, biases=True),
]
_PAIRS = list(itertools.product(TRAINED, TRAINABLE))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(("activation", "loss"), _PAIRS)
def test_every_activation_with_every_loss(activation, loss):
    """Hidden and, where the loss is defined for it, at the output; regularizers and sizes in turn."""
    turn = _PAIRS.index((activation, loss))
    regularizer = _REGULARIZED[turn % len(_REGULARIZED)]
    weights = () if LOSSES[loss].coupled or turn % 2 else (1.0, 3.0)
    samples, dtype = SAMPLES[turn % len(SAMPLES)], DTYPES[turn // 2 % 2]
    problem = chain([2, 3, 2], activation, loss, regularizer=regularizer, class_weights=weights)
    assert_agrees(problem, samples, dtype, seed=turn + 1)
    if fits(activation, loss):
        layers = [Dense(3, "tanh"), Dense(2, activation)]
        assert_agrees(Problem(2, layers, loss, regularizer), samples, dtype, seed=turn + 1)


#: Every function that a formula may have.
_FORMULAS = {
    "z/(1 + exp(-z)) + 0.1*abs(z)": "(x - y)**4/3",
    "where(z > 0, z, 3/10*(exp(z) - 1))": "sqrt(1 + (x - y)**2) - 1",
    "min(max(z, -1), 1) + 0.1*z": "abs(x - y)",
    "erf(z) + sin(3*z)*cos(z)": "log(1 + (x - y)**2)",
    "atan(z) + sinh(z/5)/cosh(z)": "(x - y)**2/(1 + (x - y)**2)",
    "z**3/(1 + z**2)": "2*x + x**2 - x*y",
    "(1 + z**2)**(1/3)": "(1 + (x - y)**2)**(3/4)",
    "7*z**3/(5 + 100000*z**2)": "7/20*(x - y)**2",
    "z/30000000000 + 20000000003*z/50000000000": "12345678901*(x - y)**2/24691357803",
    "tanh(z)/3 + 2/5*sign(z)*z + sigmoid(z)*softplus(z)": "1/3*(x - y)**2",
}
#: One with rational factors, functions and signs.
_RATIONAL = "tanh(z)/3 + 2/5*sign(z)*z + sigmoid(z)*softplus(z)"


def _by_formula(activation):
    return chain([2, 3, 2], activation, _FORMULAS[activation], output="identity")


@needs_compiler
@pytest.mark.parametrize("samples", [1, 21])
def test_a_formula_with_rational_numbers(samples):
    assert_agrees(_by_formula(_RATIONAL), samples)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("activation", _FORMULAS)
def test_functions_that_are_given_by_a_formula(activation):
    for dtype, samples in itertools.product(DTYPES, (1, 21)):
        assert_agrees(_by_formula(activation), samples, dtype)


@pytest.mark.parametrize("activation", _FORMULAS)
def test_no_division_of_whole_numbers(activation):
    """3/10 would be 0 in C, and 20000000003 is more than an int holds."""
    for samples in (1, 21):
        source = generated(text(_by_formula(activation), samples, order=1))
        code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
        assert not re.search(r"(?<![\w.)])\(*\d+\)* / \(*\d", code)
        assert not re.search(r"(?<![\w.])\d{9,}(?![\d.e])", code)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (sp.Integer(3), "(T)3"),
        (sp.Rational(-3, 10), "(T)-3 / 10"),
        (sp.Integer(10) ** 30, "1e+30"),
        (sp.Rational(1, 3 * 10**10), repr(1 / 3e10)),
        (sp.sqrt(2), repr(2**0.5)),
    ],
)
def test_numbers_are_of_the_type_of_the_file(value, code):
    assert Expressions(str).number(value) == code
    assert Expressions(str).value(t.Number((), value)) == f"all({code.replace('(T)3', '3')})"


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    samples = int(rng.integers(1, 400))
    assert_agrees(random_problem(seed), samples, DTYPES[seed % 2], 1 + seed // 2 % 2, seed)


@needs_compiler
@pytest.mark.parametrize("blas", [False, True])
def test_large_layers(blas):
    assert_agrees(WIDE, 50, blas=blas)
    assert_agrees(WIDER, 70, "float32", blas=blas)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 7, 8, 9, 129, 600, 2000])
@pytest.mark.parametrize("problem", [WIDE, WIDER], ids=str)
def test_large_layers_of_any_batch(problem, samples, dtype):
    for threads, blas in ((1, False), (2, False), (1, True)):
        assert_agrees(problem, samples, dtype, threads, blas=blas)


@needs_compiler
def test_blas_may_be_left_out():
    """The loops in place of BLAS compute the same, to rounding."""
    source, point = text(WIDE, 50, blas=True), Point(WIDE, 50)
    assert "gemm('N'" in source
    assert "gemm('N'" not in text(WIDE, 50)
    built = compiled._module(source, "float64", 1)
    engine = point.engine(source)
    point.assert_right(engine)
    with_blas = point.found(engine)
    built.configure(DataError, 0)
    try:
        point.assert_right(engine)
        assert not np.array_equal(point.found(engine)[2], with_blas[2])
    finally:
        built.configure(DataError, compiled._gemm("float64"))


@needs_compiler
@pytest.mark.parametrize("vector", [16, 32])
def test_narrower_vectors(vector):
    for dtype in DTYPES:
        assert_agrees(CLASSES, 45, dtype, vector=vector)


@needs_compiler
@pytest.mark.parametrize("vector", [16, 32, 64])
def test_products_in_chunks(vector):
    """Of sizes that are no multiples of a chunk, a panel or four; weights as they are and transposed."""
    problem = chain([1101, 50, 1034, 3], "tanh", name="many components")
    for dtype in DTYPES if vector == 32 else ["float64"]:
        source = text(problem, 70, dtype, order=1, vector=vector)
        assert "panel_of_rows(" in generated(source)
        assert_agrees(problem, 70, dtype, vector=vector)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("vector", [8, 16, 32, 64])
@pytest.mark.parametrize("name", sorted(NAMED))
def test_vectors_of_any_width(name, vector):
    """Those that the processor lacks are made of others by the compiler."""
    for dtype, samples in itertools.product(DTYPES, (3, 100)):
        assert_agrees(NAMED[name], samples, dtype, vector=vector)


@needs_compiler
def test_the_number_of_samples_may_be_changed_when_it_is_compiled(tmp_path):
    """The tiles stay those of the number that the file was made for."""
    for samples, made_for in ((100, 300), (450, 300), (5, 1)):
        point = Point(CLASSES, samples)
        source = f"#define SAMPLES {samples}\n" + text(CLASSES, made_for)
        point.assert_right(point.engine(source))


@needs_compiler
def test_nan_stays_nan():
    point = Point(NAMED["deep"], 17)
    point.theta[3] = np.nan
    J, _, gradient, *_ = point.found(point.engine(text(NAMED["deep"], 17)))
    assert np.isnan(J)
    assert np.isnan(gradient).any()


@needs_compiler
@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_saturated_networks_are_finite(scale):
    """exp overflows in none of the stable forms; padding after the last sample does no harm."""
    for problem in (CLASSES, NAMED["softmax-throughout"]):
        point = Point(problem, 5)
        point.theta *= scale
        engine = point.engine(text(problem, 5))
        for found in point.found(engine):
            assert np.isfinite(found).all()
        J, gradient = stages(problem).fun(point.theta, point.X, point.Y)
        np.testing.assert_allclose(point.found(engine)[1], J, rtol=1e-12)
        np.testing.assert_allclose(point.found(engine)[2], gradient, rtol=1e-9, atol=1e-300)


# -- determinism -----------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("name", "samples"), [("classes", 2000), ("wider", 60)])
def test_equal_calls_give_equal_bits_and_inputs_stay(name, samples, threads):
    problem = NAMED[name]
    point, source = Point(problem, samples), text(problem, samples, threads=threads)
    given = [a.copy() for a in (point.theta, point.p, point.X, point.Y)]
    engines = [point.engine(source, threads) for _ in range(2)]
    first = point.found(engines[0])
    for engine, _ in itertools.product(engines, range(5)):
        for found, expected in zip(point.found(engine), first, strict=True):
            np.testing.assert_array_equal(found, expected)
    for array, before in zip((point.theta, point.p, point.X, point.Y), given, strict=True):
        np.testing.assert_array_equal(array, before)


@needs_compiler
def test_threads_share_the_batch_and_agree():
    source, alone = text(CLASSES, 2000, threads=2), text(CLASSES, 2000)
    assert "#define THREADS 2" in source
    assert "#define THREADS 1" in alone
    point = Point(CLASSES, 2000)
    point.assert_right(point.engine(source, 2))
    pairs = zip(point.found(point.engine(source, 2)), point.found(point.engine(alone)), strict=True)
    for shared, one in pairs:
        np.testing.assert_allclose(shared, one, rtol=1e-12, atol=1e-14)


# -- a test that could not fail would be none ------------------------------------------------------


def flipped(source):
    """Copies of a file in which one sign in a formula is wrong.

    Not in the argument of exp, where softmax gives the same for any shift.
    """
    sign = re.compile(r"\b[vsr]\d+ ([-+]) [vsr]\d|\(all\(1\) (-) |, (-)c\d\d|(\+)= w_ ")
    for found in sign.finditer(source, source.index("static NOINLINE")):
        line = source[source.rindex("\n", 0, found.start()) : found.end()]
        at = next(j for j in range(1, 5) if found.group(j))
        if "v_exp" not in line:
            wrong = "+" if found.group(at) == "-" else "-"
            yield source[: found.start(at)] + wrong + source[found.end(at) :]


@needs_compiler
def test_a_wrong_sign_is_caught():
    source = text(NAMED["softmax-throughout"], 11)
    wrong = list(flipped(source))
    assert len(wrong) > 40
    assert_caught(NAMED["softmax-throughout"], wrong[:: len(wrong) // 3])


@needs_compiler
@pytest.mark.slow
def test_every_wrong_sign_is_caught():
    for problem in (NAMED["xor"], CLASSES):
        assert_caught(problem, flipped(text(problem, 11)))


def assert_caught(problem, sources):
    points = [Point(problem, 11, seed=seed) for seed in range(4)]  # a relu may be off in some
    for source in sources:
        with pytest.raises(AssertionError):
            assert_right(points, source)


def assert_right(points, source):
    for point in points:
        point.assert_right(point.engine(source))


# -- memory ----------------------------------------------------------------------------------------

_DRIVER = """
#include <stdio.h>
#include "model.c"
static T *numbers(size_t count)
{
    T *const found = aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64);
    for (size_t j = 0; j < count; j++) found[j] = (T)0.01 * (T)(j % 97) - (T)0.3;
    return found;
}
int main(void)
{
    T *const rows = numbers((size_t)SAMPLES * INPUTS), *const labels = numbers((size_t)SAMPLES * OUTPUTS);
    T *const x = numbers(model_inputs_size()), *const y = numbers(model_labels_size());
    T *const theta = numbers(PARAMETERS), *const along = numbers(PARAMETERS), *const out = numbers(PARAMETERS);
    T *const work = numbers(model_work_size());
    model_pack(rows, labels, x, y);
    double total = model_value(theta, x, y, work) + model_value_and_grad(theta, x, y, work, out) + out[0];
    model_hessian_product(theta, x, y, along, work, out), total += out[0];
    model_gauss_newton_product(theta, x, y, along, work, out), total += out[0];
    free(rows), free(labels), free(x), free(y), free(theta), free(along), free(out), free(work);
    return !isfinite(total);
}
"""
_SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def _sanitizes(folder):
    """Whether programs can be made that check every access to memory."""
    (folder / "nothing.c").write_text("int main(void) { return 0; }\n")
    command = [COMPILERS[0], *_SANITIZED, "nothing.c", "-o", "nothing"]
    made = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return made.returncode == 0 and not subprocess.run([folder / "nothing"], check=False).returncode


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMED))
def test_nothing_outside_the_arrays_is_touched(name, tmp_path):
    if not _sanitizes(tmp_path):
        pytest.skip("there is no sanitizer")
    (tmp_path / "driver.c").write_text(_DRIVER)
    for turn, samples in enumerate((1, 50, 333)):
        dtype, vector = DTYPES[turn % 2], (16, 64, 32)[turn]
        threads, blas = 1 + turn // 2, turn == 1
        source = text(NAMED[name], samples, dtype, threads, vector=vector, blas=blas)
        (tmp_path / "model.c").write_text(source, encoding="utf-8")
        flags = ["-std=gnu11", "-O1", "-march=native", "-Wno-psabi", *_SANITIZED]
        flags += ["-pthread"] * (threads > 1)
        run(COMPILERS[0], *flags, tmp_path / "driver.c", "-o", tmp_path / "driver", "-lm")
        run(tmp_path / "driver")


# -- a C program -----------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_c_program(compiler, tmp_path):
    problem = chain([2, 3, 1], "tanh", "binary_cross_entropy", regularizer=L2(1e-3), name="xor")
    (tmp_path / "model.c").write_text(text(problem, 4, order=1), encoding="utf-8")
    (tmp_path / "model.h").write_text(header(program(problem, 1)), encoding="utf-8")
    example = Path(__file__).with_name("example.c")
    flags = ("-std=c11", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}")
    run(compiler, *flags, example, tmp_path / "model.c", "-o", tmp_path / "example", "-lm")
    J, *rest = map(float, run(tmp_path / "example").split())

    code = stages(problem)
    X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    theta = 0.1 * (1 + np.arange(problem.size))
    value, gradient = code.fun(theta, X, Y)
    np.testing.assert_allclose(J, value, rtol=1e-13)
    np.testing.assert_allclose(rest[: problem.size], gradient, rtol=1e-12)
    for _ in range(100):
        theta = theta - 0.5 * code.fun(theta, X, Y)[1]
    np.testing.assert_allclose(rest[problem.size], code.fun(theta, X, Y)[0], rtol=1e-9)
    assert len(rest) == problem.size + 10
    assert rest[-1] < rest[problem.size] < J


@needs_compiler
@pytest.mark.parametrize("order", [1, 2])
def test_the_header_declares_what_the_file_defines(order, tmp_path):
    """Included in the file itself, a declaration that differs would be an error."""
    head = header(program(CLASSES, order), "float32")
    source = text(CLASSES, 3, "float32", order=order)
    assert warnings(COMPILERS[0], head + source, tmp_path) == ""
    declared = set(re.findall(r"\b(model_\w+)\(", head))
    assert declared == set(
        re.findall(r"^(?:double|void|long|size_t) (model_\w+)\(", source, re.MULTILINE)
    )
