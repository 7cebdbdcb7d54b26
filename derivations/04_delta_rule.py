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
# # The δ-rule, by induction over the layers
#
# **The question.** Textbooks state back-propagation as the δ-rule: at the output
# $\delta^N = \sigma'^N(z^N) \odot \partial \ell / \partial x^N$, and then layer by layer
# $\delta^k = \sigma'^k(z^k) \odot (W^{k+1})^\top \delta^{k+1}$. Here $\delta_{ip}^k$ *means* the
# derivative of the loss of sample $i$ by the preactivation $z_{ip}^k$, when all layers after $k$ are
# computed from it. Prove that the multipliers of the KKT conditions are these derivatives:
#
# **Claim.** For every layer $k = N, \dots, 1$ and every sample, $\delta_i^k = -M \mu_i^k$, where
# $\mu_i^k$ is the multiplier of $z_i^k = W^k x_i^{k-1} + b^k$.
#
# The proof is an induction from $k = N$ down. Base and step are identities between expressions of
# SymPy, with symbolic depth, symbolic widths and functions of which nothing is assumed.

# %%
from dataclasses import replace

import sympy as sp

from derivations.document import equation, show
from lagrangenet import chain, derive, generate
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.lagrangian import affine
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import STYLES
from lagrangenet.symbolic.tidy import tidy

style = replace(STYLES["latex"], names={"delta": ("δ", r"\delta")})
delta = sp.IndexedBase("delta", real=True)


def tex(expr):
    return text(expr, style)


# %% [markdown]
# ## What is known: the stationarity conditions
#
# With the preactivation as a variable of its own, the multipliers satisfy three conditions:

# %%
conditions = {c.label: c for c in derive(splitting="preactivation").stationarity}
for label in ("S2", "S3", "S4"):
    condition = conditions[label]
    equation(tex(condition.unknown), tex(condition.solution), label=label)

# %% [markdown]
# Put (S2) and (S3) into (S4). That eliminates $\lambda$ and leaves a recursion in $\mu$ alone.


# %%
def substituted(expr, base, value):
    """An expression with every entry of ``base`` replaced by value(its indices)."""
    return expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == base, lambda e: value(*e.indices)
    )


def solution(label, layer, sample, component):
    """The solution of a condition, at other indices."""
    at = {l.k: layer, l.i: sample, l.p: component}
    return conditions[label].solution.xreplace(at)


mu_last = substituted(
    conditions["S4"].solution.xreplace({l.k: l.N}), l.lam, lambda *at: solution("S2", *at)
)
mu_before = tidy(substituted(conditions["S4"].solution, l.lam, lambda *at: solution("S3", *at)))
equation(tex(l.mu[l.N, l.i, l.p]), tex(mu_last))
equation(tex(l.mu[l.k, l.i, l.p]), tex(mu_before))

# %% [markdown]
# ## Base: $k = N$
#
# The loss reads $x^N = \sigma^N(z^N)$. By definition $\delta_{ip}^N$ is the derivative of
# $\ell(y_i, \sigma^N(z_i^N))$ by $z_{ip}^N$. SymPy applies the chain rule; the sum over the
# components of $x^N$ collapses because $x_q^N$ depends on $z_q^N$ only.

# %%
ranges = {
    l.k: (sp.S.One, l.N),
    l.i: (sp.S.One, l.M),
    l.p: (sp.S.One, l.n(l.N)),
}
state = l.sigma(l.N, l.Z[l.N, l.i, l.STAR])
loss = l.ell(l.i, state, l.n(l.N))
by_z = collapse(loss.diff(l.Z[l.N, l.i, l.p]), ranges)
definition = by_z.replace(lambda e: e == state, lambda _: l.X[l.N, l.i, l.STAR])
equation(tex(delta[l.N, l.i, l.p]), tex(definition))


# %%
def difference(left, right):
    return tidy(sp.expand(left - right))


print("base, difference:", difference(definition, -l.M * mu_last))

# %% [markdown]
# ## Step: from $k + 1$ to $k$
#
# Assume $\delta_i^{k+1} = -M \mu_i^{k+1}$. A preactivation $z_{ip}^k$ acts on the loss only through
# $z_i^{k+1} = W^{k+1} \sigma^k(z_i^k) + b^{k+1}$. So the chain rule gives
# $\delta_{ip}^k$ as a sum over the components $q$ of $z^{k+1}$ of $\delta_{iq}^{k+1}$ times

# %%
q = sp.Symbol("q", integer=True, positive=True)
following = substituted(affine(l.k + 1, l.i, q), l.X, lambda k, i, p: l.sigma(k, l.Z[k, i, p]))
hidden = ranges | {l.p: (sp.S.One, l.n(l.k)), q: (sp.S.One, l.n(l.k + 1))}
local = tidy(collapse(following.diff(l.Z[l.k, l.i, l.p]), hidden))
below = style.partial + tex(l.Z[l.k, l.i, l.p])
equation(style.fraction(style.partial + tex(l.Z[l.k + 1, l.i, q]), below), tex(local))

# %% [markdown]
# which is derived from the forward pass. Therefore

# %%
by_chain_rule = tidy(sp.Sum(delta[l.k + 1, l.i, q] * local, (q, 1, l.n(l.k + 1))))
equation(tex(delta[l.k, l.i, l.p]), tex(by_chain_rule))

# %% [markdown]
# Now the assumption: put $-M \mu^{k+1}$ for $\delta^{k+1}$. What comes out has to be $-M \mu^k$, that
# is, $-M$ times the recursion that the KKT conditions gave.

# %%
assumed = substituted(by_chain_rule, delta, lambda *at: -l.M * l.mu[at])
equation(tex(delta[l.k, l.i, l.p]), tex(tidy(assumed)))
print("step, difference:", difference(assumed, -l.M * mu_before))

# %% [markdown]
# Base and step hold for symbolic $N$, $n_k$, $M$ and arbitrary differentiable $\sigma^k$ and $\ell$;
# so the claim holds for every layer of every such network, which was to be proved.
#
# The package prints the same rule when it is asked for the recursion in $\delta$; and with it the
# gradient, in which the sum over samples now carries the $1/M$:

# %%
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.styles import LaTeX

rule = LaTeX(notation=Notation.named("kkt").with_variable("delta"))
for label, _, written in derive(splitting="preactivation").equations("matrix", rule):
    if label not in {"S0", "S1"}:
        show(written, label=label)

# %% [markdown]
# ## In numbers
#
# For a single sample, $\partial z^k / \partial b^k$ is the identity, so $\delta^k$ is the derivative
# of the loss by the bias $b^k$: something that can be measured by changing one bias a little. The
# multipliers $\mu^k$ are what the generated backward pass returns.

# %%
import numpy as np

rng = np.random.default_rng(1)
routines = generate(derive(chain([3, 4, 2], output="tanh", loss="squared_error")))
theta = routines.initial(seed=2)
X, Y = rng.normal(size=(1, 3)), rng.normal(size=(1, 2))
multipliers = routines.backward(theta, routines.forward(theta, X), Y)

for k, (_, bias) in enumerate(theta):
    measured = np.zeros(bias.size)
    for p in range(bias.size):
        ends = []
        for sign in (1, -1):
            moved = [(W.copy(), b.copy()) for W, b in theta]
            moved[k][1][p] += sign * 1e-5
            ends.append(routines.loss(moved, X, Y))
        measured[p] = (ends[0] - ends[1]) / 2e-5
    mu = multipliers[k][0][0]
    close = np.allclose(measured, -mu, rtol=0, atol=1e-9)
    print(f"layer {k + 1}: δ = −M μ to 1e-9: {close}")
