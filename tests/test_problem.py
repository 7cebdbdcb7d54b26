"""The declaration: what it holds, what it refuses and in which words, and its TOML form."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrangenet import (
    ACTIVATIONS,
    L2,
    LOSSES,
    Constraint,
    DataError,
    Dense,
    LagrangenetError,
    Problem,
    ProblemError,
    chain,
)
from lagrangenet.functions import Choice
from tests.problems import BANK

LEAKY = ACTIVATIONS["leaky_relu"]


def refused(message):
    return pytest.raises(ProblemError, match=re.escape(message))


# -- what a problem is -----------------------------------------------------------------------------


def test_a_problem_is_frozen_comparable_and_hashable():
    one = Problem(2, [Dense(3, "tanh"), Dense(1)], "squared_error", L2(0.1))
    same = Problem(2, (Dense(3, "tanh"), Dense(1)), "squared_error", L2(strength=0.1))
    assert one == same
    assert len({one, same}) == 1
    for name in ("inputs", "layers", "loss", "regularizer", "name"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.layers[0].width = 4


@pytest.mark.parametrize(
    "other",
    [
        Problem(3, [Dense(3, "tanh"), Dense(1)], "squared_error"),
        Problem(2, [Dense(4, "tanh"), Dense(1)], "squared_error"),
        Problem(2, [Dense(3, "sigmoid"), Dense(1)], "squared_error"),
        Problem(2, [Dense(3, "tanh"), Dense(1)], "binary_cross_entropy"),
        Problem(2, [Dense(3, "tanh"), Dense(1)], "squared_error", L2()),
        Problem(2, [Dense(3, "tanh"), Dense(1)], "squared_error", name="other"),
    ],
)
def test_problems_that_differ_in_one_place_are_not_equal(other):
    assert Problem(2, [Dense(3, "tanh"), Dense(1)], "squared_error") != other


def test_what_a_problem_says_in_the_symbols_of_the_paper():
    problem = Problem(4, [Dense(5, "relu"), Dense(3, "softmax")], "cross_entropy", L2(0.25))
    assert problem.depth == 2
    assert problem.widths == (4, 5, 3)
    assert problem.shapes == (((5, 4), (5,)), ((3, 5), (3,)))
    assert problem.size == 5 * 4 + 5 + 3 * 5 + 3
    assert problem.strength == 0.25
    assert [entry.name for entry in problem.activations] == ["relu", "softmax"]
    assert problem.loss_entry is LOSSES["cross_entropy"]
    assert not problem.smooth
    assert str(problem) == "4 → 5 relu → 3 softmax, cross_entropy + L2(strength=0.25)"


def test_a_problem_without_kinks_or_regularizer():
    problem = chain([2, 3, 1])
    assert problem.smooth
    assert problem.strength == 0
    assert problem.regularizer_entry is None


def test_numpy_integers_are_sizes():
    problem = Problem(np.int64(2), [Dense(np.int8(3))], "squared_error")
    assert problem == Problem(2, [Dense(3)], "squared_error")
    assert all(type(width) is int for width in problem.widths)


def test_layers_may_come_from_a_generator():
    assert Problem(2, (Dense(k) for k in (3, 1)), "squared_error").widths == (2, 3, 1)


# -- chain -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "output"), [(n, e.default_output) for n, e in LOSSES.items()])
def test_chain_ends_in_what_goes_with_the_loss(loss, output):
    problem = chain([2, 5, 4, 3], "relu", loss)
    assert [layer.activation.name for layer in problem.layers] == ["relu", "relu", output]
    assert problem.widths == (2, 5, 4, 3)


def test_chain_with_its_own_output_and_parameters():
    problem = chain([2, 5, 3], LEAKY(0.2), output="sigmoid", regularizer=L2(1.0), name="net")
    assert [str(layer.activation) for layer in problem.layers] == [
        "leaky_relu(slope=0.2)",
        "sigmoid",
    ]
    assert (problem.regularizer, problem.name) == (L2(1.0), "net")


@pytest.mark.parametrize("widths", [[], [3]])
def test_chain_needs_inputs_and_outputs(widths):
    with refused(f"a chain needs at least two widths, inputs and outputs; got {widths}"):
        chain(widths)


# -- refusals --------------------------------------------------------------------------------------

KNOWN = ", ".join(sorted(ACTIVATIONS))


@pytest.mark.parametrize("name", ["tahn", "", "Tanh", None, 3])
def test_unknown_activation(name):
    with refused(f"unknown activation {name!r}; known: {KNOWN}"):
        Dense(3, name)


def test_unknown_loss_and_regularizer():
    known = ", ".join(sorted(LOSSES))
    with refused(f"unknown loss 'mse'; known: {known}"):
        chain([2, 1], loss="mse")
    with refused("unknown regularizer 'L3'; known: L1, L2, elastic_net, or a formula"):
        chain([2, 1], regularizer="L3")


@pytest.mark.parametrize("width", [0, -1, -(10**30)])
def test_sizes_below_one(width):
    with refused(f"the width of a Dense layer is {width}; it has to be at least 1"):
        Dense(width)
    with refused(f"the number of inputs is {width}; it has to be at least 1"):
        Problem(width, [Dense(1)], "squared_error")


@pytest.mark.parametrize("width", [2.0, "3", None, np.float64(2.0), [2]])
def test_sizes_that_are_no_whole_numbers(width):
    with refused(f"the width of a Dense layer is {width!r}, not a whole number"):
        Dense(width)
    with refused(f"the number of inputs is {width!r}, not a whole number"):
        Problem(width, [Dense(1)], "squared_error")


@pytest.mark.parametrize("width", [True, False])
def test_sizes_that_are_truth_values(width):
    with refused(f"the width of a Dense layer is {width!r}, not a number"):
        Dense(width)


def test_no_layers():
    with refused("a problem needs at least one layer"):
        Problem(2, [], "squared_error")


def test_a_layer_that_is_no_layer():
    with refused("layer 2 is 3; expected a Dense layer"):
        Problem(2, [Dense(2), 3], "squared_error")


def test_cross_entropy_without_softmax():
    with refused(
        "loss 'cross_entropy' needs outputs that are positive and sum to one, but layer 2 ends in "
        "'sigmoid'; end in 'softmax', or use 'binary_cross_entropy' on logits"
    ):
        chain([2, 3, 2], loss="cross_entropy", output="sigmoid")


def test_cross_entropy_over_one_output():
    with refused("layer 1: softmax over one output is the constant 1; use at least two outputs"):
        chain([2, 1], loss="cross_entropy")


def test_parameter_that_does_not_exist():
    with refused("activation 'leaky_relu' has no parameter 'alpha'; it has: slope"):
        LEAKY(alpha=0.2)
    with refused("activation 'tanh' has no parameter 'slope'; it has: none"):
        Dense(2, {"name": "tanh", "slope": 0.1})


def test_parameter_given_twice():
    with refused("activation 'leaky_relu': parameter 'slope' is given twice"):
        LEAKY(0.1, slope=0.2)


def test_too_many_parameters():
    with refused("activation 'leaky_relu' has 1 parameter(s) (slope), 2 values were given"):
        LEAKY(0.1, 0.2)
    with refused("activation 'tanh' has 0 parameter(s) (none), 1 values were given"):
        ACTIVATIONS["tanh"](1.0)


@pytest.mark.parametrize("value", ["0.1", None, True, 1j, [0.1]])
def test_parameter_that_is_not_a_number(value):
    with refused(f"regularizer 'L2': strength is {value!r}, not a number"):
        L2(value)


@pytest.mark.parametrize("value", [0, 0.0, -1, -1e-300, float("inf"), float("nan")])
def test_parameter_that_is_not_positive_and_finite(value):
    with refused(f"regularizer 'L2': strength is {value!r}; it has to be positive and finite"):
        L2(value)


def test_parameter_beyond_the_floating_range():
    with pytest.raises(ProblemError, match="strength"):
        L2(10**400)


def test_parameter_named_like_an_argument_of_the_entry():
    with refused("activation 'leaky_relu' has no parameter 'self'"):
        Dense(2, {"name": "leaky_relu", "self": 1.0})


def test_a_choice_is_checked_when_it_is_used():
    with refused("unknown activation 'gone'"):
        Dense(2, Choice("gone"))
    with refused("slope is -1.0"):
        Dense(2, Choice("leaky_relu", (("slope", -1.0),)))


def test_problem_errors_are_value_errors_and_ours():
    assert issubclass(ProblemError, ValueError)
    assert issubclass(ProblemError, LagrangenetError)
    assert not issubclass(ProblemError, DataError)


# -- TOML ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BANK))
def test_toml_round_trip_of_the_bank(name):
    problem = BANK[name]
    assert Problem.from_toml(problem.to_toml()) == problem


positive = st.floats(min_value=5e-324, max_value=1.7e308)
activations = st.one_of(
    st.sampled_from(sorted(name for name in ACTIVATIONS if name != "softmax")),
    positive.map(lambda slope: LEAKY(slope=slope)),
)
problems = st.builds(
    Problem,
    inputs=st.integers(1, 10**6),
    layers=st.lists(st.builds(Dense, st.integers(1, 10**6), activations), min_size=1, max_size=5),
    loss=st.sampled_from(["squared_error", "binary_cross_entropy"]),
    regularizer=st.one_of(st.none(), positive.map(L2)),
    name=st.text(max_size=20),
)


@settings(max_examples=100, deadline=None)
@given(problems)
def test_toml_round_trip(problem):
    again = Problem.from_toml(problem.to_toml())
    assert again == problem
    assert hash(again) == hash(problem)
    assert again.to_toml() == problem.to_toml()


def test_toml_written_by_a_person():
    problem = Problem.from_toml("""
        # the network of the second exercise
        name = "exercise 2"
        inputs = 4
        loss = "cross_entropy"
        regularizer = { name = "L2", strength = 0.5 }
        layers = [ { width = 8, activation = { name = "leaky_relu" } },
                   { activation = "softmax", width = 3 } ]
    """)
    assert problem == chain(
        [4, 8, 3], "leaky_relu", "cross_entropy", regularizer=L2(0.5), name="exercise 2"
    )


def test_a_layer_without_activation_is_linear():
    text = 'inputs = 1\nloss = "squared_error"\n[[layers]]\nwidth = 2\n'
    assert Problem.from_toml(text) == Problem(1, [Dense(2, "identity")], "squared_error")


GOOD = 'inputs = 2\nloss = "squared_error"\n'
LAYER = "[[layers]]\nwidth = 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs = ", "not a TOML problem file: "),
        ("inputs = 2\ninputs = 3\n", "not a TOML problem file: "),
        ("\x00", "not a TOML problem file: "),
        ("", "the problem file has no 'inputs'"),
        ("inputs = 2\n" + LAYER, "the problem file has no 'loss'"),
        (GOOD, "the problem file has no 'layers'"),
        (
            GOOD + "seed = 3\n" + LAYER,
            "a problem has no key 'seed'; known: class_weights, inputs, layers, loss",
        ),
        (GOOD + LAYER + "units = 3\n", "layer 1 has no key 'units'; known: activation, width"),
        (GOOD + LAYER + '[[layers]]\nactivation = "tanh"\n', "layer 2 has no width"),
        (GOOD + "layers = 3\n", "'layers' has to be an array of tables: [[layers]]"),
        (GOOD + "layers = [3]\n", "'layers' has to be an array of tables: [[layers]]"),
        (GOOD + "layers = []\n", "a problem needs at least one layer"),
        (GOOD + "[[layers]]\nwidth = 1.0\n", "is 1.0, not a whole number"),
        (GOOD + "[[layers]]\nwidth = true\n", "is True, not a number"),
        (GOOD + LAYER + "activation = 3\n", "unknown activation 3"),
        (GOOD + LAYER + "activation = {slope = 0.1}\n", "unknown activation None"),
        (GOOD + LAYER + "activation = ['tanh']\n", "unknown activation ['tanh']"),
        (GOOD + LAYER + "activation = {name = 'leaky_relu', slope = '1'}\n", "not a number"),
        (GOOD + LAYER + "activation = {name = 'leaky_relu', self = 1}\n", "no parameter 'self'"),
        (GOOD + "regularizer = {name = 'L2', strength = nan}\n" + LAYER, "positive and finite"),
        ('inputs = "2"\nloss = "squared_error"\n' + LAYER, "is '2', not a whole number"),
    ],
)
def test_toml_that_is_refused(text, message):
    with refused(message):
        Problem.from_toml(text)


def test_load_reads_a_file(tmp_path):
    problem = chain([2, 3, 1], name="Übung")
    path = tmp_path / "problem.toml"
    path.write_text(problem.to_toml(), encoding="utf-8")
    assert Problem.load(path) == problem
    assert Problem.load(str(path)) == problem


def test_load_of_what_cannot_be_read(tmp_path):
    missing = tmp_path / "missing.toml"
    with refused(f"cannot read the problem file {str(missing)!r}"):
        Problem.load(missing)
    with refused("cannot read the problem file"):
        Problem.load(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "Ü"'.encode("latin-1"))
    with refused("cannot read the problem file"):
        Problem.load(latin)


# -- outputs that a loss needs, class weights, biases, formulas --------------------------------------


@pytest.mark.parametrize(
    ("loss", "output", "what"),
    [
        ("negative_log_density", "tanh", "positive, but layer 2 ends in 'tanh'; end in 'softplus'"),
        ("log_probability", "softmax", "log-probabilities, but layer 2 ends in 'softmax'"),
        ("cross_entropy", "log_softmax", "positive and sum to one, but layer 2"),
    ],
)
def test_outputs_that_a_loss_is_not_defined_for(loss, output, what):
    with refused(f"loss {loss!r} needs outputs that are {what}"):
        chain([2, 3, 2], loss=loss, output=output)


def test_class_weights_weigh_and_round_trip():
    problem = chain([2, 3, 3], loss="cross_entropy", class_weights=(1, 2.0, 5))
    assert problem.class_weights == (1.0, 2.0, 5.0)
    assert "class_weights = [1.0, 2.0, 5.0]" in problem.to_toml()
    assert Problem.from_toml(problem.to_toml()) == problem
    assert problem != chain([2, 3, 3], loss="cross_entropy")
    assert str(problem).endswith("cross_entropy(weighted)")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1.0, 2.0), "2 class weights for 3 outputs; give one for each output"),
        ((1.0, 2.0, 0.0), "class weight 0.0 has to be positive and finite"),
        ((1.0, 2.0, float("nan")), "class weight nan has to be positive and finite"),
        ((1.0, 2.0, True), "class weight True is not a number"),
        ("abc", "class weight 'a' is not a number"),
        (3.0, "class_weights is 3.0; expected one number for each output"),
    ],
)
def test_class_weights_that_are_refused(weights, message):
    with refused(message):
        chain([2, 3], loss="cross_entropy", class_weights=weights)


def test_class_weights_of_a_loss_that_compares_two_classes():
    message = "loss 'multiclass_hinge' has no class weights: each of its terms compares two classes"
    with refused(message):
        chain([2, 3], loss="multiclass_hinge", class_weights=(1, 2, 3))
    with refused(message):
        chain([2, 3], loss={"name": "multiclass_hinge", "weighted": True}, class_weights=(1, 2, 3))


def test_a_weighted_loss_without_weights():
    with refused("'weighted' needs class_weights"):
        chain([2, 3], loss={"name": "cross_entropy", "weighted": True})


def test_biases_are_an_option_of_a_regularizer():
    plain, biased = L2(0.1), L2(0.1, biases=True)
    assert plain == L2(0.1, biases=False)
    assert plain != biased
    assert str(biased) == "L2(biases, strength=0.1)"
    problem = chain([2, 1], regularizer=biased)
    assert problem.penalizes_biases
    assert not chain([2, 1], regularizer=plain).penalizes_biases
    assert "biases = true" in problem.to_toml()
    assert Problem.from_toml(problem.to_toml()) == problem
    with refused("regularizer 'L2': biases is 'yes'; it is True or False"):
        L2(0.1, biases="yes")


def test_formulas_round_trip():
    problem = Problem(
        2,
        [Dense(3, {"name": "z*sigmoid(beta*z)", "beta": 1.5}), Dense(1, "where(z > 0, z, z/2)")],
        "(x - y)**4",
        {"name": "w**4/4", "strength": 0.5},
    )
    assert Problem.from_toml(problem.to_toml()) == problem
    assert problem.strength == 0.5
    assert [entry.smooth for entry in problem.activations] == [True, False]


def test_a_loss_between_outputs_needs_two_of_them():
    with pytest.raises(ProblemError, match="'multiclass_hinge' of one output is constant"):
        chain([2, 1], loss="multiclass_hinge")
    with pytest.raises(ProblemError, match="give 'y' at least two components"):
        Problem.graph({"x": 2}, [Constraint("y", "affine", "x", m=1)], loss="multiclass_hinge")
