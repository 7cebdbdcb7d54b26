"""Wrong answers as students hand them in: a right program, and what was written instead of a line.

Each names the equation and the words that a diagnosis has to contain; where none are given the
mistake is outside the library of faults, and the diagnosis has to say where agreement ends.
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "answers"


class Wrong(NamedTuple):
    """One wrong answer.

    ``edits`` are pairs (line as it should be, line as it is); ``says`` is in the diagnosis of the
    part ``part``, ``label`` in its equation; ``layer`` is that of the part, if it has one.
    """

    base: str
    name: str
    edits: tuple[tuple[str, str], ...]
    label: str = ""
    says: tuple[str, ...] = ()
    part: str = "gradient"
    layer: int | None = None
    right: tuple[str, ...] = ()  # parts that are right all the same

    @property
    def source(self) -> str:
        """The program."""
        text = (FOLDER / f"{self.base}.py").read_text(encoding="utf-8")
        for old, new in self.edits:
            assert text.count(old) == 1, (self.name, old, text.count(old))
            text = text.replace(old, new)
        return text


def _one(old: str, new: str) -> tuple[tuple[str, str], ...]:
    return ((old, new),)


TWO = "two_layer_net"
COLUMNS = "shallow_columns"
CLASS = "network_class"
FLAT = "cost_function"
KKT = "lagrange"
STEP = "train_step"
DEEP = "deep_softmax"

ACCUMULATED = """for name in grads:
            if name in self.total and self.total[name].shape == grads[name].shape:
                grads[name] = self.total[name] + grads[name]
            self.total[name] = grads[name]
        return loss, grads"""

WRONG = (
    # -- softmax, ReLU and a penalty ---------------------------------------------------------------
    Wrong(TWO, "no mean", _one("dscores /= N", "pass"), "S2", ("1/M", "missing"), right=("loss",)),
    Wrong(
        TWO,
        "mean twice in the weights",
        (
            ("np.dot(h1.T, dscores)", "np.dot(h1.T, dscores) / N"),
            ("np.dot(X.T, dhidden)", "np.dot(X.T, dhidden) / N"),
        ),
        "S5",
        ("M times too small", "in all layers"),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "no penalty in the gradient",
        ((" + reg * W2\n", "\n"), (" + reg * W1\n", "\n")),
        "S5",
        ("the term ρ ω′(W", "missing"),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "penalty twice as large in the gradient",
        ((" + reg * W2\n", " + 2 * reg * W2\n"), (" + reg * W1\n", " + 2 * reg * W1\n")),
        "S5",
        ("ρ ω′(W", "twice"),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "penalty missing in the first layer",
        _one(" + reg * W1\n", "\n"),
        "S5",
        ("layer 1", "ρ ω′(W¹) is missing"),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "ReLU not in the backward pass",
        _one("dhidden[z1 <= 0] = 0", "pass"),
        "S4",
        ("σ′¹(z¹) is missing",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "ReLU mask the other way round",
        _one("dhidden[z1 <= 0] = 0", "dhidden[z1 > 0] = 0"),
        "S4",
        ("1 − σ′¹(z¹)",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "ReLU of the error instead of its mask",
        _one("dhidden[z1 <= 0] = 0", "dhidden = np.maximum(0, dhidden)"),
        "S4",
        ("at the error −λ¹",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "multiplied by the activation",
        _one("dhidden[z1 <= 0] = 0", "dhidden = dhidden * h1"),
        "S4",
        ("σ¹(z¹) stands where its derivative σ′¹(z¹) belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "mean in the bias gradient",
        _one(
            "grads['b1'] = np.sum(dhidden, axis=0)",
            "grads['b1'] = np.mean(dhidden, axis=0)",
        ),
        "S6",
        ("layer 1", "M times too small"),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "bias gradient summed over everything",
        _one("grads['b2'] = np.sum(dscores, axis=0)", "grads['b2'] = np.sum(dscores)"),
        "S6",
        ("components too",),
        layer=2,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "the one of the label is not subtracted",
        _one("dscores[np.arange(N), y] -= 1", "pass"),
        "S2, S4",
        ("the term y is missing",),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "label minus output",
        _one("dscores[np.arange(N), y] -= 1", "dscores[np.arange(N), y] -= 1; dscores = -dscores"),
        "S2",
        ("the sign",),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "every label is subtracted from every sample",
        _one("dscores[np.arange(N), y] -= 1", "dscores[:, y] -= 1"),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "weights not transposed",
        _one("np.dot(dscores, W2.T)", "np.dot(dscores, W2)"),
        "S3",
        ("W²", "transposed"),
        layer=1,
    ),
    Wrong(
        TWO,
        "loss summed, not averaged",
        _one(
            "np.sum(-np.log(probs[np.arange(N), y])) / N", "np.sum(-np.log(probs[np.arange(N), y]))"
        ),
        "J",
        ("1/M", "missing"),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        TWO,
        "penalty of the loss without one half",
        _one(
            "0.5 * reg * np.sum(W1 * W1) + 0.5 * reg * np.sum(W2 * W2)",
            "reg * np.sum(W1 * W1) + reg * np.sum(W2 * W2)",
        ),
        "J",
        ("twice too large",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        TWO,
        "loss without the penalty",
        _one("loss = data_loss + reg_loss", "loss = data_loss"),
        "J",
        ("zero",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        TWO,
        "penalty of the output layer only, in the loss",
        _one("0.5 * reg * np.sum(W1 * W1) + ", ""),
        "J",
        ("layer 1",),
        "loss",
        layer=1,
        right=("gradient",),
    ),
    Wrong(
        TWO,
        "biases are penalized, in loss and gradient",
        (
            (
                "0.5 * reg * np.sum(W2 * W2)",
                "0.5 * reg * np.sum(W2 * W2) + 0.5 * reg * (np.sum(b1 ** 2) + np.sum(b2 ** 2))",
            ),
            ("np.sum(dscores, axis=0)", "np.sum(dscores, axis=0) + reg * b2"),
            ("np.sum(dhidden, axis=0)", "np.sum(dhidden, axis=0) + reg * b1"),
        ),
        "S6",
        ("the biases are regularized",),
    ),
    Wrong(
        TWO,
        "softmax over the wrong axis",
        (
            ("np.max(scores, axis=1, keepdims=True)", "np.max(scores, axis=0, keepdims=True)"),
            (
                "np.sum(exp_scores, axis=1, keepdims=True)",
                "np.sum(exp_scores, axis=0, keepdims=True)",
            ),
        ),
        "S1",
        ("over the samples",),
    ),
    Wrong(
        TWO,
        "softmax over everything",
        (
            ("np.max(scores, axis=1, keepdims=True)", "np.max(scores)"),
            ("np.sum(exp_scores, axis=1, keepdims=True)", "np.sum(exp_scores)"),
        ),
        "S1",
        ("over samples and components together",),
    ),
    Wrong(
        TWO,
        "softmax that overflows",
        _one("scores - np.max(scores, axis=1, keepdims=True)", "scores"),
        "",
        ("exp overflows",),
    ),
    Wrong(
        TWO,
        "bias forgotten",
        _one("X.dot(W1) + b1", "X.dot(W1)"),
        "S0",
        ("b¹ is missing",),
        layer=1,
    ),
    Wrong(
        TWO,
        "no activation in the forward pass",
        _one("np.maximum(0, z1)", "z1"),
        "S1",
        ("σ¹(z¹) is missing",),
        layer=1,
    ),
    Wrong(
        TWO,
        "hidden states for inputs",
        _one("np.dot(X.T, dhidden)", "np.dot(h1.T, dhidden)"),
        "S5",
        ("x¹ stands where x⁰ belongs",),
        layer=1,
    ),
    Wrong(
        TWO,
        "logarithm of base ten",
        _one("-np.log(probs", "-np.log10(probs"),
        "J",
        ("base 10",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        TWO,
        "derivative of softmax by its diagonal",
        _one("dscores /= N", "dscores = dscores * probs * (1 - probs) / N"),
        "S2, S4",
        ("x² ⊙ (1 − x²)",),
        right=("loss",),
    ),
    Wrong(
        TWO,
        "bias gradient before the mask",
        (
            ("dhidden[z1 <= 0] = 0", "db1 = np.sum(dhidden, axis=0); dhidden[z1 <= 0] = 0"),
            ("grads['b1'] = np.sum(dhidden, axis=0)", "grads['b1'] = db1"),
        ),
        "S6",
        ("λ¹ stands where μ¹ belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        TWO,
        "weights are changed by the call",
        _one("return loss, grads", "W1 -= 1e-2 * grads['W1']\n        return loss, grads"),
        "",
        ("in place",),
    ),
    Wrong(
        TWO,
        "gradients are accumulated over calls",
        (
            ("class TwoLayerNet:", "class TwoLayerNet:\n    total = {}\n"),
            (
                "return loss, grads",
                ACCUMULATED,
            ),
        ),
        "",
        ("equal calls", "earlier calls"),
    ),
    Wrong(
        TWO,
        "derivative by differences",
        _one(
            "        return loss, grads",
            """        if not getattr(self, 'inside', False):
            self.inside = True
            for name in self.params:
                it = np.nditer(self.params[name], flags=['multi_index'])
                grads[name] = np.zeros_like(self.params[name])
                while not it.finished:
                    at = it.multi_index
                    old = self.params[name][at]
                    self.params[name][at] = old + 1e-5
                    plus = self.loss(X, y, reg)[0]
                    self.params[name][at] = old - 1e-5
                    minus = self.loss(X, y, reg)[0]
                    self.params[name][at] = old
                    grads[name][at] = (plus - minus) / 2e-5
                    it.iternext()
        return loss, grads""",
        ),
        "",
        ("by differences",),
        right=("loss",),
    ),
    # -- samples as columns ------------------------------------------------------------------------
    Wrong(
        COLUMNS,
        "tanh' without its square",
        _one("(1 - np.power(A1, 2))", "(1 - A1)"),
        "S4",
        ("stands where its power belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "sigmoid' for tanh'",
        _one("(1 - np.power(A1, 2))", "A1 * (1 - A1)"),
        "S4",
        ("the derivative of sigmoid",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "error instead of delta",
        _one(" * (1 - np.power(A1, 2))", ""),
        "S4",
        ("σ′¹(z¹) is missing",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "squared-error delta for cross-entropy",
        _one("dZ2 = A2 - Y", "dZ2 = (A2 - Y) * A2 * (1 - A2)"),
        "S4",
        ("sigmoid′",),
        layer=2,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "bias gradient over the wrong axis",
        _one(
            "db1 = np.sum(dZ1, axis=1, keepdims=True) / m",
            "db1 = np.sum(dZ1, axis=0, keepdims=True).T / m",
        ),
        "S6",
        ("components instead of the samples",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "mean missing in the first layer",
        (
            ("np.dot(dZ1, X.T) / m", "np.dot(dZ1, X.T)"),
            (
                "db1 = np.sum(dZ1, axis=1, keepdims=True) / m",
                "db1 = np.sum(dZ1, axis=1, keepdims=True)",
            ),
        ),
        "S3",
        ("M times too large",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "half of the cross-entropy",
        _one(" + np.multiply(np.log(1 - A2), 1 - Y)", ""),
        "J",
        ("only y log p is counted",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        COLUMNS,
        "cost not averaged",
        _one("-np.sum(logprobs) / m", "-np.sum(logprobs)"),
        "J",
        ("1/M", "missing"),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        COLUMNS,
        "cost without its sign",
        _one("-np.sum(logprobs) / m", "np.sum(logprobs) / m"),
        "J",
        ("sign",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        COLUMNS,
        "tanh' of the preactivation",
        _one("np.power(A1, 2)", "np.power(Z1, 2)"),
        "S4",
        ("z¹ stands where x¹ belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "tanh' taken at the activation",
        _one("np.power(A1, 2)", "np.power(np.tanh(A1), 2)"),
        "S4",
        ("x¹ stands where z¹ belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "output error of the wrong sign",
        _one("dZ2 = A2 - Y", "dZ2 = Y - A2"),
        "S2",
        ("sign",),
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "sum of products of means",
        _one(
            "np.dot(dZ2, A1.T) / m",
            "np.mean(dZ2, axis=1, keepdims=True) @ np.mean(A1, axis=1, keepdims=True).T",
        ),
        "S5",
        ("sums over the samples",),
        layer=2,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "mean missing in one bias",
        _one(
            "db2 = np.sum(dZ2, axis=1, keepdims=True) / m",
            "db2 = np.sum(dZ2, axis=1, keepdims=True)",
        ),
        "S6",
        ("M times too large",),
        layer=2,
        right=("loss",),
    ),
    Wrong(
        COLUMNS,
        "second activation forgotten",
        (("A2 = sigmoid(Z2)", "A2 = Z2"), ("np.log(A2)", "np.log(np.abs(A2))")),
    ),
    # -- one sample at a time, any depth -----------------------------------------------------------
    Wrong(
        CLASS,
        "no derivative at the output",
        _one(" * sigmoid_prime(zs[-1])", ""),
        "S4",
        ("σ′", "missing"),
        layer=3,
    ),
    Wrong(
        CLASS,
        "no derivative in hidden layers",
        _one(
            "self.weights[-l + 1].transpose(), delta) * sp",
            "self.weights[-l + 1].transpose(), delta)",
        ),
        "S4",
        ("hidden layers", "σ′", "missing"),
    ),
    Wrong(
        CLASS,
        "derivative at the activation",
        _one("sp = sigmoid_prime(z)", "sp = sigmoid_prime(activations[-l])"),
        "S4",
        ("hidden layers", "x^k stands where z^k belongs"),
    ),
    Wrong(
        CLASS,
        "weights of the wrong layer",
        _one("self.weights[-l + 1].transpose(), delta)", "self.weights[-l].transpose(), delta)"),
        "S3",
        ("W^k stands where W^{k+1} belongs",),
    ),
    Wrong(
        CLASS,
        "activation of the wrong layer",
        _one(
            "np.dot(delta, activations[-l - 1].transpose())",
            "np.dot(delta, activations[-l].transpose())",
        ),
        "S5",
        ("x^k stands where x^{k−1} belongs", "hidden"),
    ),
    Wrong(
        CLASS,
        "the sign of the cost derivative",
        _one("(output_activations - y)", "(y - output_activations)"),
        "S2",
        ("sign",),
    ),
    Wrong(
        CLASS,
        "factor two of the cost derivative",
        _one("return (output_activations - y)", "return 2 * (output_activations - y)"),
        "S2",
        ("twice too large",),
    ),
    Wrong(
        CLASS,
        "first layer left out",
        _one("range(2, self.num_layers)", "range(2, self.num_layers - 1)"),
        "S",
        ("layer 1", "zero"),
        layer=1,
    ),
    Wrong(
        CLASS,
        "error not passed through the weights",
        _one("np.dot(self.weights[-l + 1].transpose(), delta) * sp", "delta * sp"),
        "S3",
        ("W^{k+1} is missing",),
    ),
    Wrong(
        CLASS,
        "sigmoid' of its own making",
        _one("return sigmoid(z) * (1 - sigmoid(z))", "return sigmoid(z) * (1 + sigmoid(z))"),
        "S4",
        ("in all layers", "the sign of x^k is reversed"),
    ),
    Wrong(
        CLASS,
        "sigmoid' is sigmoid",
        _one("return sigmoid(z) * (1 - sigmoid(z))", "return sigmoid(z)"),
        "S4",
        ("in all layers", "stands where its derivative"),
    ),
    Wrong(
        CLASS,
        "gradient of squared deltas in biases",
        _one("            nabla_b[-l] = delta\n", "            nabla_b[-l] = delta * delta\n"),
    ),
    # -- unrolled parameters -----------------------------------------------------------------------
    Wrong(
        FLAT,
        "biases are penalized",
        (
            ("Theta1_grad[:, 1:] += lam / m * Theta1[:, 1:]", "Theta1_grad += lam / m * Theta1"),
            ("Theta2_grad[:, 1:] += lam / m * Theta2[:, 1:]", "Theta2_grad += lam / m * Theta2"),
        ),
        "S6",
        ("the biases are regularized",),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "penalty not divided by m",
        (
            ("+= lam / m * Theta1", "+= lam * Theta1"),
            ("+= lam / m * Theta2", "+= lam * Theta2"),
        ),
        "S5",
        ("ρ ω′(W", "M times too large"),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "penalty missing in J",
        _one("    J = J + lam / (2 * m) *", "    R = lam / (2 * m) *"),
        "J",
        ("zero",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        FLAT,
        "penalty of J counts the biases",
        _one(
            "np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2)",
            "np.sum(Theta1 ** 2) + np.sum(Theta2 ** 2)",
        ),
        "J",
        ("the biases are regularized",),
        "loss",
        right=("gradient",),
    ),
    Wrong(
        FLAT,
        "no sigmoid gradient",
        _one("[1:] * sigmoid_gradient(z2[t])", "[1:]"),
        "S4",
        ("σ′¹(z¹) is missing",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "unrolled row by row",
        _one(
            "[Theta1_grad.ravel(order='F'), Theta2_grad.ravel(order='F')]",
            "[Theta1_grad.ravel(), Theta2_grad.ravel()]",
        ),
        "",
        ("stand in another order",),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "sigmoid gradient of the activation",
        _one("sigmoid_gradient(z2[t])", "sigmoid_gradient(a2[t, 1:])"),
        "S4",
        ("x¹ stands where z¹ belongs",),
        layer=1,
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "overwritten instead of added",
        (
            ("Delta1 = Delta1 + np.outer(d2, a1[t])", "Delta1 = np.outer(d2, a1[t])"),
            ("Delta2 = Delta2 + np.outer(d3, a2[t])", "Delta2 = np.outer(d3, a2[t])"),
        ),
        "S5",
        ("last sample",),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "the last sample is left out",
        _one("for t in range(m):", "for t in range(m - 1):"),
        "S5",
        ("last sample does not count",),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "penalty with the wrong sign",
        (
            ("+= lam / m * Theta1", "-= lam / m * Theta1"),
            ("+= lam / m * Theta2", "-= lam / m * Theta2"),
        ),
        "S5",
        ("sign of ρ ω′(W",),
        right=("loss",),
    ),
    Wrong(
        FLAT,
        "labels counted from zero",
        _one("Y[i, y[i] - 1] = 1", "Y[i, y[i] % num_labels] = 1"),
        "S2",
        ("classes", "shifted by one"),
    ),
    Wrong(
        FLAT,
        "averaged twice",
        (
            ("Theta1_grad = Delta1 / m", "Theta1_grad = Delta1 / m / m"),
            ("Theta2_grad = Delta2 / m", "Theta2_grad = Delta2 / m / m"),
        ),
        "S2",
        ("1/M", "twice"),
        right=("loss",),
    ),
    # -- multipliers -------------------------------------------------------------------------------
    Wrong(
        KKT,
        "sign of the output multiplier",
        _one("(Y - xs[-1]) / M", "(xs[-1] - Y) / M"),
        "S2",
        ("sign",),
        "multipliers",
        right=("loss",),
    ),
    Wrong(
        KKT,
        "multipliers of single samples",
        (
            ("lam[N - 1] = (Y - xs[-1]) / M", "lam[N - 1] = (Y - xs[-1])"),
            ("-mu[k].T @ xs[k]", "-mu[k].T @ xs[k] / M"),
            ("-np.sum(mu[k], axis=0)", "-np.mean(mu[k], axis=0)"),
        ),
        "answer",
        ("M times too large",),
        "multipliers",
        right=("loss", "gradient"),
    ),
    Wrong(
        KKT,
        "recursion without the activation",
        _one("lam[k] = mu[k + 1] @ W", "lam[k] = lam[k + 1] @ W"),
        "S3",
        ("λ² stands where μ² belongs",),
        "multipliers",
        right=("loss",),
    ),
    Wrong(
        KKT,
        "multipliers of the preactivations returned",
        _one("return loss, lam, grads", "return loss, mu, grads"),
        "answer",
        ("μ^k stands where λ^k belongs",),
        "multipliers",
        right=("loss", "gradient"),
    ),
    Wrong(
        KKT,
        "gradient with the multiplier of the state",
        _one("-mu[k].T @ xs[k]", "-lam[k].T @ xs[k]"),
        "S5",
        ("λ^k stands where μ^k belongs",),
        right=("loss", "multipliers"),
    ),
    Wrong(
        KKT,
        "gradient with the state above",
        _one("-mu[k].T @ xs[k]", "-mu[k].T @ xs[k + 1]"),
        "S5",
        ("x^k stands where x^{k−1} belongs",),
        right=("loss", "multipliers"),
    ),
    Wrong(
        KKT,
        "gradient without its minus",
        (
            ("-mu[k].T @ xs[k]", "mu[k].T @ xs[k]"),
            ("-np.sum(mu[k], axis=0)", "np.sum(mu[k], axis=0)"),
        ),
        "S5",
        ("sign",),
        right=("loss", "multipliers"),
    ),
    Wrong(
        KKT,
        "mean over the components",
        _one("np.sum((xs[-1] - Y) ** 2) / (2 * M)", "0.5 * np.mean((xs[-1] - Y) ** 2)"),
        "J",
        ("number of outputs",),
        "loss",
        right=("gradient", "multipliers"),
    ),
    Wrong(
        KKT,
        "no half in the loss",
        _one("/ (2 * M)", "/ M"),
        "J",
        ("2 is missing",),
        "loss",
        right=("gradient", "multipliers"),
    ),
    Wrong(
        KKT,
        "layers returned from the output backwards",
        _one("return loss, lam, grads", "return loss, lam, grads[::-1]"),
        "answer",
        ("reverse order",),
        right=("loss", "multipliers"),
    ),
    Wrong(
        KKT,
        "divided by M minus one",
        _one("(Y - xs[-1]) / M", "(Y - xs[-1]) / (M - 1)"),
        "S2",
        ("M − 1",),
        "multipliers",
        right=("loss",),
    ),
    Wrong(
        KKT,
        "twice the activation for its square",
        _one("(1 - np.tanh(zs[k]) ** 2)", "(1 - 2 * np.tanh(zs[k]))"),
        "S4",
        ("2 x",),
        "multipliers",
        right=("loss",),
    ),
    # -- updated weights ---------------------------------------------------------------------------
    Wrong(
        STEP,
        "weights updated before the backward pass",
        (
            (
                "    d1 = (d2 @ W[1]) * h * (1 - h)\n",
                "    W1 = W[1] - eta * d2.T @ h\n    d1 = (d2 @ W1) * h * (1 - h)\n",
            ),
            ("W[1] - eta * d2.T @ h]", "W1]"),
        ),
        "S3",
        ("updated before the backward pass",),
        layer=1,
    ),
    Wrong(
        STEP,
        "gradient ascent",
        (
            ("W[0] - eta", "W[0] + eta"),
            ("W[1] - eta * d2.T", "W[1] + eta * d2.T"),
            ("b[0] - eta", "b[0] + eta"),
            ("b[1] - eta", "b[1] + eta"),
        ),
        "S2",
        ("sign",),
    ),
    Wrong(
        STEP,
        "step size forgotten",
        (("W[0] - eta * d1", "W[0] - d1"), ("W[1] - eta * d2", "W[1] - d2")),
        "step",
        ("η is missing",),
    ),
    Wrong(
        STEP,
        "biases not updated",
        _one("[b[0] - eta * d1.sum(axis=0), b[1] - eta * d2.sum(axis=0)]", "[b[0], b[1]]"),
        "step",
        ("missing",),
    ),
    Wrong(
        STEP,
        "sign of one step",
        _one("b[1] - eta * d2.sum(axis=0)]", "b[1] + eta * d2.sum(axis=0)]"),
        "S6",
        ("sign", "layer 2"),
        layer=2,
    ),
    # -- deep, with two mistakes at once -----------------------------------------------------------
    Wrong(
        DEEP,
        "penalty and derivative forgotten",
        (("dW = delta.T @ xs[k] + RHO * W", "dW = delta.T @ xs[k]"), (" * (1 - xs[k] ** 2)", "")),
        "S",
        ("ρ ω′(W^k) is missing", "σ′^k(z^k) is missing"),
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "mean forgotten and a sign",
        _one("delta = (xs[N] - Y) / M", "delta = Y - xs[N]"),
        "S",
        ("1/M", "sign"),
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "penalty divided by M, and bias gradient averaged",
        (("+ RHO * W", "+ RHO / M * W"), ("db = delta.sum(axis=0)", "db = delta.mean(axis=0)")),
        "S",
        ("ρ ω′(W^k) is M times too small", "(S6)"),
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "loss without penalty, gradient without mean",
        (("J += RHO / 2 * np.sum(W ** 2)", "pass"), ("(xs[N] - Y) / M", "(xs[N] - Y)")),
        "S2",
        ("1/M",),
        right=("states",),
    ),
    Wrong(
        DEEP,
        "preactivations returned",
        (
            ("        states.append(x)", "        states.append(z)"),
            ("x = forward(theta, X)[-1]", "x = softmax(forward(theta, X)[-1])"),
            (
                "xs = [X] + forward(theta, X)",
                "zs = forward(theta, X); xs = [X] + [np.tanh(z) for z in zs[:-1]] + [softmax(zs[-1])]",
            ),
        ),
        "answer",
        ("z^k stands where x^k belongs",),
        "states",
        right=("loss", "gradient"),
    ),
    Wrong(
        DEEP,
        "tanh at the output too, before softmax",
        _one("softmax(z)\n        states", "softmax(np.tanh(z))\n        states"),
        "S1",
        ("tanh is applied before",),
    ),
    Wrong(
        DEEP,
        "the same error in every layer",
        _one(
            "delta = (delta @ W) * (1 - xs[k] ** 2)",
            "delta = (((xs[N] - Y) / M) @ W) * (1 - xs[k] ** 2)",
        ),
        "S3",
        ("of the output",),
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "L1 in the gradient of L2",
        _one("+ RHO * W", "+ RHO * np.sign(W)"),
        "S5",
        ("L1",),
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "penalty of the gradient in hidden layers only",
        _one(
            "dW = delta.T @ xs[k] + RHO * W", "dW = delta.T @ xs[k] + (RHO * W if k < N - 1 else 0)"
        ),
        "S5",
        ("ρ ω′(W⁴) is missing", "layer 4"),
        layer=4,
        right=("loss", "states"),
    ),
    Wrong(
        DEEP,
        "derivative forgotten in the first layer",
        _one(
            "delta = (delta @ W) * (1 - xs[k] ** 2)",
            "delta = (delta @ W) * ((1 - xs[k] ** 2) if k > 1 else 1)",
        ),
        "S4",
        ("layer 1", "σ′¹(z¹) is missing"),
        layer=1,
        right=("loss", "states"),
    ),
)
