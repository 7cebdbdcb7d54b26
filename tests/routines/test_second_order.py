"""The routines of the second order: their lines, labels and what they leave out."""

import pytest

from lagrangenet import L2, Dense, Problem, chain, derive, generate
from lagrangenet.emit.numpy import emit
from lagrangenet.routines.lower import lower
from lagrangenet.symbolic.tensor import Ref

NAMES = [
    "tangent", "second_adjoint", "hessian_product",
    "gauss_newton_adjoint", "gauss_newton_product", "kkt_product",
]  # fmt: skip
MIXED = Problem(
    2, [Dense(3, "tanh"), Dense(3, "softmax"), Dense(2, "softmax")], "cross_entropy", L2(0.1)
)


def lines(problem, routine):
    body = lower(derive(problem, order=2)).routine(routine).body
    return {(line.target.name, line.layer): line for line in body}


def code(problem, function):
    source = generate(derive(problem, order=2)).source
    return source.split(f"def {function}(")[1].split("\n\n\n")[0]


def test_the_routines_that_there_are():
    program = lower(derive(chain([2, 3, 1]), order=2))
    assert [routine.name for routine in program.routines][6:] == NAMES


def test_the_first_order_does_not_change():
    for problem in (chain([2, 3, 1]), MIXED):
        first, second = (lower(derive(problem, order=order)) for order in (1, 2))
        assert first.routines == second.routines[:6]
        assert "dot" not in emit(first)


def test_golden_module(golden):
    """Every kind of layer, a fused output and a regularizer."""
    golden("module-second-order.txt", generate(derive(MIXED, order=2)).source)


def test_labels_are_those_of_the_tangent_conditions():
    labels = [line.labels for line in lines(chain([2, 3, 1]), "second_adjoint").values()]
    assert labels == [("T2",), ("T4",), ("T3",), ("T4",)]
    assert {line.labels[0] for line in lines(MIXED, "tangent").values()} == {"T0", "T1"}
    assert {line.labels[0] for line in lines(MIXED, "hessian_product").values()} == {"T5", "T6"}


def test_lines_read_like_a_persons():
    problem = chain([2, 3, 1], "tanh")
    assert "Zdot1 = X @ Wdot1.T + bdot1 " in code(problem, "tangent")
    assert "Zdot2 = Xdot1 @ W2.T + X1 @ Wdot2.T + bdot2 " in code(problem, "tangent")
    assert "(1 - X1**2) * (lamdot1 - 2 * lam1 * X1 * Zdot1)" in code(problem, "second_adjoint")
    assert "lamdot1 = mudot2 @ W2 + mu2 @ Wdot2 " in code(problem, "second_adjoint")
    assert "HW2 = -mudot2.T @ X1 - mu2.T @ Xdot1\n" in code(problem, "hessian_product")


def test_inputs_do_not_move():
    assert all(
        not (node.name == "X_dot" and node.layer == 0)
        for routine in lower(derive(MIXED, order=2)).routines
        for line in routine.body
        for node in line.value.walk()
        if isinstance(node, Ref)
    )


@pytest.mark.parametrize("routine", ["gauss_newton_adjoint", "gauss_newton_product"])
def test_gauss_newton_reads_no_multiplier(routine):
    for problem in (chain([2, 3, 1]), chain([2, 3, 2], "softmax"), MIXED):
        read = {
            node.name
            for line in lines(problem, routine).values()
            for node in line.value.walk()
            if isinstance(node, Ref)
        }
        assert not read & {"lambda", "mu"}


def test_the_fused_output_has_no_pole():
    """μ̇^N is the tangent of (x − y)/M; λ̇^N, which has a pole, is not computed."""
    for routine in ("second_adjoint", "gauss_newton_adjoint"):
        found = lines(MIXED, routine)
        assert ("lambda_dot", 3) not in found
        assert found["mu_dot", 3].labels == ("T2", "T4")
        assert "mudot3 = -Xdot3 / M " in code(MIXED, routine)


def test_what_vanishes_keeps_its_shape():
    """∂²ℓ/∂x² = 0: λ̇^N is an array of zeros, not a number."""
    problem = chain([2, 3, 1], "tanh", "hinge")
    assert "lamdot2 = np.zeros_like(X2)" in code(problem, "second_adjoint")


def test_kkt_product_is_written_through_values_of_its_own():
    """Away from feasible points x^k is not σ^k(z^k)."""
    text = code(chain([2, 3, 1], "tanh"), "kkt_product")
    assert "S1 = np.tanh(Z1) " in text
    assert "mudot1 = (1 - S1**2) * (lamdot1 - 2 * lam1 * S1 * Zdot1)" in text
    assert "mu1 =" not in text  # x⁰ does not move
    assert "t_lam1 = Xdot1 - Sdot1 " in text
    assert "S1 = relu(Z1)" not in code(chain([2, 3, 1], "relu"), "kkt_product")


def test_the_header_says_what_a_dot_is():
    assert "tangent Lagrangian" in generate(derive(MIXED, order=2)).source.split('"""')[1]
    assert "tangent Lagrangian" not in generate(derive(MIXED)).source
