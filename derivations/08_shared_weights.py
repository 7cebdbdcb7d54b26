# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A graph with shared weights
#
# **The question.** Networks need not be chains. Take three states and two parameters,
#
# - $x^1 = \varphi^1(x^0; w^1)$,
# - $x^2 = \varphi^2(x^0, x^1; w^2)$: a state that is read twice,
# - $x^3 = \varphi^3(x^1, x^2; w^1)$: a parameter that is used twice.
#
# What are the backward pass and the gradient? For a chain one learns "multiply by the next Jacobian".
# Which Jacobians now, and is $w^1$ one parameter or two?
#
# ## The derivation, for functions of which nothing is known
#
# Scalars first. The three equations become constraints, each with a multiplier; the loss reads $x^3$.

# %%
import sympy as sp

from derivations.document import equation, listing, show, table

x0, x1, x2, x3, w1, w2 = variables = sp.symbols("x^0:4 w^1:3", real=True)
multipliers = sp.symbols("lambda^1:4", real=True)
phi1, phi2, phi3, loss = (
    sp.Function(name, real=True) for name in ("varphi^1", "varphi^2", "varphi^3", "ell")
)
forward = {
    x1: phi1(x0, w1),
    x2: phi2(x0, x1, w2),
    x3: phi3(x1, x2, w1),
}
pairs = zip(multipliers, forward.items(), strict=True)
terms = [lam * (state - value) for lam, (state, value) in pairs]
L = loss(x3) + sum(terms)
show(f"L = {sp.latex(loss(x3))}", *(f"+ {sp.latex(term)}" for term in terms), name="lagrangian")

# %% [markdown]
# SymPy differentiates by each state. Nothing was said to it about graphs.


# %%
def partial(expr, variable):
    return rf"\frac{{\partial {sp.latex(expr)}}}{{\partial {sp.latex(variable)}}}"


def tex(expr):
    """An expression with its derivatives as fractions of ∂."""
    names = {}
    for number, node in enumerate(sorted(expr.atoms(sp.Derivative), key=sp.default_sort_key)):
        short = sp.Symbol(f"D{number}", real=True)
        function = sp.Symbol(str(node.expr.func), real=True)
        names[short] = partial(function, node.variables[0])
        expr = expr.xreplace({node: short})
    return sp.latex(expr, symbol_names=names)


conditions = {state: sp.diff(L, state) for state in forward}
for state, condition in conditions.items():
    equation(partial(sp.Symbol("L"), state), tex(condition), "0")

# %% [markdown]
# Each condition contains its own multiplier alone, and one term for every constraint that *reads* the
# state. $x^1$ is read by two constraints, so there are two terms, and they are added because $L$ is a
# sum. Solve from the last to the first:

# %%
backward = {}
for state, lam in reversed(list(zip(forward, multipliers, strict=True))):
    (backward[lam],) = sp.solve(conditions[state], lam)
    equation(sp.latex(lam), tex(backward[lam]))

# %% [markdown]
# And by the parameters. $w^1$ is *one* parameter. It occurs in two constraints, so there are two
# terms:

# %%
gradient = {w: sp.diff(L, w) for w in (w1, w2)}
for w, value in gradient.items():
    equation(partial(sp.Symbol("L"), w), tex(value))

# %% [markdown]
# So the rule for graphs is the rule for chains: the multiplier of a state collects from all its
# readers, the gradient of a parameter from all its uses. Nobody has to remember it, it comes out.
#
# ### Check: eliminate the states
#
# Put the constraints into the loss and differentiate the resulting formula by $w^1$ and $w^2$, with
# concrete functions:

# %%
concrete = {
    phi1: lambda x, w: sp.sin(w * x),
    phi2: lambda x, y, w: sp.exp(-w * x) * y,
    phi3: lambda x, y, w: w * x * y + y**2,
    loss: lambda x: x**2 / 2,
}


def with_functions(expr):
    for function, definition in concrete.items():
        expr = expr.replace(function, definition)
    return expr.doit()


def eliminated(expr):
    """Multipliers, then states, through what they depend on."""
    for lam in multipliers:
        expr = expr.subs(lam, backward[lam])
    expr = with_functions(expr)
    for state in (x3, x2, x1):
        expr = expr.subs(state, with_functions(forward[state]))
    return expr


composed = eliminated(loss(x3))
numbers = {x0: sp.Rational(1, 2), w1: sp.Rational(4, 5), w2: sp.Rational(-1, 3)}
for w, value in gradient.items():
    gap = (sp.diff(composed, w) - eliminated(value)).subs(numbers).evalf(30)
    print(f"∂L/∂{w}  difference:", 0 if abs(gap) < 1e-25 else gap)
    assert abs(gap) < 1e-25

# %% [markdown]
# ## Vectors, batches and code
#
# The package takes the same graph with vectors. A layer is declared by its equation. The dense layer
# exists; we declare one with two inputs, $y = \sigma(W(u + v))$, and name the parameter arrays: equal
# names are the same array.

# %%
import numpy as np

from lagrangenet import Constraint, Problem, derive, generate
from lagrangenet.layers import LAYERS
from lagrangenet.layers.base import Layer

pair = LAYERS.add(
    Layer(
        "pair",
        "z[i,p] = sum(W[p,q]*(u[i,q] + v[i,q]), q);  y[i,p] = sigma(z[i,p])",
        "u[M,n] v[M,n] W[m,n] z[M,m] y[M,m]",
        parameters="W",
    )
)
problem = Problem.graph(
    {"x0": 3},
    [
        Constraint("x1", "dense_nobias", "x0", m=3, activation="tanh", W="w1"),
        Constraint("x2", "pair", ("x0", "x1"), m=3, activation="tanh", W="w2"),
        Constraint("x3", "pair", ("x1", "x2"), m=3, activation="tanh", W="w1"),
    ],
    loss="squared_error",
)
derivation = derive(problem)
for label, _, written in derivation.equations("index", "latex"):
    show(written, label=label)

# %% [markdown]
# The states $z$ before each activation are constraints of their own here. The condition for $x^1$ has
# the two terms, and so has the gradient by $w^1$ (three, since $W(u + v)$ is two products). The code:

# %%
routines = generate(derivation)
listing(routines.source, "backward", "gradient")

# %% [markdown]
# Checked by central differences of the loss, which know of no graph:

# %%
rng = np.random.default_rng(0)
inputs, Y = {"x0": rng.normal(size=(4, 3))}, rng.uniform(-0.9, 0.9, size=(4, 3))
theta = routines.initial(seed=0)
flat = routines.pack(theta)
found = routines.pack(routines.gradient(theta, inputs, Y))
measured = np.array(
    [
        (routines.fun(flat + h, inputs, Y)[0] - routines.fun(flat - h, inputs, Y)[0]) / 2e-5
        for h in 1e-5 * np.eye(flat.size)
    ]
)
error = np.linalg.norm(found - measured) / np.linalg.norm(measured)
assert error < 1e-8
print("relative error below 1e-8:", error < 1e-8)

# %% [markdown]
# ### Sharing is addition
#
# Give the two uses of $w^1$ different names. The gradient of the shared parameter is the sum of the
# gradients of the two, at equal values:

# %%
untied = Problem.graph(
    {"x0": 3},
    [
        Constraint("x1", "dense_nobias", "x0", m=3, activation="tanh", W="first"),
        Constraint("x2", "pair", ("x0", "x1"), m=3, activation="tanh", W="w2"),
        Constraint("x3", "pair", ("x1", "x2"), m=3, activation="tanh", W="second"),
    ],
    loss="squared_error",
)
apart = generate(derive(untied))
copies = {"first": theta["w1"], "second": theta["w1"], "w2": theta["w2"]}
separate = apart.gradient(copies, inputs, Y)
shared = routines.gradient(theta, inputs, Y)["w1"]
gap = np.abs(separate["first"] + separate["second"] - shared).max()
assert gap < 1e-14
print("∂L/∂first + ∂L/∂second = ∂L/∂w1 to 1e-14:", gap < 1e-14)

rows = []
for name, array in (("first use", separate["first"]), ("second use", separate["second"]),
                    ("shared", shared)):  # fmt: skip
    rows.append((name, *(f"{value:+.4f}" for value in array[0])))
table(("First row of the gradient", "1", "2", "3"), *rows)

# %%
LAYERS.remove("pair")
