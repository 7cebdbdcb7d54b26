"""Notations: five sources as golden files, recursions in λ, Δ, δ and vec as numbers, bad files."""

import itertools
import unicodedata

import numpy as np
import pytest
import sympy as sp

from lagrangenet import Dense, DerivationError, Problem, ProblemError, chain, derive
from lagrangenet.symbolic import evaluate
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.backward import in_variable
from lagrangenet.symbolic.equations import sides, tree
from lagrangenet.symbolic.evaluate import value
from lagrangenet.symbolic.notation import ROLES, Notation, names
from lagrangenet.symbolic.styles import LaTeX, Text, named_style
from lagrangenet.symbolic.vectorized import Blocks, Vec
from tests.symbolic.world import STEP, World, example

NETWORK = chain([4, 8, 3], "tanh", "cross_entropy", regularizer={"name": "L2", "strength": 0.01})
FORMS = ("index", "matrix", "vec")
RECURSIONS = [("activation", "Delta"), ("preactivation", "Delta"), ("preactivation", "delta")]
KINDS = {"componentwise": (), "coupled": (1, 2, 3), "mixed": (1, 3)}


# -- the five sources ------------------------------------------------------------------------------


def listing(notation, format):
    """The generic chain and 4-8-3 in a notation, as its source has them."""
    style, lines = named_style(format, notation), []
    for title, problem in (("chain of any depth", None), (str(NETWORK), NETWORK)):
        derivation = derive(problem, notation.splitting)
        for form in FORMS:
            lines += ["", f"-- {title}, {form} form, in {notation.variable}"]
            lines += [derivation.lagrangian.equation(form, style)]
            lines += [str(row) for row in derivation.definitions(form, style)]
            rows = derivation.equations(form, style, depth=problem and problem.depth)
            lines += [f"({label}) {equation}" for label, _, equation in rows]
    return "\n".join(lines[1:]) + "\n"


@pytest.mark.parametrize("format", ["text", "latex"])
@pytest.mark.parametrize("name", names())
def test_the_same_network_in_every_notation(name, format, golden):
    shown = listing(Notation.named(name), format)
    if name == "kkt":
        shown += "\n" + listing(Notation.named(name).with_variable("Delta"), format)
    golden(f"notation/{name}-{format}.txt", shown)


def rows(name, form, variable=None, splitting=None, **options):
    notation = Notation.named(name).with_variable(variable)
    derivation = derive(splitting=splitting or notation.splitting, **options)
    shown = derivation.equations(form, Text(notation=notation))
    return {label: equation for label, _, equation in shown}


def test_the_slides_overwrite_one_vector_in_the_order_of_their_algorithm():
    shown = rows("goodfellow", "matrix")
    assert list(shown) == ["S0", "S1", "S2", "S4", "S6", "S5", "S3"]
    assert shown["S2"] == "g ← ∇_{ŷ} L(ŷ, y)"
    assert shown["S4"] == "g ← f′(a^(k)) ⊙ g"
    assert shown["S3"] == "g ← W^(k)ᵀ g"
    assert shown["S6"] == "∇_{b^(k)} J = (1/M) Σ_{i=1}^{M} g_i"


def test_the_layers_of_the_slides_are_written_out_backwards():
    shown = derive(NETWORK, "preactivation").equations(
        "matrix", Text(notation=Notation.named("goodfellow")), depth=2
    )
    assert [label for label, _, _ in shown] == [
        "S0", "S1", "S0", "S1", "S2", "S4", "S6", "S5", "S3", "S4", "S6", "S5",
    ]  # fmt: skip
    assert [e for label, _, e in shown if label == "S3"] == ["g ← W^(2)ᵀ g"]


def test_nothing_is_overwritten_where_the_second_order_needs_it():
    shown = rows("goodfellow", "matrix", order=2)
    assert shown["S3"] == "∂L/∂h^(k−1) = W^(k)ᵀ (∂L/∂a^(k))"
    assert shown["T3"] == "∂L̇/∂h^(k−1) = W^(k)ᵀ (∂L̇/∂a^(k)) + Ẇ^(k)ᵀ (∂L/∂a^(k))"


def test_the_delta_rule_is_that_of_its_source():
    shown = rows("delta-rule", "index")
    assert shown["S3, S4"] == "δ_lj = A′(Z_lj) Σ_{p=1}^{h_{l+1}} ω_{(l+1)p,lj} δ_{(l+1)p}"
    assert shown["S2, S4"] == "δ_{out,j} = A′(Z_{out,j}) ∂L(y, ŷ)/∂ŷ_j"


def test_the_row_vector_of_the_homework():
    shown = rows("kkt", "matrix", "Delta")
    assert shown["S2"] == "Δ_i^N = ∂ℓ(y_i, x_i^N)/∂x_i^N"
    assert shown["S3"] == "Δ_i^{k−1} = Δ_i^k [σ′^k(z_i^k) ⊙ W^k]"
    assert "Δ_i^kᵀ" in shown["S6"]


def test_a_coupled_layer_multiplies_the_row_by_its_jacobian():
    style = Text(notation=Notation.named("kkt").with_variable("Delta"))
    shown = derive(chain([4, 3, 3], "softmax")).equations("matrix", style)
    assert "Δ_i^{k−1} = Δ_i^k (∂σ^k(z_i^k)/∂z_i^k) W^k" in [equation for _, _, equation in shown]


def test_delta_alone_eliminates_the_multiplier_of_the_state():
    shown = rows("kkt", "matrix", "delta", "preactivation")
    assert shown["S3, S4"] == "δ_i^k = σ′^k(z_i^k) ⊙ (W^{k+1}ᵀ δ_i^{k+1})"
    assert shown["S6"] == "∂J/∂b^k = (1/M) Σ_{i=1}^{M} δ_i^k"


def test_weights_of_layer_t_minus_1_lead_to_layer_t():
    shown = rows("shalev-shwartz", "vec")
    assert shown["S3"] == "∂ℓ_t/∂o_t = W_tᵀ (σ′(a_{t+1}) ⊙ (∂ℓ_{t+1}/∂o_{t+1}))"
    style = Text(notation=Notation.named("shalev-shwartz"))
    assert [str(row) for row in derive().definitions("vec", style)] == [
        "a_t = (I ⊗ o_{t−1}ᵀ) w_{t−1} + b_{t−1}"
    ]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("form", [*FORMS, "batch"])
def test_no_symbol_of_another_notation_is_left(name, form):
    notation = Notation.named(name)
    derivation = derive(splitting=notation.splitting, order=2)
    style = Text(notation=notation)
    shown = derivation.lagrangian.equation(form, style)
    shown += "".join(equation for _, _, equation in derivation.equations(form, style))
    own = "".join(text for text, _ in notation.symbols.values())
    foreign = {"x", "z", "h", "a", "o", "s", "φ", "σ", "A", "f", "λ", "ω", "g"} - set(own)
    assert not {c for c in shown if c in foreign}


@pytest.mark.parametrize("name", names())
def test_second_order_is_written_in_every_notation(name):
    notation = Notation.named(name)
    derivation = derive(splitting=notation.splitting, order=2)
    for form, style in itertools.product(FORMS, (Text(), LaTeX())):
        written = derivation.equations(form, named_style(style, notation))
        tangent = [equation for label, _, equation in written if label.startswith("T")]
        assert len(tangent) == len([label for label, *_ in written]) / 2
        assert all(("\\dot" if isinstance(style, LaTeX) else "̇") in _decomposed(e) for e in tangent)


def _decomposed(text):
    return unicodedata.normalize("NFD", text)


# -- the recursions in numbers ---------------------------------------------------------------------


class Vectors(World):
    """Also evaluates columns of weights."""

    def _tree(self, node, at, sample):
        if isinstance(node, Vec):
            return node.axes, self._tree(node.arg, at, sample)[1].reshape(-1)
        if isinstance(node, Blocks):
            vector = self._tree(node.vector, at, sample)[1]
            shaped = vector[None, :] if node.wide else vector[:, None]
            return node.axes, np.kron(np.eye(self.number(node.size.value, at)), shaped)
        return super()._tree(node, at, sample)


def trained(coupled=()):
    """A world whose states are a forward pass and whose Δ, δ are complex steps of the loss."""
    plain = example(coupled)
    world = Vectors(**vars(plain))
    X, Z, depth = world.arrays["X"], world.arrays["Z"], world.depth
    for k in range(1, depth + 1):
        Z[k] = X[k - 1] @ world.arrays["W"][k].T + world.arrays["b"][k]
        X[k] = np.array([world.sigma[k](row) for row in Z[k]])
    layers = range(1, depth + 1)
    world.arrays["Delta"] = {
        k: slopes(world, lambda v, k=k: beyond(world, k, v), X[k]) for k in layers
    }
    world.arrays["delta"] = {
        k: slopes(world, lambda v, k=k: beyond(world, k, world.sigma[k](v)), Z[k]) for k in layers
    }
    return world


def beyond(world, k, state):
    """The output of the network when layer k has this state."""
    for j in range(k + 1, world.depth + 1):
        state = world.sigma[j](world.arrays["W"][j] @ state + world.arrays["b"][j])
    return state


def slopes(world, output, points):
    """∂ℓ/∂(point) of each sample, by complex steps."""
    found = np.zeros(points.shape)
    for i, p in np.ndindex(*points.shape):
        moved = points[i].astype(complex)
        moved[p] += 1j * STEP
        found[i, p] = np.imag(world.ell(world.arrays["Y"][i], output(moved))) / STEP
    return found


def objective(world):
    """J as a function of the parameters of the world."""
    outputs = [beyond(world, 0, x) for x in world.arrays["X"][0]]
    losses = [world.ell(y, x) for y, x in zip(world.arrays["Y"], outputs, strict=True)]
    weights = sum(world.omega(W).sum() for W in world.arrays["W"].values())
    return sum(losses) / world.samples + world.rho * weights


def gradient(world, array):
    """∂J/∂(array), by complex steps."""
    found = np.zeros(array.shape)
    name, k = next(
        (name, k)
        for name in ("W", "b")
        for k, value in world.arrays[name].items()
        if value is array
    )
    for entry in np.ndindex(*array.shape):
        moved = array.astype(complex)
        moved[entry] += 1j * STEP
        world.arrays[name][k] = moved
        found[entry] = np.imag(objective(world)) / STEP
    world.arrays[name][k] = array
    return found


def holding(condition, world):
    """The layers at which a condition holds."""
    layers = {
        "all": range(1, world.depth + 1),
        "hidden": range(1, world.depth),
        "output": [world.depth],
    }[condition.layers]
    for k in layers:
        if condition.kind_of is None:
            yield k
        else:
            at = condition.kind_of.xreplace({l.k: sp.Integer(k), l.N: sp.Integer(world.depth)})
            if world.kinds[int(at)] == condition.kind:
                yield k


def derived(splitting, variable, kinds):
    activations = ["softmax" if k in KINDS[kinds] else "tanh" for k in (1, 2, 3)]
    layers = [Dense(n, a) for n, a in zip((3, 2, 4), activations, strict=True)]
    derivation = derive(Problem(2, layers, "squared_error"), splitting)
    return in_variable(derivation.stationarity, variable)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize(("splitting", "variable"), RECURSIONS)
def test_the_recursion_gives_the_derivatives_of_the_loss(splitting, variable, kinds):
    world = trained(KINDS[kinds])
    conditions = derived(splitting, variable, kinds)
    seen = set()
    for condition, form in itertools.product(conditions, FORMS):
        for k in holding(condition, world):
            values = value_of(condition, form, world, k)
            left = condition.unknown if condition.unknown is not None else condition.wrt
            array = world.arrays[str(left.base.label)][k]
            if condition.unknown is None:
                array = gradient(world, array)
            seen.add((str(left.base.label), k))
            np.testing.assert_allclose(values, array.reshape(values.shape), rtol=1e-12, atol=1e-13)
    wanted = {"X", "W", "b", "delta"} if variable == "delta" else {"X", "W", "b", "Delta"}
    assert {(name, k) for name in wanted for k in (1, 2, 3)} <= seen


def value_of(condition, form, world, k):
    """The right-hand side of a condition at layer k: all samples, or the parameter's shape."""
    _, right = sides(condition)
    if form == "index":
        wrt = condition.wrt.xreplace({l.k: sp.Integer(k), l.N: sp.Integer(k)})
        sizes = [world.number(size, {}) for size in l.widths_of(wrt.base, wrt.indices[0])]
        free = condition.wrt.indices[1:]
        found = np.zeros(sizes)
        for entry in np.ndindex(*sizes):
            at = {l.k: k, **dict(zip(free, (j + 1 for j in entry), strict=True))}
            found[entry] = world.index(right, at)
        return found
    node = tree(condition, right, form, {})
    if condition.unknown is None:
        return world.array(node, k)
    return np.array([world.array(node, k, sample) for sample in range(1, world.samples + 1)])


def in_multipliers(expr):
    """Δ = −M λ and δ = −M μ put back, tangents too."""
    of = {"Delta": l.lam, "delta": l.mu}
    of |= {f"{name}_dot": l.TANGENTS[base] for name, base in of.items()}
    return expr.replace(
        lambda e: isinstance(e, sp.Indexed) and str(e.base.label) in of,
        lambda e: -l.M * of[str(e.base.label)][e.indices],
    )


def at_places(condition, world):
    """The free indices of a condition, at every layer where it holds."""
    layers = {"all": range(1, 4), "hidden": range(1, 3), "output": [3]}[condition.layers]
    for k in layers:
        sizes = l.widths_of(condition.wrt.base, sp.Integer(k))
        ends = [value(size, world, {}) for size in sizes]
        yield {
            l.k: k,
            **{v: int(end) for v, end in zip(condition.wrt.indices[1:], ends, strict=True)},
        }


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
def test_both_orders_in_errors_are_those_in_multipliers(splitting, coupled):
    kind = l.COUPLED if coupled else l.COMPONENTWISE
    problem = chain([2, 3, 2, 3], "softmax", output="softmax") if coupled else None
    world = evaluate.World((2, 3, 2, 3), 2, (kind,) * 3)
    conditions = derive(problem, splitting, order=2).conditions
    for plain, changed in zip(conditions, in_variable(conditions, "Delta"), strict=True):
        solved = changed.unknown is not None and changed.unknown != plain.unknown
        left, right = plain.residual, plain.solution
        pair = (in_multipliers(changed.solution), -l.M * right) if solved else (
            in_multipliers(changed.residual), left)  # fmt: skip
        for at in at_places(plain, world):
            found, expected = (value(expr, world, at) for expr in pair)
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_the_second_order_in_delta_alone_has_the_multipliers_of_the_states_eliminated():
    world = evaluate.World((2, 3, 2, 3), 2, (l.COMPONENTWISE,) * 3)
    conditions = derive(splitting="preactivation", order=2).conditions
    known = {(c.unknown.base, c.layers): c.solution for c in conditions if c.unknown is not None}
    through = next(c for c in conditions if c.label == "T4")
    eliminated = {c.layers: c for c in in_variable(conditions, "delta") if c.label.startswith("T")
                  and c.wrt.base == l.Z}  # fmt: skip
    assert {c.label for c in eliminated.values()} == {"T2, T4", "T3, T4"}
    for layers, layer in (("output", l.N), ("hidden", l.k)):
        swap = {base[layer, l.i, l.p]: known[base, layers] for base in (l.lam, l.TANGENTS[l.lam])}
        expected = -l.M * through.solution.xreplace({l.k: layer}).xreplace(swap)
        found = in_multipliers(eliminated[layers].solution)
        for at in at_places(eliminated[layers], world):
            assert value(found, world, at) == pytest.approx(value(expected, world, at), rel=1e-12)


@pytest.mark.parametrize("splitting", ["activation", "preactivation"])
def test_the_vectorized_form_has_the_values_of_the_matrix_form(splitting):
    world = Vectors(**vars(example()))
    for condition in derive(splitting=splitting).stationarity:
        _, right = sides(condition)
        for k in holding(condition, world):
            matrix = tree(condition, right, "matrix", {})
            column = tree(condition, right, "vec", {})
            for sample in range(1, world.samples + 1):
                expected = world.array(matrix, k, sample).reshape(-1)
                np.testing.assert_allclose(world.array(column, k, sample), expected, rtol=1e-14)


def test_a_wrong_order_of_the_column_would_be_seen():
    world = Vectors(**vars(example()))
    condition = next(c for c in derive().stationarity if c.label == "S5")
    matrix = world.array(tree(condition, condition.residual, "matrix", {}), 2)
    column = world.array(tree(condition, condition.residual, "vec", {}), 2)
    assert not np.allclose(matrix.T.reshape(-1), column)


def test_delta_needs_the_preactivation_as_a_variable():
    style = Text(notation=Notation.named("kkt").with_variable("delta"))
    with pytest.raises(DerivationError, match="choose the preactivation splitting"):
        derive().equations("matrix", style)


# -- files -----------------------------------------------------------------------------------------

OWN = r"""
name = "mine"
title = "Lecture, summer term (2)"
[layer]
place = "parentheses"
[prefer]
form = "matrix"
[symbols]
X = "u"
W = ["Θ", '\mathbf{\Theta}']
b = ["c", '\hat{c}']
u = "m"
"""


def written(tmp_path, content):
    file = tmp_path / "own.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_a_notation_of_ones_own(tmp_path):
    own = Notation.load(written(tmp_path, OWN))
    assert (own.name, own.title, own.form) == ("mine", "Lecture, summer term (2)", "matrix")
    shown = derive(splitting="preactivation").equations("matrix", Text(notation=own))
    assert shown[0][2] == "z_i^(k) = Θ^(k) u_i^(k−1) + c^(k)"
    latex = derive(splitting="preactivation").equations("matrix", LaTeX(notation=own))
    assert r"{\mathbf{\Theta}^{(k+1)}}^{\top}" in latex[3][2]


def test_what_a_file_leaves_out_is_as_in_kkt(tmp_path):
    own, kkt = Notation.load(written(tmp_path, "")), Notation.named("kkt")
    assert own.symbols == kkt.symbols
    assert derive().equations("index", Text(notation=own)) == derive().equations()


def test_choose_takes_a_name_a_file_or_a_notation(tmp_path):
    file = written(tmp_path, OWN)
    assert Notation.choose("kkt") is Notation.choose(Notation.named("kkt"))
    assert Notation.choose(str(file)) == Notation.choose(file) == Notation.load(file)


def test_every_built_in_notation_names_every_role():
    optional = {"input", "output"}
    for name in names():
        assert ROLES.keys() - optional <= Notation.named(name).symbols.keys()


SYMBOL = "[symbols]\nX = {}\n"
BAD = {
    "an unknown key": ("colour = 1", "unknown key 'colour'"),
    "an unknown section key": ("[layer]\nplaces = 'superscript'", "unknown key 'places'"),
    "an unknown role": ("[symbols]\nQ = 'q'", "unknown key 'Q'"),
    "an unknown place": ("[layer]\nplace = 'left'", "place is 'left'; admissible: 'superscript'"),
    "a number for a word": ("[layer]\nplace = 3", "place is 3; admissible"),
    "true for a number": ("[layer]\nfirst = true", "first is True; admissible: 0, 1"),
    "a far first layer": ("[layer]\nfirst = 7", "first is 7; admissible: 0, 1"),
    "a section that is no table": ("layer = 3", "layer is 3, not a table"),
    "a name with markup": ("name = '<b>'", "name is '<b>'"),
    "a title with markup": ("title = 'a <script>'", "title is 'a <script>'"),
    "a title with LaTeX": (r"title = 'a \input{b}'", "title is "),
    "two meanings, one symbol": ("[symbols]\nX = 'W'", "W and X are both written 'W'|X and W"),
    "no symbol": (SYMBOL.format("''"), "is no symbol"),
    "a long symbol": (SYMBOL.format(f"'{'x' * 13}'"), "is no symbol"),
    "a digit first": (SYMBOL.format("'1x'"), "is no symbol"),
    "HTML": (SYMBOL.format("'<i>'"), "is no symbol"),
    "an entity": (SYMBOL.format("'&lt;'"), "is no symbol"),
    "a space": (SYMBOL.format("'x y'"), "is no symbol"),
    "a control character": (SYMBOL.format('"\\u0007"'), "is no symbol"),
    "right to left": (SYMBOL.format('"\\u202ex"'), "is no symbol"),
    "Cyrillic": (SYMBOL.format("'х'"), "is no symbol"),
    "an emoji": (SYMBOL.format("'😀'"), "is no symbol"),
    "LaTeX in text": (SYMBOL.format(r"'\alpha'"), "is no symbol"),
    "a number": (SYMBOL.format("3"), "expected a string, or"),
    "three strings": (SYMBOL.format("['x', 'x', 'x']"), "expected a string, or"),
    "a LaTeX command": (SYMBOL.format(r"['x', '\input{/etc/passwd}']"), "no symbol in LaTeX"),
    "write18": (SYMBOL.format(r"['x', '\write18{ls}']"), "no symbol in LaTeX"),
    "a definition": (SYMBOL.format(r"['x', '\def\x{y}']"), "no symbol in LaTeX"),
    "catcodes": (SYMBOL.format(r"['x', '^^5cinput']"), "no symbol in LaTeX"),
    "an end of mathematics": (SYMBOL.format("['x', 'x$']"), "no symbol in LaTeX"),
    "a comment": (SYMBOL.format("['x', 'x%']"), "no symbol in LaTeX"),
    "an open brace": (SYMBOL.format(r"['x', '\hat{x']"), "no symbol in LaTeX"),
    "a close brace": (SYMBOL.format(r"['x', 'x}{y']"), "no symbol in LaTeX"),
    "an accent on nothing": (SYMBOL.format(r"['x', '\hat']"), "no symbol in LaTeX"),
    "an empty group": (SYMBOL.format(r"['x', '\hat{}']"), "no symbol in LaTeX"),
    "HTML in LaTeX": (SYMBOL.format("['x', '<b>']"), "no symbol in LaTeX"),
    "no TOML": ("X == 1", "is no TOML"),
    "no UTF-8": (b"\xff\xfe", "is no TOML"),
    "nested deeply": ("a = " + "[" * 30_000, "nested too deeply|is no TOML"),
    "too large": ("#" * 70_000, "larger than 65536 bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_place(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ProblemError, match=message) as refused:
        Notation.load(written(tmp_path, content))
    assert "own.toml" in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProblemError, match=r"cannot read notation file .*absent\.toml"):
        Notation.choose(tmp_path / "absent.toml")


def test_an_unknown_notation_or_variable_is_refused_by_name():
    with pytest.raises(DerivationError, match="unknown notation 'physics'; known: delta-rule, "):
        Notation.choose("physics")
    with pytest.raises(DerivationError, match="unknown variable 'gamma'; known: lambda, Delta"):
        Notation.named("kkt").with_variable("gamma")
