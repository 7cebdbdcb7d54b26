"""The input contract of generated routines: what goes in, what is refused, what comes out."""

import copy
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lagrangenet import (
    L2,
    LOSSES,
    DataError,
    Dense,
    Problem,
    ProblemError,
    Routines,
    chain,
    derive,
    generate,
)
from tests.problems import (
    BANK,
    OPTIMA,
    TRAINABLE,
    TRAINED,
    case,
    fits,
    flat,
    random_case,
    random_labels,
    random_problem,
    relative_error,
    routines,
)

XOR = BANK["xor"]


def refused(message):
    return pytest.raises(DataError, match=re.escape(message))


def example(name="softmax-throughout", samples=5):
    problem, theta, X, Y = case(BANK[name], samples)
    return routines(problem), theta, X, Y


def everything(code, theta, X, Y):
    """The results of all routines, as one tuple of layers of arrays."""
    states = code.forward(theta, X)
    multipliers = code.backward(theta, states, Y)
    gradient = code.gradient(theta, X, Y)
    return (
        states,
        multipliers,
        gradient,
        code.update(theta, gradient, 0.1),
        code.residuals(theta, X, Y, states, multipliers),
        ((np.array(code.loss(theta, X, Y)),),),
    )


def arrays(results):
    return [array for layers in results for layer in layers for array in layer]


def assert_same_bits(found, expected):
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# -- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "X has shape (3,), expected (M, 3): rows are samples and the problem has 3 inputs"),
        (np.zeros((5, 2)), "X has shape (5, 2), expected (M, 3)"),
        (np.zeros((3, 5)), "X has shape (3, 5), expected (M, 3)"),
        (np.zeros((1, 5, 3)), "X has shape (1, 5, 3), expected (M, 3)"),
        (np.float64(1.0), "X has shape (), expected (M, 3)"),
        (np.zeros((0, 3)), "X has no samples; the mean over an empty batch is undefined"),
        ([], "X has shape (0,), expected (M, 3)"),
    ],
)  # fmt: skip
def test_inputs_of_another_shape(X, message):
    code, theta, _, Y = example()
    for call in (
        lambda: code.forward(theta, X),
        lambda: code.loss(theta, X, Y),
        lambda: code.gradient(theta, X, Y),
        lambda: code.value_and_grad(theta, X, Y),
    ):
        with refused(message):
            call()


def test_one_dimensional_data_of_a_scalar_problem_get_the_remedy():
    code = routines(chain([1, 2, 1]))
    theta = code.initial()
    with refused("X has shape (4,), expected (M, 1): rows are samples and the problem has 1 inputs; "
                 "reshape it to (4, 1)"):  # fmt: skip
        code.forward(theta, np.zeros(4))
    with refused("Y has shape (4,), expected (M, 1)"):
        code.loss(theta, np.zeros((4, 1)), np.zeros(4))


def test_labels_of_another_shape_or_number():
    code, theta, X, Y = example()
    with refused(
        "Y has shape (5, 2), expected (M, 3): rows are samples and the problem has 3 outputs"
    ):
        code.loss(theta, X, Y[:, :2])
    with refused("X has 5 samples, Y has 4"):
        code.gradient(theta, X, Y[:4])
    with refused("Y has no samples"):
        code.loss(theta, X, Y[:0])


def test_labels_do_not_broadcast():
    code, theta, X, Y = example()
    with refused("X has 5 samples, Y has 1"):
        code.loss(theta, X, Y[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:2], "theta has 2 entries, expected 3: pairs (W, b), one per layer"),
        (lambda t: (*t, t[0]), "theta has 4 entries, expected 3"),
        (lambda t: (), "theta has 0 entries, expected 3"),
        (lambda t: np.zeros(3), "theta is a ndarray, expected a tuple of pairs (W, b)"),
        (lambda t: None, "theta is a NoneType, expected a tuple"),
        (lambda t: {1: t[0]}, "theta is a dict, expected a tuple"),
        (lambda t: (t[0], (t[1][0],), t[2]), "theta, layer 2 has 1 entries, expected 2: (W, b)"),
        (lambda t: (t[0], t[1][0], t[2]), "theta, layer 2 is a ndarray, expected a tuple of (W, b)"),
        (lambda t: ((t[0][0].T, t[0][1]), *t[1:]),
         "theta: W of layer 1 has shape (3, 4), expected (4, 3)"),
        (lambda t: (*t[:2], (t[2][0], t[2][1][:, None])),
         "theta: b of layer 3 has shape (3, 1), expected (3,)"),
        (lambda t: (*t[:2], (t[2][0], 0.0)), "theta: b of layer 3 has shape (), expected (3,)"),
    ],
)  # fmt: skip
def test_parameters_of_another_shape(change, message):
    code, theta, X, _ = example()
    with refused(message):
        code.forward(change(theta), X)


def test_gradients_and_states_are_checked_as_well():
    code, theta, X, Y = example()
    states, gradient = code.forward(theta, X), code.gradient(theta, X, Y)
    with refused("gradients has 2 entries, expected 3"):
        code.update(theta, gradient[:2], 0.1)
    with refused("states has 2 entries, expected 3: 2 arrays per layer"):
        code.backward(theta, states[:2], Y)
    with refused("states, layer 1 has 1 entries, expected 2"):
        code.backward(theta, (states[0][:1], *states[1:]), Y)
    with refused("states of layer 2 has shape (5, 4), expected (M, 2)"):
        code.backward(theta, (states[0], states[0], states[2]), Y)
    with refused("Y has 4 samples, states has 5"):
        code.backward(theta, states, Y[:4])
    fewer = tuple((Z[:4], x[:4]) for Z, x in states)
    with refused("X has 5 samples, multipliers has 4"):
        code.residuals(theta, X, Y, states, fewer)
    with refused("states has 4 samples, states has 5"):
        code.backward(theta, (states[0], fewer[1], states[2]), Y)


def test_states_of_one_layer_with_different_numbers_of_samples():
    code, theta, X, Y = example()
    states = code.forward(theta, X)
    torn = ((states[0][0], states[0][1][:3]), *states[1:])
    with refused("states"):
        code.backward(theta, torn, Y)


# -- values and types ------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    code, theta, X, Y = example()
    for array, name, call in (
        (X, "X", lambda broken: code.forward(theta, broken)),
        (Y, "Y", lambda broken: code.loss(theta, X, broken)),
    ):
        broken = array.copy()
        broken[3, 1] = bad
        with refused(f"{name} holds {bad} at index (3, 1); it has to be finite"):
            call(broken)
    (W, b), *rest = theta
    W, b = W.copy(), b.copy()
    b[2] = bad
    with refused(f"theta: b of layer 1 holds {bad} at index (2,)"):
        code.forward(((W, b), *rest), X)
    W[0, 1] = bad
    with refused(f"theta: W of layer 1 holds {bad} at index (0, 1)"):
        code.forward(((W, b), *rest), X)


REFUSED_TYPES = {
    "complex": (lambda X: X.astype(complex), "X has type complex128, expected real numbers"),
    "object": (lambda X: X.astype(object), "X has type object, expected real numbers"),
    "text": (lambda X: X.astype(str), "expected real numbers"),
    "bytes": (lambda X: X.astype(bytes), "expected real numbers"),
    "dates": (lambda X: X.astype(int).astype("M8[s]"), "expected real numbers"),
    "None": (lambda X: None, "X has type object, expected real numbers"),
    "ragged": (lambda X: [[1, 2, 3], [1, 2]], "X is not a rectangular array: "),
    "ragged numbers": (lambda X: [[1.0, 2.0, 3.0], 1.0], "X is not a rectangular array: "),
    "masked": (
        lambda X: np.ma.masked_greater(X, 0),
        "X is a masked array; fill or remove the masked entries first",
    ),
    "masked without mask": (np.ma.array, "X is a masked array"),
    "huge integers": (lambda X: [[10**30] * 3], "X has type object"),
}


@pytest.mark.parametrize("kind", sorted(REFUSED_TYPES))
def test_types_that_are_refused(kind):
    convert, message = REFUSED_TYPES[kind]
    code, theta, X, _ = example()
    with refused(message):
        code.forward(theta, convert(X))


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_long_double_is_refused_with_the_remedy():
    code, theta, X, _ = example()
    with refused("the routines are float64: converting would lose digits; convert it yourself with "
                 ".astype(np.float64)"):  # fmt: skip
        code.forward(theta, X.astype(np.longdouble))


def test_float64_into_float32_routines_is_refused_with_the_remedy():
    problem, theta, X, _ = case(XOR)
    code = routines(problem, "float32")
    single = tuple((W.astype("f4"), b.astype("f4")) for W, b in theta)
    with refused("X is float64, the routines are float32: converting would lose digits; convert it "
                 "yourself with .astype(np.float32), or generate(..., dtype='float64')"):  # fmt: skip
        code.forward(single, X)
    with refused("theta: W of layer 1 is float64, the routines are float32"):
        code.forward(theta, X.astype("f4"))


@pytest.mark.parametrize("integer", [2**53 + 1, -(2**53) - 1, 2**63 - 1])
def test_integers_that_are_no_float64_are_refused(integer):
    """Conversions are exact or refused."""
    code, theta, _, _ = example()
    with refused("X"):
        code.forward(theta, np.array([[integer, 0, 0]]))


def test_integers_that_are_no_float32_are_refused():
    code = routines(XOR, "float32")
    with refused("X"):
        code.forward(code.initial(), np.array([[2**24 + 1, 0]]))
    assert code.forward(code.initial(), np.array([[2**24, 0]]))[0][0].dtype == np.float32


WHOLE = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]])


def read_only(array):
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


SAME = {
    "lists": lambda A: A.tolist(),
    "integer lists": lambda A: A.astype(int).tolist(),
    "tuples": lambda A: tuple(map(tuple, A.tolist())),
    "int64": lambda A: A.astype(np.int64),
    "int8": lambda A: A.astype(np.int8),
    "uint16": lambda A: A.astype(np.uint16),
    "bool": lambda A: A.astype(bool),
    "float16": lambda A: A.astype(np.float16),
    "float32": lambda A: A.astype(np.float32),
    "big endian": lambda A: A.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "every other row": lambda A: np.repeat(A, 2, axis=0)[::2],
    "reversed twice": lambda A: A[::-1].copy()[::-1],
    "a column slice": lambda A: np.hstack([A, A])[:, : A.shape[1]],
    "read only": read_only,
    "a subclass of ndarray": lambda A: A.view(np.recarray),
}


@pytest.mark.parametrize("kind", sorted(SAME))
@pytest.mark.parametrize("name", ["softmax-throughout", "mixed"])
def test_other_types_and_memory_orders_give_the_same_result(kind, name):
    problem, theta, _, _ = case(BANK[name])
    code, X = routines(problem), WHOLE.astype(float)
    theta = tuple((np.round(4 * W) / 4, np.round(4 * b) / 4) for W, b in theta)
    Y = np.eye(3)[[0, 1, 2, 0]][:, : problem.widths[-1]]
    expected = everything(code, theta, X, Y)
    convert = SAME[kind]
    found = everything(code, theta, convert(X), convert(Y))
    for a, b in zip(arrays(found), arrays(expected), strict=True):
        assert type(a) is type(b)
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
    if "int" not in kind and kind != "bool":  # quarters are no integers
        converted = tuple((convert(W), convert(b[None])[0]) for W, b in theta)
        for a, b in zip(arrays(everything(code, converted, X, Y)), arrays(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)


def test_float32_is_converted_exactly():
    """As its float64 value, not as the decimal number that it prints as."""
    code, theta, X, Y = example("xor")
    single = X.astype(np.float32)
    exact = [[float(value) for value in row] for row in single]
    assert_same_bits(everything(code, theta, single, Y), everything(code, theta, exact, Y))


def test_theta_may_be_lists_of_lists():
    code, theta, X, Y = example("xor")
    assert_same_bits(
        everything(code, [[W.tolist(), b.tolist()] for W, b in theta], X, Y),
        everything(code, theta, X, Y),
    )


@pytest.mark.parametrize("eta", [np.nan, np.inf, "0.1", None, 1j, [0.1, 0.2]])
def test_a_step_size_that_is_no_finite_number(eta):
    code, theta, X, Y = example("xor")
    with refused("eta"):
        code.update(theta, code.gradient(theta, X, Y), eta)


def test_unknown_dtype():
    with refused("unknown dtype 'float16'; known: float64, float32"):
        generate(derive(XOR), "float16")


# -- labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1e-3, 1.001, 2.0, -1.0])
def test_binary_labels_outside_the_unit_interval(bad):
    code = routines(chain([2, 2], loss="binary_cross_entropy"))
    Y = np.array([[0.0, 1.0], [0.5, bad]])
    with refused(f"Y[1, 1] is {bad:g}; binary_cross_entropy needs labels in [0, 1]"):
        code.loss(code.initial(), np.zeros((2, 2)), Y)


def test_distributions_sum_to_one():
    code = routines(chain([2, 3], loss="cross_entropy"))
    theta, X = code.initial(), np.zeros((2, 2))
    with refused("row 1 of Y sums to 0.9; cross_entropy needs one-hot labels, or probabilities that "
                 "sum to 1"):  # fmt: skip
        code.loss(theta, X, [[1, 0, 0], [0.3, 0.3, 0.3]])
    with refused("Y[0, 0] is -1; cross_entropy needs labels in [0, 1]"):
        code.loss(theta, X, [[-1, 1, 1], [1, 0, 0]])
    with refused("row 0 of Y sums to 0;"):
        code.loss(theta, X, [[0, 0, 0], [1, 0, 0]])
    assert np.isfinite(code.loss(theta, X, [[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]))


def test_class_numbers_instead_of_one_hot_labels():
    code = routines(chain([2, 3], loss="cross_entropy"))
    with refused("Y has shape (2,), expected (M, 3)"):
        code.loss(code.initial(), np.zeros((2, 2)), [0, 2])


def test_real_labels_are_any_finite_numbers():
    code = routines(chain([2, 1]))
    assert code.loss(code.initial(), np.zeros((1, 2)), [[-1e6]]) == 0.5e12


# -- float32 ---------------------------------------------------------------------------------------

FLOAT32 = [name for name in sorted(BANK) if not name.startswith("depth")]


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_stays_float32_and_agrees_with_float64(name):
    problem, theta, X, Y = case(BANK[name], seed=8)
    single = tuple((W.astype("f4"), b.astype("f4")) for W, b in theta)
    x, y = X.astype("f4"), Y.astype("f4")
    if problem.loss_entry.labels == "distribution":
        y = np.eye(Y.shape[1], dtype="f4")[Y.argmax(axis=1)]
    code, double = routines(problem, "float32"), routines(problem)
    assert code.source == double.source
    found, expected = everything(code, single, x, y), everything(double, single, x, y)
    for array in arrays(found[:-1]):
        assert array.dtype == np.float32
    for a, b in zip(found[:3], expected[:3], strict=True):
        assert relative_error(flat(a).astype(float), flat(b)) <= 1e-5
    value = code.loss(single, x, y)
    assert type(value) is float
    assert value == pytest.approx(double.loss(single, x, y), rel=1e-5)


def test_initial_parameters():
    for dtype in ("float64", "float32"):
        code = routines(BANK["deep"], dtype)
        theta = code.initial(3)
        for (W, b), shapes in zip(theta, BANK["deep"].shapes, strict=True):
            assert (W.shape, b.shape) == shapes
            assert W.dtype == b.dtype == dtype
            assert not b.any()
            assert 0 < np.abs(W).max() <= np.sqrt(6 / sum(W.shape))
        assert_same_bits((theta,), (code.initial(np.random.default_rng(3)),))
        assert (flat(theta) != flat(code.initial(4))).any()


# -- purity ----------------------------------------------------------------------------------------

PURE = sorted(name for name in BANK if "depth" not in name and "hidden" not in name)


def copied(results):
    return tuple(tuple(tuple(a.copy() for a in layer) for layer in layers) for layers in results)


@pytest.mark.parametrize("name", PURE)
def test_inputs_are_not_modified_and_results_do_not_alias_them(name):
    code, theta, X, Y = example(name)
    originals = [a.copy() for a in (X, Y, *(a for layer in theta for a in layer))]
    inputs = [X, Y, *(a for layer in theta for a in layer)]
    results = everything(code, theta, X, Y)
    for array, original in zip(inputs, originals, strict=True):
        np.testing.assert_array_equal(array, original)
    kept = copied(results)
    for array in inputs:
        np.add(array, 1.0, out=array)
    assert_same_bits(results, kept)


@pytest.mark.parametrize("name", PURE)
def test_writing_into_results_changes_no_later_result(name):
    code, theta, X, Y = example(name)
    expected = copied(everything(code, theta, X, Y))
    for array in arrays(everything(code, theta, X, Y)):
        array[...] = np.nan
    assert_same_bits(everything(code, theta, X, Y), expected)


@pytest.mark.parametrize("name", PURE)
def test_equal_calls_give_equal_bits(name):
    code, theta, X, Y = example(name)
    again = generate(derive(code.problem))
    assert_same_bits(everything(code, theta, X, Y), everything(code, theta, X, Y))
    assert_same_bits(everything(code, theta, X, Y), everything(again, theta, X, Y))
    value, gradient = code.value_and_grad(theta, X, Y)
    assert value == code.loss(theta, X, Y)
    assert_same_bits((gradient,), (code.gradient(theta, X, Y),))


# -- the object ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_copies_compute_the_same(duplicate, dtype):
    code = routines(BANK["softmax-throughout"], dtype)
    other = duplicate(code)
    assert other == code
    assert hash(other) == hash(code)
    assert (other.problem, other.source, other.dtype) == (code.problem, code.source, dtype)
    _, _, X, Y = case(code.problem)
    X, Y = X.astype(dtype), np.eye(3, dtype=dtype)[Y.argmax(axis=1)]
    theta = code.initial(1)
    assert_same_bits(everything(other, theta, X, Y), everything(code, theta, X, Y))


def test_loaded_code_needs_no_derivation():
    code = routines(XOR)
    loaded = Routines(XOR, code.source)
    assert loaded == code
    assert loaded.program is None
    assert code.program is not None
    assert Routines(XOR, code.source, "float32") != code


def test_a_traceback_shows_the_line_of_the_emitted_module():
    source = routines(XOR).source.replace("np.tanh(Z1)", "np.tanh(Z1, oops=1)")
    broken = Routines(XOR, source)
    with pytest.raises(TypeError) as caught:
        broken.forward(broken.initial(), np.zeros((1, 2)))
    assert "np.tanh(Z1, oops=1)" in str(caught.traceback[-1].statement)


# -- flat vectors ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pack_and_unpack_are_inverse(seed):
    problem, theta, _, _ = random_case(seed)
    code = Routines(problem, routines(XOR).source)  # packing needs no arithmetic of this problem
    vector = code.pack(theta)
    assert vector.shape == (problem.size,)
    for (W, b), (V, c) in zip(code.unpack(vector), theta, strict=True):
        np.testing.assert_array_equal(W, V)
        np.testing.assert_array_equal(b, c)
    np.testing.assert_array_equal(code.pack(code.unpack(vector)), vector)


def test_the_order_of_a_flat_vector():
    code = routines(chain([2, 1, 1]))
    theta = (([[1, 2]], [3]), ([[4]], [5]))
    assert code.pack(theta).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("flat", [np.zeros(4), np.zeros((1, 5)), np.zeros(6), 0.0])
def test_a_flat_vector_of_another_length(flat):
    code = routines(chain([2, 1, 1]))
    with refused(f"flat parameters has shape {np.shape(flat)}, expected (5,)"):
        code.unpack(flat)


def test_fun_is_loss_and_gradient_of_the_vector():
    code, theta, X, Y = example()
    value, gradient = code.fun(code.pack(theta), X, Y)
    assert value == code.loss(theta, X, Y)
    np.testing.assert_array_equal(gradient, flat(code.gradient(theta, X, Y)))
    assert gradient.shape == (code.problem.size,)


# -- known optima ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPTIMA))
def test_scipy_reaches_the_known_optimum(name):
    problem, theta, X, Y, output, multiplier = OPTIMA[name]()
    code = routines(problem)
    start = code.pack(code.initial(1))
    found = minimize(code.fun, start, (X, Y), jac=True, method="BFGS", options={"gtol": 1e-10})
    solved = code.unpack(found.x)
    states = code.forward(solved, X)
    np.testing.assert_allclose(states[-1][1], output, atol=1e-7)
    np.testing.assert_allclose(solved[0][0], theta[0][0], atol=1e-7)
    np.testing.assert_allclose(code.backward(solved, states, Y)[-1][1], multiplier, atol=1e-7)
    assert found.fun == pytest.approx(code.loss(theta, X, Y), rel=1e-12)


@pytest.mark.parametrize("name", sorted(OPTIMA))
def test_all_residuals_vanish_at_the_known_optimum(name):
    problem, theta, X, Y, output, multiplier = OPTIMA[name]()
    code = routines(problem)
    states = code.forward(theta, X)
    np.testing.assert_allclose(states[-1][1], output, rtol=1e-14)
    multipliers = code.backward(theta, states, Y)
    np.testing.assert_allclose(multipliers[-1][1], multiplier, rtol=1e-13)
    ((_, x),), ((mu, _),) = states, multipliers
    known = ((x, output),), ((mu, multiplier),)
    for residual in code.residuals(theta, X, Y, *known)[0]:
        assert np.abs(residual).max() <= 1e-15
    assert np.abs(flat(code.gradient(theta, X, Y))).max() <= 1e-15


# -- saturation ------------------------------------------------------------------------------------

COMBINATIONS = [
    (activation, loss, place)
    for activation in TRAINED
    for loss in TRAINABLE
    for place in ("hidden", "output")
    if loss in {"squared_error", "cross_entropy"}
    or activation in {"tanh", LOSSES[loss].default_output}
    if place == "hidden" or fits(activation, loss)
]


@pytest.mark.parametrize("scale", [30.0, 1e4])
@pytest.mark.parametrize(("activation", "loss", "place"), COMBINATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_saturated_preactivations_are_finite_and_raise_no_floating_point_error(
    activation, loss, place, scale, dtype
):
    """|z^1| up to ``scale`` at the layer of the activation; only underflow may happen."""
    if place == "hidden":
        problem = chain([3, 3, 3], activation, loss, regularizer=L2(0.1))
    else:
        problem = Problem(3, [Dense(3, activation)], loss, L2(0.1))
    code, rng = routines(problem, dtype), np.random.default_rng(0)
    theta = code.initial(1)
    W, b = np.eye(3, dtype=dtype), np.zeros(3, dtype=dtype)
    theta = ((W, b), *theta[1:])
    X = scale * np.array(
        [[1, -1, 0], [-1, 1, 1], [1, 1, 1], [-1, -1, -1], [0.999, 1, -0.5]], dtype=dtype
    )
    X += rng.normal(size=X.shape).astype(dtype)
    Y = np.eye(3, dtype=dtype)[[0, 1, 2, 1, 0]]
    if problem.loss_entry.labels == "sign":
        Y = 2 * Y - 1
    with np.errstate(all="raise", under="ignore"):
        results = everything(code, theta, X, Y)
    for array in arrays(results):
        assert np.isfinite(array).all()
        assert array.dtype == (dtype if array.ndim else np.float64)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_a_saturated_loss_is_that_of_its_logits(loss):
    """−log softmax and log(1 + e^x) − y x at logits where e^x overflows and 1 − σ underflows."""
    width = 2 if loss == "cross_entropy" else 1
    code = routines(chain([1, width], loss=loss))
    W = np.array([[0.5], [-0.5]])[:width] * (1 if width == 2 else 2)
    theta, X = ((W, np.zeros(width)),), np.array([[1e4]])
    wrong = np.array([[0.0, 1.0]]) if width == 2 else np.array([[0.0]])
    right = np.array([[1.0, 0.0]]) if width == 2 else np.array([[1.0]])
    assert code.loss(theta, X, wrong) == 1e4
    assert code.loss(theta, X, right) == 0
    assert np.abs(code.gradient(theta, X, wrong)[0][1]).max() == 1
    assert np.abs(code.gradient(theta, X, right)[0][1]).max() == 0


# -- the bank and the generator keep their promises ------------------------------------------------


def test_the_bank_covers_every_activation_and_every_loss():
    pairs = {
        (layer.activation.name, problem.loss.name)
        for problem in BANK.values()
        for layer in problem.layers
    }
    common = ("squared_error", "cross_entropy")
    assert pairs >= {(a, loss) for a in TRAINED for loss in common}
    assert pairs >= {("tanh", loss) for loss in TRAINABLE}
    assert {problem.depth for problem in BANK.values()} == set(range(1, 7))
    assert {problem.regularizer is None for problem in BANK.values()} == {True, False}
    assert any(1 in problem.widths for problem in BANK.values())


def test_the_generator_is_seeded_and_covers_what_it_says():
    cases = [random_case(seed) for seed in range(400)]
    problem, theta, X, Y = random_case(17)
    assert problem == cases[17].problem == random_problem(17)
    np.testing.assert_array_equal(flat(theta), flat(cases[17].theta))
    np.testing.assert_array_equal(X, cases[17].X)
    np.testing.assert_array_equal(Y, cases[17].Y)
    problems = [case.problem for case in cases]
    assert {p.depth for p in problems} == set(range(1, 7))
    assert {w for p in problems for w in p.widths} == set(range(1, 9))
    assert {len(case.X) for case in cases} == set(range(1, 12))
    used = {(layer.activation.name, p.loss.name) for p in problems for layer in p.layers}
    assert used == {(a, loss) for a in TRAINED for loss in TRAINABLE}


def test_random_labels_fit_their_loss():
    rng = np.random.default_rng(0)
    for loss in LOSSES:
        code = routines(chain([2, 3], loss=loss))
        for _ in range(20):
            labels = random_labels(code.problem, 4, rng)
            np.testing.assert_array_equal(code.labels(labels), labels)


def test_data_errors_are_no_problem_errors():
    assert issubclass(DataError, ValueError)
    assert not issubclass(DataError, ProblemError)
