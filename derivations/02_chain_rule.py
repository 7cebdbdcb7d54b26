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
# # The chain rule, forward and reverse
#
# **The question.** A function is written as a chain of simple functions. How does one get its
# derivative, and the derivative by *every* intermediate value, from the derivatives of the links
# alone? And why are there two orders of doing it, forward and reverse, with such different costs?

# %%
import sympy as sp

from derivations.document import equation, show, table

x = sp.Symbol("x", real=True)

# %% [markdown]
# ## One chain, by hand: $\log(1 + e^{-x})$
#
# Break the function into links, each a function of the value before it. The names $u_0 = x$, $u_1$,
# $u_2, \dots$ are those of the intermediate values. We state the links; SymPy differentiates each
# of them, and nothing else.


# %%
def chain_of(*links):
    """The values u_0, ..., u_n of a chain, and u_j as a function of u_{j-1}."""
    values = sp.symbols(f"u_0:{len(links) + 1}", real=True)
    return values, [link(value) for link, value in zip(links, values, strict=False)]


def in_x(expr, values, steps):
    """An expression in the intermediate values as an expression in x."""
    for value, step in zip(reversed(values[1:]), reversed(steps), strict=True):
        expr = expr.subs(value, step)
    return expr.subs(values[0], x)


def by_chain_rule(values, steps):
    """The links' derivatives, and their product."""
    slopes = [sp.diff(step, value) for step, value in zip(steps, values, strict=False)]
    for j, (step, slope) in enumerate(zip(steps, slopes, strict=True), 1):
        rate = sp.Derivative(values[j], values[j - 1], evaluate=False)
        pairs = ((values[j], step), (rate, slope))
        show(r", \qquad ".join(f"{sp.latex(a)} = {sp.latex(b)}" for a, b in pairs))
    return sp.Mul(*slopes)


values, steps = chain_of(lambda u: -u, sp.exp, lambda u: 1 + u, sp.log)
product = by_chain_rule(values, steps)

# %% [markdown]
# The chain rule says: multiply. Then put the intermediate values back in.

# %%
y = in_x(values[-1], values, steps)
slope = sp.simplify(in_x(product, values, steps))
equation(sp.Derivative(y, x), product, slope)

print("difference:", sp.simplify(slope - sp.diff(y, x)))

# %% [markdown]
# This function is the softplus of $-x$, the loss of logistic regression at margin $x$. Its
# derivative is minus the logistic function of $-x$:

# %%
logistic = 1 / (1 + sp.exp(-x))
print("difference:", sp.simplify(slope + logistic.subs(x, -x)))

# %% [markdown]
# ## Another one: $e^{\sin x^2}$

# %%
values, steps = chain_of(lambda u: u**2, sp.sin, sp.exp)
product = by_chain_rule(values, steps)
y = in_x(values[-1], values, steps)
slope = in_x(product, values, steps)
equation(sp.Derivative(y, x), product, slope)
print("difference:", sp.simplify(slope - sp.diff(y, x)))

# %% [markdown]
# Nothing was ever differentiated but a link. That is the whole idea of automatic differentiation:
# links are few and known, and their derivatives are *numbers* once the intermediate values are
# numbers.
#
# ## Any chain: $x_n = f^n(f^{n-1}(\dots f^1(x_0)))$
#
# Now $n$ links of which nothing is assumed. We want $dx_n/dx_i$ for *every* $i$. State the links as
# constraints, $x_j - f^j(x_{j-1}) = 0$ ($f^j$ is link $j$, not a power), give each a multiplier
# $\lambda_j$, and ask for a stationary point of $x_n$ plus the constraints:

# %%
from dataclasses import replace

from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import Between, collapse
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.styles import STYLES

names = {"f": ("f", "f"), "x": ("x", "x"), "nu": ("λ", r"\lambda"), "n": ("n", "n")}
style = replace(STYLES["latex"], names=names)
n, i, j = sp.symbols("n i j", integer=True, positive=True)
X, lam, f = sp.IndexedBase("x", real=True), sp.IndexedBase("nu", real=True), l.opaque("f")


def tex(expr):
    return text(expr, style)


L = X[n] + sp.Sum(lam[j] * (X[j] - f(j, X[j - 1])), (j, 1, n))
equation("L", tex(L))

# %% [markdown]
# SymPy differentiates by one $x_i$. Two terms of the sum contain it: link $i$, which computes it, and
# link $i + 1$, which reads it (if there is one: the bracket is 1 if its condition holds, else 0).

# %%
derivative = collapse(L.diff(X[i]), {i: (sp.S.One, n)})
equation(style.derivative("L", tex(X[i])), tex(derivative))


def at_end(expr):
    """The condition at i = n: no link reads the last value."""
    return expr.xreplace({i: n}).replace(lambda e: isinstance(e, Between), lambda _: sp.S.Zero)


def inside(expr):
    """The condition for i < n: there is a link i + 1, and x_i is not x_n."""
    expr = expr.replace(lambda e: isinstance(e, Between), lambda _: sp.S.One)
    return expr.replace(lambda e: isinstance(e, sp.KroneckerDelta), lambda _: sp.S.Zero)


last = sp.solve(at_end(derivative), lam[n])[0]
before = sp.solve(inside(derivative), lam[i])[0]
equation(tex(lam[n]), tex(last))
equation(tex(lam[i]), tex(before))

# %% [markdown]
# So $-\lambda_n = 1$, and each $-\lambda_i$ is the next one times one derivative of a link. That is
# the recursion of $dx_n/dx_i$, hence $-\lambda_i = dx_n/dx_i$: the chain rule *is* the stationarity
# condition. Unrolled for a chain of four links ($x_0$ is given, so for $i = 0$ it is
# $\partial L / \partial x_0$ itself that the formula gives, up to its sign):

# %%
depth = 4
adjoint = {depth: -last}
for index in reversed(range(depth)):
    step = -before.xreplace({i: sp.Integer(index), n: sp.Integer(depth)})
    adjoint[index] = step.xreplace({lam[index + 1]: -adjoint[index + 1]})
for index in reversed(range(depth)):
    equation(style.fraction(f"dx_{depth}", f"dx_{index}"), tex(adjoint[index]))

# %% [markdown]
# Checked on the chain with $f^j(x) = \sin(x + j)$, composed and differentiated as one expression:

# %%
composed = {0: x}
for index in range(1, depth + 1):
    composed[index] = sp.sin(composed[index - 1] + index)

u = sp.Symbol("u", real=True)


def link_slope(node):
    """The derivative of one link, at the value it is applied to."""
    return sp.cos(u + node.args[0]).subs(u, node.args[1])


for index in range(depth):
    tail = u
    for later in range(index + 1, depth + 1):
        tail = sp.sin(tail + later)
    whole = sp.diff(tail, u).subs(u, composed[index])
    found = adjoint[index].replace(lambda e: isinstance(e, l.Opaque), link_slope)
    found = found.replace(lambda e: isinstance(e, sp.Indexed), lambda e: composed[e.indices[0]])
    print(f"dx_4/dx_{index}  difference:", sp.simplify(whole - found))

# %% [markdown]
# Every $dx_n/dx_i$ contains the one after it. Computed from the right, all $n$ of them cost one
# multiplication each; computed separately, from the formulas as they stand, they would cost up to
# $n$ each.
#
# ## Forward or reverse?
#
# With vectors the links' derivatives are Jacobian matrices, and the product of matrices may be
# evaluated from either end. **Forward accumulation** starts at an input: it pushes one direction
# $\dot x_0$ through $J_1$, then $J_2$, and so on; one pass gives one *column* of the whole Jacobian.
# **Reverse accumulation** starts at an output: it pulls one row through $J_n$, then $J_{n-1}$; one
# pass gives one *row*. We do not argue about the cost, we count it. The numbers below are
# counted: every scalar multiplication adds one to a counter.

# %%
import numpy as np


class Counted:
    """A number that counts the multiplications it takes part in."""

    multiplications = 0

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return Counted(self.value + other.value)

    def __mul__(self, other):
        Counted.multiplications += 1
        return Counted(self.value * other.value)


def counted(array):
    return np.array([Counted(v) for v in array.ravel()], dtype=object).reshape(array.shape)


def forward(jacobians):
    """The whole Jacobian, column by column."""
    columns = []
    for seed in np.eye(jacobians[0].shape[1]):
        direction = jacobians[0] @ counted(seed)
        for jacobian in jacobians[1:]:
            direction = jacobian @ direction
        columns.append(direction)
    return np.array(columns).T


def reverse(jacobians):
    """The whole Jacobian, row by row."""
    rows = []
    for seed in np.eye(jacobians[-1].shape[0]):
        row = counted(seed) @ jacobians[-1]
        for jacobian in reversed(jacobians[:-1]):
            row = row @ jacobian
        rows.append(row)
    return np.array(rows)


def measured(method, jacobians):
    Counted.multiplications = 0
    result = method([counted(jacobian) for jacobian in jacobians])
    return Counted.multiplications, np.vectorize(lambda number: number.value)(result)


rng = np.random.default_rng(0)
rows = []
for widths in ((50, 10, 10, 1), (10, 10, 10, 10), (1, 10, 10, 50)):
    shapes = list(zip(widths[1:], widths, strict=False))
    jacobians = [rng.normal(size=shape) for shape in shapes]
    by_columns, first = measured(forward, jacobians)
    by_rows, second = measured(reverse, jacobians)
    assert np.allclose(first, second, rtol=1e-12)
    assert by_columns == widths[0] * sum(a * b for a, b in shapes)
    assert by_rows == widths[-1] * sum(a * b for a, b in shapes)
    rows.append(("-".join(map(str, widths)), str(by_columns), str(by_rows)))

table(("Widths", "Multiplications, forward", "Multiplications, reverse"), *rows)

# %% [markdown]
# One pass costs the same in either direction, about as much as evaluating the links. Forward needs
# one pass per *input*, reverse one per *output*. The loss of a network has a great many inputs (all
# its parameters) and one output. One reverse pass gives the whole gradient; it is called
# back-propagation. The price is memory: the reverse pass needs the intermediate values, which the
# forward pass has to keep.
