"""How the arrays of the code under test are compared with an oracle's.

A comparison that NaN or broadcasting could pass does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lagrangenet.runtime import Layers
from lagrangenet.verify.check import Array, Finding
from lagrangenet.verify.textbook import Theta

#: A block that is zero but for cancellation carries the rounding of the largest one, 1e-16 of it.
#: So that this stays below tolerances of 1e-12, blocks are compared on at least this scale.
NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Block:
    """An array of the code under test beside the oracle's, and the equation it belongs to."""

    where: str
    found: Any
    expected: Array


def worst(
    blocks: Iterable[Block],
    samples: int = 0,
    absolute: bool = False,
    negligible: float = NEGLIGIBLE,
) -> Finding:
    """The largest deviation over blocks, each relative to the oracle's largest entry in it.

    Blocks below ``negligible`` times the largest one are compared on that scale; with ``absolute``
    the deviations themselves are compared.
    """
    listed = list(blocks)
    scales = [float(np.max(np.abs(b.expected), initial=0.0)) for b in listed]
    floor = negligible * max(scales, default=0.0)
    findings = []
    for block, scale in zip(listed, scales, strict=True):
        unit = 1.0 if absolute else max(scale, floor)
        figure, seen = deviation(block.found, block.expected, unit, samples)
        findings.append(Finding(figure, block.where, seen))
    return largest(findings)


def largest(findings: Iterable[Finding]) -> Finding:
    """The worst of several findings; NaN is the worst of all."""
    return max(findings, key=lambda f: np.inf if np.isnan(f.figure) else f.figure)


def deviation(found: Any, expected: Array, scale: float, samples: int = 0) -> tuple[float, str]:
    """‖found − expected‖∞ / scale, infinite for another shape or NaN; and what a person would say."""
    array = np.asarray(found)
    if array.shape != expected.shape:
        return np.inf, f"shape {array.shape}, expected {expected.shape}"
    if array.size == 0 or np.array_equal(array, expected):
        return 0.0, ""
    difference = np.abs(array - expected)
    if not np.isfinite(difference).all():
        at = tuple(int(j) for j in np.argwhere(~np.isfinite(difference))[0])
        return np.inf, f"{array[at]} at {list(at)}, expected {expected[at]:.6g}"
    at = tuple(int(j) for j in np.unravel_index(int(difference.argmax()), array.shape))
    figure = float(difference[at] / scale) if scale > 0 else np.inf
    seen = f"the code gives {array[at]:.6g} at {list(at)}, the oracle {expected[at]:.6g}"
    return figure, seen + _pattern(array, expected, samples)


def _pattern(found: Array, expected: Array, samples: int) -> str:
    """A constant ratio or a transpose, named."""
    large = np.abs(expected) > 1e-6 * np.abs(expected).max()
    if not large.any():
        return ""
    ratios = found[large] / expected[large]
    ratio = float(np.median(ratios))
    if np.allclose(ratios, ratio, rtol=1e-6, atol=0) and not np.isclose(ratio, 1, rtol=1e-9):
        known = {-1.0: "the sign is reversed", 0.0: "it is zero"}
        if samples > 1:
            known |= {samples: "the mean over samples is missing",
                      -samples: "the mean over samples is missing and the sign reversed",
                      1 / samples: "the mean over samples is taken twice"}  # fmt: skip
        meaning = next((t for r, t in known.items() if np.isclose(ratio, r, rtol=1e-9)), "")
        return f"; the ratio is {ratio:.6g} everywhere" + (f": {meaning}" if meaning else "")
    square = found.ndim == 2 and found.shape[0] == found.shape[1]
    if square and np.allclose(found, expected.T, rtol=1e-9, atol=0):
        return "; it is the transpose"
    return ""


def per_layer(
    label: str, symbol: str, found: Layers, expected: Iterable[Array], position: int
) -> list[Block]:
    """Blocks of one array per layer: ``layer 2, (S5) ∂L/∂W``."""
    return [
        Block(f"layer {k}, ({label}) {symbol}", layer[position], oracle)
        for k, (layer, oracle) in enumerate(zip(found, expected, strict=True), 1)
    ]


def gradient_blocks(found: Layers, expected: Theta, first: int = 0) -> list[Block]:
    """Blocks of ∂L/∂W^k (S5) and ∂L/∂b^k (S6)."""
    return [
        *per_layer("S5", "∂L/∂W", found, [W for W, _ in expected], first),
        *per_layer("S6", "∂L/∂b", found, [b for _, b in expected], first + 1),
    ]


def leaves(tree: Any) -> list[Array]:
    """Every array of nested tuples and dictionaries, copied."""
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    if isinstance(tree, dict):
        return [leaf for name in sorted(tree) for leaf in leaves(tree[name])]
    return [np.array(tree)]


def different(first: list[Array], second: list[Array]) -> int:
    """How many arrays are not equal to the bit."""
    return sum(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
