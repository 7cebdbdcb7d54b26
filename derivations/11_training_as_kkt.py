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
# # Training is solving a KKT system
#
# **The question.** The other documents derive the forward and the backward pass from the KKT
# conditions of a constrained problem. But nobody trains a network as a constrained problem. What
# happens if one does: if states and multipliers are handed to a general solver as unknowns, next to
# the weights, and it is told nothing about layers?

# %%
from itertools import pairwise

import numpy as np

from derivations.document import equation, show, table
from lagrangenet import L2, chain, derive, minimize, sensitivity
from lagrangenet.verify.textbook import Textbook

# %% [markdown]
# ## The system
#
# Unknowns are the states, the multipliers and the parameters. Each of them has its equation:

# %%
for condition in derive().stationarity:
    show(condition.equation("matrix", "latex"), label=condition.label)

# %% [markdown]
# where the last two have to vanish at a solution. For XOR and a network with three hidden units, the
# four samples share 13 parameters:

# %%
X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = np.array([[0.0], [1.0], [1.0], [0.0]])
xor = chain([2, 3, 1], "tanh", regularizer=L2(1e-3), name="xor")
states = len(X) * sum(xor.widths[1:])
table(
    ("Unknowns", "Number", "Their equation"),
    ("states $x$", str(states), r"$\partial L/\partial \lambda = 0$"),
    ("multipliers $\\lambda$", str(states), r"$\partial L/\partial x = 0$"),
    (r"parameters $\theta$", str(xor.size), r"$\partial L/\partial \theta = 0$"),
)

# %% [markdown]
# ## Three solvers that do not know what a layer is
#
# SLSQP and trust-constr are SciPy's methods for any constrained problem. They get the derivatives of
# the constraints, and that is all: no order of layers, no pass. The third is the package's lifted
# Newton method, which treats states and multipliers as unknowns of their own as well, and uses the
# structure only to solve its linear systems. All start from the same random parameters:

# %%
METHODS = ("slsqp", "trust-constr", "lifted-newton")
results = {method: minimize(xor, X, Y, method, seed=0) for method in METHODS}
table(
    ("Method", "$J$", *(rf"$\partial L/\partial {v}$" for v in (r"\lambda", r"(x, \theta)"))),
    *(
        (
            method,
            f"{result.fun:.9f}",
            *(
                "below 1e-8" if value <= 1e-8 else "above 1e-8"
                for value in (result.constr_violation, result.optimality)
            ),
        )
        for method, result in results.items()
    ),
)
assert all(result.success for result in results.values())

# %% [markdown]
# Each has found values for all the unknowns, multipliers included. Are these something we know?
#
# ## The multipliers are backpropagation's errors
#
# Backpropagation, as a textbook writes it and with no Lagrangian in sight, computes for every sample
# $\Delta^k = \partial \ell / \partial x^k$, layer by layer from the output. The package keeps such a
# textbook implementation apart, as an oracle. At the weights that a solver found, it should say
# $\lambda^k = -\Delta^k / M$, because $J$ is a mean over the $M$ samples:

# %%
book = Textbook(xor)


def against_the_textbook(result, oracle, inputs, labels):
    """The largest |λ + Δ/M| over all layers, relative to the largest |λ|."""
    errors = oracle.deltas(result.theta, inputs, labels)
    pairs = zip(result.multipliers, errors, strict=True)
    gaps = [np.abs(lam + delta / len(inputs)).max() for lam, delta in pairs]
    return max(gaps) / max(np.abs(lam).max() for lam in result.multipliers)


solution = results["slsqp"]
delta = book.deltas(solution.theta, X, Y)
table(
    ("Sample", r"$\lambda^2$ of SLSQP", r"$-\Delta^2/M$", r"$\lambda^1_1$ of SLSQP", r"$-\Delta^1_1/M$"),
    *(
        (
            f"({x[0]:.0f}, {x[1]:.0f})",
            *(f"{value:+.6f}" for value in (
                solution.multipliers[1][i, 0], -delta[1][i, 0] / len(X),
                solution.multipliers[0][i, 0], -delta[0][i, 0] / len(X))),
        )
        for i, x in enumerate(X)
    ),
)  # fmt: skip
for method, result in results.items():
    gap = against_the_textbook(result, book, X, Y)
    print(f"{method}, every multiplier to 6 digits: {gap <= 1e-6}")

# %% [markdown]
# They are. A general-purpose optimizer that has never heard of backpropagation carries its error
# signals as the prices of its constraints.
#
# ## What such a price says
#
# A multiplier is the derivative of the optimal value with respect to its constraint. Let the first
# hidden state of the second sample be wrong by $\varepsilon$, that is
# $x^1 = \sigma^1(z^1) + \varepsilon$ in this one entry, and let the weights be optimal again. Then the
# optimal value changes at the rate $-\lambda$. This can be tried: solve the disturbed problem for
# several $\varepsilon$, and look at what the linear prediction leaves. For a correct derivative it
# falls with $\varepsilon^2$:

# %%
regression = chain([1, 3, 1], "tanh", regularizer=L2(1e-2, biases=True), name="regression")
T = np.linspace(-1, 2, 7)[:, None]
S = np.sin(2 * T)
fitted = minimize(regression, T, S, "lifted-newton", seed=1)
assert fitted.success

entry = np.zeros((7, 3))
entry[1, 0] = 1
value = sensitivity(fitted, regression, T, S).check({"x1": entry})
table(
    (r"$-\lambda^1_{2,1}$", r"$(p(\varepsilon) - p(0))/\varepsilon$, by solving again", "rate"),
    (f"{-fitted.multipliers[0][1, 0]:+.4f}", f"{value.difference:+.4f}", f"{value.rate:.1f}"),
)
assert abs(value.rate - 2) <= 0.1

# %% [markdown]
# (This network fits seven points of a sine; its biases are regularized too, so that its minimizer is
# isolated.)
#
# ## What is gained by unknown states
#
# The lifted method does not keep the states consistent with the weights: until the end, its network
# contradicts itself. That is what saves iterations in deep networks. Near the solution it is Newton's
# method on the whole system, and converges quadratically: the number of correct digits doubles in
# every step.

# %%
residual = [max(r["optimality"], r["constr_violation"]) for r in fitted.history]
close = [r for r in residual if r < 1e-2]
orders = [np.log(after) / np.log(before) for before, after in pairwise(close)]
print("from below 1e-2 to below 1e-8 in five steps or fewer:", len(close) <= 5)
print("a step multiplies the digits by 1.5 or more:", bool(max(orders) >= 1.5))

# %% [markdown]
# At the end it is certified: the residuals are calculated again by the textbook, which shares no code
# with the solver, and the eigenvalues of the Hessian on the null space of $\partial c / \partial v$
# are counted. All positive: a strict local minimizer.

# %%
inertia = ", ".join(map(str, fitted.inertia))
equation(r"(n_+, n_-, n_0)", f"({inertia})")
gap = against_the_textbook(fitted, Textbook(regression), T, S)
print("multipliers to 6 digits:", gap <= 1e-6)
print("the second-order sufficient condition holds:", fitted.certificate.order == 2)

# %% [markdown]
# ## What it means
#
# - Backpropagation solves one block of the KKT system, $\partial L/\partial x = 0$, exactly and in one
#   pass, because that block is triangular. The forward pass does it with $\partial L/\partial \lambda
#   = 0$. Gradient descent then treats the third block alone.
# - Any method for constrained optimization that converges has to produce the same multipliers: at a
#   KKT point they are unique, because the constraint Jacobian has full rank for every network.
# - Methods differ in what they keep fulfilled on the way. `lagrangenet solve --compare
#   lifted-newton,l-bfgs-b,slsqp` shows it for one problem, and `--plot` draws it.
