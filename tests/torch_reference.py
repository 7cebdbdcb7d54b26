"""Layers and graphs written with torch's own functions: the reference that shares nothing with us.

``LAYERS[name](inputs, parameters, settings, sigma)`` is a layer on tensors, ``forward`` a graph,
``objective`` its J as a function of the parameters, for ``torch.func``.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from lagrangenet.functions import Choice

torch = pytest.importorskip("torch")
functional = torch.nn.functional

Tensor = Any
Sigma = Callable[[Tensor], Tensor]

#: σ(z) with the parameters of the entry as keywords; coupled ones along the last axis.
ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda z, slope: torch.where(z > 0, z, slope * z),
    # torch's own softplus is linear beyond 20, an error of 2e-9
    "softplus": lambda z: torch.logaddexp(torch.zeros_like(z), z),
    "softmax": lambda z: torch.softmax(z, dim=-1),
    "log_softmax": lambda z: torch.log_softmax(z, dim=-1),
    "silu": functional.silu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "gelu_tanh": lambda z: functional.gelu(z, approximate="tanh"),
    "hard_tanh": lambda z, low, high: z.clamp(low, high),
    "sin": torch.sin,
}


def activation(choice: Choice | None) -> Sigma:
    if choice is None:
        return lambda z: z
    function = ACTIVATIONS[choice.name]
    return lambda z: function(z, **dict(choice.parameters))


# -- losses ----------------------------------------------------------------------------------------


def _log_cosh(d: Tensor) -> Tensor:
    """log cosh d, near zero without cancellation and far out without overflow."""
    near = torch.log1p(2 * torch.sinh(d.clamp(-1, 1) / 2) ** 2)
    far = d.abs() + functional.softplus(-2 * d.abs()) - math.log(2)
    return torch.where(d.abs() < 1, near, far)


#: ℓ summed over everything, by output and labels.
LOSSES: dict[str, Callable[..., Tensor]] = {
    "squared_error": lambda x, y: 0.5 * functional.mse_loss(x, y, reduction="sum"),
    "cross_entropy": lambda x, y: -(y * torch.log(x)).sum(),
    "binary_cross_entropy": lambda x, y: functional.binary_cross_entropy_with_logits(
        x, y, reduction="sum"
    ),
    "log_probability": lambda x, y: -(y * x).sum(),
    "negative_log_density": lambda x, y: -torch.log(x).sum(),
    "hinge": lambda x, y: torch.relu(1 - y * x).sum(),
    "multiclass_hinge": lambda x, y: (torch.relu(1 + x - (y * x).sum(-1, keepdim=True)) - y).sum(),
    "perceptron": lambda x, y: torch.relu(-y * x).sum(),
    "huber": lambda x, y, delta: functional.huber_loss(x, y, reduction="sum", delta=delta),
    "log_cosh": lambda x, y: _log_cosh(x - y).sum(),
}


def loss(choice: Choice, output: Tensor, labels: Tensor, logits: Tensor | None = None) -> Tensor:
    """(1/M) Σ_i ℓ(y_i, x_i); cross-entropy from the logits of a softmax, where they are given."""
    if choice.name == "cross_entropy" and logits is not None:
        return -(labels * torch.log_softmax(logits, dim=-1)).sum() / len(labels)
    return LOSSES[choice.name](output, labels, **dict(choice.parameters)) / len(labels)


REGULARIZERS: dict[str, Callable[..., Tensor]] = {
    "L2": lambda w: (w**2).sum() / 2,
    "L1": lambda w: w.abs().sum(),
    "elastic_net": lambda w, l1, l2: l1 * w.abs().sum() + l2 / 2 * (w**2).sum(),
}


def penalty(choice: Choice | None, parameters: Iterable[Tensor]) -> Tensor:
    """ρ Ω, of arrays with two or more axes unless biases are asked for."""
    total = torch.zeros((), dtype=torch.float64)
    if choice is None:
        return total
    settings = dict(choice.parameters)
    strength, biases = settings.pop("strength"), settings.pop("biases", False)
    function = REGULARIZERS[choice.name]
    penalized = (w for w in parameters if w.ndim > 1 or biases)
    return total + strength * sum(function(w, **settings) for w in penalized)


# -- layers ----------------------------------------------------------------------------------------


def _attention(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    q, k, v = (torch.einsum("btp,hdp->bhtd", x, p[name]) for name in ("Wq", "Wk", "Wv"))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # has second order
        mixed = functional.scaled_dot_product_attention(q, k, v)
    return torch.einsum("phd,bhtd->btp", p["Wo"], mixed)


def _recurrent(x: Tensor, p: dict[str, Tensor], sigma: Sigma) -> Tensor:
    h = torch.zeros(len(x), len(p["b"]), dtype=x.dtype)
    states = []
    for t in range(x.shape[1]):
        h = sigma(functional.linear(x[:, t], p["W"]) + functional.linear(h, p["U"]) + p["b"])
        states.append(h)
    return torch.stack(states, dim=1)


def _rms_norm(x: Tensor, p: dict[str, Tensor], eps: float) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:], p["g"], eps)


Reference = Callable[[tuple[Tensor, ...], dict[str, Tensor], dict[str, Any], Sigma], Tensor]

LAYERS: dict[str, Reference] = {
    "dense": lambda x, p, o, s: s(functional.linear(x[0], p["W"], p["b"])),
    "dense_nobias": lambda x, p, o, s: s(functional.linear(x[0], p["W"])),
    "affine": lambda x, p, o, s: functional.linear(x[0], p["W"], p["b"]),
    "transposed_dense": lambda x, p, o, s: s(functional.linear(x[0], p["W"].T, p["b"])),
    "activation": lambda x, p, o, s: s(x[0]),
    "add": lambda x, p, o, s: x[0] + x[1],
    "multiply": lambda x, p, o, s: x[0] * x[1],
    "concatenate": lambda x, p, o, s: torch.cat(x, dim=-1),
    "scale_shift": lambda x, p, o, s: torch.addcmul(p["b"], p["g"], x[0]),
    "bilinear": lambda x, p, o, s: functional.bilinear(x[0], x[1], p["W"]),
    "flatten": lambda x, p, o, s: torch.flatten(x[0], 1),
    "flatten2d": lambda x, p, o, s: torch.flatten(x[0], 1),
    "layer_norm": lambda x, p, o, s: functional.layer_norm(
        x[0], x[0].shape[-1:], p["g"], p["b"], o["eps"]
    ),
    "rms_norm": lambda x, p, o, s: _rms_norm(x[0], p, o["eps"]),
    "softmax": lambda x, p, o, s: torch.softmax(x[0], dim=-1),
    "log_sum_exp": lambda x, p, o, s: torch.logsumexp(x[0], dim=-1, keepdim=True),
    "conv1d": lambda x, p, o, s: functional.conv1d(
        x[0], p["W"], p["b"], stride=o["stride"], padding=o["pad"]
    ),
    "conv2d": lambda x, p, o, s: functional.conv2d(
        x[0], p["W"], p["b"], stride=o["stride"], padding=o["pad"]
    ),
    "transposed_conv1d": lambda x, p, o, s: functional.conv_transpose1d(
        x[0], p["W"], p["b"], stride=o["stride"]
    ),
    "transposed_conv2d": lambda x, p, o, s: functional.conv_transpose2d(
        x[0], p["W"], p["b"], stride=o["stride"]
    ),
    "average_pool1d": lambda x, p, o, s: functional.avg_pool1d(x[0], o["R"], o["stride"]),
    "average_pool2d": lambda x, p, o, s: functional.avg_pool2d(x[0], o["R"], o["stride"]),
    "max_pool1d": lambda x, p, o, s: functional.max_pool1d(x[0], o["R"], o["stride"]),
    "max_pool2d": lambda x, p, o, s: functional.max_pool2d(x[0], o["R"], o["stride"]),
    "embedding": lambda x, p, o, s: functional.embedding(x[0], p["E"]),
    "attention": lambda x, p, o, s: _attention(x[0], p),
    "recurrent": lambda x, p, o, s: _recurrent(x[0], p, s),
    "last": lambda x, p, o, s: x[0][:, -1],
    "mean_over_time": lambda x, p, o, s: x[0].mean(dim=1),
}


# -- graphs ----------------------------------------------------------------------------------------


def tensors(arrays: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}


def forward(graph: Any, theta: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of all constraints, by name."""
    known = dict(inputs)
    for c in graph.constraints:
        parameters = {local: theta[name] for local, name in c.names}
        settings = {**c.entry.options, **dict(c.options)}
        sources = tuple(known[name] for name in c.of)
        known[c.state] = LAYERS[c.layer](sources, parameters, settings, activation(c.activation))
    return known


def _objective(
    graph: Any, theta: dict[str, Tensor], known: dict[str, Tensor], labels: Tensor
) -> Tensor:
    logits = None
    if graph.loss.name == "cross_entropy":
        last = next(c for c in graph.constraints if c.state == graph.output)
        parameters = {local: theta[name] for local, name in last.names}
        sources = tuple(known[name] for name in last.of)
        logits = LAYERS[last.layer](sources, parameters, {}, lambda z: z)
    return loss(graph.loss, known[graph.output], labels, logits) + penalty(
        graph.regularizer, theta.values()
    )


def objective(graph: Any, inputs: dict[str, Any], Y: Any) -> Callable[[dict[str, Tensor]], Tensor]:
    """θ ↦ J."""
    data, labels = tensors(inputs), torch.tensor(np.asarray(Y))
    return lambda theta: _objective(graph, theta, forward(graph, theta, data), labels)


def _derivatives(value: Tensor, leaves: dict[str, Tensor], **settings: Any) -> list[Tensor]:
    """∂value/∂leaves, zeros where there is no dependence."""
    listed = list(leaves.values())
    if not value.requires_grad:
        return [torch.zeros_like(leaf) for leaf in listed]
    found = torch.autograd.grad(value, listed, allow_unused=True, **settings)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(listed, found, strict=True)]


def _named(leaves: dict[str, Tensor], found: list[Tensor]) -> dict[str, Any]:
    return {name: g.detach().numpy() for name, g in zip(leaves, found, strict=True)}


def value_and_grad(graph: Any, theta: Any, inputs: Any, Y: Any) -> tuple[float, dict[str, Any]]:
    """J and ∂J/∂θ by torch's automatic differentiation."""
    leaves = {name: t.requires_grad_() for name, t in tensors(theta).items()}
    value = objective(graph, inputs, Y)(leaves)
    return value.item(), _named(leaves, _derivatives(value, leaves))


def hessian_product(graph: Any, theta: Any, inputs: Any, Y: Any, direction: Any) -> dict[str, Any]:
    """∂²J/∂θ² v: backward differentiation of ⟨∂J/∂θ, v⟩."""
    leaves = {name: t.requires_grad_() for name, t in tensors(theta).items()}
    value = objective(graph, inputs, Y)(leaves)
    first = _derivatives(value, leaves, create_graph=True)
    along = sum((g * torch.tensor(direction[n])).sum() for n, g in zip(leaves, first, strict=True))
    return _named(leaves, _derivatives(along, leaves))


def state_gradients(graph: Any, theta: Any, inputs: Any, Y: Any) -> dict[str, Any]:
    """∂J/∂x of the output of every constraint; cross-entropy as a function of the probabilities."""
    leaves = {name: t.requires_grad_() for name, t in tensors(theta).items()}
    data = tensors(inputs)
    for name, array in data.items():
        array.requires_grad_(name not in graph.integers)
    known = forward(graph, leaves, data)
    states = {c.state: known[c.state] for c in graph.constraints}
    value = loss(graph.loss, known[graph.output], torch.tensor(np.asarray(Y)))
    return _named(states, _derivatives(value, states))


def gauss_newton_product(
    graph: Any, theta: Any, inputs: Any, Y: Any, direction: Any
) -> dict[str, Any]:
    """Jᵀ ∂²ℓ/∂x² J v with J = ∂output/∂θ, plus the penalty's Hessian times v."""
    leaves = {name: t.requires_grad_() for name, t in tensors(theta).items()}
    v, labels = tensors(direction), torch.tensor(np.asarray(Y))
    output = forward(graph, leaves, tensors(inputs))[graph.output]
    probe = torch.zeros_like(output, requires_grad=True)
    pulled = _derivatives((output * probe).sum(), leaves, create_graph=True)
    along = sum((g * v[name]).sum() for name, g in zip(leaves, pulled, strict=True))
    (pushed,) = torch.autograd.grad(along, probe, retain_graph=True)  # J v
    x = output.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(graph.loss, x, labels), x, create_graph=True)
    curved = pushed.detach()
    product = _hessian(slope, x, curved)
    rest = _derivatives(penalty(graph.regularizer, leaves.values()), leaves, create_graph=True)
    second = _derivatives(
        sum((g * v[name]).sum() for name, g in zip(leaves, rest, strict=True)), leaves
    )
    first = _derivatives((output * product).sum(), leaves)
    return _named(leaves, [a + b for a, b in zip(first, second, strict=True)])


def _hessian(slope: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """(∂slope/∂x)ᵀ v, zero where the slope is constant."""
    if not slope.requires_grad:
        return torch.zeros_like(v)
    return torch.autograd.grad((slope * v).sum(), x)[0]
