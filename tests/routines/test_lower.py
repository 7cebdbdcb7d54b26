"""The routines as data: which there are, what they compute, and where every line came from."""

import dataclasses

import pytest
import sympy as sp

from lagrangenet import Dense, LagrangenetError, Problem, chain, derive
from lagrangenet.routines.ir import (
    GRADIENTS,
    MULTIPLIERS,
    RESIDUALS,
    STATES,
    THETA,
    Assign,
    ref,
)
from lagrangenet.routines.lower import lower
from lagrangenet.symbolic import tensor as t
from tests.problems import BANK

NAMES = ["forward", "loss", "backward", "gradient", "update", "residuals"]
#: What each name is read from, and what each routine returns.
SIGNATURES = {
    "forward": (["theta", "X"], STATES),
    "loss": (["theta", "states", "Y"], ()),
    "backward": (["theta", "states", "Y"], MULTIPLIERS),
    "gradient": (["theta", "X", "states", "multipliers"], GRADIENTS),
    "update": (["theta", "gradients", "eta"], THETA),
    "residuals": (["theta", "X", "Y", "states", "multipliers"], RESIDUALS),
}
ARCHITECTURES = sorted(BANK)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_signatures(name):
    program = lower(derive(BANK[name]))
    assert [routine.name for routine in program.routines] == NAMES
    for routine in program.routines:
        arguments, returns = SIGNATURES[routine.name]
        assert [argument.name for argument in routine.arguments] == arguments
        assert routine.returns == returns
        assert routine.value == (ref("J", None) if routine.name == "loss" else None)
        assert routine.summary.endswith(".")
    assert program.problem == BANK[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_line_names_conditions_that_exist_at_its_layer(name):
    derivation = derive(BANK[name]).split("preactivation")
    for routine in lower(derive(BANK[name])).routines:
        for line in routine.body:
            assert line.labels
            assert line.formula
            assert 1 <= line.layer <= BANK[name].depth
            for label in line.labels:
                if label == "step":
                    assert routine.name == "update"
                elif label == "J":
                    assert routine.name == "loss"
                else:
                    assert derivation.condition(label, line.layer).label == label


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_line_of_layer_k_assigns_an_array_of_layer_k(name):
    for routine in lower(derive(BANK[name])).routines:
        for line in routine.body:
            assert line.target.layer is None or int(line.target.layer) == line.layer
            assert (line.target.layer is None) == (line.target.name == "J")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_opaque_function_and_no_symbolic_layer_is_left(name):
    """Every array belongs to a layer 0..N of the problem, every σ to an activation by name."""
    problem = BANK[name]
    for routine in lower(derive(problem)).routines:
        for line in routine.body:
            for node in line.value.walk():
                if isinstance(node, t.Ref) and node.layer is not None:
                    assert node.layer.is_Integer
                    assert 0 <= int(node.layer) <= problem.depth
                if isinstance(node, t.Call):
                    assert node.fn.name not in {"sigma", "ell", "omega"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_read_is_an_argument_or_was_assigned_before(name):
    parts = {"theta": THETA, "states": STATES, "multipliers": MULTIPLIERS, "gradients": GRADIENTS}
    for routine in lower(derive(BANK[name])).routines:
        given = {argument.name for argument in routine.arguments}
        known = {array for argument in given for array in parts.get(argument, ())}
        assigned = set()
        for line in routine.body:
            for node in line.value.walk():
                if not isinstance(node, t.Ref):
                    continue
                argument = (
                    node.name in known
                    or (node.name == "X" and node.layer == 0 and "X" in given)
                    or (node.name == "Y" and "Y" in given)
                )
                assert argument or (node.name, node.layer) in assigned, (routine.name, node)
            assigned.add((line.target.name, line.target.layer))


@pytest.mark.parametrize(
    ("routine", "labels"),
    [
        ("forward", ["S0", "S1"] * 3),
        ("backward", ["S2", "S4", "S3", "S4", "S3", "S4"]),
        ("gradient", ["S5", "S6"] * 3),
        ("update", ["step"] * 6),
        ("loss", ["J"]),
    ],
)
def test_the_order_of_the_passes(routine, labels):
    program = lower(derive(chain([2, 3, 4, 1])))
    assert [line.labels for line in program.routine(routine).body] == [(s,) for s in labels]


def test_the_layers_run_up_in_the_forward_and_down_in_the_backward_pass():
    program = lower(derive(chain([2, 3, 4, 1])))
    assert [line.layer for line in program.routine("forward").body] == [1, 1, 2, 2, 3, 3]
    assert [line.layer for line in program.routine("backward").body] == [3, 3, 2, 2, 1, 1]


def test_softmax_and_cross_entropy_are_fused_from_two_conditions():
    body = lower(derive(chain([2, 3, 3], loss="cross_entropy"))).routine("backward").body
    assert [line.labels for line in body] == [("S2",), ("S2", "S4"), ("S3",), ("S4",)]
    fused = body[1]
    assert fused.target == ref("mu", 2, fused.target.axes)
    names = {node.name for node in fused.value.walk() if isinstance(node, t.Ref)}
    assert names == {"X", "Y"}  # (y − x)/M: the quotient y/x has cancelled


def test_a_hidden_softmax_is_not_fused():
    problem = Problem(2, [Dense(3, "softmax"), Dense(2, "softmax")], "squared_error")
    body = lower(derive(problem)).routine("backward").body
    assert [line.labels for line in body] == [("S2",), ("S4",), ("S3",), ("S4",)]


def test_each_layer_adds_its_regularizer_to_the_loss():
    with_penalty = lower(derive(BANK["softmax-throughout"])).routine("loss").body
    assert [line.layer for line in with_penalty] == [3, 1, 2, 3]
    assert len(lower(derive(chain([2, 3, 3]))).routine("loss").body) == 1


def test_the_regularizer_of_squared_error_is_a_term_of_its_own_too():
    body = lower(derive(BANK["deep"])).routine("loss").body
    assert [line.layer for line in body] == [6, 1, 2, 3, 4, 5, 6]
    weights = [
        {int(n.layer) for n in line.value.walk() if isinstance(n, t.Ref) and n.name == "W"}
        for line in body
    ]
    assert weights == [set(), {1}, {2}, {3}, {4}, {5}, {6}]


def test_residuals_do_not_use_that_the_constraints_hold():
    """σ′ is a function of z^k there, so x^k enters (S1) and the next layer only."""
    body = lower(derive(chain([2, 3, 1]))).routine("residuals").body
    for line in body:
        states = {
            (n.name, int(n.layer))
            for n in line.value.walk()
            if isinstance(n, t.Ref) and n.name == "X"
        }
        if line.target.name == "mu":
            assert not states
        if line.target.name == "dW":
            assert states == {("X", line.layer - 1)}


def test_a_program_is_frozen_and_finds_routines_by_name():
    program = lower(derive(chain([2, 1])))
    assert program.routine("loss") is program.routines[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        program.routines = ()
    line = program.routine("forward").body[0]
    assert isinstance(line, Assign)
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.labels = ()


def test_equal_problems_lower_to_equal_programs():
    one, other = (lower(derive(chain([2, 3, 1]))) for _ in range(2))
    assert one == other
    assert lower(derive(chain([2, 3, 1]), "preactivation")) == one


def test_the_generic_chain_has_no_code():
    with pytest.raises(LagrangenetError, match="derive a problem"):
        lower(derive())


def test_layers_are_sympy_integers():
    assert ref("X", 3).layer == sp.Integer(3)
    assert ref("J", None).layer is None
