"""Every entry is complete and means what it says; a new entry needs no second registration."""

import contextlib
import dataclasses
import re

import mpmath
import numpy as np
import pytest
import sympy as sp
from sympy.codegen.numpy_nodes import logaddexp

from lagrangenet import (
    ACTIVATIONS,
    LOSSES,
    REGULARIZERS,
    Dense,
    DerivationError,
    LagrangenetError,
    Problem,
    ProblemError,
    chain,
    derive,
    generate,
    verify,
)
from lagrangenet.functions import Activation, Catalogue, Loss, Regularizer
from lagrangenet.functions.base import Top, Z, n, p, parameter, r, t, w, x, y, z

ENTRIES = [*ACTIVATIONS.values(), *LOSSES.values(), *REGULARIZERS.values()]
COMPONENTWISE = [entry for entry in ACTIVATIONS.values() if not entry.coupled]
COUPLED = [entry for entry in ACTIVATIONS.values() if entry.coupled]
#: 50 points: both signs, small, moderate and so large that exp(-|z|) is below the 40th digit.
POINTS = [sp.Rational(int(j), 512) for j in np.round(np.linspace(-5.3, 5.3, 50) ** 3 * 512)]

#: Values of parameters where the default hides a kink.
UNUSUAL = {"elu": {"alpha": 0.5}}

by_name = {"ids": lambda entry: entry.name}


def bound(entry, expr):
    """An expression of an entry with the default values of its parameters."""
    values = entry.parameters | UNUSUAL.get(entry.name, {})
    return expr.xreplace({entry.symbol(key): sp.Rational(v) for key, v in values.items()})


def digits(expr):
    """A number to 40 digits at least, also of log(1 + 1e-65) and 1 + erf(-70)."""
    return (
        expr.replace(logaddexp, lambda a, b: sp.log(sp.exp(a) + sp.exp(b)))
        .replace(sp.erf, lambda a: sp.erfc(-a) - 1)
        .evalf(120)
    )


def at_vector(expr, size, shift=None):
    """A coupled expression for ``size`` components z_1, z_2, ...; the largest is ``shift``."""
    fixed = expr.replace(lambda e: isinstance(e, Top), lambda e: shift)
    return fixed.subs(n, size).doit()


# -- completeness ----------------------------------------------------------------------------------


def test_the_catalogues_hold_what_the_design_names():
    activations = (
        "identity sigmoid tanh relu leaky_relu elu softplus silu gelu gelu_tanh hard_tanh sin "
        "threshold sign softmax log_softmax"
    )
    losses = (
        "squared_error cross_entropy binary_cross_entropy log_probability negative_log_density hinge "
        "multiclass_hinge perceptron zero_one huber log_cosh"
    )
    assert set(activations.split()) <= set(ACTIVATIONS)
    assert set(losses.split()) <= set(LOSSES)
    assert {"L2", "L1", "elastic_net"} <= set(REGULARIZERS)


@pytest.mark.parametrize("entry", ENTRIES, **by_name)
def test_every_entry_has_a_summary_of_one_line(entry):
    assert entry.summary.strip()
    assert "\n" not in entry.summary


@pytest.mark.parametrize("entry", ENTRIES, **by_name)
def test_kinks_and_subgradient_go_together(entry):
    assert bool(entry.kinks) == bool(entry.subgradient)
    assert entry.smooth == (entry.differentiable and not entry.kinks)


@pytest.mark.parametrize("entry", LOSSES.values(), **by_name)
def test_every_loss_names_its_labels_and_an_output_that_it_accepts(entry):
    assert entry.labels in {"real", "binary", "sign", "distribution"}
    assert chain([2, 3], loss=entry.name).activations[-1].name == entry.default_output


@pytest.mark.parametrize("entry", ACTIVATIONS.values(), **by_name)
def test_simplex_is_declared_where_the_values_are_positive_and_sum_to_one(entry):
    code = generate(derive(Problem(4, [Dense(4, entry.name)], "squared_error")))
    rng = np.random.default_rng(0)
    values = code.forward(((np.eye(4), np.zeros(4)),), 3 * rng.normal(size=(50, 4)))[0][1]
    positive = bool((values > 0).all())
    assert positive == entry.positive
    assert (positive and np.allclose(values.sum(axis=1), 1, rtol=1e-12)) == entry.simplex
    assert np.allclose(np.exp(values).sum(axis=1), 1, rtol=1e-12) == entry.log_simplex


# -- stable forms ----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [e for e in COMPONENTWISE if e.stable is not None], **by_name)
def test_stable_form_equals_the_definition(entry):
    assert len(set(POINTS)) == 50
    for point in POINTS:
        stable, definition = (
            digits(bound(entry, form).subs(z, point)) for form in (entry.stable, entry.expr)
        )
        assert abs(stable - definition) <= 1e-35 * abs(definition)


@pytest.mark.parametrize("entry", COUPLED, **by_name)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_stable_form_of_a_coupled_entry_equals_the_definition(entry, size):
    rng = np.random.default_rng(size)
    for _ in range(10):
        vector = [sp.Rational(int(j), 8) for j in rng.integers(-200, 200, size=size)]
        put = {Z[j + 1]: value for j, value in enumerate(vector)}
        for component in range(1, size + 1):
            stable, definition = (
                at_vector(form, size, max(vector)).subs(p, component).subs(put).evalf(40)
                for form in (entry.stable, entry.expr)
            )
            assert abs(stable - definition) <= 1e-35 * abs(definition)


@pytest.mark.parametrize("entry", COUPLED, **by_name)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_stable_form_does_not_depend_on_the_shift(entry, size):
    """Equal to the definition for any shift, so for the largest component as well."""
    shift = sp.Symbol("t", real=True)
    for component in range(1, size + 1):
        stable = at_vector(entry.stable, size, shift).subs(p, component)
        assert size == 1 or stable.has(shift)
        assert sp.simplify(stable - at_vector(entry.expr, size).subs(p, component)) == 0


@pytest.mark.parametrize("entry", COMPONENTWISE, **by_name)
def test_generated_values_are_those_of_the_definition(entry):
    """The emitted σ at 50 points, against 40 digits of the definition."""
    chosen = entry(**UNUSUAL.get(entry.name, {}))
    code = generate(derive(Problem(1, [Dense(1, chosen)], "squared_error")))
    column = np.array([[float(point)] for point in POINTS])
    values = code.forward(((np.eye(1), np.zeros(1)),), column)[0][1]
    definition = bound(entry, entry.expr)
    for found, point in zip(values[:, 0], column[:, 0], strict=True):
        at = sp.Rational(float(point))
        exact = digits(definition.subs(z, at))
        moved = digits(definition.subs(z, at * (1 + sp.Rational(1, 10**30))))
        condition = abs((moved - exact) / exact) * 10**30 if exact else 0  # |z σ′/σ|
        rel = float(4 + 4 * condition) * np.finfo(float).eps
        assert found == pytest.approx(float(exact), rel=rel, abs=1e-300)


# -- kinks -----------------------------------------------------------------------------------------


def one_sided(expr, symbol, at, sign):
    """The derivative from the right (+1) or the left (−1)."""
    step = sp.Rational(sign, 10**20)
    return ((expr.subs(symbol, at + step) - expr.subs(symbol, at)) / step).evalf(40)


def breakpoints(expr, symbol):
    """Where a condition changes, or the argument of |.| or max is zero."""
    edges = [c.lhs - c.rhs for c in expr.atoms(sp.core.relational.Relational)]
    edges += [e.args[0] for e in expr.atoms(sp.Abs)]
    edges += [e.args[0] - e.args[1] for e in expr.atoms(sp.Max)]
    return {root for edge in edges for root in sp.solve(edge, symbol)}


def has_kink(expr, symbol, at):
    left, right = (one_sided(expr, symbol, at, sign) for sign in (-1, 1))
    return bool(abs(right - left) > sp.Rational(1, 10**6))


@pytest.mark.parametrize("entry", [e for e in COMPONENTWISE if e.differentiable], **by_name)
def test_kinks_of_an_activation_are_where_its_one_sided_derivatives_differ(entry):
    expr = bound(entry, entry.expr)
    kinks = {bound(entry, kink) for kink in entry.kinks}
    grid = {sp.Rational(j, 4) for j in range(-12, 13)} | breakpoints(expr, z) | kinks
    assert {at for at in grid if has_kink(expr, z, at)} == kinks


@pytest.mark.parametrize("entry", [e for e in LOSSES.values() if e.differentiable], **by_name)
@pytest.mark.parametrize("label", [sp.S.Zero, sp.Rational(1, 3), sp.S.One, sp.S.NegativeOne])
def test_kinks_of_a_loss(entry, label):
    if entry.labels == "sign" and abs(label) != 1:
        return
    values = {y: label, t: sp.Rational(3, 4)}
    expr = bound(entry, entry.expr).subs(values)
    start = 1 if entry.needs_simplex or entry.needs_positive else -12
    kinks = {sp.sympify(kink).subs(values) for kink in entry.kinks}
    grid = {sp.Rational(j, 4) for j in range(start, 13)} | breakpoints(expr, x) | kinks
    assert {at for at in grid if has_kink(expr, x, at)} == kinks


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.25), ("elu", 0.25)])
def test_the_derivative_at_a_kink_is_the_declared_subgradient(name, slope):
    activation = ACTIVATIONS[name](0.25) if ACTIVATIONS[name].parameters else name
    code = generate(derive(Problem(1, [Dense(1, activation)], "squared_error")))
    gradient = code.gradient(((np.zeros((1, 1)), np.zeros(1)),), [[1.0]], [[-1.0]])
    assert gradient[0][1] == [slope]
    assert ACTIVATIONS[name].subgradient in {"0 at z = 0", "slope at z = 0", "alpha at z = 0"}


# -- what an entry may not be ----------------------------------------------------------------------


@pytest.fixture
def catalogue():
    return Catalogue("activation")


def refused(message):
    return pytest.raises(ProblemError, match=re.escape(message))


def test_an_entry_declared_twice(catalogue):
    catalogue.add(Activation("one", z, "z"))
    with refused("activation 'one' is declared twice"):
        catalogue.add(Activation("one", 2 * z, "2 z"))
    assert catalogue["one"].expr == z


@pytest.mark.parametrize(
    "odd", [{"kinks": (sp.S.Zero,)}, {"subgradient": "0 at z = 0"}], ids=["kinks", "subgradient"]
)
def test_kinks_without_subgradient_and_the_reverse(catalogue, odd):
    with refused("activation 'one': kinks and subgradient go together"):
        catalogue.add(Activation("one", sp.Abs(z), "|z|", **odd))
    assert "one" not in catalogue


@pytest.mark.parametrize(
    "entry",
    [
        Activation("one", sp.Symbol("q") * z, "q z"),
        Activation("one", sp.Symbol("slope") * z, "the symbol has other assumptions"),
        Activation("one", parameter("q") * z, "an undeclared parameter"),
        Loss("one", (x - y) ** 2 * sp.Symbol("q"), "scaled"),
        Regularizer("one", sp.Symbol("q") * w**2, "scaled"),
    ],
)
def test_an_entry_with_an_undeclared_symbol(catalogue, entry):
    with refused("activation 'one' uses the undeclared symbol(s) "):
        catalogue.add(entry)
    assert len(catalogue) == 0


def test_entries_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ACTIVATIONS["tanh"].expr = z


def test_the_catalogue_is_a_mapping():
    assert list(ACTIVATIONS) == list(ACTIVATIONS.keys())
    assert len(ACTIVATIONS) == len(list(ACTIVATIONS))
    assert "tanh" in ACTIVATIONS
    assert "tahn" not in ACTIVATIONS
    with refused("unknown activation 'tahn'; known: "):
        ACTIVATIONS["tahn"]


def test_softmax_coupled_and_the_others_not():
    assert {entry.name for entry in COUPLED} == {"softmax", "log_softmax"}


# -- a new entry -----------------------------------------------------------------------------------

# Names are used once in the whole suite: derivations are remembered by name.
NEW = [
    Activation("arctan", sp.atan(z), "arctan(z)"),
    Activation("witch", z / (1 + z**2), "z/(1 + z^2)"),
    Activation("bell", sp.exp(-(z**2)), "exp(-z^2)"),
    Activation("wave", sp.sin(z), "sin(z), under another name than NumPy's"),
    Activation(
        "gain",
        parameter("outer") * sp.tanh(parameter("inner") * z),
        "two parameters, not declared in alphabetical order",
        parameters={"outer": 2.0, "inner": 0.5},
    ),
]


@pytest.fixture
def added():
    names = []

    def add(entry):
        names.append(ACTIVATIONS.add(entry).name)
        return entry

    yield add
    for name in names:
        del ACTIVATIONS._entries[name]


@pytest.mark.parametrize("entry", NEW, **by_name)
def test_a_new_activation_needs_no_second_registration(added, entry):
    added(entry)
    problem = chain([2, 3, 1], entry.name)
    code = generate(derive(problem))
    X = np.array([[0.0, 0.3], [0.5, 1.0], [1.0, -0.2], [1.1, 0.9]])
    Y = np.array([[0.0], [1.0], [1.0], [0.0]])
    exact = sp.lambdify(z, bound(entry, entry.expr), "mpmath")
    states = code.forward(code.initial(1), X)
    for at, value in zip(states[0][0].flat, states[0][1].flat, strict=True):
        assert value == pytest.approx(float(exact(mpmath.mpf(float(at)))), rel=1e-15)
    certificate = verify(problem, X, Y)
    assert certificate.verdict == "agree", str(certificate)


def test_the_fixture_leaves_no_trace(added):
    """Runs after the test above: its entries are gone."""
    assert not {entry.name for entry in NEW} & set(ACTIVATIONS)


UNPRINTABLE = [
    Activation("gamma_like", sp.gamma(1 + z**2), "Γ(1 + z²): neither NumPy nor SciPy has it here"),
    Activation(
        "three_pieces",
        sp.Piecewise((-1, z < -1), (z, z < 1), (1, True)),
        "clipped",
        kinks=(sp.S.NegativeOne, sp.S.One),
        subgradient="that of the right branch",
    ),
    Activation("projection", Z[p] / sp.sqrt(1 + sp.Sum(Z[r] ** 2, (r, 1, n))), "z/sqrt(1 + |z|^2)"),
    Activation("centred", Z[p] - sp.Sum(Z[r], (r, 1, n)) / n, "z minus its mean"),
]


@pytest.mark.parametrize("entry", UNPRINTABLE, **by_name)
def test_what_cannot_be_generated_is_refused_by_name_or_right(added, entry):
    """Either a DerivationError, or code that agrees with the declared function."""
    added(entry)
    problem = chain([2, 3, 2], entry.name)
    with contextlib.suppress(DerivationError):
        assert_gradient_by_differences(generate(derive(problem)))


def assert_gradient_by_differences(code):
    """∂J/∂b^1 against central differences of J."""
    X = np.array([[0.0, 0.3], [0.5, 1.0]])
    point = code.initial(1)
    value, gradient = code.value_and_grad(point, X, X)
    for k in range(3):
        moved = [
            code.loss(((point[0][0], point[0][1] + sign * 1e-6 * np.eye(3)[k]), point[1]), X, X)
            for sign in (1, -1)
        ]
        assert gradient[0][1][k] == pytest.approx((moved[0] - moved[1]) / 2e-6, abs=1e-8)
    assert np.isfinite(value)


def test_all_refusals_have_one_base():
    assert issubclass(DerivationError, LagrangenetError)
