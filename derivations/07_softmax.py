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
# # Softmax: its Jacobian, and why the diagonal rule fails
#
# **The question.** For tanh and the like, the backward pass through an activation is
# $\mu = \sigma'(z) \odot \lambda$: multiply entry by entry. Why is this wrong for softmax, by how
# much, and why does softmax with cross-entropy end in the simple $p - y$?

# %%
import numpy as np
import sympy as sp

from derivations.document import equation, table
from lagrangenet import chain, derive, generate
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import STYLES
from lagrangenet.symbolic.tidy import tidy

style = STYLES["latex"]

# %% [markdown]
# ## The Jacobian, for every number of classes
#
# Softmax turns $n$ numbers $z_1, \dots, z_n$ into positive numbers $p_1, \dots, p_n$ with sum one:

# %%
n, a, b, j = sp.symbols("n a b j", integer=True, positive=True)
z, p, y = (sp.IndexedBase(name, real=True) for name in "zpy")
total = sp.Sum(sp.exp(z[j]), (j, 1, n))
softmax = sp.exp(z[a]) / total
equation(sp.latex(p[a]), softmax)

# %% [markdown]
# SymPy differentiates $p_a$ by $z_b$; the Kronecker delta says whether $a = b$.

# %%
ranges = {a: (sp.S.One, n), b: (sp.S.One, n)}
derivative = sp.expand(collapse(softmax.diff(z[b]), ranges))
equation(r"\frac{\partial p_a}{\partial z_b}", derivative)

# %% [markdown]
# The exponentials are $p$ times their sum. Put that in:


# %%
def through_values(expr):
    """Exponentials exp(z_a) as p_a times the sum: then the sum cancels."""
    size = sp.Symbol("S", positive=True)
    expr = expr.replace(lambda e: isinstance(e, sp.Sum), lambda _: size)
    expr = expr.replace(lambda e: isinstance(e, sp.exp), lambda e: p[e.args[0].indices[0]] * size)
    return sp.expand(expr)


jacobian = through_values(derivative)
equation(r"\frac{\partial p_a}{\partial z_b}", jacobian)

# %% [markdown]
# In matrix form it is $\mathrm{diag}(p) - p p^\top$. It is symmetric; and it is *full*: every output
# depends on every input, because of the common sum. Its rows add up to zero, since adding a constant
# to all $z$ changes nothing. Here for three classes:

# %%
rows = sp.Matrix(3, 3, lambda r, c: jacobian.subs({a: r + 1, b: c + 1}))
row_sums = rows * sp.ones(3, 1)
simplex = {p[3]: 1 - p[1] - p[2]}
print("difference:", list(sp.simplify(row_sums.subs(simplex))))
print("difference:", sp.simplify(rows - rows.T) == sp.zeros(3, 3) and 0)

# %% [markdown]
# ## What the KKT conditions say
#
# Condition (S4) of a layer whose components are coupled has the whole Jacobian in it, transposed:

# %%
coupled = derive(chain([4, 3], output="softmax", loss="cross_entropy"), "preactivation")
conditions = {c.label: c for c in coupled.stationarity}
equation(text(conditions["S4"].unknown, style), text(conditions["S4"].solution, style), label="S4")

# %% [markdown]
# The diagonal rule would keep the term $q = p$ of this sum and drop the others.
#
# ## With cross-entropy: p − y, proved
#
# The loss of one sample is $\ell = -\sum_a y_a \log p_a$. Its derivative by $z_b$ is the sum over all
# components $a$ of $\partial \ell / \partial p_a$ times the Jacobian; both are derived, and the sum is
# collapsed, for symbolic $n$:

# %%
loss = -sp.Sum(y[j] * sp.log(p[j]), (j, 1, n))
by_p = collapse(loss.diff(p[a]), ranges)
equation(r"\frac{\partial \ell}{\partial p_a}", by_p)

chained = collapse(sp.Sum(sp.expand(by_p * jacobian), (a, 1, n)), {b: (sp.S.One, n)})
by_z = tidy(chained)
equation(r"\frac{\partial \ell}{\partial z_b}", text(by_z, style))

# %% [markdown]
# The labels sum to one. Hence


# %%
def with_labels_summing_to_one(expr):
    return expr.replace(
        lambda e: isinstance(e, sp.Sum) and isinstance(e.function, sp.Indexed) and e.has(y),
        lambda _: sp.S.One,
    )


fused = with_labels_summing_to_one(by_z)
equation(r"\frac{\partial \ell}{\partial z_b}", fused)
print("difference:", sp.simplify(fused - (p[b] - y[b])))

# %% [markdown]
# The pole of $1/p_a$ has cancelled against the factor $p_a$ of the Jacobian. There is a second proof
# that never meets the pole. Write the loss through $z$: the logarithm of softmax is
# $z_a - \log \sum_j e^{z_j}$.

# %%
i = sp.Symbol("i", integer=True, positive=True)
direct = sp.log(total) * sp.Sum(y[i], (i, 1, n)) - sp.Sum(y[i] * z[i], (i, 1, n))
equation(r"\ell", direct)
derivative = collapse(direct.diff(z[b]), {b: (sp.S.One, n)})
print("difference:", sp.simplify(through_values(with_labels_summing_to_one(derivative)) - fused))

# %% [markdown]
# ## How wrong is the diagonal rule? Numbers
#
# A sample of three classes; the label is the first class. The derivative by $z$ with the full
# Jacobian, with its diagonal only, and measured by central differences of the loss, which know no
# rule at all.

# %%
values = np.array([0.5, 1.0, -0.5])
label = np.array([1.0, 0.0, 0.0])


def probabilities(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def cross_entropy(values):
    return -label @ np.log(probabilities(values))


prob = probabilities(values)
evaluated = sp.lambdify([[p[1], p[2], p[3]]], rows, "numpy")
full = np.array(evaluated(list(prob)), dtype=float)
slope = -label / prob
by_full = full.T @ slope
by_diagonal = np.diag(full) * slope
steps = 1e-6 * np.eye(3)
measured = np.array([(cross_entropy(values + h) - cross_entropy(values - h)) / 2e-6 for h in steps])

table(
    ("Component", "$p$", "$p - y$", "Full Jacobian", "Diagonal only", "Measured"),
    *(
        (str(k + 1), *(f"{column[k]:.4f}" for column in
                       (prob, prob - label, by_full, by_diagonal + 0.0, measured)))
        for k in range(3)
    ),
)  # fmt: skip
assert np.allclose(by_full, prob - label, rtol=0, atol=1e-14)
assert np.allclose(by_full, measured, rtol=0, atol=1e-9)
assert np.all(by_diagonal[1:] == 0)

# %% [markdown]
# For the true class the diagonal rule happens to be right, since the derivative of the loss is zero
# for the others. But the wrong classes get *no* push: their derivative of the loss by $p$ is zero,
# and only the off-diagonal entries carry anything to them. Nothing ever tells the network to lower
# their $z$ (apart from sharing the weights of earlier layers).
#
# With the squared error, softmax with the diagonal rule is wrong in every component. In a program
# that trains, the mistake does not crash and may still learn a little, which is why it survives:

# %%
target = label
error_slope = prob - target


def squared(values):
    return ((probabilities(values) - target) ** 2).sum() / 2


measured = np.array([(squared(values + h) - squared(values - h)) / 2e-6 for h in steps])
rows_of = (full.T @ error_slope, np.diag(full) * error_slope, measured)
table(
    ("Component", "Full Jacobian", "Diagonal only", "Measured"),
    *((str(k + 1), *(f"{column[k]:+.4f}" for column in rows_of)) for k in range(3)),
)
assert np.allclose(rows_of[0], measured, rtol=0, atol=1e-9)
assert not np.isclose(rows_of[1], measured, rtol=0, atol=1e-3).any()

# %% [markdown]
# ## In generated code
#
# The package puts softmax and the cross-entropy together when it generates code, so that the pole
# never appears; the label condition is checked before. The output is compared with $(p - y)/M$:

# %%
from derivations.document import listing

routines = generate(derive(chain([4, 3], output="softmax", loss="cross_entropy")))
listing(routines.source, "backward")

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(5, 4)), np.eye(3)[[0, 1, 2, 0, 1]]
theta = routines.initial(seed=0)
states = routines.forward(theta, X)
((mu, _),) = routines.backward(theta, states, Y)
assert np.allclose(-len(X) * mu, states[0][1] - Y, rtol=0, atol=1e-14)
print("−M μ = p − y to 1e-14:", np.allclose(-len(X) * mu, states[0][1] - Y, rtol=0, atol=1e-14))
