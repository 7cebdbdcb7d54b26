"""The KKT system of a chain, condensed to the parameters, layer by layer.

Given θ̇, the linearized constraints give ẋ in a forward sweep, and ∂L̇/∂x = 0 gives λ⁺ = λ + λ̇ in a
backward sweep. What is left, ∂L̇/∂θ = 0, is linear in θ̇: P equations. Its matrix is assembled from

    H_lk = Σ_i C_i^{lk} ⊗ x_i^{l−1} x_i^{k−1}ᵀ  (+ the curvature of W^l x^{l−1} for k < l)

where C^{lk} = B^l ∂z^l/∂z^k comes from products with W^l and factors of single layers, and each sum
over samples is one matrix product. Memory grows with a part of the samples (``CHUNK``), not with all.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lagrangenet.optimize.blocks import Blocks, Layered, flattened
from lagrangenet.optimize.inertia import Shifted
from lagrangenet.optimize.search import Step
from lagrangenet.runtime import Array

#: Bytes of the largest intermediate array.
CHUNK = 1 << 20


class Condensed:
    """Steps of one chain with its data, by NumPy."""

    def __init__(self, net: Layered) -> None:
        self.net = net

    def matrix(self, blocks: Blocks, weight: float = 0.0, metric: bool = False) -> Array:
        """As :func:`matrix`."""
        return matrix(self.net, blocks, weight, metric)

    def gradient(self, blocks: Blocks, multipliers: Array) -> tuple[Array, float]:
        """∂L/∂θ, and max |∂L/∂x|, |∂L/∂θ|, at the point of the blocks; NaN if one of them is."""
        found, worst = gradient(self.net, blocks, self.net.split(multipliers))
        return found, float(np.maximum(worst, max(found.max(), -found.min())))

    def step(self, blocks: Blocks, inertia: Shifted, weight: float) -> Step | None:
        """The Newton step, with the smallest shift that makes the condensed matrix positive definite.

        The shift of ∂²L/∂x² is ``weight`` times that of ∂²L/∂θ²: in the condensed matrix it is that
        of Σ_k |ẋ^k|² as a quadratic form in θ̇. It enters the sweeps as well.
        """
        factor = inertia.factor(
            self.matrix(blocks),
            (lambda: weight * self.matrix(blocks, metric=True)) if weight else None,
        )
        if factor is None:
            return None
        shift = weight * factor.shift
        along = factor.solve(-sweep(self.net, blocks, None, shift)[2])
        dx, plus, _ = sweep(self.net, blocks, along, shift)
        slope = float(blocks.penalty @ along - np.vdot(blocks.wanted, dx[-1]))
        return Step(along, flattened(dx), flattened(plus), slope, factor.shift)


def sweep(
    net: Layered, blocks: Blocks, along: Array | None, weight: float = 0.0
) -> tuple[list[Array], list[Array], Array]:
    """ẋ, λ⁺ and ∂L̇/∂θ for θ̇ = ``along`` (zero if it is None).

    ``weight`` is added to the diagonal of ∂²L/∂x². At the θ̇ at which the third is zero, (θ̇, ẋ, λ⁺)
    solve the KKT system.
    """
    W = [weight_of for weight_of, _ in net.shaped(blocks.at.theta)]
    moved = None if along is None else net.shaped(along)
    states = [net.X, *blocks.at.states[:-1]]
    last = len(W) - 1
    dx: list[Array] = []
    dz: list[Array] = []
    for k in range(last + 1):
        z = dx[-1] @ W[k].T if k else np.zeros_like(blocks.at.gaps[0])
        if moved is not None:
            z = z + states[k] @ moved[k][0].T + moved[k][1]
        dz.append(z)
        dx.append((z if k == last else times(z, blocks.slopes[k])) - blocks.at.gaps[k])
    found = np.empty_like(blocks.at.theta)
    plus: list[Array] = [blocks.wanted - times(dx[-1], blocks.output) - weight * dx[-1]]
    for k in range(last, -1, -1):
        mu = plus[0]
        if k < last:
            mu = transposed_times(mu, blocks.slopes[k]) + times(dz[k], blocks.curvatures[k])
        part = found[net.places[k]].reshape(net.shapes[k])
        part[:, :-1] = -(mu.T @ states[k])
        part[:, -1] = -mu.sum(axis=0)
        if k:
            part[:, :-1] -= blocks.mu[k].T @ dx[k - 1]
            lam = mu @ W[k] - weight * dx[k - 1]
            if moved is not None:
                lam += blocks.mu[k] @ moved[k][0]
            plus.insert(0, lam)
    found += blocks.penalty
    if along is not None:
        found += blocks.bend * along
    return dx, plus, found


def gradient(net: Layered, blocks: Blocks, multipliers: list[Array]) -> tuple[Array, float]:
    """∂L/∂θ, and max |∂L/∂x|, at the point of the blocks."""
    W = [weight for weight, _ in net.shaped(blocks.at.theta)]
    states = [net.X, *blocks.at.states[:-1]]
    found = blocks.penalty.copy()
    worst = float(np.abs(multipliers[-1] - blocks.wanted).max())
    for k in range(len(W) - 1, -1, -1):
        part = found[net.places[k]].reshape(net.shapes[k])
        part[:, :-1] -= blocks.mu[k].T @ states[k]
        part[:, -1] -= blocks.mu[k].sum(axis=0)
        if k:
            worst = max(worst, float(np.abs(multipliers[k - 1] - blocks.mu[k] @ W[k]).max()))
    return found, worst


def corrected(net: Layered, blocks: Blocks, gaps: list[Array]) -> list[Array]:
    """The change of x that the linearized constraints ask for, at fixed θ."""
    W = [weight for weight, _ in net.shaped(blocks.at.theta)]
    dx: list[Array] = []
    for k, gap in enumerate(gaps):
        if not k:
            dx.append(-gap)
            continue
        z = dx[-1] @ W[k].T
        dx.append((z if k == len(W) - 1 else times(z, blocks.slopes[k])) - gap)
    return dx


def times(rows: Array, factor: Array) -> Array:
    """F_i v_i for every sample; a factor of two axes is diagonal."""
    if factor.ndim == rows.ndim:
        return rows * factor
    found: Array = np.matmul(factor, rows[:, :, None])[:, :, 0]
    return found


def transposed_times(rows: Array, factor: Array) -> Array:
    """F_iᵀ v_i for every sample."""
    if factor.ndim == rows.ndim:
        return rows * factor
    found: Array = np.matmul(rows[:, None, :], factor)[:, 0, :]
    return found


# -- the matrix --------------------------------------------------------------------------------------


def matrix(net: Layered, blocks: Blocks, weight: float = 0.0, metric: bool = False) -> Array:
    """The matrix of ∂L̇/∂θ = 0; its lower blocks (l ≥ k) are filled, the others are zero.

    With ``metric`` it is Σ_k ẋᵏᵀẋᵏ as a quadratic form in θ̇, what ``weight`` stands for.
    """
    found = np.zeros((len(blocks.bend), len(blocks.bend)), blocks.bend.dtype)
    widest = max(columns for shape in net.shapes for columns in shape) ** 2
    step = max(16, CHUNK // (found.itemsize * widest))
    for start in range(0, len(net.X), step):
        part = _Part(net, blocks, slice(start, start + step), metric)
        part.add(found, weight)
    if not metric:
        found.flat[:: len(found) + 1] += blocks.bend
    return found


class _Part:
    """Some samples, with samples as the last axis, which makes all inner loops long."""

    def __init__(self, net: Layered, blocks: Blocks, at: slice, metric: bool) -> None:
        self.net, self.metric = net, metric
        states = [net.X, *blocks.at.states[:-1]]
        self.samples = len(net.X[at])
        self.W = [np.ascontiguousarray(W.T) for W, _ in net.shaped(blocks.at.theta)]
        self.x = [_with_ones(x[at]) for x in states]
        self.slopes = [_last(a[at]) for a in blocks.slopes]
        self.curvatures = [_last(c[at]) for c in blocks.curvatures]
        self.minus_mu = [-_last(mu[at]) for mu in blocks.mu]
        self.output = _last(blocks.output[at])

    def add(self, found: Array, weight: float) -> None:
        """Add what these samples give, from the last layer to the first."""
        shapes, places = self.net.shapes, self.net.places
        B = self.full(self.output if not self.metric else np.ones_like(self.minus_mu[-1]))
        if weight:
            _diagonal(B)[...] += weight
        for l in range(len(shapes) - 1, -1, -1):
            self.own(found[places[l], places[l]], B, l)
            C, T = B, None
            for k in range(l - 1, -1, -1):
                C = self.right(C, k)
                if k == l - 1:
                    first = C
                block = self.cross(C, l, k)
                if not self.metric:
                    T = self.state(T, k, l)
                    self.bent(block, T, l, k)
                (h, n), (hk, nk) = shapes[l], shapes[k]
                found[places[l], places[k]] += block.reshape(h * n, hk * nk)
            if l:
                B = self.below(first, l, 1.0 if self.metric else weight)

    def full(self, diagonal: Array) -> Array:
        """(n, n, m), symmetric."""
        if diagonal.ndim == 3:
            return diagonal.copy()
        n, m = diagonal.shape
        found = np.zeros((n, n, m), diagonal.dtype)
        _diagonal(found)[...] = diagonal.T
        return found

    def own(self, out: Array, B: Array, l: int) -> None:
        """Σ_i B_i ⊗ x_i x_iᵀ."""
        (h, n), x = self.net.shapes[l], self.x[l]
        i, j, of_b = _triangle(h)
        a, b, of_x = _triangle(n)
        product = B[i, j] @ (x[a] * x[b]).T
        out += product[of_b][:, :, of_x].transpose(0, 2, 1, 3).reshape(h * n, h * n)

    def right(self, C: Array, k: int) -> Array:
        """∂/∂z^k from ∂/∂z^{k+1}: C (j, i, m) with the layer's own component first."""
        found = (self.W[k + 1] @ C.reshape(len(C), -1)).reshape(-1, *C.shape[1:])
        return _through(found, self.slopes[k])

    def cross(self, C: Array, l: int, k: int) -> Array:
        """Σ_i C_i ⊗ x_i^{l−1} x_i^{k−1}ᵀ as (i, a, j, b)."""
        (h, n), (hk, nk) = self.net.shapes[l], self.net.shapes[k]
        outer = (self.x[l][:, None] * self.x[k][None]).reshape(n * nk, -1)
        product = C.reshape(hk * h, -1) @ outer.T
        found: Array = product.reshape(hk, h, n, nk).transpose(1, 2, 0, 3).copy()
        return found

    def state(self, T: Array | None, k: int, l: int) -> Array:
        """∂x^{l−1}/∂z^k as (j, a, m)."""
        if T is None:
            return self.full(self.slopes[l - 1]) if self.slopes[l - 1].ndim == 2 else (
                self.slopes[l - 1].transpose(1, 0, 2))  # fmt: skip
        return self.right(T, k)

    def bent(self, block: Array, T: Array, l: int, k: int) -> None:
        """−Σ_i μ_i^l (∂x^{l−1}/∂z^k) x_i^{k−1}ᵀ: W^l and x^{l−1} move together."""
        (h, _), (hk, nk) = self.net.shapes[l], self.net.shapes[k]
        n = T.shape[1]
        outer = (self.minus_mu[l][:, None] * self.x[k][None]).reshape(h * nk, -1)
        if k == l - 1 and self.slopes[k].ndim == 2:
            product = (outer @ self.slopes[k].T).reshape(h, nk, hk)
            at = np.arange(hk)
            block[:, at, at, :] += product.transpose(0, 2, 1)
            return
        product = outer @ T.reshape(hk * n, -1).T
        block[:, :-1] += product.reshape(h, nk, hk, n).transpose(0, 3, 2, 1)

    def below(self, C: Array, l: int, weight: float) -> Array:
        """B^{l−1} from C^{l,l−1}: through W^l and σ^{l−1}, plus the curvature of σ^{l−1}."""
        n, h, m = C.shape
        flipped = np.ascontiguousarray(C.transpose(1, 0, 2)).reshape(h, -1)
        B = _through((self.W[l] @ flipped).reshape(n, n, m), self.slopes[l - 1])
        if weight:
            B += weight * self.squared(l - 1)
        if not self.metric:
            curvature = self.curvatures[l - 1]
            if curvature.ndim == 2:
                _diagonal(B)[...] -= curvature.T
            else:
                B -= curvature
        return B

    def squared(self, k: int) -> Array:
        """σ′ᵀ σ′."""
        slope = self.slopes[k]
        if slope.ndim == 2:
            return self.full(slope * slope)
        found: Array = np.einsum("pjm,pim->jim", slope, slope)
        return found


def _through(C: Array, slope: Array) -> Array:
    """C with its first axis taken through σ′."""
    if slope.ndim == 2:
        C *= slope[:, None]
        return C
    found: Array = np.einsum("pjm,pim->jim", slope, C)
    return found


def _diagonal(B: Array) -> Array:
    """The diagonals (m, n) of (n, n, m), a view that can be written to."""
    found: Array = np.einsum("iim->mi", B)
    return found


def _last(rows: Array) -> Array:
    """Samples as the last axis."""
    return np.ascontiguousarray(np.moveaxis(rows, 0, -1))


def _with_ones(rows: Array) -> Array:
    m, n = rows.shape
    found = np.empty((n + 1, m), rows.dtype)
    found[:-1], found[-1] = rows.T, 1
    return found


@cache
def _triangle(n: int) -> tuple[Array, Array, Array]:
    """Rows and columns of an upper triangle, and where each entry of the square is in it."""
    i, j = np.triu_indices(n)
    place = np.empty((n, n), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    return i, j, place
