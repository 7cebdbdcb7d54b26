"""Right answers that look unlike the package's: other layouts, conventions, ways to differentiate."""

from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Right(NamedTuple):
    """One right answer: a program, or what is written instead in one; the same of its assignment."""

    base: str
    name: str
    edits: tuple[tuple[str, str], ...] = ()
    written: str = ""
    declared: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def source(self) -> str:
        """The program."""
        return self.written or _edited(f"{self.base}.py", self.edits)

    @property
    def assignment(self) -> str:
        """Its assignment."""
        return _edited(f"{self.base}.toml", self.declared)


def _edited(file: str, edits: tuple[tuple[str, str], ...]) -> str:
    text = (HERE / "answers" / file).read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, (file, old, text.count(old))
        text = text.replace(old, new)
    return text


LOOPS = """
import math


def gradients(theta, X, Y):
    rho, M, N = 0.1, len(X), len(theta)
    grads = [([[rho * w for w in row] for row in W], [0.0 for _ in b]) for W, b in theta]
    for x, y in zip(X, Y):
        states = [list(x)]
        for k, (W, b) in enumerate(theta):
            z = [sum(w * v for w, v in zip(row, states[-1])) + bias for row, bias in zip(W, b)]
            if k < N - 1:
                states.append([math.tanh(v) for v in z])
            else:
                top = max(z)
                e = [math.exp(v - top) for v in z]
                states.append([v / sum(e) for v in e])
        delta = [v - t for v, t in zip(states[-1], y)]
        for k in range(N - 1, -1, -1):
            dW, db = grads[k]
            for p, d in enumerate(delta):
                db[p] += d / M
                for q, v in enumerate(states[k]):
                    dW[p][q] += d * v / M
            W = theta[k][0]
            back = [sum(W[p][q] * delta[p] for p in range(len(delta))) for q in range(len(W[0]))]
            delta = [g * (1 - v * v) for g, v in zip(back, states[k])]
    return grads


def forward(theta, X):
    found = [[] for _ in theta]
    for x in X:
        for k, (W, b) in enumerate(theta):
            z = [sum(w * v for w, v in zip(row, x)) + bias for row, bias in zip(W, b)]
            if k < len(theta) - 1:
                x = [math.tanh(v) for v in z]
            else:
                top = max(z)
                e = [math.exp(v - top) for v in z]
                x = [v / sum(e) for v in e]
            found[k].append(x)
    return found


def cost(theta, X, Y):
    out = forward(theta, X)[-1]
    J = -sum(t * math.log(v) for x, y in zip(out, Y) for v, t in zip(x, y)) / len(X)
    return J + 0.05 * sum(w * w for W, b in theta for row in W for w in row)
"""

SCALAR_TAPE = (
    (HERE / "layouts" / "scalars.py").read_text(encoding="utf-8").partition("class MLP")[0]
)
SCALAR_TAPE += """
def solve(theta, X, Y):
    net = [([[Value(w) for w in row] for row in W], [Value(v) for v in b]) for W, b in theta]
    J = Value(0.0)
    states = [[] for _ in net]
    for x, y in zip(X, Y):
        h = [Value(v) for v in x]
        for k, (W, b) in enumerate(net):
            z = []
            for row, bias in zip(W, b):
                s = bias
                for w, v in zip(row, h):
                    s = s + w * v
                z.append(s)
            h = [v.tanh() for v in z] if k < len(net) - 1 else z
            states[k].append(h)
        for v, t in zip(h, y):
            error = v + Value(-t)
            J = J + error * error * Value(0.5 / len(X))
    J.backward()
    lam = [[[-v.grad for v in h] for h in layer] for layer in states]
    grads = [([[w.grad for w in row] for row in W], [v.grad for v in b]) for W, b in net]
    return J.data, lam, grads
"""

ARRAY_TAPE = """
import numpy as np


def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    return grad


class Tensor:
    def __init__(self, data, back=None, parents=()):
        self.data, self.back, self.parents = np.asarray(data), back, parents
        self.grad = np.zeros_like(self.data, dtype=float)

    def __matmul__(self, other):
        return Tensor(self.data @ other.data, lambda g: (g @ other.data.T, self.data.T @ g), (self, other))

    def __add__(self, other):
        shapes = self.data.shape, other.data.shape
        return Tensor(self.data + other.data, lambda g: tuple(unbroadcast(g, s) for s in shapes), (self, other))

    @property
    def T(self):
        return Tensor(self.data.T, lambda g: (g.T,), (self,))

    def sigmoid(self):
        s = 1 / (1 + np.exp(-self.data))
        return Tensor(s, lambda g: (g * s * (1 - s),), (self,))

    def half_square(self, y):
        M = len(y)
        return Tensor(((self.data - y) ** 2).sum() / (2 * M), lambda g: (g * (self.data - y) / M,), (self,))

    def backward(self):
        order = []

        def visit(t):
            if t not in order:
                for p in t.parents:
                    visit(p)
                order.append(t)

        visit(self)
        self.grad = np.ones_like(self.data, dtype=float)
        for t in reversed(order):
            if t.back:
                for p, g in zip(t.parents, t.back(t.grad)):
                    p.grad = p.grad + g


def train_step(W, b, X, Y, eta):
    Ws, bs = [Tensor(w) for w in W], [Tensor(v) for v in b]
    h = (Tensor(X) @ Ws[0].T + bs[0]).sigmoid()
    loss = (h @ Ws[1].T + bs[1]).half_square(Y)
    loss.backward()
    return [w.data - eta * w.grad for w in Ws], [v.data - eta * v.grad for v in bs]
"""

COMPLEX_STEP = """
import numpy as np


def train_step(W, b, X, Y, eta):
    shapes = [v.shape for v in (*W, *b)]
    flat = np.concatenate([v.ravel() for v in (*W, *b)])

    def unflatten(v):
        out, start = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            out.append(v[start:start + size].reshape(shape))
            start += size
        return out

    def loss(v):
        W0, W1, b0, b1 = unflatten(v)
        h = 1 / (1 + np.exp(-(X @ W0.T + b0)))
        return np.sum((h @ W1.T + b1 - Y) ** 2) / (2 * len(X))

    grad = np.zeros_like(flat)
    for j in range(flat.size):
        moved = flat.astype(complex)
        moved[j] += 1e-30j
        grad[j] = loss(moved).imag / 1e-30
    W0, W1, b0, b1 = unflatten(flat - eta * grad)
    return [W0, W1], [b0, b1]
"""

BY_CASES = """
import numpy as np


class Layer:
    def __init__(self, W, b, last):
        self.W, self.b, self.last = W, b, last

    def forward(self, x):
        self.x = x
        z = np.einsum('iq,pq->ip', x, self.W) + self.b[None]
        self.out = z if self.last else np.tanh(z)
        return self.out

    def backward(self, upstream):
        delta = upstream if self.last else upstream / np.cosh(np.einsum('iq,pq->ip', self.x, self.W) + self.b) ** 2
        self.dW = np.einsum('ip,iq->pq', delta, self.x)
        self.db = np.einsum('ip->p', delta)
        return np.einsum('ip,pq->iq', delta, self.W)


def solve(theta, X, Y):
    layers = [Layer(W, b, k == len(theta) - 1) for k, (W, b) in enumerate(theta)]
    x = X
    for layer in layers:
        x = layer.forward(x)
    error = (x - Y) / X.shape[0]
    lam = []
    for layer in reversed(layers):
        lam.insert(0, -error)
        error = layer.backward(error)
    return 0.5 * np.vdot(x - Y, x - Y) / X.shape[0], lam, [(layer.dW, layer.db) for layer in layers]
"""

FOLDED = """
import numpy as np


def one_step(Ws, X, y):
    '''weights (in + 1, out) with the bias in the last row; samples as rows'''
    ones = np.ones((len(X), 1))
    a = [np.hstack([X, ones])]
    for k, W in enumerate(Ws):
        z = a[-1] @ W
        a.append(np.hstack([np.maximum(z, 0.1 * z), ones]) if k < len(Ws) - 1 else z)
    d = 2 * (a[-1] - y.reshape(a[-1].shape))
    grads = []
    for k in reversed(range(len(Ws))):
        grads.insert(0, a[k].T @ d)
        d = (d @ Ws[k].T)[:, :-1] * np.where(a[k][:, :-1] >= 0, 1, 0.1)
    return np.sum((a[-1] - y.reshape(a[-1].shape)) ** 2), grads
"""
FOLDED_TOML = """
name = "Sums of squares, biases in the last row"
[network]
depth = [2, 3]
activation = { name = "leaky_relu", slope = 0.1 }
loss = "squared_error"
reduction = "sum"
scale = 2.0
[submission]
calls = "loss, grads = one_step(theta, X, y)"
weights = "in,out"
bias = "last"
container = "matrices"
labels = "vector"
"""

ONE_SAMPLE = """
def gradient(theta, x, y):
    '''One sample, plain lists.'''
    import math
    (W1, b1), (W2, b2) = theta
    h = [1 / (1 + math.exp(-(sum(w * v for w, v in zip(row, x)) + c))) for row, c in zip(W1, b1)]
    out = [sum(w * v for w, v in zip(row, h)) + c for row, c in zip(W2, b2)]
    d2 = [o - t for o, t in zip(out, y)]
    d1 = [sum(W2[p][q] * d2[p] for p in range(len(d2))) * h[q] * (1 - h[q]) for q in range(len(h))]
    return [([[d * v for v in x] for d in d1], d1), ([[d * v for v in h] for d in d2], d2)]
"""
ONE_SAMPLE_TOML = """
name = "One sample, lists"
[network]
widths = ["any", "any", "any"]
activation = "sigmoid"
loss = "squared_error"
[submission]
calls = "grads = gradient(theta, x, y)"
samples = "one"
arrays = "lists"
"""


JACOBIAN = """onehot = np.eye(probs.shape[1])[y]
        dprobs = -onehot / probs / N
        J = np.einsum('ip,pq->ipq', probs, np.eye(probs.shape[1]))
        J -= np.einsum('ip,iq->ipq', probs, probs)
        dscores = np.einsum('ipq,ip->iq', J, dprobs)"""

LOOP_OVER_SAMPLES = """    for t in range(m):
        d3 = h[t] - Y[t]
        d2 = (Theta2.T @ d3)[1:] * sigmoid_gradient(z2[t])
        Delta1 = Delta1 + np.outer(d2, a1[t])
        Delta2 = Delta2 + np.outer(d3, a2[t])
"""


class Own(NamedTuple):
    """A right answer with an assignment of its own."""

    name: str
    source: str
    assignment: str
    base: str = "own"
    note: str = ""


RIGHT = (
    Right(
        "two_layer_net",
        "the subgradient 1 at the kink",
        (("z1 <= 0", "z1 < 0"),),
        note="at a kink is accepted",
    ),
    Right(
        "two_layer_net",
        "the subgradient one half at the kink",
        (("dhidden[z1 <= 0] = 0", "dhidden = dhidden * np.heaviside(z1, 0.5)"),),
        note="at a kink is accepted",
    ),
    Right(
        "two_layer_net",
        "an epsilon inside the logarithm",
        (("np.log(probs[np.arange(N), y])", "np.log(probs[np.arange(N), y] + 1e-8)"),),
        note="inside the logarithm is accepted",
    ),
    Right(
        "two_layer_net",
        "log-softmax",
        (
            (
                "np.log(probs[np.arange(N), y])",
                "(shifted - np.log(exp_scores.sum(1, keepdims=True)))[np.arange(N), y]",
            ),
        ),
    ),
    Right(
        "two_layer_net",
        "mask as a product, one-hot by hand",
        (
            (
                "dscores[np.arange(N), y] -= 1",
                "dscores -= (y[:, None] == np.arange(scores.shape[1])[None, :])",
            ),
            ("dhidden[z1 <= 0] = 0", "dhidden *= (h1 > 0)"),
        ),
    ),
    Right(
        "two_layer_net",
        "samples in a loop",
        (
            (
                "grads['W1'] = np.dot(X.T, dhidden) + reg * W1",
                "grads['W1'] = reg * W1.copy()\n        for i in range(N):\n            grads['W1'] += np.outer(X[i], dhidden[i])",
            ),
        ),
    ),
    Right(
        "two_layer_net",
        "the whole Jacobian of softmax",
        (
            (
                "dscores = probs.copy()\n        dscores[np.arange(N), y] -= 1\n        dscores /= N",
                JACOBIAN,
            ),
        ),
    ),
    Right(
        "shallow_columns",
        "an epsilon and a clip",
        (
            ("np.log(A2)", "np.log(A2 + 1e-12)"),
            ("np.log(1 - A2)", "np.log(np.clip(1 - A2, 1e-12, 1))"),
        ),
    ),
    Right(
        "shallow_columns",
        "bias gradients without keepdims, then reshaped",
        (
            (
                "db1 = np.sum(dZ1, axis=1, keepdims=True) / m",
                "db1 = np.mean(dZ1, axis=1).reshape(-1, 1)",
            ),
        ),
    ),
    Right(
        "shallow_columns",
        "multiply broadcasts where one output makes it a matrix product",
        (("np.dot(W2.T, dZ2)", "np.multiply(W2.T, dZ2)"),),
    ),
    Right("shallow_columns", "tanh' by cosh", (("(1 - np.power(A1, 2))", "np.cosh(Z1) ** -2"),)),
    Right(
        "shallow_columns",
        "the mean is taken early",
        (
            ("dZ2 = A2 - Y", "dZ2 = (A2 - Y) / m"),
            ("np.dot(dZ2, A1.T) / m", "dZ2 @ A1.T"),
            ("db2 = np.sum(dZ2, axis=1, keepdims=True) / m", "db2 = dZ2 @ np.ones((m, 1))"),
            ("np.dot(dZ1, X.T) / m", "dZ1 @ X.T"),
            ("db1 = np.sum(dZ1, axis=1, keepdims=True) / m", "db1 = dZ1 @ np.ones((m, 1))"),
        ),
    ),
    Right(
        "network_class",
        "signs that cancel",
        (
            ("return (output_activations - y)", "return (y - output_activations)"),
            ("return (nabla_b, nabla_w)", "return ([-v for v in nabla_b], [-v for v in nabla_w])"),
        ),
    ),
    Right(
        "cost_function",
        "vectorized over the samples",
        (
            (
                LOOP_OVER_SAMPLES,
                "    d3 = h - Y\n    d2 = (d3 @ Theta2[:, 1:]) * sigmoid_gradient(z2)\n    Delta1, Delta2 = d2.T @ a1, d3.T @ a2\n",
            ),
        ),
    ),
    Right(
        "cost_function",
        "one long vector row by row",
        (
            ("input_layer_size + 1), order='F')", "input_layer_size + 1))"),
            ("hidden_layer_size + 1), order='F')", "hidden_layer_size + 1))"),
            (
                "[Theta1_grad.ravel(order='F'), Theta2_grad.ravel(order='F')]",
                "[Theta1_grad.ravel(), Theta2_grad.ravel()]",
            ),
        ),
        declared=(('"flat F"', '"flat"'),),
    ),
    Right(
        "lagrange",
        "the other sign of the multipliers",
        (("return loss, lam, grads", "return loss, [-v for v in lam], grads"),),
        declared=(("[submission]", "[submission]\nmultiplier_sign = -1"),),
    ),
    Right(
        "lagrange",
        "multipliers of single samples",
        (("return loss, lam, grads", "return loss, [M * v for v in lam], grads"),),
        declared=(("[submission]", '[submission]\nmultipliers = "sample"'),),
    ),
    Right("lagrange", "differentiated by a tape of scalars", written=SCALAR_TAPE),
    Right("lagrange", "layers as objects, einsum", written=BY_CASES),
    Right(
        "lagrange",
        "inputs copied and changed",
        (
            (
                "    xs, zs = [X], []\n",
                "    X = X.copy()\n    X += 0.0\n    Y = np.array(Y)\n    xs, zs = [X], []\n",
            ),
        ),
    ),
    Right("train_step", "differentiated by a tape of arrays", written=ARRAY_TAPE),
    Right(
        "train_step",
        "differentiated by complex steps",
        written=COMPLEX_STEP,
        note="the result is exact",
    ),
    Right(
        "train_step",
        "updated in place",
        (
            (
                "    W_new = [W[0] - eta * d1.T @ X, W[1] - eta * d2.T @ h]\n",
                "    W[0] -= eta * d1.T @ X\n    W[1] -= eta * d2.T @ h\n",
            ),
            (
                "    b_new = [b[0] - eta * d1.sum(axis=0), b[1] - eta * d2.sum(axis=0)]\n",
                "    b[0] -= eta * d1.sum(0)\n    b[1] -= eta * d2.sum(0)\n",
            ),
            ("return W_new, b_new", "return W, b"),
        ),
        note="in place",
    ),
    Right(
        "deep_softmax",
        "single precision",
        (
            (
                "    x = X\n    for k",
                "    theta = [(np.float32(W), np.float32(b)) for W, b in theta]\n    x = np.float32(X)\n    for k",
            ),
            (
                "    M = len(X)\n    xs",
                "    M = np.float32(len(X))\n    theta = [(np.float32(W), np.float32(b)) for W, b in theta]\n    X, Y = np.float32(X), np.float32(Y)\n    xs",
            ),
            ("+ RHO * W", "+ np.float32(RHO) * W"),
        ),
        note="single precision",
    ),
    Right("deep_softmax", "loops over everything, no arrays", written=LOOPS),
    Right(
        "deep_softmax",
        "the loss is declared as a sum",
        (
            ("-np.mean(np.sum(Y * np.log(x), axis=1))", "-np.sum(Y * np.log(x))"),
            ("(xs[N] - Y) / M", "xs[N] - Y"),
        ),
        declared=(('loss = "cross_entropy"', 'loss = "cross_entropy"\nreduction = "sum"'),),
    ),
    Right(
        "deep_softmax",
        "the penalty is declared over the samples",
        (
            ("J += RHO / 2 * np.sum(W ** 2)", "J += RHO / (2 * len(X)) * np.sum(W ** 2)"),
            ("+ RHO * W", "+ RHO / M * W"),
        ),
        declared=(('loss = "cross_entropy"', 'loss = "cross_entropy"\nover_samples = true'),),
    ),
    Own("biases folded, sums of squares, a factor two", FOLDED, FOLDED_TOML),
    Own("plain lists, one sample at a time", ONE_SAMPLE, ONE_SAMPLE_TOML),
)
