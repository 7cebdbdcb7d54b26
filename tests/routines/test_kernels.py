"""Steps of tiles: executed one by one in NumPy they give what the routines give; their order."""

from functools import partial

import numpy as np
import pytest
import sympy as sp
from scipy import special

from lagrangenet import L2, REGULARIZERS, DerivationError, chain
from lagrangenet.routines.ir import Assign, Routine, ref
from lagrangenet.routines.kernels import (
    BATCH,
    ROW,
    After,
    Linear,
    Outer,
    Pointwise,
    Rowwise,
    Sum,
    kernels,
    signed,
)
from lagrangenet.routines.passes.expand import PRIMITIVE
from lagrangenet.routines.passes.live import key
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from tests.compilers import Point, program
from tests.problems import BANK, random_problem, relative_error

CLASSES = chain(
    [4, 5, 3],
    "relu",
    "cross_entropy",
    regularizer=REGULARIZERS["elastic_net"](l1=0.01, l2=0.03, strength=0.5, biases=True),
    class_weights=(1.0, 2.0, 5.0),
)
PROBLEMS = {
    **{name: BANK[name] for name in ("xor", "softmax-throughout", "mixed", "deep")},
    "classes": CLASSES,
    "margins": chain([3, 4, 3], "silu", "multiclass_hinge", regularizer=L2(0.1)),
}
ALL = BANK | PROBLEMS | {f"random {seed}": random_problem(seed) for seed in range(20)}
ROUTINES = ("value", "value_and_grad", "hessian_product", "gauss_newton_product")


def steps_of(problem, name):
    return kernels(program(problem).routine(name), problem)


# -- steps in NumPy --------------------------------------------------------------------------------

FUNCTIONS = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "sqrt", "abs", "sign")},
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: getattr(np, name) for name in ("maximum", "minimum", "where", "logaddexp")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "tanh")},
    **{name: getattr(special, name) for name in ("erf", "erfc", "ndtr")},
    "zeros_like": np.zeros_like,
    "positive": lambda x: np.maximum(x, np.finfo(float).tiny),
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}


class Machine:
    """The arrays of a routine. Over samples and components they are (M, n), of samples (M, 1)."""

    def __init__(self, point):
        problem, self.samples = point.problem, len(point.X)
        self.rho, self.arrays = problem.strength, {("X", 0): point.X, ("Y", None): point.Y}
        self.arrays["c", None] = np.array(problem.class_weights)
        for vector, names in ((point.theta, ("W", "b")), (point.p, ("W_dot", "b_dot"))):
            start = 0
            for k, shapes in enumerate(problem.shapes, 1):
                for name, shape in zip(names, shapes, strict=True):
                    size = int(np.prod(shape))
                    self.arrays[name, k] = vector[start : start + size].reshape(shape)
                    start += size

    def value(self, node):
        """An expression, with one operation for each node."""
        if isinstance(node, t.Ref):
            return self.arrays[key(node)]
        if isinstance(node, t.Number):
            return float(node.value.subs({l.M: self.samples, l.rho: self.rho}))
        if isinstance(node, t.Product):
            found = 1.0
            for factor in node.factors:
                found = found * self.value(factor)
            for divisor in node.divisors:
                found = found / self.value(divisor)
            return found
        if isinstance(node, t.Total):
            found = sum(map(self.value, node.plus), start=0.0)
            return found - sum(map(self.value, node.minus), start=0.0)
        if isinstance(node, t.Power):
            return self.value(node.base) ** float(node.exponent)
        if isinstance(node, t.Reduced):
            assert node.op == "sum"
            assert not node.axes  # of parameters, after the last sample
            return np.sum(self.value(node.arg))
        assert isinstance(node, t.Call), f"no step has a {type(node).__name__}"
        return FUNCTIONS[node.fn.name](*map(self.value, node.args))

    def run(self, step):
        """One step for all samples that there are."""
        if isinstance(step, Linear):
            found = 0.0 if step.start is None else self.value(step.start)
            for term in step.terms:
                weight = self.value(term.weight)
                found = found + term.sign * (
                    self.value(term.state) @ (weight if term.transposed else weight.T)
                )
            self.arrays[key(step.target)] = found
        elif isinstance(step, Outer):
            self.add(step.target, step.sign * (self.value(step.left).T @ self.value(step.right)))
        elif isinstance(step, Sum):
            over = (0,) if step.target.axes else None
            value = np.broadcast_to(self.value(step.value), self.shape(step))
            self.add(step.target, step.sign * value.sum(axis=over))
        elif isinstance(step, Rowwise):
            value = np.broadcast_to(self.value(step.value), self.shape(step))
            total = np.max if step.op == "max" else np.sum
            self.arrays[key(step.target)] = total(value, axis=1, keepdims=True)
        elif isinstance(step, Pointwise):
            self.arrays[key(step.target)] = self.value(step.value)
        else:
            assert isinstance(step, After)
            old = self.arrays[key(step.target)] if step.add else 0.0
            self.arrays[key(step.target)] = old + self.value(step.value)

    def shape(self, step):
        return np.broadcast_shapes(*(self.value(a).shape for a in step.reads))

    def add(self, target, value):
        self.arrays[key(target)] = self.arrays.get(key(target), 0.0) + value


def computed(found, point, tiles=1):
    """The results of steps: all of the first tile, then all of the next, and what comes after."""
    machine, sums = Machine(point), {}
    names = {key(s.target) for s in found.tile if isinstance(s, Outer | Sum)}
    for X, Y in zip(np.array_split(point.X, tiles), np.array_split(point.Y, tiles), strict=True):
        machine.arrays |= {("X", 0): X, ("Y", None): Y}
        for step in found.tile:
            machine.run(step)
        for name in names:
            sums[name] = sums.get(name, 0.0) + machine.arrays.pop(name)
    machine.arrays |= sums
    for step in found.after:
        machine.run(step)
    layers = range(1, point.problem.depth + 1)
    routine = found.routine
    parts = [np.ravel(machine.arrays[name, k]) for k in layers for name in routine.returns]
    vector = np.concatenate(parts) if parts else None
    return (machine.arrays["J", None] if routine.value else None), vector


def assert_steps_are_right(problem, seed, tiles):
    point = Point(problem, 7, seed=seed)
    _, J, gradient, hessp, gauss_newtonp = point.expected
    expected = ((J, None), (J, gradient), (None, hessp), (None, gauss_newtonp))
    for name, (value, vector) in zip(ROUTINES, expected, strict=True):
        found = computed(steps_of(problem, name), point, tiles)
        for a, b in zip(found, (value, vector), strict=True):
            assert (a is None) == (b is None)
            assert a is None or relative_error(a, b) <= 1e-12, name


@pytest.mark.parametrize("tiles", [1, 3])
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_steps_compute_what_the_routines_compute(name, tiles):
    assert_steps_are_right(PROBLEMS[name], 0, tiles)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ALL))
def test_the_steps_of_the_whole_bank(name):
    for seed, tiles in ((1, 1), (2, 2)):
        assert_steps_are_right(ALL[name], seed, tiles)


def test_a_step_that_is_missing_or_wrong_is_noticed():
    """The machine above can tell."""
    point, found = Point(CLASSES, 7), steps_of(CLASSES, "value_and_grad")
    right = computed(found, point)
    for step in found.tile:
        if isinstance(step, Sum | Outer):
            wrong = type(step)(**{**fields(step), "sign": -step.sign})
            tile = tuple(wrong if s is step else s for s in found.tile)
            changed = computed(type(found)(found.routine, tile, found.after, found.widths), point)
            errors = [relative_error(a, b) for a, b in zip(changed, right, strict=True)]
            assert max(errors) > 1e-3


def fields(step):
    return {name: getattr(step, name) for name in step.__dataclass_fields__}


# -- structure -------------------------------------------------------------------------------------


def kinds(problem, name):
    return [type(step).__name__ for step in steps_of(problem, name).tile]


def test_the_steps_of_a_small_network():
    problem = chain([2, 3, 1], "tanh", "binary_cross_entropy", regularizer=L2(0.1))
    assert kinds(problem, "value") == ["Linear", "Pointwise", "Linear", "Sum"]
    assert kinds(problem, "value_and_grad") == [
        "Linear", "Pointwise", "Linear", "Sum", "Pointwise", "Outer", "Sum", "Linear",
        "Pointwise", "Outer", "Sum",
    ]  # fmt: skip
    found = steps_of(problem, "value_and_grad")
    assert [(step.target.name, step.add) for step in found.after] == [
        ("J", False), ("J", False), ("J", False), ("dW", True), ("dW", True),
    ]  # fmt: skip
    assert found.width(ref("Z", 1)) == 3
    assert found.width(ref("Y", None)) == 1


def test_softmax_is_three_loops_over_a_row():
    """The largest, the sum of exp, the quotient; the loss needs its own logarithm of that sum."""
    problem = chain([3, 4], loss="cross_entropy")
    found = steps_of(problem, "value_and_grad").tile
    rows = [(step.op, step.target.axes) for step in found if isinstance(step, Rowwise)]
    assert rows == [("max", ROW), ("sum", ROW)]
    assert sum(isinstance(step, Sum) and not step.target.axes for step in found) == 1
    calls = [
        node.fn.name
        for step in found
        for value in vars(step).values()
        if isinstance(value, t.Node)
        for node in value.walk()
        if isinstance(node, t.Call)
    ]
    assert calls.count("log") == 1


def test_a_tangent_has_two_products():
    found = steps_of(BANK["xor"], "hessian_product").tile
    products = [step for step in found if isinstance(step, Linear) and len(step.terms) == 2]
    assert [
        (step.target.name, [(a.weight.name, a.transposed) for a in step.terms], step.start)
        for step in products
    ] == [
        ("Z_dot", [("W", False), ("W_dot", False)], products[0].start),
        ("lambda_dot", [("W", True), ("W_dot", True)], None),
    ]
    assert products[0].start.name == "b_dot"


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_sums_stand_right_after_what_they_sum(name):
    for routine in ROUTINES:
        tile = steps_of(PROBLEMS[name], routine).tile
        made = {key(s.target): j for j, s in enumerate(tile) if not isinstance(s, Outer | Sum)}
        for position, step in enumerate(tile):
            if isinstance(step, Outer | Sum):
                last = max((made.get(key(array), 0) for array in step.reads), default=0)
                assert all(isinstance(s, Outer | Sum) for s in tile[last + 1 : position])


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_steps_read_what_is_there_and_write_once(name):
    problem = PROBLEMS[name]
    for routine in ROUTINES:
        found = steps_of(problem, routine)
        there, summed = {("X", 0), ("Y", None)}, set()
        for step in found.tile:
            assert {key(a) for a in step.reads} <= there
            if isinstance(step, Outer | Sum):
                summed.add(key(step.target))
                continue
            assert key(step.target) not in there
            there.add(key(step.target))
            assert step.target.axes in {BATCH, ROW}
            wide = 1 if step.target.axes == ROW else width(found, step, problem)
            assert found.width(step.target) == wide
        read = {key(a) for step in found.tile for a in step.reads}
        assert there - {("X", 0), ("Y", None)} <= read  # nothing is computed in vain
        for step in found.after:
            assert step.add == (key(step.target) in summed)
        targets = {key(step.target) for step in found.after} | summed
        for k in range(1, problem.depth + 1):
            assert {(part, k) for part in found.routine.returns} <= targets


def width(found, step, problem):
    """How many components a step computes."""
    if isinstance(step, Linear):
        (term, *_) = step.terms
        after, before = problem.shapes[int(term.weight.layer) - 1][0]
        return before if term.transposed else after
    return max(found.width(a) for a in step.reads)


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_function_is_written_out_and_every_step_is_labelled(name):
    for routine in ROUTINES:
        found = steps_of(ALL[name], routine)
        for step in (*found.tile, *found.after):
            assert step.note.startswith("(")
            nodes = [n for v in vars(step).values() if isinstance(v, t.Node) for n in v.walk()]
            assert {n.fn.name for n in nodes if isinstance(n, t.Call)} <= PRIMITIVE
            assert not any(isinstance(n, t.MatMul | t.Outer | t.Over) for n in nodes)
            if not isinstance(step, After):
                assert not any(isinstance(n, t.Reduced) for n in nodes)


# -- what has no step ------------------------------------------------------------------------------

X1 = ref("X", 1, (l.i, l.p))
LABELLED = partial(Assign, labels=("S0",), layer=1, formula="z = ?")


def refused(value, problem=BANK["xor"]):
    body = (LABELLED(ref("Z", 1, (l.i, l.p)), value),)
    kernels(Routine("value", "", (), body), problem)


def test_a_product_of_two_states_is_refused():
    with pytest.raises(DerivationError, match=r"a product of two states .*\(S0\)  z = \?"):
        refused(t.MatMul((l.i, l.p), X1, t.Transposed((l.q, l.p), ref("X", 1, (l.i, l.q)))))


def test_a_number_that_should_be_a_state_is_refused():
    one = t.Number((l.i, l.q), sp.S.One)
    with pytest.raises(DerivationError, match="no array says how many components"):
        refused(t.MatMul((l.i, l.p), one, ref("W", 1, (l.q, l.p))))


def test_summands_with_their_signs():
    a, b, c = (t.Ref((l.i,), name) for name in "abc")
    assert list(signed(t.Total((l.i,), (a, b), (c,)))) == [(1, a), (1, b), (-1, c)]
    assert list(signed(a)) == [(1, a)]
