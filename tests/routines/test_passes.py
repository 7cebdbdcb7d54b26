"""Passes keep values: what is linked, what is left out because nothing needs it, what is written out."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet import ACTIVATIONS, Dense, Problem, derive
from lagrangenet.emit import TARGETS
from lagrangenet.routines.ir import Argument
from lagrangenet.routines.kernels import Linear, Pointwise, Rowwise, kernels
from lagrangenet.routines.lower import lower
from lagrangenet.routines.passes import link as linking
from lagrangenet.routines.passes.expand import PRIMITIVE, SPECIAL, expanded
from lagrangenet.routines.passes.link import LINKED, link
from lagrangenet.routines.passes.live import key, live
from lagrangenet.runtime.load import load
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic import tensor as t
from tests.compilers import Point, derivation, program, stages
from tests.problems import BANK, TRAINED, random_problem, relative_error
from tests.routines.test_kernels import Machine

SOME = {name: BANK[name] for name in ("xor", "softmax-throughout", "mixed", "deep")} | {
    f"random {seed}": random_problem(seed) for seed in range(8)
}
MORE = BANK | {f"random {seed}": random_problem(seed) for seed in range(40)}


def module(linked):
    """The functions of linked routines in NumPy."""
    return load(TARGETS["numpy"].emit(linked))


def results(functions, point):
    theta, X, Y, p = point.theta, point.X, point.Y, point.p
    J, gradient = functions["value_and_grad"](theta, X, Y)
    products = (
        functions[f"{name}_product"](theta, X, Y, p) for name in ("hessian", "gauss_newton")
    )
    return functions["value"](theta, X, Y), J, gradient, *products


# -- link ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SOME))
def test_linked_routines_compute_what_the_stages_compute(name):
    point = Point(SOME[name], 9)
    for found, expected in zip(
        results(module(program(SOME[name])), point), point.expected, strict=True
    ):
        assert relative_error(found, expected) <= 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MORE))
def test_linked_routines_of_the_whole_bank(name):
    for seed in (1, 2):
        point = Point(MORE[name], 9, seed=seed)
        for found, expected in zip(
            results(module(program(MORE[name])), point), point.expected, strict=True
        ):
            assert relative_error(found, expected) <= 1e-14


def test_what_is_linked_depends_on_the_order():
    first, second = (link(lower(derive(BANK["xor"], order=order))) for order in (1, 2))
    assert [r.name for r in first.routines] == ["value", "value_and_grad"]
    assert [r.name for r in second.routines] == list(LINKED)
    assert first.problem == second.problem == BANK["xor"]
    for routine in second.routines:
        assert (routine.summary, routine.arguments, routine.returns) == LINKED[routine.name][:3]
        assert routine.arguments[0] == Argument("theta", ("W", "b"))
        assert (routine.value is not None) == routine.name.startswith("value")


@pytest.mark.parametrize("name", sorted(SOME))
def test_every_line_is_of_a_stage_and_reads_what_is_there(name):
    stages_of = {r.name: r for r in lower(derivation(SOME[name])).routines}
    for routine in program(SOME[name]).routines:
        lines = [line for stage in LINKED[routine.name][3] for line in stages_of[stage].body]
        places = [lines.index(line) for line in routine.body]
        assert places == sorted(places)  # in the order of the stages, unchanged
        there = {(name, None) for name in ("Y", "c")} | {("X", sp.S.Zero)}
        for argument in routine.arguments:
            there |= {(part, k) for part in argument.per_layer for k in layers(SOME[name])}
        for line in routine.body:
            assert {key(n) for n in line.value.walk() if isinstance(n, t.Ref)} <= there
            assert key(line.target) not in there or line.target.name == "J"  # a sum of terms
            there.add(key(line.target))
        for part in routine.returns:
            assert {(part, k) for k in layers(SOME[name])} <= there


def layers(problem):
    return [sp.Integer(k) for k in range(1, problem.depth + 1)]


# -- live ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SOME))
def test_lines_that_are_left_out_change_no_bit(name, monkeypatch):
    point, kept = Point(SOME[name], 9), program(SOME[name])
    monkeypatch.setattr(linking, "live", lambda body, returned: tuple(body))
    everything = link(lower(derivation(SOME[name])))
    lengths = [
        sum(len(routine.body) for routine in linked.routines) for linked in (kept, everything)
    ]
    assert lengths[0] < lengths[1]  # μ and λ of the value, at least
    pairs = zip(results(module(kept), point), results(module(everything), point), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(SOME))
def test_what_is_kept_is_needed(name):
    """Without any one of its lines a routine would read what is not there, or lack a result."""
    for routine in program(SOME[name]).routines:
        results = {*routine.returns, *(["J"] if routine.value else [])}

        def returned(array, results=results):
            return array.name in results

        assert live(routine.body, returned) == routine.body
        for j, line in enumerate(routine.body):
            later = [n for one in routine.body[j + 1 :] for n in one.value.walk()]
            read = {key(n) for n in later if isinstance(n, t.Ref)}
            assert returned(line.target) or key(line.target) in read


def test_nothing_is_kept_for_nothing():
    body = program(BANK["xor"]).routine("value_and_grad").body
    assert live(body, lambda array: False) == ()
    assert live((), lambda array: True) == ()
    assert live(body, lambda array: True) == body


# -- expand ----------------------------------------------------------------------------------------

Z = t.Ref((l.i, l.p), "Z", sp.Integer(1))


def calls(node):
    return {n.fn.name for n in node.walk() if isinstance(n, t.Call)}


@pytest.mark.parametrize("name", [*TRAINED, *SPECIAL])
def test_what_is_written_out_needs_no_activation(name):
    parameters = [] if name in SPECIAL else sorted(ACTIVATIONS[name].parameters)
    call = t.Call(Z.axes, t.Fn(name), (Z, *(t.scalar(sp.Rational(1, 4)) for _ in parameters)))
    tree = expanded(call)
    assert (tree == call) == (name in PRIMITIVE)
    assert calls(tree) <= PRIMITIVE
    assert {n.name for n in tree.walk() if isinstance(n, t.Ref)} <= {"Z"}
    symbols = {s.name for n in tree.walk() if isinstance(n, t.Number) for s in n.value.free_symbols}
    assert not symbols & set(parameters)


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_written_out_has_the_values_of_the_activation(name):
    """At both ends of the range as well: the forms are the stable ones."""
    z = np.array([[-800.0, -30.0, -2.0], [-1e-9, 0.0, 1e-9], [0.5, 3.0, 800.0]])
    problem = Problem(3, [Dense(3, name)], "squared_error")
    code = stages(problem)
    expected = code.forward(((np.eye(3), np.zeros(3)),), z)[0][1]
    point = Point(problem, 3)
    machine = Machine(point)
    machine.arrays |= {("X", 0): z, ("W", 1): np.eye(3), ("b", 1): np.zeros(3)}
    found = kernels(program(problem).routine("value"), problem)
    for step in found.tile:
        if isinstance(step, Linear | Pointwise | Rowwise):
            machine.run(step)
    last = machine.arrays.get(("X", 1), machine.arrays["Z", 1])
    np.testing.assert_allclose(np.broadcast_to(last, z.shape), expected, rtol=1e-14, atol=0)


def test_other_nodes_stay():
    for node in (Z, t.scalar(2), t.Call(Z.axes, t.Fn("exp"), (Z,)), t.product([Z, Z], [], Z.axes)):
        assert expanded(node) is node


def test_an_argument_is_put_in_as_it_is():
    inside = t.total([Z, t.scalar(1)], Z.axes)
    tree = expanded(t.Call(Z.axes, t.Fn("softplus"), (inside,)))
    assert inside in tree.walk()
