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
# # Homework 1: back-propagation from the KKT conditions
#
# **The question.** A network of $N$ layers maps $x^0$ to $x^N$ by $x^k = \sigma^k(W^k x^{k-1} + b^k)$.
# Training minimizes the mean loss over samples $i = 1, \dots, M$ subject to these equations.
# 1) Formulate the Lagrangian. Show that its derivatives give 2) the forward pass, 3) the backward
# pass, 4) the update rule. In short: derive the algorithm called back-propagation from the
# Karush-Kuhn-Tucker (KKT) conditions.
#
# **How it is answered here.** Stating the problem is our part; differentiating it is SymPy's. Every
# display below is printed from an expression that the cell above it derived, for *every* depth $N$,
# all widths $n_k$ and every number of samples $M$ at once, with functions $\sigma^k$ and $\ell$ of
# which nothing is assumed but that they have a derivative. The conditions carry labels, (S0) to
# (S6). The generated code at the end carries the same labels, line by line.

# %%
from dataclasses import replace

import sympy as sp

from derivations.document import listing, show, table
from lagrangenet import chain, derive, generate
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.collapse import collapse
from lagrangenet.symbolic.lagrangian import affine
from lagrangenet.symbolic.printing import text
from lagrangenet.symbolic.stationarity import abbreviate
from lagrangenet.symbolic.styles import KKT, STYLES
from lagrangenet.symbolic.tidy import tidy

style = replace(STYLES["latex"], names={**KKT, "Delta": ("Δ", r"\Delta")})


def tex(what):
    return text(what, style)


# %% [markdown]
# ## The problem
#
# The derivation starts from an objective $J$, the mean loss plus an optional penalty on the weights
# (put $\rho = 0$ to have the homework's), and one equation for every layer $k$, sample $i$ and
# component $p$. Indices count from 1; $W_{pq}^k$ weighs component $q$ of $x^{k-1}$ in component $p$
# of $z^k$.

# %%
derivation = derive()
L = derivation.lagrangian
((multiplier, constraint),) = L.constraints

show(rf"\min_{{x, W, b}} \quad J = {tex(L.objective)}", name="objective")
show(rf"\text{{subject to}} \quad {tex(constraint)} = 0", name="constraint")

# %% [markdown]
# The states $x^1, \dots, x^N$ are *variables* here, exactly as the parameters are. That a network
# computes them one after the other is not assumed. It is the first thing that the conditions will
# say.
#
# ## Part 1: the Lagrangian
#
# Each scalar equation gets a multiplier $\lambda_{ip}^k$. The Lagrangian adds to $J$ every multiplier
# times its residual, with a plus sign:

# %%
show(f"L = {tex(L.objective)}", f"+ {tex(L.expr - L.objective)}", name="lagrangian")

# %% [markdown]
# A KKT point is a point $(x, W, b, \lambda)$ at which all first derivatives of $L$ vanish. The
# constraints are equations, so no sign condition on $\lambda$ and no complementarity comes along. And
# the KKT conditions are necessary at *every* local minimum: each constraint contains its own state
# $x_{ip}^k$ with coefficient one and otherwise only states of the layer before, so the Jacobian of
# the constraints with respect to the states is triangular with ones on its diagonal. It has full
# rank everywhere, and the usual regularity assumption (LICQ) holds without being asked for.
#
# In what follows, `condition.residual` is the derivative $\partial L / \partial v$ and
# `condition.solution` is what $\partial L / \partial v = 0$ says about the one unknown in which it is
# linear. The first line of each display is the derivative; then follow its solution in index form,
# and in matrix form with one column vector per sample.

# %%
conditions = {condition.label: condition for condition in derivation.stationarity}


def derivative(condition):
    return f"{style.derivative('L', tex(condition.wrt))} = {tex(condition.residual)}"


def solved(condition, value=tex):
    return f"{value(condition.unknown)} = {value(condition.solution)}"


def condition_lines(condition):
    lines = [derivative(condition)]
    lines += [] if condition.solution is None else [solved(condition)]
    return [*lines, matrix_line(condition)]


def matrix_line(condition):
    def value(expr):
        return tex(condition.tree(expr))

    if condition.solution is not None:
        return solved(condition, value)
    return f"{style.derivative('L', value(condition.wrt))} = {value(condition.residual)}"


def show_condition(condition, name=""):
    show(*condition_lines(condition), label=condition.label, name=name)


# %% [markdown]
# ## Part 2: ∂L/∂λ = 0 is the forward pass (S1)
#
# $L$ is linear in each multiplier, and the coefficient of the multiplier is the residual of its
# constraint. Its derivative is therefore that residual, and setting it to zero states the constraint
# again. Solved for $x^k$, in the order $k = 1, \dots, N$, it is the forward pass. We write $z^k$ for
# the argument of $\sigma^k$:

# %%
show(f"{tex(l.Z[l.k, l.i, l.p])} = {tex(tidy(affine(l.k, l.i, l.p)))}", name="z")
show_condition(conditions["S1"], name="S1")

# %% [markdown]
# ## Part 3: ∂L/∂x = 0 is the backward pass (S2), (S3)
#
# A state occurs in $L$ at two places: linearly in its own constraint, where it leaves its multiplier
# $\lambda_{ip}^k$; and inside whatever reads it. What reads the output $x^N$ is the loss:

# %%
show_condition(conditions["S2"], name="S2")

# %% [markdown]
# What reads a hidden state $x^k$, $k < N$, is layer $k + 1$, and every component $q$ of that layer
# does. Hence the sum over $q$, and the weight with its indices exchanged, $W_{qp}$: the transpose in
# the matrix form. (The steps in between, each with its reason and checked in numbers, are what
# `lagrangenet derive --steps --condition S3` prints.)

# %%
show_condition(conditions["S3"], name="S3")

# %% [markdown]
# (S2) gives $\lambda^N$; then (S3) gives $\lambda^{N-1}, \dots, \lambda^1$, in this order. Both are
# *linear* in the multipliers, however nonlinear the network: given the states, a backward pass solves
# one triangular linear system by substitution.
#
# ### Why the multiplier is the adjoint
#
# Compare (S3) with the derivative of the forward pass. The Jacobian of layer $k + 1$ is

# %%
ranges = {
    l.k: (1, l.N),
    l.i: (1, l.M),
    l.p: (1, l.n(l.k)),
    l.q: (1, l.n(l.k - 1)),
}
ranges = {index: (sp.Integer(low), high) for index, (low, high) in ranges.items()}


def derivative_of_layer(variable, component=l.p):
    layer = l.sigma(l.k, affine(l.k, l.i, component))
    return abbreviate(tidy(collapse(layer.diff(variable), ranges | {component: ranges[l.p]})))


jacobian = derivative_of_layer(l.X[l.k - 1, l.i, l.q])
after = jacobian.xreplace({l.k: l.k + 1})
state, previous = l.X[l.k + 1, l.i, l.p], l.X[l.k, l.i, l.q]
show(f"{style.fraction(style.partial + tex(state), style.partial + tex(previous))} = {tex(after)}")

# %% [markdown]
# and (S3) multiplies $\lambda^{k+1}$ by the *transpose* of this matrix: it sums over the index of the
# output. SymPy confirms it; the difference of the two right-hand sides is


# %%
def difference(left, right):
    return tidy(sp.expand(left - right))


r = sp.Symbol("r", integer=True, positive=True)
entry = after.xreplace({l.p: r, l.q: l.p})
transposed = sp.Sum(entry * l.lam[l.k + 1, l.i, r], (r, 1, l.n(l.k + 1)))
print("difference:", difference(conditions["S3"].solution, transposed))

# %% [markdown]
# The forward pass pushes a perturbation of the input through the Jacobians from left to right. The
# backward pass applies their transposes from right to left to the derivative of the loss. Such a
# transposed (adjoint) recursion is what numerical analysts call the adjoint equation, and $\lambda$
# the adjoint variable. The Lagrangian adds the *meaning*: a multiplier is a price. If the equation of
# layer $k$ is relaxed to $x_{ip}^k = \sigma^k(z_{ip}^k) + \varepsilon$, the mean loss changes at the rate $-\lambda_{ip}^k$; that is, $\lambda_i^k = -\partial J / \partial x_i^k$
# when only the layers after $k$ are evaluated again. We shall measure it at the end.
#
# ### Where the 1/M went
#
# The factor $1/M$ of the mean appears in (S2), and there only. (S3) is linear and homogeneous, so all
# multipliers inherit the factor: $\lambda$ is the derivative of the *mean* loss, $J$. For the same
# reason the gradients of the next part are sums over samples, not means: the mean is already inside
# $\lambda$.
#
# ## Part 4: ∂L/∂W and ∂L/∂b give the update rule (S5), (S6)
#
# The parameters of layer $k$ occur in the constraint of that layer alone (and in the penalty), but
# for every sample. Hence a sum over $i$:

# %%
show_condition(conditions["S5"], name="S5")
show_condition(conditions["S6"], name="S6")

# %% [markdown]
# Here nothing can be solved for: $W^k$ enters the states nonlinearly. At a KKT point these
# derivatives vanish. Before it, they are exactly what a descent method needs. To see this, let
# $x(W, b)$ be the states that satisfy (S1). On them the constraints vanish, so
# $J(x(W, b), W, b) = L(x(W, b), W, b, \lambda)$ whatever $\lambda$ is. Differentiate the right-hand
# side. The part through the states is $\partial L / \partial x$ times something, and (S2), (S3) have
# chosen $\lambda$ such that $\partial L / \partial x = 0$. What remains is (S5) and (S6): **they are
# the gradient of $J$ as a function of the parameters alone.** A step of gradient descent with step
# size $\eta$ follows:

# %%
for label, name in (("S5", "step-W"), ("S6", "step-b")):
    old, slope = conditions[label].wrt, conditions[label].residual
    show(rf"{tex(old)} \leftarrow {tex(sp.expand(old - l.eta * slope))}", name=name)

# %% [markdown]
# So back-propagation *is* the KKT system, read in order: (S1) forward, (S2) and (S3) backward, and a
# step along (S5) and (S6) instead of their solution.
#
# ## The same with the preactivation as a variable
#
# The formulas contain $\sigma'^k(z^k) \odot \lambda^k$ three times. It has a meaning of its own. Make
# $z^k$ a state, with its own equation and a multiplier $\mu^k$:

# %%
split = derive(splitting="preactivation")
S = split.lagrangian
constraints = sorted(sp.Add.make_args(S.expr - S.objective), key=lambda term: term.has(l.mu))
show(
    f"L = {tex(S.objective)}",
    *(f"+ {tex(term)}" for term in constraints),
    name="lagrangian-split",
)

# %% [markdown]
# The same derivation, of this Lagrangian, gives seven conditions, each a single step:

# %%
split_conditions = {condition.label: condition for condition in split.stationarity}
for label, condition in split_conditions.items():
    show(*condition_lines(condition)[-2:], label=label, name=f"{label}-split")

# %% [markdown]
# (S4) says what the repeated factor was: $\mu^k = \sigma'^k(z^k) \odot \lambda^k$ is the multiplier of
# the linear part of the layer, and $-\mu^k$ is the derivative of $J$ by the preactivation, which the
# literature calls $\delta^k$ (with the mean over samples left out). Eliminating $\mu$ by (S4) has to
# lead back to the first form. It does, condition by condition:


# %%
def without_mu(expr):
    value = split_conditions["S4"].solution

    def at(node):
        layer, sample, component = node.indices
        return value.xreplace({l.k: layer, l.i: sample, l.p: component})

    return expr.replace(lambda e: isinstance(e, sp.Indexed) and e.base == l.mu, at)


for label, condition in conditions.items():
    other = without_mu(split_conditions[label].residual)
    print(f"({label})  difference: {difference(condition.residual, other)}")

# %% [markdown]
# ## The Δ of the lecture notes
#
# The notes run the backward pass on a row vector $\Delta^k$, the derivative of the loss of *one*
# sample by the state $x^k$. Since $-\lambda_i^k$ is the derivative of the mean loss,
# $\Delta_i^k = -M \lambda_i^k$. Put $\lambda = -\Delta/M$ into (S2) and (S3), and the $1/M$ is gone:

# %%
Delta = sp.IndexedBase("Delta", real=True)


def in_delta(expr):
    return expr.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base == l.lam,
        lambda e: -Delta[e.indices] / l.M,
    )


def delta_line(label):
    condition = conditions[label]
    value = tidy(sp.expand(-l.M * in_delta(condition.solution)))
    return Delta[condition.unknown.indices], value


for label in ("S2", "S3"):
    unknown, value = delta_line(label)
    show(f"{tex(unknown)} = {tex(value)}", label=label, name=f"{label}-delta")

# %% [markdown]
# Step down one layer, $k + 1 \to k$. The right-hand side is linear in $\Delta^k$: the row vector
# $\Delta^k$ times a matrix, whose entries we read off as the coefficients of $\Delta_{iq}^k$.

# %%
unknown, value = (expr.xreplace({l.k: l.k - 1}) for expr in delta_line("S3"))
((summed, *_),) = value.limits
coefficient = value.function.coeff(Delta[l.k, l.i, summed])
matrix = coefficient.xreplace({summed: l.p, l.p: l.q})
bracket = conditions["S5"].tree(matrix)

row, row_before = style.script(r"\Delta", "i", "k"), style.script(r"\Delta", "i", "k-1")
show(
    f"{tex(unknown)} = {tex(value)}",
    rf"{row_before} = {row} \left[ {tex(bracket)} \right]",
    label="S3",
    name="delta-recursion",
)

# %% [markdown]
# This is the notes' rule $\Delta^{k-1} = \Delta^k\,[\sigma'^k(z^k) \odot W^k]$, where $\odot$
# multiplies row $p$ of $W^k$ by $\sigma'^k(z_p^k)$. The matrix in brackets is the Jacobian
# $\partial x^k / \partial x^{k-1}$ that we met above, so the difference of the two sides is

# %%
product = sp.Sum(Delta[l.k, l.i, r] * jacobian.xreplace({l.p: r, l.q: l.p}), (r, 1, l.n(l.k)))
print("difference:", difference(value, product))

# %% [markdown]
# A row vector times a matrix and the transposed matrix times a column are the same numbers. The notes
# write the first, the multiplier form the second.
#
# ## ∂ℓ/∂p for any parameter of a layer
#
# Let $p^k$ be an entry of $W^k$ or $b^k$. It acts through layer $k$ only, so the derivative of the
# loss of a sample is $\Delta^k$ times $\partial x^k / \partial p^k$. The preactivation depends on a
# weight and on a bias by

# %%
weight, bias = l.W[l.k, l.p, l.q], l.b[l.k, l.p]
for parameter in (weight, bias):
    below = style.partial + tex(parameter)
    by_parameter = tidy(collapse(affine(l.k, l.i, r).diff(parameter), ranges | {r: ranges[l.p]}))
    above = style.partial + tex(l.Z[l.k, l.i, r])
    show(f"{style.fraction(above, below)} = {tex(by_parameter)}")

# %% [markdown]
# where $\delta_{pr}$ is the Kronecker symbol: row $p$ of $W^k$ touches component $p$ of $z^k$ and no
# other. In $\sum_r \Delta_r^k\, \partial x_r^k / \partial p^k$ one term survives:

# %%
per_sample = {}
for parameter in (weight, bias):
    layer = l.sigma(l.k, affine(l.k, l.i, r)).diff(parameter)
    through = sp.Sum(Delta[l.k, l.i, r] * layer, (r, 1, l.n(l.k)))
    per_sample[parameter] = abbreviate(tidy(collapse(through, ranges)))
    by = style.fraction(rf"\partial {style.script(style.name('ell'), 'i')}",
                        style.partial + tex(parameter))  # fmt: skip
    show(f"{by} = {tex(per_sample[parameter])}", name=f"per-sample-{parameter.base}")

# %% [markdown]
# **Mini-batches.** The mean of these over $i = 1, \dots, M$ has to be (S5) and (S6) without the
# penalty. It is:

# %%
for parameter, label in ((weight, "S5"), (bias, "S6")):
    mean = sp.Sum(per_sample[parameter], (l.i, 1, l.M)) / l.M
    from_condition = in_delta(conditions[label].residual.xreplace({l.rho: 0}).doit(deep=False))
    show(f"{style.derivative('L', tex(parameter))} = {tex(tidy(mean))}", label=label)
    print(f"({label})  difference: {difference(from_condition, mean)}")

# %% [markdown]
# Nothing in the derivation asks that $i$ runs over *all* data. For a mini-batch $I$ state the problem
# with these samples, so that $M = |I|$; its KKT conditions are the same with that $M$. This is the
# average over $I$ that the algorithm of the notes takes.
#
# ## Softmax needs its full Jacobian
#
# So far $\sigma^k$ acted componentwise: $x_p^k$ depends on $z_p^k$ alone, the Jacobian of the
# activation is diagonal, and $\odot$ can multiply by the diagonal. With softmax every output depends
# on every input, because of the common denominator. Stated with such a *coupled* output layer, the
# same derivation gives (S4) with a full Jacobian, transposed:

# %%
softmax = derive(chain([4, 3], output="softmax", loss="cross_entropy"), "preactivation")
coupled = {condition.label: condition for condition in softmax.stationarity}
show_condition(coupled["S4"], name="S4-coupled")

# %% [markdown]
# Now put in softmax itself and let SymPy differentiate it. Written through its own value $x^k$, the
# sum contracts:

# %%
from lagrangenet.symbolic.concrete import concrete

problem = softmax.problem
functions = (problem.layers[-1].activation, problem.loss, problem.regularizer)


def with_functions(condition):
    return concrete(condition.solution, *functions, through_value=True)


through_softmax = with_functions(coupled["S4"])
output = with_functions(coupled["S2"])
show(f"{tex(coupled['S4'].unknown)} = {tex(through_softmax)}", label="S4", name="S4-softmax")
show(f"{tex(coupled['S2'].unknown)} = {tex(output)}", label="S2", name="S2-cross-entropy")

# %% [markdown]
# The second line is (S2) for the cross-entropy. It has a pole where an output vanishes. Substitute it
# into the first, at $k = N$:

# %%
fused = through_softmax.xreplace({l.k: l.N}).replace(
    lambda e: isinstance(e, sp.Indexed) and e.base == l.lam,
    lambda e: output.xreplace({l.p: e.indices[-1]}),
)
fused = sp.factor_terms(tidy(sp.expand(fused)))
show(f"{tex(l.mu[l.N, l.i, l.p])} = {tex(fused)}", label="S2, S4", name="S4-fused")

# %% [markdown]
# The pole has cancelled. Labels are one-hot, so $\sum_q y_{iq} = 1$ and $\mu^N = (y - x^N)/M$. A
# component whose label is 0 gets its push, $-x_p^N/M$, through the off-diagonal entries *only*: its
# own $\lambda_p^N$ is zero, so that with the diagonal alone it would never be pushed down. This is why
# $\odot$ is not enough.
#
# ## The complete algorithm, as generated code
#
# Each condition becomes a line of code, and each line says which condition it is. Rows are samples,
# so a matrix that multiplies a column from the left on paper multiplies rows from the right in code.
# For a network with one hidden layer of three units:

# %%
network = chain([2, 3, 1], activation="tanh", loss="squared_error")
routines = generate(derive(network))
listing(routines.source, "forward", "backward", "gradient", "update")

# %% [markdown]
# The algorithm of the notes, with the condition that each step is:

# %%
table(
    ("Step of the notes", "Condition", "Routine"),
    ("1. input $x^0$", "given", "`forward`"),
    ("2. forward pass $x^0 \\to z^1 \\to x^1 \\to \\dots \\to x^N$", "(S0), (S1)", "`forward`"),
    ("3. derivative at the output, $\\Delta^N$", "(S2)", "`backward`"),
    ("4. backward pass, $\\Delta^{k-1}$ from $\\Delta^k$", "(S4), (S3)", "`backward`"),
    ("5. derivative by each parameter of layer $k$", "(S5), (S6)", "`gradient`"),
    ("6. average over the mini-batch", "the $1/M$ of (S2)", "`backward`"),
    ("7. step of size $\\eta$, then the next mini-batch", "step", "`update`"),
)

# %% [markdown]
# ## Does it hold in numbers?
#
# **The gradient.** Central differences know only the values of $J$, so they are a witness from
# outside. On random data, for the network above:

# %%
import numpy as np

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(5, 2)), rng.normal(size=(5, 1))
theta = routines.initial(seed=1)

flat = routines.pack(theta)
steps = 1e-5 * np.eye(flat.size)
central = np.array(
    [(routines.fun(flat + h, X, Y)[0] - routines.fun(flat - h, X, Y)[0]) / 2e-5 for h in steps]
)
_, gradient = routines.fun(flat, X, Y)
error = np.linalg.norm(gradient - central) / np.linalg.norm(central)
print(f"{flat.size} derivatives; relative error below 1e-9: {error < 1e-9}")

# %% [markdown]
# **The price.** We claimed $\lambda^1 = -\partial J / \partial x^1$ when only the layers after the first
# are evaluated again. These layers are a network of their own, with input $x^1$. Perturb its input:

# %%
states = routines.forward(theta, X)
(_, lam1), _ = routines.backward(theta, states, Y)
tail = generate(derive(chain([3, 1], loss="squared_error")))

x1 = states[0][1]
price = np.zeros_like(x1)
for entry in np.ndindex(x1.shape):
    h = np.zeros_like(x1)
    h[entry] = 1e-5
    price[entry] = (tail.loss(theta[1:], x1 + h, Y) - tail.loss(theta[1:], x1 - h, Y)) / 2e-5
print(f"λ¹ = −∂J/∂x¹ to 1e-9: {np.allclose(lam1, -price, rtol=0, atol=1e-9)}")

# %% [markdown]
# **Training.** The iris data: 150 flowers, four measurements, three species. One hidden layer, softmax
# with cross-entropy, and plain stochastic gradient descent: 20 epochs of mini-batches of 15 flowers.
# The loop is the algorithm of the notes; all of its arithmetic is generated.

# %%
from lagrangenet.experiments import load_dataset

iris = load_dataset("iris").standardized()
X, Y = iris.X, iris.labels("cross_entropy")
routines = generate(derive(chain([4, 8, 3], loss="cross_entropy")))
theta = routines.initial(seed=0)


def report(epoch):
    output = routines.forward(theta, X)[-1][1]
    right = np.mean(output.argmax(axis=1) == Y.argmax(axis=1))
    print(f"epoch {epoch:2d}   loss {routines.loss(theta, X, Y):.3f}   correct {right:.0%}")


report(0)
for epoch in range(1, 21):
    for batch in rng.permutation(len(X)).reshape(-1, 15):
        gradients = routines.gradient(theta, X[batch], Y[batch])  # steps 1 to 6
        theta = routines.update(theta, gradients, eta=0.2)  # step 7
    if epoch % 5 == 0:
        report(epoch)

# %% [markdown]
# **And the KKT conditions?** After each forward and backward pass, (S1), (S2) and (S3) hold to
# rounding, whatever the parameters. What training reduces is the rest, (S5) and (S6). The routine `residuals`
# evaluates all of $\nabla L$; here are the largest entries at the start and at the end, on all data:


# %%
def largest_residuals(theta):
    states = routines.forward(theta, X)
    multipliers = routines.backward(theta, states, Y)
    layers = routines.residuals(theta, X, Y, states, multipliers)
    by_lam, by_x, by_W, by_b = (
        max(abs(a).max() for a in kind) for kind in zip(*layers, strict=True)
    )
    exact = max(by_lam, by_x) < 1e-12
    return f"below 1e-12: {exact}", f"{max(by_W, by_b):.3f}"


table(
    ("Parameters", "(S1), (S2), (S3)", "(S5), (S6)"),
    ("initial", *largest_residuals(routines.initial(seed=0))),
    ("after 20 epochs", *largest_residuals(theta)),
)
