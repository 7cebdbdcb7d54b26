"""Collapsing deltas under sums: equal to brute force, and refusing what it cannot do."""

import re

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangenet import DerivationError
from lagrangenet.symbolic.collapse import Between, collapse, terms
from tests.symbolic.world import World

p, q, i, j, k, m, n = sp.symbols("p q i j k m n", integer=True, positive=True)
delta = sp.KroneckerDelta
SIZE = 3
#: a, b, c: one, two, two indices; two entries more on both sides, for shifted subscripts.
BASES = {name: sp.IndexedBase(name, real=True) for name in "abc"}


class Shifted(World):
    """A world whose arrays may be read from −1 to SIZE + 2, so that a missing guard shows."""

    def _entry(self, expr, at):
        indices = tuple(self.number(index, at) + 1 for index in expr.indices)
        return self.arrays[str(expr.base.label)][indices]


def world():
    rng, side = np.random.default_rng(3), SIZE + 4
    arrays = {"a": rng.normal(size=side)} | {s: rng.normal(size=(side, side)) for s in "bc"}
    return Shifted((), 1, 1.0, arrays, {}, None, None)


RANGES = {p: (sp.S.One, n), q: (sp.S.One, n)}

subscript = st.sampled_from([p, q, j, k, m])
factor = st.one_of(
    st.builds(lambda s: BASES["a"][s], subscript),
    st.builds(lambda s, t: BASES["b"][s, t], subscript, subscript),
    st.builds(lambda s, t: BASES["c"][s, t], subscript, subscript),
)
a_delta = st.builds(
    lambda s, t, shift: delta(s, t + shift),
    st.sampled_from([j, k, m]),
    st.sampled_from([p, q, j, k, m]),
    st.sampled_from([-1, 0, 0, 0, 1]),
)
constant_delta = st.builds(delta, st.sampled_from([j, k, m]), st.sampled_from([1, 2]))
summand = st.builds(
    lambda number, factors, deltas: sp.Mul(number, *factors, *deltas),
    st.sampled_from([1, -1, 2, sp.Rational(1, 2)]),
    st.lists(factor, min_size=1, max_size=3),
    st.lists(st.one_of(a_delta, constant_delta), min_size=0, max_size=3),
)


def summed(body, order):
    return sp.Sum(body, *((v, 1, n) for v in order))


expressions = st.lists(
    st.builds(summed, st.lists(summand, min_size=1, max_size=2).map(lambda s: sp.Add(*s)),
              st.permutations([j, k, m])),
    min_size=1, max_size=2,
).map(lambda sums: sp.Add(*sums))  # fmt: skip


def agree(expr, collapsed, here=None):
    """Equal at every value of the free indices; the same terms in another order."""
    values = here or world()
    for at_p in range(1, SIZE + 1):
        for at_q in range(1, SIZE + 1):
            at = {p: at_p, q: at_q, n: SIZE}
            expected = values.index(expr, at)
            assert values.index(collapsed, at) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(expressions)
def test_collapse_equals_brute_force(expr):
    agree(expr, collapse(expr, RANGES))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BASES["a"][j] * delta(j, p), BASES["a"][p]),
        (BASES["a"][j] * delta(p, j), BASES["a"][p]),
        (BASES["b"][j, k] * delta(j, p) * delta(k, q), BASES["b"][p, q]),
        (BASES["b"][j, k] * delta(j, k) * delta(k, q), BASES["b"][q, q]),
        (3 * BASES["a"][j] * delta(j, p) - BASES["a"][j] * delta(j, q),
         3 * BASES["a"][p] - BASES["a"][q]),
    ],
)  # fmt: skip
def test_a_delta_removes_its_sum(body, expected):
    bound = [v for v in (j, k) if body.has(v)]
    assert collapse(sp.Sum(body, *((v, 1, n) for v in bound)), RANGES) == expected


def test_an_expression_without_delta_stays_whole():
    expr = sp.Sum(BASES["a"][j] * (1 - sp.tanh(BASES["a"][j]) ** 2), (j, 1, n)) + 1
    assert collapse(expr, RANGES) == expr


def test_a_delta_of_free_indices_stays():
    assert collapse(delta(p, q) * BASES["a"][p], RANGES) == delta(p, q) * BASES["a"][p]


def test_zero_has_no_terms():
    assert collapse(sp.S.Zero, RANGES) == 0
    assert terms(sp.S.Zero) == []


@pytest.mark.parametrize(
    ("subscript", "guard"),
    [
        (p + 1, Between(p + 1, p + 1, n)),
        (p - 1, Between(1, p - 1, p - 1)),
        (sp.Integer(2), Between(2, 2, n)),
    ],
)
def test_a_shifted_subscript_leaves_a_guard_on_the_side_where_it_leaves_the_range(subscript, guard):
    expr = sp.Sum(BASES["a"][j] * delta(j, subscript), (j, 1, n))
    collapsed = collapse(expr, RANGES)
    assert collapsed == BASES["a"][subscript] * guard
    agree(expr, collapsed)


def test_a_negative_slope():
    expr = sp.Sum(BASES["a"][j] * delta(n + 1 - j, p), (j, 1, n))
    collapsed = collapse(expr, RANGES)
    assert not collapsed.has(sp.Sum)
    assert not collapsed.has(sp.KroneckerDelta)
    agree(expr, collapsed)


def test_bound_indices_with_the_name_of_a_free_one_are_not_captured():
    expr = BASES["a"][p] * sp.Sum(BASES["b"][p, k] * delta(k, q), (p, 1, n), (k, 1, n))
    collapsed = collapse(expr, RANGES)
    agree(expr, collapsed)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        (sp.Sum(sp.exp(delta(j, p)), (j, 1, n)), "a Kronecker delta inside exp"),
        (sp.Sum(BASES["a"][j] ** delta(j, p), (j, 1, n)), "a Kronecker delta inside Pow"),
        (sp.Sum(BASES["a"][j] * delta(2 * j, p), (j, 1, n)), "does not fix the index"),
        (sp.Sum(BASES["a"][j] * delta(j**2, p), (j, 1, n)), "does not fix the index"),
        (sp.Sum(BASES["a"][j] * delta(j, p + q), (j, 1, n)), "runs over two indices"),
    ],
)
def test_refusals_name_the_term(expr, message):
    with pytest.raises(DerivationError, match=re.escape(message)):
        collapse(expr, RANGES)
