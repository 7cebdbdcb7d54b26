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
# # ReLU networks without a kink: complementarity conditions
#
# **The question.** Document 10 showed that $\mathrm{relu}(z)$ is the solution of
# $x \ge 0$, $x \ge z$, $x (x - z) = 0$. Put these conditions in place of the equation
# $x = \mathrm{relu}(z)$ into the training problem. Nothing in it has a kink any more. What are its KKT
# conditions, what do their multipliers say about subgradients, and can it be solved?

# %%
import numpy as np
import sympy as sp

from derivations.document import equation, show, table
from lagrangenet import L2, chain, minimize
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.complementarity import RELU, ComplementarityLagrangian, alpha, beta, gamma
from lagrangenet.symbolic.inequalities import conditions, inequalities, written

# %% [markdown]
# ## The Lagrangian
#
# The product is relaxed, $x (x - z) \le t$ with a small $t \ge 0$, because that is how the problem will
# be solved. Each inequality gets a multiplier with a sign: $\alpha$ for $x \ge 0$, $\beta$ for
# $x \ge z$, $\gamma$ for the product. $z$ is a state of its own, with the multiplier $\mu$, and layers
# that are not ReLU keep their equation and $\lambda$. The bracket $[k\ \mathrm{relu}]$ is 1 for ReLU
# layers and 0 for others.

# %%
lagrangian = ComplementarityLagrangian()
head, *rest = lagrangian.terms("index", "latex")
show(f"L = {head}", *rest)

# %% [markdown]
# ## The conditions
#
# Each inequality brings feasibility, a sign, and complementarity. They are read off $L$ as derivatives
# by its multiplier:

# %%
for inequality in inequalities(lagrangian):
    show(r", \qquad ".join(inequality.written("latex")), label=inequality.label)

# %% [markdown]
# The derivatives by $x$ and $z$ of a ReLU layer (the last layer is none here):

# %%
found = {
    condition.label: condition
    for condition in conditions(lagrangian)
    if condition.layers != "output" and condition.kind in (RELU, None)
}
for label in ("S3", "S4"):
    show(f"{written(found[label], 'latex')}" + (" = 0" if label == "S3" else ""), label=label)

# %% [markdown]
# and the gradient, which knows nothing of ReLU:

# %%
for label in ("S5", "S6"):
    show(str(written(found[label], "latex")), label=label)

# %% [markdown]
# ## Which multipliers belong to which subgradient
#
# In a network with an ordinary activation $\mu = \sigma'(z)\, \lambda$, where $\lambda$ is what the next
# layer pulls back, $\lambda^k = W^{k+1\top} \mu^{k+1}$ (document 04). So $\mu/\lambda$ *is* the slope of the
# activation. Here (S4) gives $\mu$, and (S3) says what the next layer's pull has to be. At a point with
# $t = 0$ there are three cases: $x = z$, $x = 0$, or both.

# %%
at = (l.k, l.i, l.p)
x, z, a, b, g = l.X[at], l.Z[at], alpha[at], beta[at], gamma[at]
pull = sp.Sum(l.W[l.k + 1, l.q, l.p] * l.mu[l.k + 1, l.i, l.q], (l.q, 1, l.n(l.k + 1)))
mu = found["S4"].solution
lam = sp.expand(found["S3"].residual + pull)

names = {x: "x", z: "z", a: r"\alpha", b: r"\beta", g: r"\gamma"}


def shown(expr):
    return sp.latex(expr.xreplace({old: sp.Symbol(new) for old, new in names.items()}))


equation(r"\mu", shown(mu))
equation(r"\lambda", shown(lam))
cases = {
    "active, $x = z > 0$, so $\\alpha = 0$": {x: z, a: 0},
    "inactive, $x = 0 > z$, so $\\beta = 0$": {x: sp.S.Zero, b: 0},
    "at the kink, $x = z = 0$": {x: sp.S.Zero, z: sp.S.Zero},
}
slopes = {}
for name, values in cases.items():
    slopes[name] = sp.factor(sp.simplify(mu.xreplace(values) / lam.xreplace(values)))
table(
    ("Unit", r"$\mu$", r"$\lambda$", r"slope $\mu/\lambda$"),
    *(
        (
            name,
            *(f"${shown(sp.expand(e.xreplace(values)))}$" for e in (mu, lam)),
            f"${shown(slopes[name])}$",
        )
        for name, values in cases.items()
    ),
)
active, inactive, kink = slopes.values()
assert (active, inactive) == (1, 0)
assert sp.simplify(kink - b / (a + b)) == 0

# %% [markdown]
# Away from the kink the slope is 1 or 0, whatever the multipliers are. **At the kink the multipliers
# choose it**, and with $\alpha, \beta \ge 0$ what they choose lies in $[0, 1]$: it is a subgradient of
# ReLU (document 10). So the KKT conditions imply that the ReLU network is stationary for *some* choice
# of subgradients, one for each unit and sample at its kink.
#
# The converse fails, and that is instructive. $\mu/\lambda \in [0, 1]$ also holds if $\alpha$ and $\beta$
# are both negative. Then $\lambda = -\alpha - \beta$ is positive: $J$ falls as $x$ grows. Such a point is
# stationary in the sense of Clarke, and yet not even a local minimum to first order. A unit
# $x = \mathrm{relu}(w)$ with $J = \frac12 (x - 1)^2$ at $w = 0$ is an example: with slope 0 the gradient
# vanishes, and any $w > 0$ is better. An algorithm that uses the slope 0 there will stay for ever; the
# signs of $\alpha$ and $\beta$ tell.
#
# One thing is lost (document 10 announced it): where $x = z = 0$ and $t = 0$, the gradients of the three
# active constraints depend on each other.

# %%
gradients = sp.Matrix([[sp.diff(e, v) for v in (x, z)] for e in (-x, z - x, x * (x - z))])
equation("G", sp.latex(gradients.subs({x: sp.Symbol("x"), z: sp.Symbol("z")})))
rank = gradients.subs({x: 0, z: 0}).rank()
print("three gradients, of rank", rank, "at the kink")
assert rank == 2

# %% [markdown]
# So the multipliers are not unique there, $\gamma$ may go to infinity as $t \downarrow 0$. What stays
# finite are the combinations that enter the conditions, $\hat\alpha = \alpha - \gamma (x - z)$ and
# $\hat\beta = \beta - \gamma x$:

# %%
hat_alpha, hat_beta = sp.symbols(r"\hat\alpha \hat\beta")
combined = {a: hat_alpha + g * (x - z), b: hat_beta + g * x}
equation(r"\mu", sp.latex(sp.expand(mu.xreplace(combined))))
equation(r"\lambda", sp.latex(sp.expand(lam.xreplace(combined))))
assert sp.expand(mu.xreplace(combined) + hat_beta) == 0
assert sp.expand(lam.xreplace(combined) + hat_alpha + hat_beta) == 0

# %% [markdown]
# ## Solving one
#
# Four points that no line fits, a network 1-2-1 with ReLU. Every state is a variable; SciPy's SLSQP
# solves the relaxed problem for $t = 1, 0.1, \dots, 10^{-12}$, each from the solution of the one before.
# Its derivatives are those that the package generates.

# %%
from lagrangenet.optimize.relu import Relaxed, solve_relu

problem = chain([1, 2, 1], activation="relu", regularizer=L2(1e-2, biases=True))
X = np.array([[-1.0], [0.0], [1.0], [2.0]])
Y = np.array([[0.5], [-0.3], [0.4], [1.0]])
solution = solve_relu(problem, X, Y, seed=3)
(kinks,), (slope,) = solution.kinks, solution.slopes
(hat_a,), (hat_b,), (state,) = solution.alpha, solution.beta, solution.x
place = [(i, p) for i in range(4) for p in range(2)]


def number(value):
    return f"{value if abs(value) > 5e-5 else 0.0:.4f}"


rows = sorted(
    (str(i + 1), number(state[i, p]), number(hat_a[i, p]), number(hat_b[i, p]), number(slope[i, p]),
     "yes" if kinks[i, p] else "")
    for i, p in place
)  # fmt: skip
table(("Sample", "$x$", r"$\hat\alpha$", r"$\hat\beta$", "slope", "at the kink"), *rows)
print("J =", f"{solution.fun:.6f}")
print("a KKT point to 1e-7:", max(solution.violation, solution.optimality) < 1e-7)
print("every multiplier at a kink is nonnegative:", solution.stationarity == "strong")
assert kinks.sum() == 2

# %% [markdown]
# Two units sit *at their kink*, for one sample each: the minimum of this problem lies where the
# network is not differentiable. The slopes that the multipliers choose there are strictly between 0 and
# 1. With them, and only with them, the gradient of the ReLU network vanishes:

# %%
relaxed = Relaxed(problem, X, Y)
largest = {
    name: np.abs(relaxed.subgradient(solution.theta, (np.where(kinks, value, slope),))).max()
    for name, value in (("the multipliers' choice", slope), ("0", 0.0), ("1", 1.0))
}
table(("Slope at the kinks", "largest entry of the gradient"),
      *((name, "below 1e-7" if size < 1e-7 else f"{size:.3f}") for name, size in largest.items()))  # fmt: skip
assert largest["the multipliers' choice"] < 1e-7
assert min(largest["0"], largest["1"]) > 1e-3

# %% [markdown]
# The package's derivative of ReLU at 0 is 0, so its gradient is the second row. Descent finds the same
# point, and cannot know that it has arrived:

# %%
descent = min(
    (minimize(problem, X, Y, "l-bfgs-b", seed=seed) for seed in (1, 2)), key=lambda r: r.fun
)
print("the same J to 1e-8:", bool(abs(descent.fun - solution.fun) < 1e-8))
print("and no success is claimed:", not descent.success)

# %% [markdown]
# ## What is gained, and what not
#
# - A certificate: at a kink, "the gradient is not zero" says nothing, and signs of multipliers decide.
# - The choice of a subgradient is no convention of an algorithm any more, it is part of the solution.
# - It does not scale: two multipliers and one product for every unit *and sample*, and $x s \le t$ is the
#   kind of constraint that solvers like least. It is for looking, not for training.
