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
# # Second order: the Hessian from the same machinery
#
# **The question.** Newton's method and its relatives need second derivatives of
# $J(\theta) = J(x(\theta), \theta)$, where $x(\theta)$ are the states that the forward pass computes.
# The Hessian of a network with a million parameters cannot be stored. What can be had cheaply is its
# product with a direction. Derive it; and use it to say whether a point where the gradient vanishes
# is a minimum or a saddle.

# %%
import numpy as np
import sympy as sp

from derivations.document import equation, listing, show, table
from lagrangenet import L2, chain, derive, generate
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.tangent import tangent
from lagrangenet.symbolic.tidy import tidy

# %% [markdown]
# ## The idea: differentiate the conditions once more, in a direction
#
# Move *everything* in the Lagrangian along a direction: $v \to v + \varepsilon \dot v$ for the
# states, the parameters and the multipliers, $v = (x, z, W, b, \lambda, \mu)$. The derivative by
# $\varepsilon$ at zero is the **tangent Lagrangian** $\dot L(v, \dot v)$, linear in $\dot v$. Its
# conditions $\partial \dot L / \partial v = 0$ are the conditions of $L$, differentiated along
# $\dot v$, because the order of two derivatives does not matter. The package derives them with the
# machinery that derives those of $L$. We check the claim for every condition. (Second derivatives of
# the loss come out in both orders, $\partial_p \partial_q$ and $\partial_q \partial_p$; by Schwarz's
# theorem they are equal, so they are sorted before the comparison.)

# %%
derivation = derive(splitting="preactivation", order=2)
first = {condition.label[1:]: condition for condition in derivation.stationarity}
second = {condition.label[1:]: condition for condition in derivation.second_order}


def in_one_order(expr):
    """Indices of second partial derivatives of the loss, sorted."""

    def ordered(node):
        sample, one, other, *rest = node.args
        return node.func(sample, *sorted((one, other), key=str), *rest)

    twice = l.partial_of("ell", 2)
    return expr.replace(lambda e: isinstance(e, twice), ordered)


for number, condition in first.items():
    along = in_one_order(tidy(sp.expand(tangent(condition.residual))))
    gap = tidy(sp.expand(along - in_one_order(second[number].residual)))
    print(f"d(S{number}) − (T{number})  difference: {gap}")

# %% [markdown]
# ## The conditions
#
# $\partial \dot L/\partial \lambda = 0$ and $\partial \dot L/\partial \mu = 0$ say how the states move
# when the parameters do: the *tangent pass*, from the first layer to the last.

# %%
written = {label: line for label, _, line in derivation.equations("matrix", "latex")}
for label in ("T0", "T1"):
    show(written[label], label=label)

# %% [markdown]
# $\partial \dot L/\partial x = 0$ and $\partial \dot L/\partial z = 0$ say how the multipliers move: the
# *second-order adjoint*, from the last layer to the first. Here $\sigma''$ and the second derivative
# of the loss appear.

# %%
for label in ("T2", "T3", "T4"):
    show(written[label], label=label)

# %% [markdown]
# And $\partial \dot L/\partial \theta$ is the product of the Hessian of $J(\theta)$ with
# $\dot \theta$. Why: the gradient of $J(\theta)$ is $\partial L/\partial \theta$ at states and
# multipliers that satisfy (S0) to (S4). Move $\theta$; states and multipliers move such that these
# conditions stay satisfied, which is (T0) to (T4); and the gradient moves by

# %%
for label in ("T5", "T6"):
    show(written[label], label=label)

# %% [markdown]
# Inputs do not move, $\dot x^0 = 0$.
#
# ## In code
#
# For a network with one hidden layer. The three new functions have the structure of the three old
# ones: forward, backward, gradient.

# %%
problem = chain([2, 3, 1], activation="tanh", loss="squared_error", regularizer=L2(0.01))
routines = generate(derive(problem, order=2))
listing(routines.source, "tangent", "second_adjoint", "hessian_product")

# %% [markdown]
# ## Checks
#
# Against differences of the gradient, and for symmetry, $\langle u, H v \rangle = \langle v, H u \rangle$:

# %%
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
flat = routines.pack(routines.initial(seed=0))
u, v = rng.normal(size=(2, flat.size))


def product(direction):
    return routines.hessp(flat, direction, X, Y)


h = 1e-5
difference = (routines.fun(flat + h * v, X, Y)[1] - routines.fun(flat - h * v, X, Y)[1]) / (2 * h)
error = np.linalg.norm(product(v) - difference) / np.linalg.norm(difference)
asymmetry = abs(u @ product(v) - v @ product(u)) / abs(u @ product(v))
assert error < 1e-8
assert asymmetry < 1e-13
print("relative error against differences below 1e-8:", error < 1e-8)
print("relative asymmetry below 1e-13:", asymmetry < 1e-13)

# %% [markdown]
# **What does it cost?** We count the matrix products in the generated functions, for a network of four
# layers. The product with the Hessian needs the states and multipliers too; these come with the
# gradient.

# %%
import ast

deep = generate(derive(chain([5, 5, 5, 5, 5], activation="tanh"), order=2))
functions = {
    node.name: node for node in ast.parse(deep.source).body if isinstance(node, ast.FunctionDef)
}


def matrix_products(*names):
    nodes = (node for name in names for node in ast.walk(functions[name]))
    return sum(isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult) for node in nodes)


gradient_cost = matrix_products("forward", "backward", "gradient")
hessian_cost = matrix_products("tangent", "second_adjoint", "hessian_product")
table(
    ("Computation", "Matrix products"),
    ("gradient: forward, backward, gradient", str(gradient_cost)),
    ("Hessian times a direction, on top of it", str(hessian_cost)),
)
assert hessian_cost <= 2 * gradient_cost

# %% [markdown]
# So the product with one direction costs at most two gradients on top of the gradient, at any width
# and batch. The whole Hessian would cost one product per parameter.
#
# ## Gauss-Newton
#
# In (T4) and (T3) some terms contain the multipliers themselves, $\lambda$ and $\mu$; they carry the
# curvature of the *network*. Leave them out, and the curvature of the loss remains, seen through the
# linearized network: the Gauss-Newton matrix. It has no negative eigenvalue if $\ell$ is convex in
# the output. The Hessian may have.


# %%
def dense(multiply):
    columns = [multiply(flat, unit, X, Y) for unit in np.eye(flat.size)]
    return np.array(columns).T


hessian, gauss_newton = dense(routines.hessp), dense(routines.gauss_newtonp)
spectra = [np.linalg.eigvalsh((matrix + matrix.T) / 2) for matrix in (hessian, gauss_newton)]
table(
    ("Matrix", "Smallest eigenvalue", "Largest"),
    *(
        (name, *(f"{round(spectrum[end], 3) + 0.0:.3f}" for end in (0, -1)))
        for name, spectrum in zip(("Hessian", "Gauss-Newton"), spectra, strict=True)
    ),
)
assert spectra[0][0] < -0.1
assert spectra[1][0] > -1e-12

# %% [markdown]
# ## Minimum or saddle?
#
# The smallest network with a saddle: one weight after the other, $\hat y = W^2 W^1 x$, one sample,
# $x = y = 1$. By hand first, that is, by SymPy:

# %%
a, b = sp.symbols("W^1 W^2", real=True)
J = (b * a - 1) ** 2 / 2
H = sp.hessian(J, (a, b))
stationary = sp.solve([sp.diff(J, a), sp.diff(J, b)], [a, b], dict=True)
equation("J", J)
equation(r"\nabla^2 J", H)
print("stationary points:", stationary)
equation(r"\nabla^2 J(0, 0)", H.subs({a: 0, b: 0}))
equation(r"\text{eigenvalues}", sp.Matrix(sorted(H.subs({a: 0, b: 0}).eigenvals())).T)

# %% [markdown]
# The origin is stationary, with one negative and one positive eigenvalue: a saddle of index 1. The
# other stationary points, $W^2 = 1/W^1$, are the minima, and one eigenvalue is zero there: one may
# move along the curve $W^1 W^2 = 1$ without changing $J$.
#
# The package counts the signs of the eigenvalues (the *inertia*) of the Hessian of a network. With
# biases there are four parameters, and with two samples, $x = \pm 1$ and $y = 2x$, the origin is
# stationary again:

# %%
from lagrangenet.verify.classification import classify

linear = chain([1, 1, 1], activation="identity", loss="squared_error")
X, Y = np.array([[-1.0], [1.0]]), np.array([[-2.0], [2.0]])
origin = ((np.zeros((1, 1)), np.zeros(1)),) * 2
at_origin = classify(linear, origin, X, Y)
minimum = ((np.array([[2.0]]), np.zeros(1)), (np.array([[1.0]]), np.zeros(1)))
at_minimum = classify(linear, minimum, X, Y)
table(
    ("Point", "Kind", "Positive", "Negative", "Zero"),
    ("origin", at_origin.kind, *map(str, at_origin.inertia)),
    ("$W^1 = 2$, $W^2 = 1$", at_minimum.kind, *map(str, at_minimum.inertia)),
)
assert at_origin.kind == "saddle"
assert at_origin.index == 1
assert at_minimum.inertia[1] == 0

# %% [markdown]
# "Degenerate" is honest: from second derivatives alone one cannot tell a minimum on a curve from
# something worse. Here $J = 0$ at that point, so it *is* a global minimum, one of a whole family: the
# weights may move along $W^1 W^2 = 2$, and the two biases may cancel each other.
