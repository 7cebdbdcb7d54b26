"""What a person writes who has not read the source: own layers, odd names, wrong arguments."""

import warnings

import numpy as np
import pytest

from lagrangenet import (
    Constraint,
    DataError,
    Layer,
    Problem,
    ProblemError,
    chain,
    derive,
    generate,
    verify,
)
from lagrangenet.cli import app
from lagrangenet.errors import DerivationError
from lagrangenet.graph import Graph
from tests.graphs import random_point, routines

C, graph = Constraint, Problem.graph


def own(equations, shapes="x[M,n] y[M,n]", parameters="", of="x", inputs=None, **settings):
    """A graph of one layer of its own; settings of the layer are those with a table or a text."""
    declared = {k: settings.pop(k) for k in ("options", "sizes", "constants", "integers")
                if k in settings}  # fmt: skip
    layer = Layer("own", equations, shapes, parameters, **declared)
    return graph(inputs or {"x": 3}, [C("y", layer, of, **settings)])


def slopes(case, samples=1e-5):
    """Derivative of J along a direction, and the difference of the gradient, by differences."""
    rng = np.random.default_rng(1)
    code = generate(derive(case.graph, order=2))
    v = {name: rng.normal(size=a.shape) for name, a in case.theta.items()}

    def moved(step):
        return {name: a + step * v[name] for name, a in case.theta.items()}

    ahead, behind = (
        code.value_and_grad(moved(s), case.inputs, case.Y) for s in (samples, -samples)
    )
    _, gradient = code.value_and_grad(case.theta, case.inputs, case.Y)
    product = code.hessian_product(case.theta, case.inputs, case.Y, v)
    first = sum(float((gradient[n] * v[n]).sum()) for n in v)
    assert first == pytest.approx((ahead[0] - behind[0]) / (2 * samples), rel=1e-6, abs=1e-8)
    for name in v:
        difference = (ahead[1][name] - behind[1][name]) / (2 * samples)
        np.testing.assert_allclose(product[name], difference, rtol=1e-5, atol=1e-7)


# -- values ----------------------------------------------------------------------------------------


def test_a_log_softmax_of_a_sequence_is_taken_step_by_step():
    case = random_point(
        graph({"x": ("T", 2)}, [C("y", "dense", "x", m=3, activation="log_softmax")],
              loss="log_probability"),
        np.random.default_rng(0), 2, 2,
    )  # fmt: skip
    y = routines(case.graph).forward(case.theta, case.inputs)["y"]
    np.testing.assert_allclose(np.exp(y).sum(axis=-1), 1, rtol=1e-14)
    slopes(case)


def test_an_elastic_net_has_a_second_order():
    net = {"name": "elastic_net", "l1": 0.1, "l2": 0.2, "strength": 0.5}
    slopes(random_point(
        graph({"x": 2}, [C("y", "dense", "x", m=2, activation="tanh")], regularizer=net),
        np.random.default_rng(0), 3,
    ))  # fmt: skip


def test_a_sigmoid_in_an_equation_does_not_overflow():
    gate = own("y[i,p] = a[p]*sigmoid(b[p]*x[i,p])", "x[M,n] a[n] b[n] y[M,n]", "a b")
    slopes(random_point(gate, np.random.default_rng(0), 3))
    theta = {"a_y": np.ones(3), "b_y": np.array([1e3, -1e3, 1.0])}
    code = generate(derive(gate, order=2))
    arguments = theta, {"x": [[1.0, 1.0, 0.0]]}, np.zeros((1, 3))
    np.testing.assert_array_equal(code.forward(*arguments[:2])["y"], [[1, 0, 0.5]])
    for found in (code.gradient(*arguments), code.hessian_product(*arguments, theta)):
        assert all(np.isfinite(array).all() for array in found.values())


def test_an_error_function_in_an_equation():
    slopes(random_point(
        own("y[i,p] = erf(a[p]*x[i,p])", "x[M,n] a[n] y[M,n]", "a"), np.random.default_rng(0), 3
    ))  # fmt: skip


def test_statistics_of_a_batch_have_derivatives_but_no_matrix_by_samples():
    normalized = own("m[p] = sum(x[i,p], i)/M;  y[i,p] = a[p]*(x[i,p] - m[p])**3",
                     "x[M,n] m[n] a[n] y[M,n]", "a")  # fmt: skip
    case = random_point(normalized, np.random.default_rng(0), 4)
    slopes(case)
    assert normalized.couples_samples == "m_y"
    with pytest.raises(DerivationError, match="'m_y' reads other samples"):
        generate(derive(normalized, order=2)).kkt_matrix(*case[1:])


def test_a_layer_over_several_lines_comes_back_from_its_file():
    squares = own("""
        s[i]   = sum(x[i,q]**2, q)
          y[i,p] = x[i,p]*s[i]
    """, "x[M,n] s[M] y[M,n]")  # fmt: skip
    assert Graph.from_toml(squares.to_toml()) == squares


def test_an_activation_is_named_after_its_state_where_a_number_would_not_tell():
    two = graph(
        {"x": 2},
        [C("f1", "dense", "x", m=2, activation="gelu"), C("g1", "dense", "f1", m=2)],
    )
    written = str(derive(two))
    assert "σ^{f1}(z_ip^{f1})" in written
    assert "σ^{g1}(z_ip^{g1})" in written


def test_an_index_of_an_inner_sum_is_not_captured():
    cell = Layer(
        "cell",
        """
        f[i,t,p] = sigmoid(sum(W[p,q]*x[i,t,q], q) + sum(U[p,r]*h[i,t-1,r], r))
        h[i,t,p] = f[i,t,p]*h[i,t-1,p] + x[i,t,p]
        y[i,t,p] = h[i,t,p]
        """,
        "x[M,T,n] W[m,n] U[m,m] f[M,T,m] h[M,0..T,m] y[M,T,m]",
        "W U",
    )
    written = str(derive(graph({"x": (3, 2)}, [C("y", cell, "x", m=2)])))
    assert "W_qr^y x_{i,t+1,r}" in written
    assert "W_rr" not in written


def test_a_notation_that_prefers_matrices_writes_a_graph_in_components(tmp_path, capsys):
    path = tmp_path / "graph.toml"
    path.write_text(graph({"x": 2}, [C("y", "affine", "x", m=1)]).to_toml(), encoding="utf-8")
    app(["derive", "--problem", str(path), "--notation", "goodfellow"], standalone_mode=False)
    assert "(S1)" in capsys.readouterr().out


# -- an axis that counts from 0 ------------------------------------------------------------------------

CELL = Layer(
    "cell",
    "h[i,t,p] = tanh(sum(W[p,q]*x[i,t,q], q) + u[p]*h[i,t - 1,p])",
    "x[M,T,n] W[m,n] u[m] h[M,0..T,m]",
    "W u",
)
SCALED = Layer("scaled", "y[i,t,p] = g[p]*x[i,t,p]", "x[M,0..T,n] g[n] y[M,0..T,n]", "g")
STEPS = Layer("steps", "y[i,t,p] = x[i,t,p]*x[i,t - 1,p]", "x[M,0..T,n] y[M,T,n]")


@pytest.mark.parametrize("between", [[], [SCALED], [SCALED, SCALED]])
@pytest.mark.parametrize("length", [4, "T"])
def test_a_state_that_counts_from_0_is_read_as_one(length, between):
    layers = [*between, STEPS]
    net = graph(
        {"x": (length, 2)},
        [C("x0", CELL, "x", m=2), *(C(f"x{j}", a, f"x{j - 1}") for j, a in enumerate(layers, 1))],
    )
    case = random_point(net, np.random.default_rng(0), 3, 4)
    assert case.Y.shape == (3, 4, 2)
    assert verify(net, case.inputs, case.Y).agrees


# -- refused: declarations ---------------------------------------------------------------------------

REFUSED = {
    "before the first": (lambda: own("y[i,p] = x[i,p - 1]"), "reads 'x' at 0 of axis 2"),
    "after the last": (lambda: own("y[i,p] = x[i,p + 1]"), "at 4 of axis 2, which ends at 3"),
    "entry 0": (lambda: own("y[i,p] = x[i,0]*x[i,p]"), "at 0 of axis 2, which begins at 1"),
    "entry 5 of 3": (lambda: own("y[i,p] = x[i,5]*x[i,p]"), "at 5 of axis 2, which ends at 3"),
    "two lengths in a sum": (
        lambda: own("y[i,p] = sum(x[i,q]*u[i,q], q)", "x[M,n] u[M,k] y[M,m]", of=("x", "u"),
                    inputs={"x": 3, "u": 4}, m=2),
        "reads 'x' at 4 of axis 2, which ends at 3"),
    "samples as components": (lambda: own("y[i,p] = x[p,i]"), "mixes up samples and components"),
    "counted from 0, read from 1": (
        lambda: graph({"x": (3, 2)}, [C("h", CELL, "x", m=2), C("y", "dense", "h", m=2)]),
        "constraint 'y': axis 2 of 'h' counts from 0, dense reads it from 1; let 'h' hand on"),
    "counted from 1, read from 0": (
        lambda: graph({"x": (3, 2)}, [C("y", STEPS, "x")]),
        "constraint 'y': axis 2 of 'x' counts from 1, steps reads it from 0; declare it as T"),
    "an output counted from 0": (
        lambda: graph({"x": (3, 2)}, [C("h", CELL, "x", m=2)]),
        "axis 2 of the output 'h' counts from 0"),
    "an axis without length": (lambda: own("y[i,p] = x[i,p]", "x[M,n] y[M,n-5]"), "no length"),
    "samples not first": (lambda: own("y[p,i] = x[i,p]", "x[M,n] y[n,M]"), "has to be samples"),
    "index that is a size": (lambda: own("y[i,n] = x[i,n]"), "n is a size; give the index"),
    "index that is a number": (lambda: own("y[i,1] = x[i,1]"), "'1': a name is a letter"),
    "sum over nothing": (lambda: own("y[i,p] = sum(x[i,q])"), "needs an index"),
    "max over two": (lambda: own("y[i,p] = max(x[i,q], q, p)"), "needs one index"),
    "two equations": (lambda: own("y[i,p] = x[i,p]; y[i,p] = x[i,p]"), "'y' has two equations"),
    "two shapes": (lambda: own("y[i,p] = x[i,p]", "x[M,n] y[M,n] x[M,k]"), "two shapes"),
    "junk among shapes": (lambda: own("y[i,p] = x[i,p]", "x[M,n]; y[M,n]"), "no name[sizes]"),
    "place in a layer": (lambda: own("y[i,p] = foo(x[i,p])"), "layer 'own', equation of 'y': col"),
    "unknown size": (lambda: own("y[i,p] = x[i,p]", "x[M,n] y[M,m]", sizes={"m": "k + 1"}),
                     "'k' is no size that is known"),
    "parameter in no equation": (lambda: own("y[i,p] = x[i,p]", "x[M,n] g[n] y[M,n]", "g"),
                                 "no equation has 'g' as a parameter"),
    "constant that is not there": (lambda: own("y[i,p] = x[i,p]", constants="c"), "'c' as a const"),
    "option that is text": (lambda: own("y[i,p] = a*x[i,p]", options={"a": "b"}), "not a number"),
    "equations as a list": (lambda: own(["y[i,p] = x[i,p]"]), "'equations' has to be a text"),
    "a long text": (lambda: own("y[i,p] = x[i,p];" * 20_000), "at most 20000 characters"),
    "many equations": (lambda: own("y[i,p] = 1;" * 300), "has 300 equations; at most 200"),
    "inputs as a list": (lambda: graph(["x"], [C("y", "affine", "x", m=1)]), "widths or shapes by"),
    "a width of 3.0": (lambda: graph({"x": 3.0}, [C("y", "affine", "x", m=1)]), "an axis is 3.0"),
    "one constraint": (lambda: graph({"x": 3}, C("y", "affine", "x", m=1)), "sequence of Constr"),
    "constraints as tuples": (lambda: graph({"x": 3}, [("y", "affine", "x")]), "sequence of Const"),
    "no name": (lambda: C(None, "affine", "x", m=1), "state None: a name is a letter"),
    "parameter without name": (lambda: C("y", "affine", "x", m=1, W=None), "a name is a letter"),
    "reads a number": (lambda: C("y", "affine", 3, m=1), "reads 3; name one array"),
    "a file with a list for a layer": (
        lambda: Graph.from_toml("[inputs]\nx=1\n[[constraints]]\nstate='y'\nlayer=['a']\nof='x'"),
        "unknown layer ['a']"),
    "axis called M": (lambda: graph({"x": ("M", 2)}, [C("y", "affine", "x", m=1)]), "is taken"),
    "axis called as a state": (
        lambda: graph({"x": ("y", 2)}, [C("y", "affine", "x", m=1)]), "are called 'y'"),
    "axis called as a size": (
        lambda: graph({"x": ("m_y", 2)}, [C("y", "affine", "x", m=1)]), "'m_y' is taken"),
    "state called as a function": (
        lambda: graph({"x": 2}, [C("softmax", "affine", "x", m=1)]), "needed by the generated"),
    "matrix as a vector": (
        lambda: graph({"x": 2}, [C("y", "affine", "x", m=1, W="w", b="w")]), "another shape"),
    "parameter called as an input": (
        lambda: graph({"x": 2}, [C("y", "affine", "x", m=1, W="x")]), "has the name of a state"),
    "table of a state": (
        lambda: graph({"x": (3,)}, [C("h", "affine", "x", m=2), C("y", "embedding", "h", V=3, m=2)]),
        "only an input of the graph can hold subscripts"),
    "tokens as numbers": (
        lambda: graph({"x": (3,)}, [C("e", "embedding", "x", V=3, m=3), C("y", "affine", "x", m=2)]),
        "reads 'x' as numbers, but another one as subscripts"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_declaration_is_refused_by_name(make, message):
    with pytest.raises(ProblemError) as caught:
        make()
    assert message in str(caught.value)


def test_a_constant_that_sympy_cannot_simplify_is_refused():
    tempered = own(
        "c[i] = max(x[i,q], q); e[i,p] = exp(a[p]*(x[i,p] - c[i])); s[i] = sum(e[i,q], q); "
        "y[i,p] = e[i,p]/s[i]",
        "x[M,n] a[n] c[M] e[M,n] s[M] y[M,n]", "a", constants="c",
    )  # fmt: skip
    with pytest.raises(DerivationError, match="depends on 'c', which is declared constant"):
        derive(tempered).equations()


# -- refused: arrays -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case():
    chain = graph(
        {"x": 3}, [C("h", "dense", "x", m=2, activation="tanh"), C("y", "affine", "h", m=1)]
    )
    return random_point(chain, np.random.default_rng(0), 4)


def test_multipliers_are_checked_like_states(case):
    code = routines(case.graph)
    states = code.forward(case.theta, case.inputs)
    lam = code.backward(case.theta, case.inputs, states, case.Y)
    without = {name: a for name, a in lam.items() if name != "h"}
    wrong = {
        "multipliers is a list": list(lam.values()),
        "multipliers is a NoneType": None,
        "multipliers lacks 'h'": without,
        r"h has shape \(1, 2\), expected \(M, 2\) with M = 4": {**lam, "h": lam["h"][:1]},
    }
    for message, multipliers in wrong.items():
        with pytest.raises(DataError, match=message):
            code.residuals(*case[1:], states, multipliers)


def test_states_that_are_whole_numbers_are_numbers_of_the_right_shape(case):
    code = routines(case.graph)
    states = {name: a.round().astype(int) for name, a in
              code.forward(case.theta, case.inputs).items()}  # fmt: skip
    assert code.backward(case.theta, case.inputs, states, case.Y)["h"].dtype == np.float64
    with pytest.raises(DataError, match=r"states: h has shape \(2, 2\)"):
        code.backward(case.theta, case.inputs, {**states, "h": states["h"][:2]}, case.Y)


def test_tokens_and_lengths_are_checked():
    words = graph({"t": ("T",)}, [C("y", "embedding", "t", V=3, m=2)])
    code = routines(words)
    theta = code.initial()
    wrong = {
        "not a rectangular array": [[0, 1], [0]],
        "masked": np.ma.masked_all((2, 2), int),
        "every axis needs a length": np.zeros((2, 0), int),
        "has to be in 0..2": [[3]],
        "whole numbers": [[0.0]],
    }
    for message, tokens in wrong.items():
        with pytest.raises(DataError, match=message):
            code.forward(theta, {"t": tokens})
    signal = graph({"x": (1, "T")}, [C("y", "conv1d", "x", O=1, R=5)])
    code = routines(signal)
    with pytest.raises(DataError, match="T_y would be -1 with T = 3"):
        code.forward(code.initial(), {"x": np.ones((2, 1, 3))})


def test_nothing_warns_and_inputs_stay_apart_from_results(case):
    code = routines(case.graph)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        states = code.forward(case.theta, case.inputs)
        gradient = code.gradient(*case[1:])
    given = [*case.theta.values(), *case.inputs.values(), case.Y]
    for result in (*states.values(), *gradient.values()):
        assert not any(np.shares_memory(result, array) for array in given)


def test_indices_and_labels_are_not_called_like_arrays():
    graph = Problem.graph(
        {"q": 2}, [Constraint("p", "affine", "q", m=2), Constraint("y", "add", ("p", "q"))]
    )
    rows = {title: equation for _, title, equation in derive(graph).equations()}
    assert rows["forward pass, y"] == "y_ir = p_ir + q_ir"
    assert rows["multiplier of the output, y"] == "λ_ip^y = −(1/M) ∂ℓ(Y_i, y_i)/∂y_ip"


def test_a_seed_that_is_none_is_refused():
    graph = Problem.graph({"x": 2}, [Constraint("y", "affine", "x", m=2)])
    for code in (generate(derive(graph)), generate(derive(chain([2, 2])))):
        with pytest.raises(DataError, match="the seed is 'a'"):
            code.initial("a")
