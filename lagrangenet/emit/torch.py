"""Whole routines in PyTorch, on the GPU if there is one.

Nothing is recorded: the routines run in inference mode, autograd is never used, the derivatives are
those of the conditions. The module's variable ``DEVICE`` says where arrays go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from lagrangenet.emit.expressions import ATOM, NUMPY, SCIPY, Piece, constant
from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Program
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node

_DEFINITIONS = (
    '''def native(array):
    """A copy of an array on the device."""
    return torch.tensor(array, device=DEVICE)''',
    '''def plain(array):
    """A tensor as NumPy's array."""
    return array.cpu().numpy()''',
)
#: That of torch is (1 + erf(x/√2))/2, which has no digits left where x is below −8.
_NDTR = '''def ndtr(x):
    """The normal distribution function."""
    return 0.5 * torch.erfc(-0.7071067811865476 * x)'''
#: A maximum or minimum with a number.
_CLAMPED = {"maximum": "min", "minimum": "max"}


class TorchPrinter(WholePrinter):
    """Routines of torch."""

    language = "torch"
    functions: ClassVar[Mapping[str, str]] = MappingProxyType(
        {name: f"torch.{name}" for name in (*NUMPY, *SCIPY)} | {"ndtr": "ndtr"}
    )
    along, keep = "dim", "keepdim"
    smallest = "torch.clamp(x, min=torch.finfo(x.dtype).tiny)"
    decorators = ("@torch.inference_mode()",)
    imports = ("import torch",)
    constants = ('DEVICE = "cuda" if torch.cuda.is_available() else "cpu"',)
    reserved = frozenset({"torch", "DEVICE", "native", "ndtr", "plain"})

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.needs: set[str] = set()

    def packages(self) -> list[str]:
        """Torch alone."""
        return ["torch"]

    def definitions(self) -> tuple[str, ...]:
        """Conversions, and what torch computes less exactly."""
        return (*_DEFINITIONS, *[_NDTR] * ("ndtr" in self.needs))

    def applied(self, name: str, nodes: Iterable[Node], args: list[str]) -> str:
        """A function; torch takes numbers as tensors only, but for limits."""
        self.needs.add(name)
        numbers = [j for j, node in enumerate(nodes) if not node.axes]
        if numbers and len(args) == 2:
            (j,) = numbers
            if name in _CLAMPED:
                return f"torch.clamp({args[1 - j]}, {_CLAMPED[name]}={args[j]})"
            args = list(args)
            args[j] = f"torch.full_like({args[1 - j]}, {args[j]})"
        return super().applied(name, nodes, args)

    def cases(self, node: t.Call, args: list[str]) -> Piece:
        """args[1] where the condition args[0] holds, otherwise args[2]; of numbers, a tensor."""
        condition, yes, no = args
        if constant(node.args[1:]):
            yes = f"torch.full_like({self.like(node)}, {yes})"
        return f"torch.where({condition}, {yes}, {no})", ATOM

    def reduced(self, inner: str, op: str, how: str) -> str:
        """A sum or a maximum: torch's ``max`` along an axis gives positions too."""
        return super().reduced(inner, "amax" if op == "max" else op, how)

    def weights(self, batch: str) -> str:
        """The weights of the classes, of the type of a tensor."""
        weights = ", ".join(map(repr, self.problem.class_weights))
        return f"torch.tensor([{weights}], dtype={batch}.dtype, device={batch}.device)"

    def joined(self, parts: list[str]) -> str:
        """Parts as one flat vector."""
        return f"torch.cat([{', '.join(parts)}])"


def emit(program: Program) -> str:
    """A linked program as the source text of a module for torch.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> next(line.split("#")[0].strip() for line in source.splitlines() if "X1 =" in line)
    'X1 = torch.tanh(Z1)'
    """
    return whole(program, TorchPrinter(program.problem))


_COST = Cost(line=3e-6, row=2.9e-9, value=1.6e-9, exponential=0, flop=1.9e-11)  # without a GPU
_SUMMARY = "PyTorch, on a GPU if there is one"
TARGETS.add(Target("torch", _SUMMARY, emit, package="torch", extra="torch", cost=_COST))
