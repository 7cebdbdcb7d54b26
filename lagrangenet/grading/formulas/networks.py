"""Small random networks with the functions of a problem, at which both sides are evaluated.

No two neighbouring widths are equal, and M = 1 and M ≥ 6 both occur. The functions are those of the
oracles in :mod:`lagrangenet.verify`; where the assignment leaves them open, random analytic ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from lagrangenet.errors import DerivationError
from lagrangenet.functions import ACTIVATIONS, LOSSES, Choice
from lagrangenet.grading.formulas.conventions import UNIT, Scale
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.worlds import World
from lagrangenet.verify import unlisted
from lagrangenet.verify.tables import ACTIVATION_RULES, LOSS_RULES, REGULARIZER_RULES, Rule, rule

Array = NDArray[Any]
#: Widths and samples: square nowhere, depth 2 to 4, M = 1 among them.
SIZES = (((2, 3, 4, 3), 6), ((3, 4, 2, 3, 2), 1), ((4, 2, 3), 7))


@dataclass(frozen=True)
class Functions:
    """The functions of a problem; None where the assignment leaves one open.

    Attributes
    ----------
    hidden, output, loss, penalty : Choice or None
    factor : float
        By which the course's loss is multiplied.
    entries : bool
        Whether the loss is divided by the number of outputs.
    """

    hidden: Choice | None = None
    output: Choice | None = None
    loss: Choice | None = None
    penalty: Choice | None = None
    factor: float = 1.0
    entries: bool = False

    def activation(self, layer: int, depth: int) -> Choice | None:
        """σ of a layer."""
        return self.output if layer == depth else self.hidden

    @property
    def kinds(self) -> tuple[sp.Symbol, ...]:
        """The kinds of layer that occur."""
        coupled = self.output is not None and ACTIVATIONS[self.output.name].coupled
        return (l.COMPONENTWISE, l.COUPLED) if coupled else (l.COMPONENTWISE,)


@dataclass(frozen=True)
class Instance(World):
    """A network with numbers; its functions are those of a problem, as far as they are known."""

    functions: Functions = field(default_factory=Functions)

    __eq__, __hash__ = object.__eq__, object.__hash__  # two with other arrays are two

    def componentwise(self, name: str, labels: tuple[int, ...], order: int, at: Any) -> Any:
        """σ or ω, or a derivative of it."""
        found = self.rule(name, labels)
        if found is None:
            return super().componentwise(name, labels, order, at)
        number = (
            np.array([[at]]) if np.iscomplexobj(at) and np.imag(at) else np.array([[np.real(at)]])
        )
        return found.of(order)(number)[0, 0]

    def scalar(self, name: str) -> float:
        """A positive scalar; ρ is zero where there is no regularizer."""
        none = name == "rho" and self.functions.penalty is None
        return 0.0 if none else super().scalar(name)

    def rule(self, name: str, labels: tuple[int, ...]) -> Rule | None:
        """The oracle's σ or ω; None if it is left open."""
        if name == "omega":
            return _penalty(self.functions.penalty)
        if name == "sigma":
            return _activation(self.functions.activation(labels[0], self.depth))
        return None

    def coupled(
        self, name: str, labels: tuple[int, ...], along: tuple[int, ...], vector: list[Any]
    ) -> Any:
        """ℓ of a sample, or σ_p of a vector, or a partial derivative."""
        if name == "sigma":
            choice = self.functions.activation(labels[0], self.depth)
            found = _activation(choice)
            if found is None or choice is None:
                return super().coupled(name, labels, along, vector)
            z = np.array([[np.real(v) for v in vector]])
            if not along:
                return found.value(z)[0, labels[1] - 1]
            slope = found.slope(z)[0]
            if slope.ndim == 2:
                return slope[labels[1] - 1, along[0] - 1]
            return slope[labels[1] - 1] * (labels[1] == along[0])
        found = _loss(self.functions.loss)
        factor = self.functions.factor / (len(vector) if self.functions.entries else 1)
        if found is None:
            return factor * super().coupled(name, labels, along, vector)
        x, y = np.array([[np.real(v) for v in vector]]), self.array(l.Y, self.depth)[labels[0] - 1]
        if along:
            return factor * found.slope(y[None], x)[0, along[0] - 1]
        return factor * np.sum(found.value(y[None], x))

    # -- arrays for the student's side -------------------------------------------------------------

    def named(self, name: str, layer: int) -> Array:
        """An array by name; those with a sample have it first."""
        key = (name, layer)
        if key not in self._arrays:
            self._arrays[key] = self._made(name, layer)
        return np.asarray(self._arrays[key])

    def _made(self, name: str, layer: int) -> Array:
        if name == "Z":
            if not self.tied:
                return self.array(l.Z, layer)
            W, b = self.named("W", layer), self.named("b", layer)
            return np.asarray(self.named("X", layer - 1) @ W.T + b)
        if name in {"ell", "ell1"}:
            return self._losses(name == "ell1", layer)
        if name == "jac":
            return self._jacobian(layer)
        if name in {"W", "b", "X", "Y"}:
            return self.array(sp.IndexedBase(name, real=True), layer)
        raise DerivationError(f"no array {name!r}")

    def _losses(self, slope: bool, layer: int) -> Array:
        x = self.named("X", layer)
        samples, width = range(1, self.samples + 1), range(1, x.shape[1] + 1)
        if layer != self.depth:
            raise DerivationError("ℓ compares the outputs with the labels")
        if not slope:
            return np.array([self.coupled("ell", (i,), (), list(x[i - 1])) for i in samples]).real
        return np.array(
            [[self.coupled("ell", (i,), (p,), list(x[i - 1])) for p in width] for i in samples]
        ).real

    def _jacobian(self, layer: int) -> Array:
        z = self.named("Z", layer)
        span = range(1, z.shape[1] + 1)
        if self.kinds[layer - 1] == l.COUPLED:
            rows = [
                [[self.coupled("sigma", (layer, q), (p,), list(row)) for p in span] for q in span]
                for row in z
            ]
            return np.array(rows).real
        slopes = apply(self, "sigma", layer, 1, z)
        return np.asarray(slopes[:, :, None] * np.eye(z.shape[1]))


@cache
def _activation(choice: Choice | None) -> Rule | None:
    return None if choice is None else rule(ACTIVATION_RULES, choice, unlisted.activation)


@cache
def _penalty(choice: Choice | None) -> Rule | None:
    return None if choice is None else rule(REGULARIZER_RULES, choice, unlisted.regularizer)


@cache
def _loss(choice: Choice | None) -> Rule | None:
    return None if choice is None else rule(LOSS_RULES, choice, unlisted.loss)


@cache
def instances(
    functions: Functions, forward: bool = True, tied: bool = True, seed: int = 0
) -> tuple[Instance, ...]:
    """Random networks of all :data:`SIZES`.

    Parameters
    ----------
    functions : Functions
    forward : bool
        Whether x^k = σ^k(z^k) holds; for the Lagrangian it must not.
    tied : bool
        Whether z^k is W^k x^{k−1} + b^k rather than a variable.
    """
    found = []
    for number, (widths, samples) in enumerate(SIZES):
        depth = len(widths) - 1
        kinds = (l.COMPONENTWISE,) * (depth - 1) + functions.kinds[-1:]
        one = Instance(widths, samples, kinds, tied, seed + number, {}, functions)
        _fill(one, forward)
        found.append(one)
    return tuple(found)


def _fill(one: Instance, forward: bool) -> None:
    """States that satisfy the forward pass or do not, labels, errors and multipliers that agree."""
    rng = np.random.default_rng([one.seed, 7])
    arrays, depth, M = one._arrays, one.depth, one.samples  # its own kind
    loss = one.functions.loss
    labels = "real" if loss is None else LOSSES[loss.name].labels
    size = (M, one.widths[-1])
    drawn = {
        "real": rng.normal(size=size),
        "distribution": rng.dirichlet(np.ones(size[1]), size=M),
        "binary": rng.integers(0, 2, size=size).astype(float),
        "sign": rng.choice([-1.0, 1.0], size=size),
    }
    arrays["Y", depth] = drawn[labels]
    arrays["X", 0] = rng.normal(size=(M, one.widths[0]))
    for k in range(1, depth + 1):
        if forward:
            arrays["X", k] = apply(one, "sigma", k, 0, one.named("Z", k))
        else:
            arrays["X", k] = rng.dirichlet(np.ones(one.widths[k]), size=M)
    for k in range(1, depth + 1):
        error = rng.normal(size=(M, one.widths[k]))
        arrays["Delta", k] = error
        arrays["delta", k] = np.einsum("iqp,iq->ip", one.named("jac", k), error)
        arrays["lambda", k], arrays["mu", k] = -error / M, -arrays["delta", k] / M


@cache
def scaled(one: Instance, multipliers: Scale, errors: Scale) -> Instance:
    """The same network with multipliers and errors in a student's convention."""
    if multipliers == UNIT and errors == UNIT:
        return one
    arrays = dict(one._arrays)  # its own kind
    for (name, layer), array in one._arrays.items():
        if name in {"lambda", "mu"}:
            arrays[name, layer] = (
                float(multipliers.sign) * float(one.samples) ** multipliers.samples * array
            )
        if name in {"Delta", "delta"}:
            arrays[name, layer] = float(errors.sign) * float(one.samples) ** errors.samples * array
    return Instance(one.widths, one.samples, one.kinds, one.tied, one.seed, arrays, one.functions)


def apply(one: Instance, name: str, layer: int, order: int, z: Array, axis: int = -1) -> Array:
    """A function of an array, by name."""
    if name == "sigma":
        coupled = one.kinds[layer - 1] == l.COUPLED
        found = one.rule(name, (layer,))
        if found is not None or coupled:
            return _along(one, layer, order, z, axis, coupled, found)
    if name == "omega":
        found = one.rule(name, ())
        if found is not None:
            return np.asarray(found.of(order)(z))
    if name in {"sigma", "omega"}:
        labels = (layer,) if name == "sigma" else ()
        values = [one.componentwise(name, labels, order, v) for v in z.ravel()]
        return np.array(values).real.reshape(z.shape)
    if name in {"exp", "log"}:
        with np.errstate(all="ignore"):
            return np.asarray({"exp": np.exp, "log": np.log}[name](z))
    if name == "step":
        return (z > 0).astype(float)
    if name in ACTIVATIONS:
        found = rule(ACTIVATION_RULES, ACTIVATIONS.choose(name), unlisted.activation)
        return _along(one, 0, order, z, axis, ACTIVATIONS[name].coupled, found)
    raise DerivationError(f"no value for the function {name!r}")


def _along(
    one: Instance, layer: int, order: int, z: Array, axis: int, coupled: bool, found: Rule | None
) -> Array:
    """The oracle's function with its components along an axis."""
    turned = np.moveaxis(np.atleast_1d(z), axis, -1) if z.ndim else z.reshape(1)
    rows = turned.reshape(-1, turned.shape[-1])
    if coupled and order:
        raise DerivationError("a coupled function has a Jacobian and no σ′")
    if found is None:
        span = range(1, rows.shape[1] + 1)
        value = np.array(
            [[one.coupled("sigma", (layer, p), (), list(row)) for p in span] for row in rows]
        ).real
    else:
        value = found.of(order)(rows)
    moved = np.asarray(value).reshape(turned.shape)
    return np.moveaxis(moved, -1, axis) if z.ndim else moved.reshape(())
