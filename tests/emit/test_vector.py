"""The elementary functions of C files against 40 digits of mpmath: at most 4 ulp over their range."""

import ctypes
from importlib.resources import files

import mpmath
import numpy as np
import pytest

from lagrangenet.runtime.compiled import vector_bytes
from tests.compilers import COMPILERS, library, needs_compiler

pytestmark = needs_compiler

#: C expression, the exact function, and where it is defined.
FUNCTIONS = {
    "exp": ("v_exp(x)", mpmath.exp, (-np.inf, np.inf)),
    "expm1": ("v_expm1(x)", mpmath.expm1, (-np.inf, np.inf)),
    "log": ("v_log(x)", mpmath.log, (0.0, np.inf)),
    "log1p": ("v_log1p(x)", mpmath.log1p, (-1.0, np.inf)),
    "softplus": (
        "v_logaddexp(all(0), x)",
        lambda x: mpmath.log1p(mpmath.exp(x)),
        (-np.inf, np.inf),
    ),
    "tanh": ("v_tanh(x)", mpmath.tanh, (-np.inf, np.inf)),
}
OTHERS = {
    "maximum": "v_maximum(x, all(1))",
    "minimum": "v_minimum(x, all(1))",
    "maximum_left": "v_maximum(all(1), x)",
    "minimum_left": "v_minimum(all(1), x)",
    "positive": "v_positive(x)",
    "sign": "v_sign(x)",
    "abs": "v_abs(x)",
    "sqrt": "v_sqrt(x)",
    "square": "v_pow(x, (T)2)",
    "where": "v_where(x > all(0), x, all(7))",
    "below_three": "v_where(v_first(3), x, all(0))",
}
WRAPPER = """
void of_name(long n, const T *from, T *to)
{
    for (long i = 0; i < n; i += LANES) {
        const V x = *(const Unaligned *)(from + i);
        *(Unaligned *)(to + i) = expression;
    }
}
"""
DTYPES = ("float64", "float32")
OWN = vector_bytes()
#: The largest error, in units of the last place.
ULPS = 4


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """The functions of a type, for vectors of some bytes, as functions of arrays."""
    made = {}

    def functions(dtype, width=OWN, compiler=None, flags=()):
        key = dtype, width, compiler, flags
        if key not in made:
            expressions = {name: entry[0] for name, entry in FUNCTIONS.items()} | OTHERS
            header = (files("lagrangenet.emit.c") / "vector.h").read_text(encoding="utf-8")
            text = f"#define REAL_IS_DOUBLE {int(dtype == 'float64')}\n"
            text += f"#define VECTOR_BYTES {width}\n{header}"
            for name, expression in expressions.items():
                text += WRAPPER.replace("name", name).replace("expression", expression)
            loaded = library(text, tmp_path_factory.mktemp("c"), *flags, compiler=compiler)
            made[key] = {name: _of_arrays(loaded[f"of_{name}"], dtype) for name in expressions}
        return made[key]

    return functions


def _of_arrays(function, dtype):
    def call(x):
        padded = np.concatenate([x, np.full(-len(x) % 64, 0.5)]).astype(dtype)
        y = np.full_like(padded, 99.0)
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (padded, y))
        function(ctypes.c_long(len(padded)), *pointers)
        return y[: len(x)]

    return call


# -- points and exact values -----------------------------------------------------------------------


def points(name, dtype, count, seed=0):
    """Numbers of all magnitudes, and where something happens: 0, 1, the ends of the range."""
    rng, kind = np.random.default_rng(seed), np.finfo(dtype)
    bits = np.uint64 if dtype == "float64" else np.uint32
    any_bits = rng.integers(0, np.iinfo(bits).max, size=count, dtype=bits).view(dtype)
    overflow, underflow = np.log(float(kind.max)), np.log(float(kind.smallest_subnormal))
    found = [
        any_bits[np.isfinite(any_bits)],
        rng.uniform(underflow - 2, overflow + 2, size=count),
        rng.uniform(-2, 2, size=count),
        rng.uniform(-25, 25, size=count),
        rng.choice([-1.0, 1.0], size=count) * 10.0 ** rng.uniform(-20, 2, size=count),
        1 + rng.choice([-1.0, 1.0], size=count) * 10.0 ** rng.uniform(-17, 0, size=count),
        rng.choice([-1.0, 1.0], size=count) * 2.0 ** rng.uniform(-1074, -1022, size=count),
        np.log(2) * (np.arange(-40, 41) / 2),  # where n changes in x = n ln 2 + r
        np.sqrt(0.5) * 2.0 ** np.arange(-60, 61),  # where k changes in x = m 2^k
    ]
    for special in (overflow, underflow, np.log(float(kind.tiny)), 20.0, 10.0, 0.5 * np.log(2)):
        near = special * (1 + np.arange(-20, 21) * float(kind.eps))
        found += [near, -near]
    with np.errstate(over="ignore", under="ignore"):
        x = np.concatenate([np.asarray(part).astype(dtype) for part in found])
    least, most = FUNCTIONS[name][2]
    return x[(x > least) & (x < most)]


def exact(name, x, dtype):
    """Values as the sum of a number of the type and a rest; inf where they are too large."""
    function, largest = FUNCTIONS[name][1], mpmath.mpf(float(np.finfo(dtype).max))
    high, low = np.empty(len(x), dtype), np.empty(len(x))
    with mpmath.workdps(40):
        for j, number in enumerate(x):
            value = function(mpmath.mpf(float(number)))
            if abs(value) > largest:
                high[j], low[j] = mpmath.sign(value) * np.inf, 0.0
                continue
            high[j] = float(value)
            low[j] = float(value - mpmath.mpf(float(high[j])))
    return high, low


def errors(found, high, low):
    """Distances from exact values in units of the last place; inf for a wrong kind of number."""
    finite = np.isfinite(high)
    at = np.where(finite, high, 1)
    with np.errstate(invalid="ignore"):
        distance = (found.astype(float) - at.astype(float)) - low
    ulps = np.abs(distance) / np.spacing(np.abs(at)).astype(float)
    ulps = np.where(np.isnan(ulps), np.inf, ulps)
    return np.where(finite, ulps, np.where(found == high, 0.0, np.inf))


def worst(functions, name, dtype, count, seed=0):
    """The largest error, and where it is; at the largest number, either side of it is right."""
    x = points(name, dtype, count, seed)
    high, low = exact(name, x, dtype)
    found = functions[name](x)
    ulps = errors(found, high, low)
    edge = np.abs(high) >= np.finfo(dtype).max * (1 - 4 * np.finfo(dtype).eps)
    ulps[edge & (np.abs(found) >= np.finfo(dtype).max * (1 - 8 * np.finfo(dtype).eps))] = 0
    place = int(np.argmax(ulps))
    return float(ulps[place]), float(x[place])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_ulp_over_the_whole_range(vectors, name, dtype):
    error, place = worst(vectors(dtype), name, dtype, 600)
    assert error <= ULPS, place


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_few_ulp_at_many_more_points(vectors, name, dtype):
    for seed in range(1, 5):
        error, place = worst(vectors(dtype), name, dtype, 10_000, seed)
        assert error <= ULPS, place


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("width", "flags"),
    [(8, ()), (16, ()), (32, ()), (64, ()), (32, ("-ffp-contract=off",)), (32, ("-mno-avx",))],
)
def test_few_ulp_for_other_vectors_and_compilers(vectors, name, dtype, compiler, width, flags):
    if compiler == "gcc" and "-mno-avx" in flags:
        flags = (*flags, "-Wno-psabi")
    error, place = worst(vectors(dtype, width, compiler, flags), name, dtype, 2000)
    assert error <= ULPS, place


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_hundredth_float(vectors, name):
    """Double precision of NumPy is exact enough here."""
    numpy = {"softplus": lambda x: np.logaddexp(0, x)}
    call, (least, most) = numpy.get(name) or getattr(np, name), FUNCTIONS[name][2]
    for block in np.array_split(np.arange(0, 2**32, 101, dtype=np.uint64), 40):
        x = block.astype(np.uint32).view("float32")
        x = x[np.isfinite(x) & (x > least) & (x < most)]
        if not len(x):
            continue
        with np.errstate(over="ignore", under="ignore"):
            value = call(x.astype(float))
            high = value.astype("float32")
        with np.errstate(invalid="ignore"):
            low = value - high
        ulps = errors(vectors("float32")[name](x), high, low)
        assert ulps.max() <= ULPS, x[np.argmax(ulps)]


def test_the_measure_sees_an_error_of_five_ulp(vectors):
    x = points("exp", "float64", 200)
    x = x[np.abs(x) < 700]
    high, low = exact("exp", x, "float64")
    assert errors(high, high, low).max() <= 0.5
    assert errors(high + 5 * np.spacing(high), high, low).min() > ULPS
    assert errors(np.full_like(high, np.nan), high, low).min() == np.inf


# -- ends of the range -----------------------------------------------------------------------------

_LARGE = [1e3, 1e30, np.inf]


@pytest.mark.parametrize("width", [8, OWN])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("exp", _LARGE, [np.inf] * 3),
        ("exp", [-1e3, -1e30, -np.inf, 0.0, -0.0], [0, 0, 0, 1, 1]),
        ("expm1", _LARGE, [np.inf] * 3),
        ("expm1", [-1e3, -1e30, -np.inf, 0.0], [-1, -1, -1, 0]),
        ("log", [0.0, -0.0, np.inf, 1.0], [-np.inf, -np.inf, np.inf, 0]),
        ("log", [-1.0, -1e-40, -np.inf], [np.nan] * 3),
        ("softplus", [np.inf, -np.inf, 0.0], [np.inf, 0, np.log(2)]),
        ("softplus", [1e30, -1e30], [1e30, 0]),
        ("tanh", [np.inf, 1e30, -np.inf, -1e30, 0.0], [1, 1, -1, -1, 0]),
        ("maximum", [2.0, 0.0, np.nan], [2, 1, np.nan]),
        ("minimum", [2.0, 0.0, np.nan], [1, 0, np.nan]),
        ("maximum_left", [2.0, 0.0, np.nan], [2, 1, np.nan]),
        ("minimum_left", [2.0, 0.0, np.nan], [1, 0, np.nan]),
        ("sign", [2.0, -3.0, 0.0, np.nan], [1, -1, 0, np.nan]),
        ("abs", [2.0, -3.0, -0.0, np.nan, -np.inf], [2, 3, 0, np.nan, np.inf]),
        ("sqrt", [4.0, 0.0, -1.0, np.nan], [2, 0, np.nan, np.nan]),
        ("square", [3.0, -3.0, np.nan], [9, 9, np.nan]),
        ("where", [3.0, -3.0, np.nan], [3, 7, 7]),
    ],
)
def test_ends_of_the_range(vectors, name, arguments, values, dtype, width):
    found = vectors(dtype, width)[name](np.array(arguments, dtype))
    np.testing.assert_array_equal(found, np.array(values, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan_and_disturbs_no_neighbour(vectors, name, dtype):
    x = np.full(64, 0.5)
    x[::3] = np.nan
    found = vectors(dtype)[name](x)
    assert np.isnan(found[::3]).all()
    alone = vectors(dtype)[name](np.full(64, 0.5))
    keep = np.arange(64) % 3 != 0
    np.testing.assert_array_equal(found[keep], alone[keep])


@pytest.mark.parametrize("dtype", DTYPES)
def test_underflow_is_gradual(vectors, dtype):
    tiny = float(np.finfo(dtype).tiny)
    x = np.log(tiny) - np.linspace(0.5, 15 if dtype == "float32" else 35, 40)
    for name in ("exp", "softplus"):
        found = vectors(dtype)[name](x)
        assert (found > 0).all()
        assert (found < tiny).all()
        assert (np.diff(found) < 0).all()
    assert vectors(dtype)["positive"](np.array([0.0, -1.0, 2.0])).tolist() == [tiny, tiny, 2.0]


@pytest.mark.parametrize("width", [8, 16, 32, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mask_of_the_first_lanes(vectors, dtype, width):
    lanes = width // np.dtype(dtype).itemsize
    found = vectors(dtype, width)["below_three"](np.ones(64))
    np.testing.assert_array_equal(found, np.arange(64) % lanes < 3)
