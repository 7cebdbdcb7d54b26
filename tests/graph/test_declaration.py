"""Graphs as declarations: sizes, sharing, TOML, and what is refused, by name."""

import pickle

import pytest

import lagrangenet as ln
from lagrangenet import Constraint, Layer, Problem, ProblemError
from lagrangenet.graph import Graph
from lagrangenet.layers import LAYERS

C = Constraint
FLIP = Layer("flip", "y[i,p] = g[p]*x[i,n + 1 - p]", "x[M,n] g[n] y[M,n]", "g")

GRAPHS = {
    "shared": Problem.graph(
        {"x0": 4},
        [
            C("x1", "dense", "x0", m=4, activation="tanh", W="w1", b="b1"),
            C("x2", "dense", "x1", m=4, activation="sigmoid"),
            C("x3", "dense", "x2", m=4, activation="tanh", W="w1", b="b1"),
        ],
    ),
    "tied": Problem.graph(
        {"x": 5},
        [
            C("h", "dense", "x", m=3, activation="tanh", W="w"),
            C("y", "transposed_dense", "h", W="w"),
        ],
        regularizer=ln.L2(0.01),
    ),
    "recurrent": Problem.graph(
        {"x": ("T", 2)},
        [
            C("h", "recurrent", "x", m=3, activation="tanh"),
            C("s", "last", "h"),
            C("y", "dense", "s", m=2, activation="softmax"),
        ],
        loss="cross_entropy",
        name="a reader",
    ),
    "conv": Problem.graph(
        {"x": (2, 9)},
        [
            C("c", "conv1d", "x", O=3, R=3, stride=2, pad=1),
            C("p", "max_pool1d", "c"),
            C("f", "flatten", "p"),
            C("n", "layer_norm", "f", eps=1e-3),
        ],
    ),
    "own layer": Problem.graph(
        {"x": 3, "u": 2},
        [
            C("a", FLIP, "x"),
            C("b", "dense", "u", m=3, activation={"name": "leaky_relu", "slope": 0.2}),
            C("y", "add", ("a", "b")),
        ],
    ),
}

graphs = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())


@graphs
def test_toml_round_trip(graph):
    assert Graph.from_toml(graph.to_toml()) == graph


@graphs
def test_pickle_and_hash(graph):
    again = pickle.loads(pickle.dumps(graph))
    assert again == graph
    assert hash(again) == hash(graph)


@graphs
def test_repr_of_constraints_is_their_declaration(graph):
    for constraint in graph.constraints:
        if constraint.entry.own:
            continue
        assert eval(repr(constraint), {"Constraint": Constraint}) == constraint


def test_sizes_follow_from_the_equations():
    conv = GRAPHS["conv"]
    assert conv.shape_of("e_c") == (None, 2, 11)
    assert conv.shape_of("c") == (None, 3, 5)
    assert conv.shape_of("p") == (None, 3, 2)
    assert conv.shape_of("f") == (None, 6)
    assert conv.size == 3 * 2 * 3 + 3 + 6 + 6


def test_a_shared_parameter_is_counted_once():
    assert GRAPHS["shared"].parameters == ("w1", "b1", "W_x2", "b_x2")
    assert GRAPHS["tied"].parameters == ("w", "b_h", "b_y")
    assert GRAPHS["tied"].shape_of("b_y") == (5,)


def test_an_axis_of_any_length_has_no_number():
    assert GRAPHS["recurrent"].shape_of("h_h") == (None, None, 3)


def test_sizes_that_have_to_be_equal_become_one_symbol():
    added = Problem.graph({"x": 3, "u": 3}, [C("a", "dense", "x", m=3), C("y", "add", ("a", "u"))])
    assert added.shapes["a"][1] == added.shapes["u"][1] == added.shapes["y"][1]


def test_two_axes_of_a_shared_parameter_may_have_one_size():
    graph = Problem.graph(
        {"x": 8},
        [
            C("a", "dense", "x", m=3),
            C("u", "bilinear", ("a", "a"), m=3),
            C("y", "bilinear", ("u", "u"), W="W_u"),
        ],
    )
    assert {*graph.shapes["W_u"]} == {graph.shapes["y"][1]}
    with pytest.raises(ProblemError, match="the size k of bilinear is 2 and, by 'W_u', 3"):
        Problem.graph(
            {"x": 8, "v": 2},
            [
                C("a", "dense", "x", m=3),
                C("u", "bilinear", ("a", "a"), m=3),
                C("y", "bilinear", ("u", "v"), W="W_u"),
            ],
        )


def test_dots_stand_for_the_axes_that_the_input_has():
    graph = Problem.graph(
        {"x": (5, 2, 3)}, [C("z", "dense", "x", m=4), C("y", "concatenate", ("z", "x"))]
    )
    assert graph.shape_of("y") == (None, 5, 2, 7)
    assert [len(layer.indices) for e in graph.uses for layer in [e.equations[-1].state]] == [4, 4]


REFUSED = {
    "unknown layer": (lambda: C("y", "danse", "x"), "unknown layer 'danse'"),
    "unknown setting": (lambda: C("y", "dense", "x", width=3), "dense has no 'width'; it has: m"),
    "missing size": (
        lambda: Problem.graph({"x": 2}, [C("y", "dense", "x")]),
        "say the size m of dense",
    ),
    "number of inputs": (lambda: C("y", "add", "x"), "add has 2 input(s) (x, u), 1 given"),
    "unknown input": (
        lambda: Problem.graph({"x": 2}, [C("y", "affine", "z", m=1)]),
        "reads 'z', which is no input",
    ),
    "sizes differ": (
        lambda: Problem.graph({"x": 2, "u": 3}, [C("y", "add", ("x", "u"))]),
        "the size n of add is 2 and, by 'u', 3",
    ),
    "axes differ": (
        lambda: Problem.graph({"x": 3}, [C("y", "conv1d", "x", O=1, R=1)]),
        "conv1d needs x with 3 axes, 'x' has 2",
    ),
    "window too wide": (
        lambda: Problem.graph({"x": (1, 2)}, [C("y", "conv1d", "x", O=1, R=3)]),
        "the window does not fit",
    ),
    "shared parameter of another size": (
        lambda: Problem.graph(
            {"x": 2}, [C("a", "affine", "x", m=3, W="w"), C("y", "affine", "a", m=2, W="w")]
        ),
        "'y': the size n of affine is 3 and, by 'w', 2",
    ),
    "two states of one name": (
        lambda: Problem.graph({"x": 2}, [C("y", "affine", "x", m=2), C("y", "affine", "y", m=1)]),
        "two arrays are called 'y'",
    ),
    "reserved name": (
        lambda: Problem.graph({"np": 2}, [C("y", "affine", "np", m=1)]),
        "the name 'np' is needed by the generated code",
    ),
    "name that is code": (
        lambda: C("y = 1; import os", "affine", "x", m=1),
        "a name is a letter",
    ),
    "keyword": (lambda: C("lambda", "affine", "x", m=1), "no keyword"),
    "output": (
        lambda: Problem.graph({"x": 2}, [C("y", "affine", "x", m=1)], output="z"),
        "the output 'z' is no state",
    ),
    "loss without its output": (
        lambda: Problem.graph({"x": 2}, [C("y", "affine", "x", m=2)], loss="cross_entropy"),
        "give the constraint of 'y' activation='softmax'",
    ),
    "width 0": (lambda: C("y", "affine", "x", m=0), "it has to be a whole number, at least 1"),
    "stride true": (lambda: C("y", "conv1d", "x", O=1, R=1, stride=True), "stride is True"),
    "eps negative": (lambda: C("y", "layer_norm", "x", eps=-1.0), "it has to be positive"),
    "an output without components": (
        lambda: Problem.graph(
            {"x": 3}, [C("y", Layer("mean", "y[i] = sum(x[i,q], q)/n", "x[M,n] y[M]"), "x")]
        ),
        "the loss needs an axis of components",
    ),
    "nothing": (lambda: Problem.graph({}, []), "at least one input and one constraint"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_by_name(make, message):
    with pytest.raises(ProblemError) as caught:
        make()
    assert message in str(caught.value)


LAYERS_REFUSED = {
    "no equation": ("y[i,p] := x[i,p]", "x[M,n] y[M,n]", "is no equation"),
    "unknown index": ("y[i,p] = x[i,q]", "x[M,n] y[M,n]", "'q' in the equation of 'y' is neither"),
    "no shape": ("z[i,p] = x[i,p]", "x[M,n] y[M,n]", "the state 'z' has no shape"),
    "axes": ("y[i,p] = x[i]", "x[M,n] y[M,n]", "x[i] has 1 subscripts, but 'x' has 2 axes"),
    "range of a sum": ("y[i] = sum(x[i,2*r], r)", "x[M,n] y[M]", "the range of the sum over r"),
    "repeated index": ("y[i,i] = x[i,i]", "x[M,n] y[M,M]", "2 different indices"),
    "code": ("y[i,p] = __import__('os').system(x[i,p])", "x[M,n] y[M,n]", "column"),
    "unknown function": ("y[i,p] = foo(x[i,p])", "x[M,n] y[M,n]", "foo"),
    "axis from 2": ("y[i,p] = x[i,p]", "x[M,2..n] y[M,n]", "has to count from 0 or 1"),
}


@pytest.mark.parametrize(
    ("text", "shapes", "message"), LAYERS_REFUSED.values(), ids=LAYERS_REFUSED.keys()
)
def test_layers_are_refused_by_name(text, shapes, message):
    layer = Layer("mine", text, shapes)
    with pytest.raises(ProblemError) as caught:
        Problem.graph({"x": 3}, [C("y", layer, "x")])
    assert message in str(caught.value)


def test_every_layer_of_the_catalogue_says_what_it_is_for():
    for layer in LAYERS.values():
        assert layer.summary, layer.name
        assert layer.inputs, layer.name
        assert set(layer.arrays) >= {*layer.inputs, *layer.parameters}, layer.name


BAD_FILES = {
    "not TOML": ("x = ", "not a TOML problem file"),
    "unknown key": ('colour = "red"', "a graph has no key 'colour'"),
    "inputs": ("inputs = 3\n[[constraints]]\nstate='y'\nlayer='affine'\nof='x'\nm=1", "[inputs]"),
    "constraint": ("[inputs]\nx = 1\n[[constraints]]\nstate='y'", "constraint 1 has no 'layer'"),
    "constraints": ("constraints = 3\n[inputs]\nx = 1", "array of tables"),
    "layer": ("[inputs]\nx = 1\n[[layers]]\nname='a'", "'equations' has to be a text"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files(text, message):
    with pytest.raises(ProblemError) as caught:
        Graph.from_toml(text)
    assert message in str(caught.value)
