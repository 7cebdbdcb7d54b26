"""PyTorch: eager, functional and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.base import GRADIENTS, HESSIANS, value_and_gradient
from benchmarks.timing import Contender
from benchmarks.workloads import Case, Theta


def _loss(case: Case) -> Callable[[list[Any]], Any]:
    """J as a function of [W^1, b^1, ...], with torch's fused functions."""
    import torch
    from torch.nn import functional

    sigma = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}[case.hidden]
    X, Y = torch.from_numpy(case.X), torch.from_numpy(case.Y)
    classes = Y.argmax(dim=1)

    def loss(parameters: list[Any]) -> Any:
        x = X
        for k in range(0, len(parameters) - 2, 2):
            x = sigma(functional.linear(x, parameters[k], parameters[k + 1]))
        x = functional.linear(x, parameters[-2], parameters[-1])
        if case.classifies:
            return functional.cross_entropy(x, classes)
        return functional.mse_loss(x, Y, reduction="sum") * (0.5 / len(X))

    return loss


def _tensors(theta: Theta) -> list[Any]:
    """[W^1, b^1, ...]."""
    import torch

    return [torch.from_numpy(array.copy()) for layer in theta for array in layer]


@GRADIENTS.add("torch", "torch")
def eager(case: Case) -> Contender:
    import torch

    loss, parameters = _loss(case), [p.requires_grad_() for p in _tensors(case.theta)]

    def call() -> Any:
        value = loss(parameters)
        return value.detach(), torch.autograd.grad(value, parameters)

    return Contender(call, (), lambda pair: value_and_gradient(*pair))


@GRADIENTS.add("torch.func", "torch")
def functional(case: Case) -> Contender:
    import torch

    function = torch.func.grad_and_value(_loss(case))
    return Contender(
        function, (_tensors(case.theta),), lambda pair: value_and_gradient(pair[1], pair[0])
    )


@GRADIENTS.add("torch.compile", "torch", slow=True)
def compiled(case: Case) -> Contender:
    import torch

    plain = functional(case)
    return plain._replace(function=torch.compile(plain.function))


@HESSIANS.add("torch.func", "torch")
def product(case: Case) -> Contender:
    """Forward over reverse."""
    import torch

    loss, parameters = _loss(case), _tensors(case.theta)
    gradient, direction = torch.func.grad(loss), _tensors(case.direction)
    return Contender(
        lambda: torch.func.jvp(gradient, (parameters,), (direction,))[1],
        (),
        lambda found: (np.concatenate([np.ravel(g) for g in found]),),
    )
