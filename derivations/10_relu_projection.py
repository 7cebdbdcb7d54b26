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
# # ReLU as the solution of an optimization problem
#
# **The question.** $\mathrm{relu}(z) = \max(z, 0)$ has a kink. Where does the kink come from, what is
# its derivative there, and how does this layer fit a theory of equations and multipliers? The answer:
# a ReLU *is* a small optimization problem with an inequality, and its KKT conditions say everything.
#
# Componentwise, so for one number $z$ first:

# %%
import sympy as sp

from derivations.document import equation, show, table

x, z, nu = sp.symbols("x z nu", real=True)
objective = (x - z) ** 2 / 2
show(rf"\min_x \quad {sp.latex(objective)} \qquad \text{{subject to}} \quad x \ge 0")

# %% [markdown]
# It asks for the nonnegative number that is closest to $z$: the *projection* of $z$ onto
# $[0, \infty)$.
#
# ## The KKT conditions
#
# The constraint is $-x \le 0$, with a multiplier $\nu$. An inequality brings what equations do not
# have: a sign condition on the multiplier, and complementarity (the multiplier is zero unless the
# constraint is active).

# %%
L = objective - nu * x
stationarity = sp.diff(L, x)
equation("L", L)
show(
    rf"\frac{{\partial L}}{{\partial x}} = {sp.latex(stationarity)} = 0",
    rf"x \ge 0, \qquad \nu \ge 0, \qquad {sp.latex(nu * x)} = 0",
)

# %% [markdown]
# The problem is convex and its constraint is linear, so a point is optimal *if and only if* it
# satisfies these conditions. Complementarity leaves two cases, $\nu = 0$ or $x = 0$. SymPy solves
# both, and the sign conditions say for which $z$ each is admissible:

# %%
solutions = [sp.solve([stationarity, case], [x, nu], dict=True)[0] for case in (nu, x)]
for name, solution in zip((r"\nu = 0", "x = 0"), solutions, strict=True):
    region = sp.simplify(sp.And(solution[x] >= 0, solution[nu] >= 0))
    show(
        rf"{name}: \qquad x = {sp.latex(solution[x])}, \quad \nu = {sp.latex(solution[nu])},"
        rf" \qquad \text{{admissible for }} {sp.latex(region)}"
    )

# %% [markdown]
# For every $z$ at least one case is admissible, and at $z = 0$ both are, with the same $x$ and $\nu$.
# Together:

# %%
projection = sp.Piecewise((solutions[0][x], z >= 0), (solutions[1][x], True))
multiplier = sp.Piecewise((solutions[0][nu], z >= 0), (solutions[1][nu], True))
equation("x", projection, sp.Max(0, z))
equation(r"\nu", multiplier, sp.Max(0, -z))


def same(one, other):
    """Whether two expressions in z agree for z < 0, z = 0 and z > 0."""
    signs = (sp.Symbol("z", negative=True), sp.Integer(0), sp.Symbol("z", positive=True))
    return all(sp.simplify(one.subs(z, sign) - other.subs(z, sign)) == 0 for sign in signs)


assert same(projection, sp.Max(0, z))
assert same(multiplier, sp.Max(0, -z))

# %% [markdown]
# The solution is ReLU. And the multiplier is what ReLU throws away: $z = x - \nu$ splits $z$ into its
# positive and its negative part, with $x \nu = 0$. (This is Moreau's decomposition.)

# %%
print(
    "difference:", sp.simplify((projection - multiplier - z).subs(z, sp.Symbol("z", positive=True)))
)
print(
    "difference:", sp.simplify((projection - multiplier - z).subs(z, sp.Symbol("z", negative=True)))
)

# %% [markdown]
# ## The derivative, from the KKT conditions
#
# Disturb $z$ by $\dot z$, and ask how $x$ and $\nu$ answer. Differentiate the two equations,
# stationarity and complementarity:

# %%
dx, dnu, dz = sp.symbols("xdot nudot zdot", real=True)
names = {dx: r"\dot x", dnu: r"\dot \nu", dz: r"\dot z"}
directions = {x: dx, nu: dnu, z: dz}


def differentiated(expr):
    return sum(sp.diff(expr, variable) * rate for variable, rate in directions.items())


rates = [differentiated(stationarity), differentiated(nu * x)]
show(*(f"{sp.latex(rate, symbol_names=names)} = 0" for rate in rates))

# %% [markdown]
# Two linear equations. Their determinant decides whether $\dot x$ is determined:

# %%
matrix, right = sp.linear_eq_to_matrix(rates, [dx, dnu])
determinant = sp.factor(matrix.det())
equation(r"\det", determinant)
answer = {
    rate: sp.factor(value) for rate, value in zip((dx, dnu), matrix.LUsolve(right), strict=True)
}
equation(r"\dot x", sp.latex(answer[dx], symbol_names=names))

# %% [markdown]
# - $z > 0$: $x > 0$ and $\nu = 0$. The derivative is 1.
# - $z < 0$: $x = 0$ and $\nu > 0$. The derivative is 0.
# - $z = 0$: $x = 0$ and $\nu = 0$, the determinant is zero, and the equations do not determine the
#   rate. *Strict complementarity* fails. That is the kink.

# %%
up = answer[dx].subs({nu: 0})
down = answer[dx].subs({x: 0})
equation(r"\dot x_{z > 0}", sp.latex(up, symbol_names=names))
equation(r"\dot x_{z < 0}", sp.latex(down, symbol_names=names))
assert (up, down) == (dz, 0)
assert determinant.subs({x: 0, nu: 0}) == 0

# %% [markdown]
# ## At the kink: the subdifferential
#
# ReLU is convex. A *subgradient* at $0$ is a slope $s$ of a line through the kink that stays below the
# function: $\max(z, 0) \ge s z$ for all $z$. It is enough to ask at $z = 1$ and $z = -1$, because both
# sides are positively homogeneous. SymPy solves the two inequalities:

# %%
s = sp.Symbol("s", real=True)
conditions = [sp.Max(0, point) >= s * point for point in (1, -1)]
subdifferential = sp.reduce_inequalities(conditions, s).as_set()
equation(r"\partial\, \mathrm{relu}(0)", subdifferential)
assert subdifferential == sp.Interval(0, 1)

# %% [markdown]
# Every number in $[0, 1]$ is a subgradient, and an algorithm has to choose. The package declares its
# choice with the function, and uses 0:

# %%
from lagrangenet import ACTIVATIONS

relu = ACTIVATIONS["relu"]
table(
    ("Function", "Kinks", "Declared"),
    (relu.name, ", ".join(map(str, relu.kinks)), relu.subgradient),
)

# %% [markdown]
# ## The same for a whole layer
#
# A ReLU layer is the projection of the vector $z = W x^{k-1} + b$ onto the nonnegative vectors. The
# objective $\frac12 \|x - z\|^2$ is a sum over components and so are the constraints, hence every
# component has its own pair $(x_p, \nu_p)$. SciPy solves the problem as a numerical optimization,
# knowing nothing of ReLU, and the package's routine computes the layer:

# %%
import numpy as np
from scipy.optimize import nnls

from lagrangenet import chain, derive, generate

rng = np.random.default_rng(0)
routines = generate(derive(chain([4, 6], output="relu", loss="squared_error")))
theta = routines.initial(seed=1)
X = rng.normal(size=(1, 4))
((Z, state),) = (routines.forward(theta, X)[0],)
closest, _ = nnls(np.eye(6), Z[0])
discarded = closest - Z[0]

table(
    ("$p$", "$z_p$", r"$x_p$ (SciPy)", r"$x_p$ (package)", r"$\nu_p$"),
    *(
        (str(k + 1), *(f"{abs(v) if v == 0 else v:.4f}" for v in row))
        for k, row in enumerate(zip(Z[0], closest, state[0], discarded, strict=True))
    ),
)
assert np.allclose(closest, state[0], rtol=0, atol=1e-12)
assert (discarded >= -1e-12).all()
assert np.allclose(discarded * closest, 0, atol=1e-12)

# %% [markdown]
# ## What is gained
#
# - A network of ReLU layers is a problem with *equations and complementarity conditions*,
#   $x^k - \nu^k = W^k x^{k-1} + b^k$, $x^k \ge 0$, $\nu^k \ge 0$, $\langle x^k, \nu^k \rangle = 0$. No
#   kink is left in it; the kink has become the choice of which of two numbers is zero. (The price:
#   such pairs violate the usual regularity assumptions of constrained optimization, so the theory of
#   document 01, where every constraint was an equation with a full-rank Jacobian, needs more care.)
# - Other projections give other activations. The same program with bounds $0 \le x \le 1$:

# %%
upper = sp.Symbol("kappa", real=True)
L = objective - nu * x + upper * (x - 1)
cases = {}
for active in ((nu, upper), (x, upper), (nu, x - 1)):
    (found,) = sp.solve([sp.diff(L, x), *active], [x, nu, upper], dict=True)
    region = sp.And(found[nu] >= 0, found[upper] >= 0, found[x] >= 0, found[x] <= 1).simplify()
    cases[region] = found[x]
    show(rf"x = {sp.latex(found[x])} \qquad \text{{for }} {sp.latex(region)}")

# %% [markdown]
# which is $\min(\max(z, 0), 1)$, the hard sigmoid without its scaling:

# %%
clipped = sp.Min(1, sp.Max(0, z))
for point in (-2, 0, sp.Rational(1, 3), 1, 5):
    values = {value.subs(z, point) for region, value in cases.items() if region.subs(z, point)}
    assert values == {clipped.subs(z, point)}
print("checked at -2, 0, 1/3, 1 and 5")
