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
# # Grading homework: the teacher's guide
#
# "Derive back-propagation from the KKT conditions" is answered by students as code and as formulas.
# `lagrangenet grade` compares both with the derivation, names the mistake, and runs code in a child
# process. Every command below was run when this page was made.
#
# ## An assignment is a file
#
# `lagrangenet grade --init` prints a template with every key. What has to be said is short: the
# network, and how the submission is called. The lines in `calls` are read as data, and nothing else than
# calls and assignments can stand there. Write them as you would print them in the hand-out.

# %%
from derivations.desk import Desk

desk = Desk()
desk.write(
    "homework.toml",
    '''
name = "Homework 1"
hidden = true

[network]
widths = ["any", "any", 3]
activation = "tanh"
loss = "cross_entropy"
regularizer = { name = "L2", strength = 0.1 }

[submission]
calls = """
states = forward(theta, X)
loss = objective(theta, X, y, rho)
grads = gradient(theta, X, y, rho)
"""
labels = "integers"

[[parts]]
asks = "states"
points = 1

[[parts]]
asks = "loss"
points = 1

[[parts]]
name = "gradient of the weights"
asks = "gradient"
of = "W"
points = 3

[[parts]]
name = "gradient of the biases"
asks = "gradient"
of = "b"
points = 1
''',
)

# %% [markdown]
# Names on the right that you may pass in: `X`, `Y` (or `x`, `y`), `theta` (all parameters), `W`, `b`
# (lists), `W1`, `b1`, ..., `widths`, `n0`, `n1`, ..., `N`, `M`, `eta`, `rho`. Names on the left that
# are answers: `loss`, `grads`, `dW`, `db`, `dW1`, ..., `lam`, `states`, `x1`, ..., and `theta_new`,
# `W_new`, `W1_new`, ... for updated parameters. Every other name is the submission's own, so a
# `cache` may go from one call to the next, and a class is made by `net = TwoLayerNet(n0, n1, n2)` and
# filled by `net.params = theta`.
#
# The rest of `[submission]` says how arrays look: samples as rows, as columns or one at a time;
# weights as (out, in) or (in, out); biases separate or folded into the weights; lists, pairs,
# dictionaries or one vector; labels one-hot or as integers; multipliers of either sign, with or
# without the 1/M. A network with `"any"` widths is asked with widths that the student has not seen.
# Sums instead of means and other factors are keys of `[network]`.
#
# ## Try it on a right and on a wrong answer
#
# Your own solution should be right before anybody else's is wrong.

# %%
right = """
import numpy as np


def forward(theta, X):
    (W1, b1), (W2, b2) = theta
    hidden = np.tanh(X @ W1.T + b1)
    scores = hidden @ W2.T + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, e / e.sum(axis=1, keepdims=True)


def objective(theta, X, y, rho):
    (W1, b1), (W2, b2) = theta
    scores = forward(theta, X)[0] @ W2.T + b2
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(y)), y].mean() + rho / 2 * ((W1**2).sum() + (W2**2).sum())


def gradient(theta, X, y, rho):
    (W1, b1), (W2, b2) = theta
    hidden, output = forward(theta, X)
    delta2 = output.copy()
    delta2[np.arange(len(y)), y] -= 1
    delta2 /= len(y)
    delta1 = delta2 @ W2 * (1 - hidden**2)
    return (
        (delta1.T @ X + rho * W1, delta1.sum(axis=0)),
        (delta2.T @ hidden + rho * W2, delta2.sum(axis=0)),
    )
"""
desk.write("class/ada.py", right)
desk.write("class/bob.py", right.replace("delta2 @ W2 * (1 - hidden**2)", "delta2 @ W2"))
desk.write("class/cyd.py", right.replace(" + rho * W1", "").replace(" + rho * W2", ""))
desk.write("class/dan.py", right.replace("def gradient", "def gradients"))
desk.run("lagrangenet grade class/ada.py --assignment homework.toml --seed 1")

# %% [markdown]
# `--full` shows what `hidden = true` keeps from the student: the mistake, its equation, the right
# number and the student's at one index.

# %%
desk.run("lagrangenet grade class/bob.py --assignment homework.toml --seed 1 --full")

# %% [markdown]
# The same without `--full` is what Bob sees:

# %%
desk.run("lagrangenet grade class/bob.py --assignment homework.toml --seed 1")

# %% [markdown]
# Without `--seed` the probes are drawn anew; the grade names the seed, and with it the grade can be
# repeated.
#
# ## A class
#
# A folder holds a file or a folder for each student: `.py`, `.ipynb` (its code cells; magics are
# dropped), or formulas. `--out` keeps each grade as JSON beside the format asked for, a table
# `class.csv` and a page `class.html` with the common mistakes. A run that was interrupted goes on
# where it was; a submission that changed is graded again.

# %%
desk.run("lagrangenet grade class --assignment homework.toml --seed 1 --out grades --format html")
for line in desk.read("grades/class.csv").splitlines():
    print(",".join(line.split(",")[:5]))
page = desk.read("grades/class.html")
print(f"the page names the mistake: {'regularizer' in page or 'ρ' in page}")

# %% [markdown]
# ## Formulas
#
# A part may ask for a formula instead: `lagrangian`, `forward`, `output`, `recursion`, `weights`, `biases`,
# `update`. Answers are LaTeX or plain text in Markdown, `.tex`, `.txt` or TOML files, in any notation that the
# package knows. [The page on their syntax](14_formula_answers.md) has the rest.

# %%
desk.write(
    "formulas.toml",
    """
name = "Homework 1, on paper"

[network]
depth = [1, 6]
loss = "squared_error"

[[parts]]
asks = "formula"
formula = "output"

[[parts]]
asks = "formula"
formula = "biases"
""",
)
desk.write(
    "eve.md",
    r"""
## Output
$\lambda_i^N = -\frac{1}{M} \frac{\partial \ell}{\partial x_i^N}$

## Biases
$\frac{\partial L}{\partial b^k} = -\sigma'^k(z_i^k) \odot \lambda_i^k$
""",
)
desk.run("lagrangenet grade eve.md --assignment formulas.toml --seed 1 --full")

# %% [markdown]
# ## To other software
#
# `--format gradescope`, `otter` and `nbgrader` write `results.json`, the JSON that otter-grader's
# `GradingResults.from_ottr_json` reads, and an autograded notebook. All are tested with those
# tools' own code. A partial score never becomes full marks: a part that is not right cannot have
# full points, and no value is written that one of them would take for a pass.
#
# The exit status is 0 if all is right, 1 if something is wrong, 2 if something could not be graded.
#
# ## What runs where, and what is not covered
#
# A submission is never run in the grader's process. The child gets questions and sends back numbers;
# what is right stays in the grader. It has a limit on time, memory, file size and processes
# (`[limits]`), none of the grader's environment variables, a folder that is removed, and no other packages than
# `packages` names. On Linux it is also put into namespaces of its own (processes, network, files,
# users), where it sees, read-only, what Python and NumPy need, and behind Landlock and seccomp;
# where namespaces are not to be had, into bubblewrap if that is installed. Each layer is used if the kernel has it,
# without root; a grade names the layers that were in force.
#
# **For code of people you do not trust use `--untrusted`**: it refuses to run anything unless the
# layers in force are enough. Elsewhere than on Linux they never are: on macOS and Windows there is
# a process of its own with a time limit, and on macOS limits on CPU time and file size. Use a virtual machine there.
#
# Not covered, by any of the layers:
#
# * A flaw of the kernel. The system calls that are left are few, but they are the kernel's. Grade on
#   a machine that holds no secrets, or in a virtual machine, if that matters.
# * What the processor gives away: timing, caches. A child can measure how busy the machine is.
# * Load. Each child may use one core for its whole time limit; the limits are for one submission,
#   not for a class.
# * The submission and the code that calls it share an interpreter. A submission can change what that
#   code sends, so *what it says about itself*, such as how often a function was called or whether an
#   input was changed, can be forged. Its numbers are judged whoever computed them, and nothing in
#   the child knows the right ones.
# * Copying. A right answer is right, whoever wrote it.
# * Without namespaces, a process that leaves its group is killed by the launcher, which is a
#   process of the same user; on systems without either it may stay until it ends.
#
# Probes are finitely many. What is right on all of them, to the tolerance, at widths, depths and
# values that nobody knew before, counts as right.

# %%
desk.run("lagrangenet grade class/dan.py --assignment homework.toml --seed 1")
