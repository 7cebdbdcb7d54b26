"""The variable that runs backwards: multipliers λ and μ, or a sample's derivatives Δ and δ.

    Δ^k = ∂ℓ/∂x^k = −M λ^k          δ^k = ∂ℓ/∂z^k = −M μ^k

The recursion in Δ or δ is that in λ and μ with λ = −Δ/M and μ = −δ/M put into the conditions, which
are then solved again. In δ alone, λ is eliminated between (S4) and (S2) or (S3) first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.stationarity import Condition
from lagrangenet.symbolic.tidy import tidy, with_dummies

_DELTA_DOT, _ERROR_DOT = (sp.IndexedBase(f"{name}_dot", real=True) for name in ("Delta", "delta"))

#: Multiplier → derivative of a sample's loss.
ERROR_OF = {
    l.lam: l.Delta,
    l.mu: l.delta,
    l.TANGENTS[l.lam]: _DELTA_DOT,
    l.TANGENTS[l.mu]: _ERROR_DOT,
}
_LAMBDAS = (l.lam, l.TANGENTS[l.lam])
_TITLES = {
    "S2": "derivative of the loss by the output",
    "T2": "tangent of the derivative by the output",
}
#: What the elimination of λ gives: by order (S or T) and layers.
_ELIMINATED = {
    ("S", "output"): "derivative of the loss at the output",
    ("S", "hidden"): "backward pass",
    ("T", "output"): "second-order adjoint of the output",
    ("T", "hidden"): "second-order adjoint",
}


def in_variable(conditions: Iterable[Condition], variable: str) -> tuple[Condition, ...]:
    """The conditions with the backward recursion in ``lambda``, ``Delta`` or ``delta``.

    Raises
    ------
    DerivationError
        For ``delta`` in the activation splitting, which has no multiplier μ.

    Examples
    --------
    >>> from lagrangenet.symbolic.lagrangian import Lagrangian
    >>> from lagrangenet.symbolic.stationarity import stationarity
    >>> print(in_variable(stationarity(Lagrangian()), "Delta")[1].unknown)
    Delta[N, i, p]
    """
    given = tuple(conditions)
    if variable == "lambda":
        return given
    if variable == "delta":
        if not any(c.unknown is not None and c.unknown.base == l.mu for c in given):
            raise DerivationError(
                "δ is the derivative by z, which is no variable in the activation splitting; "
                "choose the preactivation splitting, or the variable Delta"
            )
        given = _without_lambda(given)
    return tuple(_in_errors(condition) for condition in given)


def _in_errors(condition: Condition) -> Condition:
    """λ = −Δ/M and μ = −δ/M put into a condition, which is then solved for Δ or δ."""
    residual = condition.residual.replace(
        lambda e: isinstance(e, sp.Indexed) and e.base in ERROR_OF,
        lambda e: -ERROR_OF[e.base][e.indices] / l.M,
    )
    title = _TITLES.get(condition.label, condition.title)
    residual = tidy(sp.expand_mul(residual))
    changed = replace(condition, residual=residual, title=title)
    unknown = condition.unknown
    if unknown is None or unknown.base not in ERROR_OF:
        return changed
    error = ERROR_OF[unknown.base][unknown.indices]
    slope, rest = residual.coeff(error), residual.xreplace({error: sp.S.Zero})
    if slope.free_symbols - {l.M} or slope == 0 or sp.expand(residual - rest - slope * error) != 0:
        raise DerivationError(f"({condition.label}) is not linear in {error}")
    return replace(changed, unknown=error, solution=tidy(sp.expand_mul(-rest / slope)))


def _without_lambda(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """(S4) with λ from (S2) at the output and from (S3) below it; all others as they are."""
    known: dict[tuple[sp.IndexedBase, str], Condition] = {}
    kept: list[Condition] = []
    for condition in conditions:
        unknown = condition.unknown
        if unknown is not None and unknown.base in _LAMBDAS:
            known[unknown.base, condition.layers] = condition
        elif unknown is not None and unknown.base in ERROR_OF:
            kept += (_eliminated(condition, known, layers) for layers in ("output", "hidden"))
        else:
            kept.append(condition)
    return tuple(kept)


def _eliminated(
    condition: Condition, known: dict[tuple[sp.IndexedBase, str], Condition], layers: str
) -> Condition:
    """A condition at the output, or below it, with every λ replaced by what it was solved for."""
    layer = l.N if layers == "output" else l.k
    at = {l.k: layer}

    def solved(multiplier: sp.Indexed) -> sp.Expr:
        used = known[multiplier.base, layers].solution
        assert used is not None
        _, sample, component = multiplier.indices
        return used.xreplace({l.i: sample, l.p: component})

    residual = with_dummies(condition.residual.xreplace(at)).replace(
        lambda e: isinstance(e, sp.Indexed) and e.base in _LAMBDAS, solved
    )
    labels = dict.fromkeys(
        [*(c.label for (_, at_), c in known.items() if at_ == layers), condition.label]
    )
    assert condition.unknown is not None
    return replace(
        condition,
        label=", ".join(label for label in labels if label[0] == condition.label[0]),
        title=_ELIMINATED[condition.label[0], layers],
        layers=layers,
        wrt=condition.wrt.xreplace(at),
        unknown=condition.unknown.xreplace(at),
        residual=tidy(residual),
        kind_of=None if condition.kind_of is None else condition.kind_of.xreplace(at),
    )
