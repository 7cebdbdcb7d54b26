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
# # What multipliers mean: prices, and vanishing gradients
#
# **The question.** The multipliers of document 01 are numbers that a backward pass computes. In
# economics a multiplier is a *price*: what it would be worth to have a constraint a little different.
# Is that so here? And what does "the gradient vanishes in deep networks" say about them?

# %%
import numpy as np

from derivations.document import show, table
from lagrangenet import L2, chain, derive, generate, minimize, sensitivity
from lagrangenet.symbolic.perturbed import PerturbedLagrangian
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import STYLES

# %% [markdown]
# ## The perturbed problem
#
# Put $\varepsilon$ times a direction on the right side of every constraint: $e$ where the activation was
# applied, $d$ where it is about to be.

# %%
latex = STYLES["latex"]
perturbed = PerturbedLagrangian("preactivation")
_, constraints = perturbed.problem("index", "latex")
for constraint in constraints:
    show(constraint)

# %% [markdown]
# Let $p(\varepsilon)$ be the smallest $J$ that can be reached then. At a minimizer $J = L$, because the
# constraints hold; and when $\varepsilon$ changes, $x$, $\theta$ and the multipliers change too, but $L$ does
# not change with *them* to first order: its derivatives by them are the KKT conditions. What remains is
# the derivative of $L$ by $\varepsilon$ where it stands in the formula. It is derived like every other:

# %%
derivative = text(perturbed.value_derivative, latex)
show(rf"\frac{{d p}}{{d \varepsilon}} = \frac{{\partial L}}{{\partial \varepsilon}} = {derivative}")

# %% [markdown]
# (This argument needs a minimizer that moves smoothly with $\varepsilon$. The second-order sufficient
# condition, positive eigenvalues of the Hessian of $J(\theta)$, gives that.) So
# $-\lambda_{ip}^k$ is the rate at which the optimal value changes if unit $p$ of layer $k$ gives a little
# more for sample $i$ than it should. The sign is that of $L = J + \langle \lambda, c \rangle$.
#
# ## Checked by solving again
#
# Fit XOR, with a little weight decay, and look at the first layer:

# %%
problem = chain([2, 3, 1], activation="tanh", regularizer=L2(1e-3, biases=True))
X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
result = minimize(problem, X, Y, method="l-bfgs-b", escape_saddles=True)
prices = sensitivity(result, problem, X, Y)
print("a strict local minimizer:", result.second_order.condition == "sufficient")

# %% [markdown]
# The perturbed problem is a declaration like any other: a graph in which every state has an input added
# to it. So it is derived, generated and solved as everything else, from the old solution on. If the
# multipliers are right, what they leave unexplained, $|p(\varepsilon) - p(0) - \varepsilon\, dp|$, falls with
# the square of $\varepsilon$:

# %%
rng = np.random.default_rng(0)
directions = {
    "x1, all units and samples": {"x1": rng.normal(size=(4, 3))},
    "x1, unit 1 of sample 2": {"x1": np.eye(4)[1][:, None] * np.eye(3)[0]},
    "z2, all samples": {"z2": np.ones((4, 1))},
    "labels": {"labels": rng.normal(size=(4, 1))},
}
rows = []
for name, direction in directions.items():
    check = prices.check(direction)
    (a, b), (first, second) = check.steps[-2:], (check.values[-2:] - check.value) / check.steps[-2:]
    solved = (a * second - b * first) / (a - b)  # extrapolated to zero
    rows.append((name, f"{check.slope:.4f}", f"{solved:.4f}", f"{check.rate:.1f}"))
    assert abs(solved - check.slope) < 1e-3 * abs(check.slope)
    assert abs(check.rate - 2) < 0.15
table(("Perturbed", "by the multipliers", "by solving", "rate"), *rows)

# %% [markdown]
# Bounds have prices too. With bounds $\underline W \le W \le \overline W$ the Lagrangian gets two more
# terms, the gradient two more summands, and each bound brings its inequality, the sign of its multiplier
# and complementarity:

# %%
from lagrangenet.symbolic.inequalities import conditions, inequalities, written
from lagrangenet.symbolic.limited import LimitedLagrangian

limited = LimitedLagrangian()
for condition in conditions(limited):
    if condition.label == "S5":
        show(f"{written(condition, 'latex')} = 0", label="S5")
for inequality in inequalities(limited)[:2]:
    show(r", \qquad ".join(inequality.written("latex")), label=inequality.label)

# %% [markdown]
# And $\partial L/\partial \overline W$ is the rate at which the optimal value changes with the bound:

# %%
import sympy as sp

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.stationarity import Row, stages

bound = sp.IndexedBase("kkt_upper_W", real=True)[l.k, l.p, l.q]
price = stages(limited, Row("", "", bound, "all", None)).decided
show(rf"\frac{{d p}}{{d {text(bound, latex)}}} = {text(price, latex)}")

# %% [markdown]
# Ask for weights between 0 and 1 in the second layer: $J$ falls at that rate if an upper bound is raised.

# %%
bounded = minimize(problem, X, Y, method="l-bfgs-b", bounds={"W2": (0, 1)}, escape_saddles=True)
limits = sensitivity(bounded, problem, X, Y, bounds={"W2": (0, 1)})
check = limits.check({"upper": np.ones(problem.size)})
print("bounds that are active:", bounded.second_order.active)
print("dp by raising all upper bounds:", f"{check.slope:.4f},", f"rate {check.rate:.1f}")
assert abs(check.rate - 2) < 0.15

# %% [markdown]
# ## Vanishing and exploding gradients
#
# The backward pass multiplies by $W$ and $\sigma'$ in every layer:

# %%
show(derive().stationarity[2].equation("matrix", "latex"), label="S3")

# %% [markdown]
# So the multipliers of a deep network decay or grow like a geometric series, and with them the gradients
# of its first layers. In the language of prices: what an early unit does is worth nothing, or any
# error there costs a fortune. We take 20 layers of 32 units, biases zero, and weights at random with
# variance $s^2/n$. The table has the size of $\lambda^k$ (root mean square, times $M$ so that it does not
# depend on the number of samples), and the factor of one layer, as a geometric mean:

# %%
from lagrangenet.optimize import multiplier_norms

depth, width = 20, 32
rng = np.random.default_rng(0)
inputs, labels = rng.normal(size=(64, width)), rng.normal(size=(64, width))


def measured(activation, scale):
    network = chain([width] * (depth + 1), activation)
    draw = np.random.default_rng(1)
    theta = tuple(
        (scale * draw.normal(size=W) / np.sqrt(W[1]), np.zeros(b)) for W, b in network.shapes
    )
    return multiplier_norms(network, theta, inputs, labels)


networks = {
    ("sigmoid", "1"): measured("sigmoid", 1.0),
    ("tanh", "1"): measured("tanh", 1.0),
    ("tanh", "1/2"): measured("tanh", 0.5),
    ("tanh", "3"): measured("tanh", 3.0),
    ("relu", "1"): measured("relu", 1.0),
    ("relu", "sqrt 2"): measured("relu", np.sqrt(2.0)),
}
table(
    ("Activation", "$s$", r"$\lambda^{20}$", r"$\lambda^{10}$", r"$\lambda^1$", "per layer"),
    *(
        (*name, *(f"{found.norms[k - 1]:.1e}" for k in (20, 10, 1)), f"{found.factor:.2f}")
        for name, found in networks.items()
    ),
)
factor = {name: found.factor for name, found in networks.items()}

# %% [markdown]
# - **Sigmoid.** $\sigma' \le \frac14$, so a layer whose $W$ keeps lengths takes at least three quarters
#   away. After 20 layers nothing is left. (The last layer is affine and takes nothing.)
# - **tanh** with $s = \frac12$ works near zero, where $\sigma' \approx 1$, and every layer halves. With
#   $s = 1$ it is close to the edge. With $s = 3$ units saturate, and still $\lambda$ grows: few slopes are
#   large, but their weights are larger.
# - **ReLU** has slope 1 on about half of the units, which halves the mean square: a factor
#   $1/\sqrt 2$. Weights with $s = \sqrt 2$ make up for it; that is the initialization of He et al.

# %%
print("sigmoid is within 0.02 of 1/4:", abs(factor["sigmoid", "1"] - 0.25) < 0.02)
print("tanh, s = 1/2, is within 0.05 of 1/2:", abs(factor["tanh", "1/2"] - 0.5) < 0.05)
print("tanh, s = 3, explodes:", factor["tanh", "3"] > 1.1)
print("relu, s = 1, is within 0.1 of 1/sqrt 2:", abs(factor["relu", "1"] - np.sqrt(0.5)) < 0.1)
print("relu, s = sqrt 2, is within 0.15 of 1:", abs(factor["relu", "sqrt 2"] - 1) < 0.15)

# %% [markdown]
# The gradient of the first layer's weights inherits it, as $\partial L / \partial W^1$ is linear in
# $\lambda^1$:

# %%
deep = chain([width] * (depth + 1), "sigmoid")
code = generate(derive(deep))
draw = np.random.default_rng(1)
theta = tuple((draw.normal(size=W) / np.sqrt(W[1]), np.zeros(b)) for W, b in deep.shapes)
gradient = code.gradient(theta, inputs, labels)
ratio = np.linalg.norm(gradient[0][0]) / np.linalg.norm(gradient[-1][0])
print("first layer's gradient, relative to the last one's, is below 1e-12:", bool(ratio < 1e-12))
