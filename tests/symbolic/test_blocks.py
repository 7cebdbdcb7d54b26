"""The blocks of ∇²L: some by hand, and all against differences of the conditions."""

import numpy as np
import pytest
import sympy as sp

from lagrangenet import chain, derive
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.blocks import hessian_blocks, j, r, s
from lagrangenet.symbolic.lagrangian import Lagrangian
from lagrangenet.symbolic.stationarity import stationarity
from lagrangenet.symbolic.tangent import TangentLagrangian
from tests.symbolic.test_stationarity import holds, kinds_of, layers_of, prepared
from tests.symbolic.test_tangent import SOME_CASES, STEP, moved


def named(splitting, rows, columns):
    return {
        str(block.columns.indices[0] - block.rows.indices[0]): block.equation().split(" = ")[1]
        for block in hessian_blocks(TangentLagrangian(splitting))
        if (block.rows.base, block.columns.base) == (rows, columns)
    }


def test_blocks_by_hand():
    assert named("activation", l.X, l.W) == {
        "1": "−σ′^{k+1}(z_ir^{k+1}) λ_ir^{k+1} δ_ps "
        "− W_rp^{k+1} σ′′^{k+1}(z_ir^{k+1}) λ_ir^{k+1} x_is^k"
    }
    assert named("activation", l.lam, l.X) == {
        "0": "δ_ij δ_pr", "-1": "−W_pr^k σ′^k(z_ip^k) δ_ij"
    }  # fmt: skip
    assert named("preactivation", l.X, l.W) == {"1": "−μ_ir^{k+1} δ_ps"}
    assert named("preactivation", l.Z, l.Z) == {"0": "−σ′′^k(z_ip^k) λ_ip^k δ_ij δ_pr"}
    assert named("preactivation", l.W, l.W) == {"0": "ρ ω′′(W_pq^k) δ_pr δ_qs"}


def test_multipliers_enter_linearly():
    for splitting in ("activation", "preactivation"):
        assert not named(splitting, l.lam, l.lam)
        assert not named(splitting, l.mu, l.lam)


def test_blocks_of_a_derivation():
    derivation = derive(chain([2, 3, 1]), order=2)
    pairs = {(b.rows.base, b.columns.base) for b in derivation.hessian_blocks}
    variables = (l.X, l.W, l.b)
    assert pairs == {(u, v) for u in variables for v in variables} | {
        pair for v in variables for pair in ((l.lam, v), (v, l.lam))
    }
    assert {b.rows.base for b in derivation.constraint_jacobian} == {l.lam}
    assert {b.columns.base for b in derivation.constraint_jacobian} == set(variables)
    lifted = derivation.split("preactivation").constraint_jacobian
    assert {b.rows.base for b in lifted} == {l.lam, l.mu}


def test_a_block_prints():
    block = hessian_blocks(TangentLagrangian("preactivation"))[0]
    assert str(block) == "(T0)  ∂²L/∂μ_ip^k∂x_jr^{k−1} = −W_pr^k δ_ij"
    assert block._repr_latex_().startswith(r"$$ \frac{{\partial}^{2}L}{\partial \mu_{ip}^{k}")


@pytest.mark.parametrize(("splitting", "coupled"), SOME_CASES)
def test_blocks_are_derivatives_of_the_conditions(splitting, coupled):
    """∂L/∂u in the direction of each scalar of v, by differences; what has no block is zero."""
    world = prepared(coupled, splitting)
    kinds = kinds_of(world)
    blocks = hessian_blocks(TangentLagrangian(splitting, kinds))
    rng = np.random.default_rng(4)
    names = ["lambda", "X", "W", "b"] + ["Z", "mu"] * (splitting == "preactivation")
    for name in names:
        layer = int(rng.integers(1, world.depth + 1))
        array = world.arrays[name][layer]
        position = tuple(int(rng.integers(size)) for size in array.shape)
        unit = np.zeros_like(array)
        unit[position] = 1
        ends = {
            t: moved(coupled, splitting, {name: {layer: unit}}, t * STEP) for t in (-2, -1, 1, 2)
        }
        free = {"W": (r, s), "b": (r,)}.get(name, (j, r))
        columns = dict(zip(free, (at + 1 for at in position), strict=True))
        for first in stationarity(Lagrangian(splitting, kinds)):
            for row_layer in layers_of(first, world):
                if not holds(first, row_layer, world):
                    continue
                shape = world.arrays[str(first.wrt.base.label)][row_layer].shape
                for row in list(np.ndindex(shape))[::2]:
                    rows = dict(zip(first.wrt.indices[1:], (at + 1 for at in row), strict=True))
                    at = {l.k: row_layer} | rows
                    value = {t: end.index(first.residual, at) for t, end in ends.items()}
                    slope = (8 * (value[1] - value[-1]) - value[2] + value[-2]) / (12 * STEP)
                    found = sum(
                        world.index(block.expr, at | columns)
                        for block in blocks
                        if block.rows == first.wrt
                        and block.kind == first.kind
                        and str(block.columns.base.label) == name
                        and world.number(block.columns.indices[0], at) == layer
                    )
                    assert found == pytest.approx(slope, rel=1e-7, abs=1e-7), (first.label, name)


def test_blocks_are_exact_for_symbolic_sizes():
    for block in hessian_blocks(TangentLagrangian("activation", (l.COMPONENTWISE, l.COUPLED))):
        assert not block.expr.has(sp.Piecewise)
        assert not block.expr.atoms(sp.Indexed) & set(l.TANGENTS.values())
