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
# # Formula answers: how to write them, and how they are judged
#
# "Derive back-propagation from the KKT conditions" is answered with formulas. This page says how to
# write them so that the grader can read them, and what it makes of them. Every line below was judged
# when this page was made.

# %%
from derivations.document import table
from lagrangenet import derive
from lagrangenet.functions import Choice
from lagrangenet.grading.formulas import check_formula
from lagrangenet.grading.formulas.judge import judge
from lagrangenet.grading.formulas.networks import Functions
from lagrangenet.grading.formulas.parts import Answer
from lagrangenet.grading.formulas.submission import loads
from lagrangenet.grading.formulas.task import PARTS, Task


def tried(part, *formulas, **options):
    """A table of formulas and what is said about each."""
    rows = []
    for formula in formulas:
        verdict = check_formula(formula, part, **options)
        said = "; ".join([verdict.diagnosis.split("\n")[0], *verdict.notes]).strip("; ")
        rows.append((f"`{formula}`", verdict.verdict.replace("_", " "), said))
    table(("written", "verdict", "said"), *rows)


# %% [markdown]
# ## A file with parts
#
# A submission is one file. In Markdown (`.md`), LaTeX (`.tex`) and text (`.txt`) a heading begins a
# part; in TOML (`.toml`) a part is a key, and its formula stands between `'''` and `'''`. Parts and the
# names that they may have:

# %%
table(("part", "also called"), *((part, ", ".join(others)) for part, others in PARTS.items()))

# %%
submission = r"""
## Output multiplier
$\lambda_i^N = -\frac{1}{M} \frac{\partial \ell}{\partial x_i^N}$

## Backward pass
$\lambda_i^k = {W^{k+1}}^\top \left(\sigma'(z_i^{k+1}) \odot \lambda_i^{k+1}\right), \quad k = N-1, \dots, 1$
"""
formulas = loads(submission, ".md")
for verdict in judge(Task(), Answer.of(formulas)).values():
    print(verdict)

# %% [markdown]
# ## The syntax
#
# One line is one equation; a line that begins or ends with an operator goes on. What stands after a
# comma, `k = N−1, ..., 1`, says where it holds. Plain text (Unicode or ASCII) and LaTeX give the same
# formula:

# %%
tried(
    "recursion",
    "λ_i^k = W^{k+1}ᵀ (σ′(z_i^{k+1}) ⊙ λ_i^{k+1})",
    "lambda_i^k = W^{k+1}^T (sigma'(z_i^{k+1}) .* lambda_i^{k+1})",
    r"\lambda_i^k = {W^{k+1}}^\top \left(\sigma'(z_i^{k+1}) \odot \lambda_i^{k+1}\right)",
    "λ_p^k = Σ_{q=1}^{n_{k+1}} W_qp^{k+1} σ'(z_q^{k+1}) λ_q^{k+1}",
    "Lambda^k = (σ'(Z^{k+1}) ⊙ Lambda^{k+1}) W^{k+1}",
    "λ^k = W^{k+1}ᵀ D^{k+1} λ^{k+1}, where D^k = diag(σ'(z^k))",
)

# %% [markdown]
# Raised and lowered letters of Unicode will do as well. The third line from the bottom is in components:
# a letter runs over what it is an index of, and `i` is the sample. The last but one has all samples as
# rows of the capital letters (columns would do too). The last one introduces a name of its own. What
# else there is:

# %%
table(
    ("meaning", "plain text", "LaTeX"),
    (
        "layer, sample, component",
        "`x_ip^{k-1}`, `x_i^(k)`, `h^(k-1)`, `o_{t,p}`",
        r"`x_{ip}^{k-1}`",
    ),
    ("transpose", "`W^T`, `Wᵀ`, `W.T`, `transpose(W)`", r"`W^\top`, `W^T`, `W^{\intercal}`"),
    ("entry by entry", "`⊙`, `.*`; `*` where nothing else fits", r"`\odot`, `\circ`"),
    ("matrix product", "a blank, `@`, `*`, `·`", r"a blank, `\cdot`"),
    ("inner product", "`⟨a, b⟩`, `<a, b>`, `aᵀ b`, `a · b`", r"`\langle a, b \rangle`"),
    ("sum", "`Σ_i`, `Σ_{i=1}^M`, `sum(i=1..M, ...)`, `Σ_{i∈I}`", "its command, with these limits"),
    (
        "derivative",
        "`∂ℓ/∂x^N`, `dl/dx^N`, `ℓ'(x^N)`, `∇_{x^N} ℓ`",
        r"`\frac{\partial \ell}{\partial x^N}`",
    ),
    ("diagonal matrix", "`diag(v)`", r"`\operatorname{diag}(v)`"),
    ("update", "`W^k ← W^k − η ...`, `:=`, `-=`, `ΔW^k = ...`", r"`W^k \leftarrow ...`"),
)

# %% [markdown]
# A squared norm stands between double bars, and the number of samples is `M`, `n` without a layer, or the
# set of samples between bars. σ, ℓ and ω may stay as they are, or be written out for the functions of the
# assignment; every activation of the package is called by its name:

# %%
squares = Task(Functions(Choice("tanh"), Choice("identity"), Choice("squared_error")))
softmax = Task(Functions(Choice("tanh"), Choice("softmax"), Choice("cross_entropy")))
tried("output", "λ^N = -(1/M) ∂ℓ/∂x^N", "λ^N = (y − x^N)/M", task=squares)
tried("recursion", "λ^k = W^{k+1}ᵀ ((1 − tanh(z^{k+1})^2) ⊙ λ^{k+1})", task=squares)
tried("output", "μ^N = (y − x^N)/M", "δ^N = softmax(z^N) − y", task=softmax)

# %% [markdown]
# Symbols are those of the notation that is declared (`notation = "goodfellow"` in the file), or else of
# one whose letters are used:

# %%
for name, formula in (
    ("delta-rule", "δ_lj = A′(Z_lj) Σ_p ω_{(l+1)p,lj} δ_{(l+1)p}"),
    ("goodfellow", "g ← W^(k)ᵀ (g ⊙ f′(a^(k)))"),
    ("fleuret", "∂ℓ/∂x^(l−1) = w^(l)ᵀ (∂ℓ/∂x^(l) ⊙ σ′(s^(l)))"),
    ("shalev-shwartz", "∂ℓ_t/∂o_t = W_tᵀ (σ′(a_{t+1}) ⊙ ∂ℓ_{t+1}/∂o_{t+1})"),
):
    print(f"{name}: {check_formula(formula, 'recursion', name)}")

# %% [markdown]
# What the package prints itself can be handed in, which is a test of both:

# %%
parts = {"S1": "forward", "S2": "output", "S3": "recursion", "S5": "weights", "S6": "biases"}
derivation = derive()
verdicts = [
    check_formula(equation, parts[label])
    for style in ("text", "latex")
    for form in ("index", "matrix")
    for label, _, equation in derivation.equations(form, style)
]
print(
    f"{len(verdicts)} equations as they are printed, all right: "
    f"{all(verdict.verdict == 'right' for verdict in verdicts)}"
)

# %% [markdown]
# ## What cannot be read
#
# is not wrong, and the message shows the place:

# %%
for formula in ("λ^k = W^k+1 λ^k", "λ^k = (W^{k+1}", "λ^k = W^{k+1}ᵀ foo", "λ = W λ"):
    print(check_formula(formula, "recursion").message, end="\n\n")

# %% [markdown]
# ## What is wrong, and how it is found
#
# A line is brought into index notation: a sum of products, in which equal formulas are equal. There it is
# compared with the derived condition, and both are evaluated at random networks (no two neighbouring
# layers of one width; M = 1 and M ≥ 6). Shapes are symbolic, so what does not fit is a mistake with a
# name. What fits and is different is compared with what each fault rule of the grader makes of the derived
# condition, one at a time and then two.

# %%
tried(
    "recursion",
    "λ^k = W^{k+1} (σ'(z^{k+1}) ⊙ λ^{k+1})",
    "λ^k = W^{k+1}ᵀ λ^{k+1}",
    "λ^k = W^{k+1}ᵀ (σ'(z^k) ⊙ λ^{k+1})",
    "λ^k = W^{k+1}ᵀ ⊙ (σ'(z^{k+1}) ⊙ λ^{k+1})",
    "λ^k = −W^{k+1}ᵀ λ^{k+1}",
)
tried(
    "weights",
    "∂L/∂W^k = −(σ'(z^k) ⊙ λ^k) x^{k−1}ᵀ",
    "∂L/∂W^k = −Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^kᵀ",
    "∂L/∂W^k = −(1/M^3) Σ_i (σ'(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
)

# %% [markdown]
# ## Conventions
#
# Signs and scales are yours, as long as you keep to them. Your own Lagrangian says which they are;
# without one, the first and the last part have to fit each other.

# %%
answer = {
    "lagrangian": "L = (1/M) Σ_i ℓ(y_i, x_i^N) − Σ_k Σ_i λ_i^kᵀ (x_i^k − σ(W^k x_i^{k−1} + b^k))",
    "output": "λ_i^N = (1/M) ∂ℓ/∂x_i^N",
    "weights": "∂L/∂W^k = −Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
}
for verdict in judge(Task(), Answer.of(answer)).values():
    print(verdict)

# %% [markdown]
# The multipliers have the other sign, which is fine, and then the gradient has it too, which this answer
# forgot. What cannot be seen from formulas is declared, as `conventions` in the file: `objective = sum`
# (or `sample`: one sample, no sums), `samples = columns`, `weights = inputs first` ($W^k$ with $n_{k-1}$
# rows).
#
# For teachers: `[formulas]` of an assignment takes `notation`, `splitting` (`activation`, `preactivation`,
# or `z` for constraints on $z$ alone), `multipliers` (`plus`, `minus`, `plus over M`, `minus over M`: then
# they are prescribed), `samples = "one"`, and `opaque = true` to leave σ and ℓ open.
