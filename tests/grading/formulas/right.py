"""Right formula answers, as students write them: notations, spellings, forms, conventions.

Each is (name, task, parts), and sometimes a fragment of the note that has to say what was accepted.
"""

from dataclasses import dataclass, field

from lagrangenet.functions import Choice
from lagrangenet.grading.formulas.networks import Functions
from lagrangenet.grading.formulas.task import Task

L2 = Choice("L2", (("strength", 0.01),))
TASKS = {
    "open": Task(),
    "squares": Task(Functions(Choice("tanh"), Choice("identity"), Choice("squared_error"))),
    "penalty": Task(Functions(Choice("tanh"), Choice("identity"), Choice("squared_error"), L2)),
    "sigmoid": Task(Functions(Choice("sigmoid"), Choice("sigmoid"), Choice("squared_error"))),
    "relu": Task(Functions(Choice("relu"), Choice("identity"), Choice("squared_error"))),
    "softmax": Task(Functions(Choice("tanh"), Choice("softmax"), Choice("cross_entropy"))),
    "open penalty": Task(Functions(penalty=L2)),
}


@dataclass(frozen=True)
class Case:
    """An answer to some parts."""

    name: str
    task: str
    parts: dict[str, str]
    note: str = ""
    options: dict[str, str] = field(default_factory=dict)


RIGHT = (
    Case(
        "the homework in Unicode, matrix form",
        "open",
        {
            "lagrangian": "L = (1/M) Σ_{i=1}^{M} ℓ(y_i, x_i^N)"
            " + Σ_{k=1}^{N} Σ_{i=1}^{M} ⟨λ_i^k, x_i^k − σ^k(W^k x_i^{k−1} + b^k)⟩",
            "forward": "∂L/∂λ_i^k = x_i^k − σ^k(W^k x_i^{k−1} + b^k) = 0",
            "output": "λ_i^N = −(1/M) ∂ℓ/∂x_i^N",
            "recursion": "λ_i^k = W^{k+1}ᵀ (σ′^{k+1}(z_i^{k+1}) ⊙ λ_i^{k+1}),  k = N−1, ..., 1",
            "weights": "∂L/∂W^k = −Σ_{i=1}^{M} (σ′^k(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
            "biases": "∂L/∂b^k = −Σ_{i=1}^{M} σ′^k(z_i^k) ⊙ λ_i^k",
            "update": "W^k ← W^k + η Σ_i (σ′^k(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ\n"
            "b^k ← b^k + η Σ_i σ′^k(z_i^k) ⊙ λ_i^k",
        },
    ),
    Case(
        "ASCII, matrix form, sample left out",
        "open",
        {
            "lagrangian": "L = (1/M) sum_i l(y_i, x_i^N)"
            " + sum_k sum_i <lambda_i^k, x_i^k - sigma^k(W^k x_i^{k-1} + b^k)>",
            "forward": "z^k = W^k x^{k-1} + b^k\nx^k = sigma(z^k)",
            "output": "lambda^N = -(1/M) dl/dx^N",
            "recursion": "lambda^k = W^{k+1}^T (sigma'^{k+1}(z^{k+1}) .* lambda^{k+1})",
            "weights": "dL/dW^k = -sum(i=1..M, (sigma'(z_i^k) .* lambda_i^k) x_i^{k-1}^T)",
            "biases": "dL/db^k = -sum_i sigma'(z_i^k) .* lambda_i^k",
        },
    ),
    Case(
        "LaTeX with align",
        "open",
        {
            "lagrangian": r"""
\begin{align*}
  \mathcal{L} &= \frac{1}{M} \sum_{i=1}^{M} \ell\left(y_i, x_i^N\right) \\
     &\quad + \sum_{k=1}^{N}\sum_{i=1}^{M} {\lambda_i^k}^\top
        \bigl( x_i^k - \sigma^k(W^k x_i^{k-1} + b^k) \bigr)
\end{align*}""",
            "forward": r"$x_i^{k} = \sigma^{k}\left(W^{k} x_i^{k-1} + b^{k}\right)$",
            "output": r"\lambda_i^N = -\frac{1}{M} \frac{\partial \ell}{\partial x_i^N}",
            "recursion": r"\lambda_i^k = {W^{k+1}}^\top"
            r" \left(\sigma'(z_i^{k+1}) \odot \lambda_i^{k+1}\right), \quad k = N-1, \dots, 1",
            "weights": r"\frac{\partial L}{\partial W^k} ="
            r" -\sum_{i=1}^{M} \left(\sigma'(z_i^k) \odot \lambda_i^k\right) (x_i^{k-1})^{\top}",
            "biases": r"\frac{\partial L}{\partial b^k} = -\sum_{i=1}^M \sigma'(z_i^k)\odot\lambda_i^k",
            "update": r"W^k \leftarrow W^k - \eta \frac{\partial L}{\partial W^k} \\"
            r" b^k \leftarrow b^k - \eta \frac{\partial L}{\partial b^k}",
        },
    ),
    Case(
        "index form, Unicode",
        "open",
        {
            "lagrangian": "L = 1/M Σ_i ℓ(y_i, x_i^N)"
            " + Σ_k Σ_i Σ_p λ_ip^k (x_ip^k − σ^k(Σ_q W_pq^k x_iq^{k−1} + b_p^k))",
            "forward": "x_ip^k = σ^k(Σ_{q=1}^{n_{k−1}} W_pq^k x_iq^{k−1} + b_p^k)",
            "output": "λ_ip^N = −(1/M) ∂ℓ(y_i, x_i^N)/∂x_ip^N",
            "recursion": "λ_ip^k = Σ_{q=1}^{n_{k+1}} W_qp^{k+1} σ′^{k+1}(z_iq^{k+1}) λ_iq^{k+1}",
            "weights": "∂L/∂W_pq^k = −Σ_{i=1}^{M} σ′^k(z_ip^k) λ_ip^k x_iq^{k−1}",
            "biases": "∂L/∂b_p^k = −Σ_{i=1}^{M} σ′^k(z_ip^k) λ_ip^k",
            "update": "W_pq^k ← W_pq^k + η Σ_i σ′^k(z_ip^k) λ_ip^k x_iq^{k−1}\n"
            "b_p^k ← b_p^k − η ∂L/∂b_p^k",
        },
    ),
    Case(
        "i and j as components, LaTeX, one sample understood",
        "open",
        {
            "forward": r"z_j^{k} = \sum_{i} W_{ji}^{k} x_i^{k-1} + b_j^k \\ x_j^k = \sigma(z_j^k)",
            "output": r"\lambda_j^N = -\frac{1}{M}\frac{\partial \ell}{\partial x_j^N}",
            "recursion": r"\lambda_j^{k} = \sum_{i} W_{ij}^{k+1}\,\sigma'(z_i^{k+1})\,\lambda_i^{k+1}",
        },
    ),
    Case(
        "samples as rows, capital letters",
        "squares",
        {
            "forward": "Z^k = X^{k-1} W^{k}^T + 1 b^k^T\nX^k = σ(Z^k)".replace("1 b^k^T", "b^k"),
            "output": "Λ^N = (Y - X^N)/M",
            "recursion": "Λ^k = (σ'(Z^{k+1}) ⊙ Λ^{k+1}) W^{k+1}",
            "weights": "∂L/∂W^k = -(σ'(Z^k) ⊙ Λ^k)ᵀ X^{k-1}",
            "biases": "∂L/∂b^k = -(σ'(Z^k) ⊙ Λ^k)ᵀ 𝟏",
            "update": "W^k ← W^k + η (σ'(Z^k) ⊙ Λ^k)ᵀ X^{k-1}\nb^k ← b^k + η 1ᵀ(σ'(Z^k) ⊙ Λ^k)",
        },
    ),
    Case(
        "samples as columns",
        "squares",
        {
            "forward": "Z^k = W^k X^{k-1} + b^k\nX^k = tanh(Z^k)",
            "output": "Λ^N = (1/M) (Y − X^N)",
            "recursion": "Λ^k = W^{k+1}ᵀ (σ'(Z^{k+1}) ⊙ Λ^{k+1})",
            "weights": "∂L/∂W^k = −(σ'(Z^k) ⊙ Λ^k) (X^{k−1})ᵀ",
            "biases": "∂L/∂b^k = −(σ'(Z^k) ⊙ Λ^k) 𝟏",
        },
    ),
    Case(
        "weights as (in, out)",
        "squares",
        {
            "forward": "Z^k = X^{k-1} W^k + b^k\nX^k = σ(Z^k)",
            "recursion": "Λ^k = (Λ^{k+1} ⊙ σ'(Z^{k+1})) W^{k+1}ᵀ",
            "weights": "∂L/∂W^k = −X^{k−1}ᵀ (Λ^k ⊙ σ'(Z^k))",
        },
        "n_{k−1} rows",
    ),
    Case(
        "minus in the Lagrangian",
        "squares",
        {
            "lagrangian": "L = 1/(2M) Σ_i ‖y_i − x_i^N‖^2"
            " − Σ_k Σ_i λ_i^kᵀ (x_i^k − σ(W^k x_i^{k−1} + b^k))",
            "output": "λ_i^N = (1/M)(x_i^N − y_i)",
            "recursion": "λ_i^k = W^{k+1}ᵀ (σ′(z_i^{k+1}) ⊙ λ_i^{k+1})",
            "weights": "∂L/∂W^k = Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
            "update": "W^k ← W^k − η Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ\n"
            "b^k ← b^k − η Σ_i σ′(z_i^k) ⊙ λ_i^k",
        },
        "opposite sign",
    ),
    Case(
        "constraint written the other way round",
        "open",
        {
            "lagrangian": "L = (1/M) Σ_i ℓ_i + Σ_i Σ_k λ_i^k · (σ^k(W^k x_i^{k−1} + b^k) − x_i^k)",
            "output": "λ_i^N = (1/M) ∂ℓ_i/∂x_i^N",
            "weights": "∂L/∂W^k = Σ_i (σ′^k(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
        },
        "opposite sign",
    ),
    Case(
        "1/M before everything, the homework's mini-batch",
        "open",
        {
            "lagrangian": "L = (1/|I|) Σ_{i∈I} [ ℓ(y_i, x_i^N)"
            " + Σ_{k=1}^N λ_i^k [x_i^k − σ^k(W^k x_i^{k−1} + b^k)] ]",
            "output": "λ_i^N = −∂ℓ(y_i, x_i^N)/∂x_i^N",
            "recursion": "λ_i^k = W^{k+1}ᵀ (σ′(z_i^{k+1}) ⊙ λ_i^{k+1})",
            "weights": "∂L/∂W^k = −(1/|I|) Σ_{i∈I} (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
            "biases": "∂L/∂b^k = −(1/|I|) Σ_{i∈I} σ′(z_i^k) ⊙ λ_i^k",
        },
        "without it",
    ),
    Case(
        "both splittings: z is a variable",
        "open",
        {
            "lagrangian": "L = (1/M) Σ_i ℓ(y_i, x_i^N) + Σ_k Σ_i ⟨μ_i^k, z_i^k − W^k x_i^{k−1} − b^k⟩"
            " + Σ_k Σ_i ⟨λ_i^k, x_i^k − σ^k(z_i^k)⟩",
            "output": "λ_i^N = −(1/M) ∂ℓ/∂x_i^N",
            "recursion": "μ_i^k = σ′^k(z_i^k) ⊙ λ_i^k\nλ_i^k = W^{k+1}ᵀ μ_i^{k+1}",
            "weights": "∂L/∂W^k = −Σ_i μ_i^k x_i^{k−1}ᵀ",
            "biases": "∂L/∂b^k = −Σ_i μ_i^k",
        },
    ),
    Case(
        "δ with σ′ as a difference, squared error and sigmoid",
        "sigmoid",
        {
            "output": "δ^N = (x^N − y) ⊙ x^N ⊙ (1 − x^N)",
            "recursion": "δ^k = (W^{k+1}ᵀ δ^{k+1}) ⊙ x^k ⊙ (1 − x^k)",
            "weights": "∂J/∂W^k = (1/M) Σ_i δ_i^k x_i^{k−1}ᵀ",
            "biases": "∂J/∂b^k = (1/M) Σ_i δ_i^k",
        },
    ),
    Case(
        "δ with 1/M inside",
        "squares",
        {
            "output": "δ^N = (x^N − y)/M",
            "recursion": "δ^k = σ'(z^k) ⊙ (W^{k+1}ᵀ δ^{k+1})",
            "weights": "∂L/∂W^k = Σ_i δ_i^k x_i^{k−1}ᵀ",
        },
        "contain 1/M",
    ),
    Case(
        "the old delta rule, target minus output",
        "squares",
        {
            "output": "δ^N = y − x^N",
            "recursion": "δ^k = σ'(z^k) ⊙ W^{k+1}ᵀ δ^{k+1}",
            "update": "W^k ← W^k + (η/M) Σ_i δ_i^k x_i^{k−1}ᵀ\nb^k ← b^k + (η/M) Σ_i δ_i^k",
        },
        "opposite sign",
    ),
    Case(
        "row vectors, as in the notes",
        "open",
        {
            "output": "Δ^N = ∂ℓ/∂x^N",
            "recursion": "Δ^{k−1} = Δ^k · [σ′^k(z^k) ⊙ W^k]",
        },
    ),
    Case(
        "delta rule in its own notation",
        "open",
        {
            "forward": "Z_lj = Σ_{p=1}^{h_{l−1}} ω_{lj,(l−1)p} φ_{(l−1)p} + b_lj\nφ_lj = A(Z_lj)",
            "output": "δ_{out,j} = A′(Z_{out,j}) ∂L(y, ŷ)/∂ŷ_j",
            "recursion": "δ_lj = A′(Z_lj) Σ_{p=1}^{h_{l+1}} ω_{(l+1)p,lj} δ_{(l+1)p}",
            "weights": "∂J/∂ω_{lj,(l−1)p} = (1/M) Σ_{i=1}^{M} δ_lj^(i) φ_{(l−1)p}^(i)",
            "biases": "∂J/∂b_lj = (1/M) Σ_{i=1}^{M} δ_lj^(i)",
        },
        options={"notation": "delta-rule"},
    ),
    Case(
        "slides: a vector g that is overwritten",
        "open penalty",
        {
            "forward": "a^(k) = b^(k) + W^(k) h^(k−1)\nh^(k) = f(a^(k))",
            "output": "g ← ∇_{ŷ} L(ŷ, y)",
            "recursion": "g ← g ⊙ f′(a^(k))\ng ← W^(k)ᵀ g",
            "weights": "∇_{W^(k)} J = (1/M) Σ_{i=1}^{M} g_i h_i^(k−1)ᵀ + λ ∇_{W^(k)} Ω(θ)",
            "biases": "∇_{b^(k)} J = (1/M) Σ_{i=1}^{M} g_i",
        },
        options={"notation": "goodfellow"},
    ),
    Case(
        "slides in LaTeX",
        "open",
        {
            "output": r"g \leftarrow \nabla_{\hat{y}} L(\hat{y}, y)",
            "recursion": r"g \leftarrow {W^{(k)}}^{\top} \left( g \odot f'(a^{(k)}) \right)",
        },
        options={"notation": "goodfellow"},
    ),
    Case(
        "derivatives themselves, Fleuret's letters",
        "open",
        {
            "forward": "s^(l) = w^(l) x^(l−1) + b^(l)\nx^(l) = σ(s^(l))",
            "recursion": "∂ℓ/∂s^(l) = ∂ℓ/∂x^(l) ⊙ σ′(s^(l))\n∂ℓ/∂x^(l−1) = w^(l)ᵀ ∂ℓ/∂s^(l)",
            "weights": "∂J/∂w^(l) = (1/M) Σ_i ∂ℓ_i/∂s_i^(l) x_i^(l−1)ᵀ",
            "biases": "∂J/∂b^(l) = (1/M) Σ_i ∂ℓ_i/∂s_i^(l)",
        },
        options={"notation": "fleuret"},
    ),
    Case(
        "layers as subscripts, W_t leads from o_t",
        "open",
        {
            "forward": "a_t = W_{t−1} o_{t−1} + b_{t−1}\no_t = σ(a_t)",
            "recursion": "∂ℓ_t/∂o_t = W_tᵀ (σ′(a_{t+1}) ⊙ ∂ℓ_{t+1}/∂o_{t+1})",
            "weights": "∂J/∂W_{t−1} = (1/M) Σ_i (σ′(a_t^(i)) ⊙ ∂ℓ_t^(i)/∂o_t^(i)) o_{t−1}^(i)ᵀ",
        },
        options={"notation": "shalev-shwartz"},
    ),
    Case(
        "tanh written out",
        "squares",
        {
            "recursion": "λ^k = (W^{k+1})^T ((1 − tanh(z^{k+1})^2) ⊙ λ^{k+1})",
            "weights": r"\frac{\partial L}{\partial W^k} = -\sum_i"
            r" \left( (1 - (x_i^k)^2) \odot \lambda_i^k \right) {x_i^{k-1}}^T",
        },
    ),
    Case(
        "tanh′ through cosh, which only numbers recognize",
        "squares",
        {"recursion": "λ^k = W^{k+1}ᵀ (4/(exp(z^{k+1}) + exp(−z^{k+1}))^2 ⊙ λ^{k+1})"},
        "numbers",
    ),
    Case(
        "relu's derivative as a step",
        "relu",
        {"recursion": "λ^k = W^{k+1}ᵀ (step(z^{k+1}) ⊙ λ^{k+1})"},
    ),
    Case(
        "diagonal matrices instead of ⊙",
        "open",
        {
            "recursion": r"\lambda^k = {W^{k+1}}^\top \operatorname{diag}(\sigma'(z^{k+1})) \lambda^{k+1}",
            "weights": r"\nabla_{W^k} L = -\sum_{i=1}^M \mathrm{diag}(\sigma'(z_i^k))"
            r"\, \lambda_i^k \, {x_i^{k-1}}^\top",
        },
    ),
    Case(
        "a name of the student's own",
        "open",
        {
            "recursion": "λ^k = W^{k+1}ᵀ D^{k+1} λ^{k+1}, where D^k = diag(σ'(z^k))",
            "weights": "V^k = σ'(z^k) ⊙ λ^k\n∂L/∂W^k = −Σ_i V^k x^{k−1}ᵀ",
        },
    ),
    Case(
        "softmax and cross-entropy: δ and its multiplier",
        "softmax",
        {
            "output": "μ^N = (y − x^N)/M",
            "recursion": "μ^k = σ'(z^k) ⊙ (W^{k+1}ᵀ μ^{k+1})",
            "weights": "∂L/∂W^k = −Σ_i μ_i^k x_i^{k−1}ᵀ",
        },
    ),
    Case(
        "softmax and cross-entropy: the multiplier of x^N",
        "softmax",
        {"output": "λ_p^N = y_p / (M x_p^N)"},
    ),
    Case(
        "softmax: the whole Jacobian",
        "softmax",
        {"output": "δ^N = (diag(x^N) − x^N x^Nᵀ) ∂ℓ/∂x^N"},
    ),
    Case(
        "with a regularizer",
        "penalty",
        {
            "lagrangian": "L = (1/M) Σ_i ½ ‖x_i^N − y_i‖² + (ρ/2) Σ_k ‖W^k‖_F^2"
            " + Σ_k Σ_i λ_i^kᵀ (x_i^k − σ(W^k x_i^{k−1} + b^k))",
            "weights": "∂L/∂W^k = ρ W^k − Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ",
            "update": "W^k ← (1 − η ρ) W^k + η Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ\n"
            "b^k ← b^k + η Σ_i σ′(z_i^k) ⊙ λ_i^k",
        },
    ),
    Case(
        "solved for nothing: conditions that vanish",
        "open",
        {
            "output": "∂L/∂x_i^N = (1/M) ∂ℓ/∂x_i^N + λ_i^N = 0",
            "recursion": r"\frac{\partial L}{\partial x^k} = \lambda^k"
            r" - {W^{k+1}}^\top (\sigma'(z^{k+1}) \odot \lambda^{k+1}) = 0",
        },
    ),
    Case(
        "the gradient of one sample",
        "open",
        {
            "output": "δ_i^N = σ'(z_i^N) ⊙ ℓ'(x_i^N)",
            "recursion": "δ_i^k = σ'(z_i^k) ⊙ W^{k+1}ᵀ δ_i^{k+1}",
            "weights": "∂ℓ_i/∂W^k = δ_i^k x_i^{k−1}ᵀ",
            "update": "W^k ← W^k − (η/M) Σ_i ∂ℓ_i/∂W^k\nb^k ← b^k − (η/M) Σ_i δ_i^k",
        },
        "one sample",
    ),
    Case(
        "layer letter l, arrow :=, -=",
        "open",
        {
            "forward": "x^l = sigma(W^l x^{l-1} + b^l)",
            "recursion": "lambda^l = transpose(W^{l+1}) (sigma'(z^{l+1}) * lambda^{l+1})",
            "update": "W^l := W^l - alpha * dL/dW^l\nb^l -= alpha * dL/db^l",
        },
    ),
    Case(
        "from the top: λ^{N−1}",
        "open",
        {"recursion": "λ^{N−1} = W^Nᵀ (σ′(z^N) ⊙ λ^N)\nλ^{k−1} = W^kᵀ (σ′(z^k) ⊙ λ^k)"},
    ),
    Case(
        "the sum over samples outside, a dot between vectors",
        "open",
        {
            "lagrangian": "L = 1/M sum_i [l(y_i, x_i^N)]"
            " + sum_i sum_k (lambda_i^k)^T (x_i^k - sigma(W^k x_i^{k-1} + b^k))",
            "output": "lambda_i^N = -1/M dl/dx_i^N",
        },
    ),
    Case(
        "a dot with blanks",
        "open",
        {
            "lagrangian": "L = 1/M sum_i l_i"
            " + sum_{i,k} lambda_i^k . (x_i^k - sigma(W^k x_i^{k-1} + b^k))",
        },
    ),
    Case(
        "increments",
        "squares",
        {
            "output": "λ^N = −(x^N − y)/M",
            "update": "ΔW^k = η Σ_i (σ′(z_i^k) ⊙ λ_i^k) x_i^{k−1}ᵀ\nΔb^k = η Σ_i σ′(z_i^k) ⊙ λ_i^k",
        },
    ),
)
