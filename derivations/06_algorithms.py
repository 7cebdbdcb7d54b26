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
# # Two algorithms: forward and backward, with regularization
#
# **The question.** Slides and books give back-propagation as two algorithms, in the notation of
# Goodfellow, Bengio and Courville: layers $h^{(k)} = f(a^{(k)})$ with
# $a^{(k)} = W^{(k)} h^{(k-1)} + b^{(k)}$, the prediction $\hat y = h^{(l)}$, the objective
# $J = L(\hat y, y) + \lambda \Omega(\theta)$, and one vector $g$ that is overwritten layer by layer.
# Here both algorithms are *derived*, and then run.
#
# In this notation $\lambda$ is the strength of the regularizer, so the multipliers of the constraints
# get other names, $\nu$ and $\pi$. They appear in the Lagrangian only: $g$ is minus a multiplier
# times the number of samples.

# %%
import numpy as np

from derivations.document import listing, show
from lagrangenet import L2, chain, derive, generate
from lagrangenet.symbolic.notation import Notation
from lagrangenet.symbolic.styles import LaTeX

style = LaTeX(notation=Notation.named("goodfellow"))
derivation = derive(splitting="preactivation")
L = derivation.lagrangian.equation("matrix", style)
cut = L.index(r"\lambda\, \Omega") + L[L.index(r"\lambda\, \Omega") :].index(" + ")
show(L[:cut], L[cut + 1 :], name="lagrangian")

# %% [markdown]
# The first line is $J$, the mean over a batch and the penalty. The penalty is on the weights, as
# usual, and not on the biases. The second line is multiplier times constraint, for every layer.
#
# ## Algorithm 1: forward
#
# Given: the input $h^{(0)}$, the label $y$, the parameters $\theta$. The derivatives of the Lagrangian
# by the multipliers, put to zero, are the constraints (S0) and (S1). Each can be solved for a new
# value when the values before it are known, so the order is $k = 1, \dots, l$.

# %%
steps = {label: written for label, _, written in derivation.equations("matrix", style)}


def algorithm(*lines, name):
    """Lines of an algorithm: (indentation, LaTeX, label of the condition)."""
    quad = r"\quad "
    rows = (f"{quad * indent}{line} & {mark(label)}" for indent, line, label in lines)
    show(r"\begin{array}{ll} " + r" \\ ".join(rows) + r" \end{array}", name=name)


def mark(label):
    return rf"\qquad \text{{({label})}}" if label else ""


def words(text):
    return rf"\text{{{text}}}"


algorithm(
    (0, words(r"for $k = 1, \dots, l$:"), ""),
    (1, steps["S0"], "S0"),
    (1, steps["S1"], "S1"),
    (0, r"\hat{y} = h^{(l)}", ""),
    (0, r"J = L(\hat{y}, y) + \lambda\, \Omega(\theta)", ""),
    name="forward",
)

# %% [markdown]
# ## Algorithm 2: backward
#
# The derivatives by the states, put to zero, are linear in the multipliers. (S2) gives the last one,
# (S4) carries it through an activation, (S3) through a matrix, from $k = l$ down to 1. Only one of
# them is needed at a time, so all are called $g$ and overwrite each other. On the way, (S6) and (S5)
# give the gradients. The names and the order below are those in which the package prints the
# conditions; the sums over samples are what a batch adds to the slides.

# %%
algorithm(
    (0, steps["S2"], "S2"),
    (0, words(r"for $k = l, \dots, 1$:"), ""),
    *((1, steps[label], label) for label in steps if label in {"S3", "S4", "S5", "S6"}),
    name="backward",
)
executed = [label for label in steps if label in {"S2", "S3", "S4", "S5", "S6"}]
print("order of execution:", " ".join(executed))

# %% [markdown]
# The last line of the loop, for $k = 1$, would give the derivative by the input. It is computed only
# if somebody asks for it.
#
# The penalty enters the gradient, and nothing else: $g$ does not know of $\lambda$. The reason is in
# the Lagrangian. The penalty depends on the weights alone, so it vanishes from every derivative by a
# state.
#
# ## From the display to a program
#
# Here is Algorithm 2 with the forward pass before it, typed from the displays above, for the squared
# error, tanh in all layers and $\Omega$ half the sum of squared weights. Rows are samples.


# %%
def typed(theta, X, Y, strength):
    h, M = [X], len(X)
    for W, b in theta:
        h.append(np.tanh(h[-1] @ W.T + b))
    g, gradients = h[-1] - Y, []
    for k in reversed(range(len(theta))):
        W, _ = theta[k]
        g = (1 - h[k + 1] ** 2) * g
        gradients.insert(0, (strength * W + g.T @ h[k] / M, g.sum(axis=0) / M))
        g = g @ W
    return gradients


# %% [markdown]
# And here is what the package generates from the same conditions, for a network with one hidden layer:

# %%
strength = 0.01
problem = chain(
    [2, 3, 1], activation="tanh", output="tanh", loss="squared_error", regularizer=L2(strength)
)
routines = generate(derive(problem))
listing(routines.source, "forward", "backward", "gradient")

# %% [markdown]
# They agree to rounding on random data, and with central differences of $J$:

# %%
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(6, 2)), rng.uniform(-1, 1, size=(6, 1))
theta = routines.initial(seed=3)

by_hand = routines.pack(typed(theta, X, Y, strength))
generated = routines.pack(routines.gradient(theta, X, Y))
flat = routines.pack(theta)
central = np.array(
    [
        (routines.fun(flat + h, X, Y)[0] - routines.fun(flat - h, X, Y)[0]) / 2e-5
        for h in 1e-5 * np.eye(flat.size)
    ]
)


def error(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


assert error(by_hand, generated) < 1e-13
assert error(generated, central) < 1e-8
print("typed and generated, relative error below 1e-13:", error(by_hand, generated) < 1e-13)
print("generated and central differences, below 1e-8:", error(generated, central) < 1e-8)

# %% [markdown]
# ## What the penalty does
#
# Gradient descent on the XOR problem, without and with a penalty. The penalty keeps the weights small
# and pays for it with a larger loss; at a minimum the two forces balance, which is condition (S5).

# %%
from derivations.document import table
from lagrangenet.experiments import load_dataset

xor = load_dataset("xor")
rows = []
for chosen in (0.0, 1e-3, 1e-2):
    problem = chain(
        [2, 4, 1], output="tanh", loss="squared_error", regularizer=L2(chosen) if chosen else None
    )
    routines = generate(derive(problem))
    theta = routines.initial(seed=1)
    labels = 2 * xor.labels("squared_error") - 1
    for _ in range(3000):
        theta = routines.update(theta, routines.gradient(theta, xor.X, labels), eta=0.3)
    output = routines.forward(theta, xor.X)[-1][1]
    loss = float(((output - labels) ** 2).sum() / 2 / len(labels))
    size = float(np.sqrt(sum((W**2).sum() for W, _ in theta)))
    rows.append((chosen, loss, size))
    assert np.all(np.sign(output) == labels)
assert rows[0][1] < rows[1][1] < rows[2][1]
assert rows[0][2] > rows[1][2] > rows[2][2]
table(
    (r"$\lambda$", "Loss, without the penalty", "Norm of the weights"),
    *((f"{chosen:g}", f"{loss:.1e}", f"{size:.1f}") for chosen, loss, size in rows),
)
