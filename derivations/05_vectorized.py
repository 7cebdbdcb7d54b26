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
# # The vectorized form: a = B w
#
# **The question.** A layer computes $a = W o$ from its input $o$. Optimization likes its variables in
# one column, so write the entries of $W$ row by row as a column $w$. What is the matrix $B$ with
# $a = B w$, and what is the gradient by $w$?

# %%
import sympy as sp

from derivations.document import equation, show
from lagrangenet import derive
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import STYLES
from lagrangenet.symbolic.tidy import tidy

style = STYLES["latex"]


def tex(expr):
    return text(expr, style)


# %% [markdown]
# ## A small one, written out
#
# Two outputs and three inputs. `kronecker_product` is SymPy's; $w$ stacks the *rows* of $W$.

# %%
rows, columns = 2, 3
W = sp.Matrix(rows, columns, lambda p, q: sp.Symbol(f"W_{p + 1}{q + 1}", real=True))
o = sp.Matrix(columns, 1, lambda q, _: sp.Symbol(f"o_{q + 1}", real=True))
w = sp.Matrix(list(W))
B = sp.kronecker_product(sp.eye(rows), o.T)

equation(r"B = I \otimes o^\top", sp.latex(B))
equation("B w", sp.latex(B * w), "W o")
print("difference:", list(sp.expand(B * w - W * o)))

# %% [markdown]
# $B$ has one copy of $o^\top$ per output. Each output reads its own row of $W$, and nothing else.
#
# ## For every width
#
# The column $w$ is numbered by pairs $(r, s)$. The entry of $B$ in row $p$ and column $(r, s)$ is
# $\partial a_p / \partial W_{rs}$, because $a$ is linear in $W$. SymPy differentiates the forward
# equation for symbolic widths:

# %%
q, r, s = sp.symbols("q r s", integer=True, positive=True)
layer = sp.Sum(l.W[l.k, l.p, q] * l.X[l.k - 1, l.i, q], (q, 1, l.n(l.k - 1)))
height, width = (sp.S.One, l.n(l.k)), (sp.S.One, l.n(l.k - 1))
ranges = {l.p: height, r: height, s: width, l.k: (sp.S.One, l.N), l.i: (sp.S.One, l.M)}

entry = tidy(collapse(layer.diff(l.W[l.k, r, s]), ranges))
below = style.partial + tex(l.W[l.k, r, s])
equation(style.fraction(style.partial + tex(l.Z[l.k, l.i, l.p]), below), tex(entry))

# %% [markdown]
# A Kronecker delta of the rows times an entry of the input (here the input is $x_i^{k-1}$): that is
# $I \otimes o^\top$. And $B w$ gives the forward equation back:

# %%
product = sp.Sum(entry * l.W[l.k, r, s], (s, *width), (r, *height))
without = {index: limits for index, limits in ranges.items() if index not in (r, s)}
print("difference:", tidy(sp.expand(collapse(product, without) - layer)))

# %% [markdown]
# ## The gradient
#
# Let $g = \partial \ell / \partial a$, any column with $n_k$ entries. The chain rule for a linear map
# is $\partial \ell / \partial w = B^\top g$. Entry $(r, s)$ of it:

# %%
g = sp.IndexedBase("g", real=True)
transposed = collapse(sp.Sum(entry * g[l.p], (l.p, *height)), {r: height, s: width})
equation(r"\left(B^\top g\right)_{rs}", tex(tidy(transposed)))

# %% [markdown]
# It is entry $(r, s)$ of the outer product $g o^\top$. So the gradient by $w$ is the matrix
# $g o^\top$, read row by row; no large matrix $B$ is ever formed by a program. For the small example:

# %%
G = sp.Matrix(rows, 1, lambda p, _: sp.Symbol(f"g_{p + 1}", real=True))
by_w = B.T * G
equation(r"B^\top g", sp.latex(by_w.T) + r"^\top", r"\left(I \otimes o\right) g")
print("difference:", list(by_w - sp.Matrix(list(G * o.T))))
print("difference:", list(by_w - sp.kronecker_product(sp.eye(rows), o) * G))

# %% [markdown]
# ## In the KKT conditions
#
# With the preactivation as a variable, the multiplier $\mu^k$ takes the place of $-g$ (with the mean
# over the samples inside). The package prints all conditions in the vectorized form; compare (S0)
# with $a = B w$ and (S5) with $B^\top g$, summed over the samples:

# %%
for label, _, written in derive(splitting="preactivation").equations("vec", "latex"):
    show(written, label=label)

# %% [markdown]
# The condition (S5) as derived, in components, is indeed minus the sum of $(B^\top \mu)_{pq}$, plus
# the derivative of the penalty:

# %%
conditions = {c.label: c for c in derive(splitting="preactivation").stationarity}
residual = conditions["S5"].residual
penalty = l.rho * l.opaque("omega", 1)(l.W[l.k, l.p, l.q])
outer = transposed.xreplace({r: l.p, s: l.q}).replace(
    lambda e: isinstance(e, sp.Indexed) and e.base == g, lambda e: l.mu[l.k, l.i, e.indices[0]]
)
expected = penalty - sp.Sum(outer, (l.i, 1, l.M))
print("difference:", tidy(sp.expand(residual - expected)))
