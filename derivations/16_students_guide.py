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
# # Grading homework: the student's guide
#
# Your course has given you an assignment file. It says which functions are called and how arrays
# look; you can grade yourself with it before you hand in. Every command below was run when this
# page was made.

# %%
from derivations.desk import Desk

desk = Desk()
desk.write(
    "homework.toml",
    '''
name = "Homework 2"

[network]
widths = ["any", "any", 1]
activation = "sigmoid"
loss = "squared_error"

[submission]
calls = """
loss = cost(theta, X, Y)
grads = gradient(theta, X, Y)
"""
samples = "columns"
bias = "column"
container = "dict"
''',
)

# %% [markdown]
# Read `[submission]` from the top: `cost` and `gradient` are functions of yours. Samples are columns,
# so `X` has shape (inputs, M). `theta` is a dictionary with keys `W1`, `b1`, `W2`, `b2`; a bias is a
# column (n, 1). The gradient is a dictionary with keys `dW1`, `db1`, ... The loss is the mean over the
# samples of $\tfrac12 (x - y)^2$, summed over the outputs $x$ of the network. `"any"` means that your code is asked with sizes that
# you do not know.

# %%
answer = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def cost(theta, X, Y):
    A1 = sigmoid(theta["W1"] @ X + theta["b1"])
    A2 = theta["W2"] @ A1 + theta["b2"]
    return 0.5 * np.sum((A2 - Y) ** 2) / X.shape[1]


def gradient(theta, X, Y):
    M = X.shape[1]
    A1 = sigmoid(theta["W1"] @ X + theta["b1"])
    A2 = theta["W2"] @ A1 + theta["b2"]
    dZ2 = (A2 - Y) / M
    dZ1 = (theta["W2"].T @ dZ2) * A1 * (1 - A1)
    return {
        "dW1": dZ1 @ X.T,
        "db1": dZ1.sum(axis=1, keepdims=True),
        "dW2": dZ2 @ A1.T,
        "db2": dZ2.sum(axis=1, keepdims=True) / M,
    }
"""
desk.write("answer.py", answer)
desk.run("lagrangenet grade answer.py --assignment homework.toml --seed 1")

# %% [markdown]
# The parts are graded one by one. A wrong part comes with a hint; an assignment with `hidden = false`
# also names the mistake, the equation, and both numbers at one index. Here the mean was taken twice
# for one block. Repaired, and asked with other probes:

# %%
repaired = answer.replace("keepdims=True) / M,", "keepdims=True),")
desk.write("answer.py", repaired)
desk.run("lagrangenet grade answer.py --assignment homework.toml --seed 2")

# %% [markdown]
# ## If it says "not gradable"
#
# Then there was no answer to judge, and the lines say why: a function of another name, an exception
# with the line of your file, too much time.

# %%
desk.write("answer.py", repaired.replace("dZ1 @ X.T", "dZ1 @ Xt"))
desk.run("lagrangenet grade answer.py --assignment homework.toml --seed 1")

# %% [markdown]
# ## What helps
#
# * Return exactly what the contract declares. A bias gradient of shape (n,) where a column (n, 1) is
#   declared is not right: subtracted from the bias it makes a matrix.
# * Do not change your arguments, keep nothing from call to call, and use no random numbers: the same
#   question may be asked twice.
# * Differences of the loss are not an answer. They are not exact enough, and the number of calls
#   shows them.
# * float32 is accepted, relu′(0) may be anything from 0 to 1, and a small ε inside a logarithm is no
#   mistake.
# * In a notebook all code cells are run in their order, without magics. A cell that fails, because it
#   reads your data file or draws, does no harm to the functions of the others. Files, network and
#   packages other than NumPy are not there; `import matplotlib` gives a stand-in that draws nothing.
# * What you print is thrown away, and the time is limited (10 s unless the assignment says otherwise).

# %%
desk.write("answer.py", repaired.replace('"db1":', '"b1":'))
desk.run("lagrangenet grade answer.py --assignment homework.toml --seed 1")

# %% [markdown]
# The probes of a seed are always the same, so a grade can be repeated.

# %%
desk.write("answer.py", repaired)
grades = []
for _ in range(2):
    desk.run("lagrangenet grade answer.py --assignment homework.toml --seed 7")
    grades.append(desk.said)
print(f"the same seed, the same grade: {grades[0] == grades[1]}")
