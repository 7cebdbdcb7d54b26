"""The index notation in which the problem is stated: indices, arrays, opaque functions.

One vocabulary for every room to the right. Indices count from 1, as on paper: k = 1..N layers,
i = 1..M samples, p = 1..n(k) components. σ^k, ℓ and Ω are *opaque*: SymPy knows only how their
derivatives are called, so that one derivation holds for all of them.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from lagrangenet.errors import DerivationError

#: Depth, batch size, strength of the regularizer, step size.
N, M = sp.symbols("N M", integer=True, positive=True)
rho, eta = sp.symbols("rho eta", positive=True)
#: Free indices of a stationarity condition: layer, sample, component, component of layer k−1.
k, i, p, q = sp.symbols("k i p q", integer=True, positive=True)
#: How many linear constraints on parameters there are, and the index of one.
R = sp.Symbol("kkt_R", integer=True, positive=True)
r = sp.Symbol("r", integer=True, positive=True)
#: A second sample and a second layer, for sums in which i and k are taken.
j, m = sp.symbols("j m", integer=True, positive=True)
#: The index of the components of a vector that is passed whole; reserved, never substituted for.
STAR = sp.Symbol("*", integer=True, positive=True)
#: Widths n(0), ..., n(N).
n = sp.Function("n", integer=True, positive=True)

#: States, preactivations, parameters, labels, multipliers: X[k, i, p], W[k, p, q], b[k, p].
X, Z, W, b, Y = (sp.IndexedBase(name, real=True) for name in "XZWbY")
lam = sp.IndexedBase("lambda", real=True)
#: Class weights of the loss: c[p].
C = sp.IndexedBase("c", real=True)
mu = sp.IndexedBase("mu", real=True)
#: Derivatives of a sample's loss: Δ = −M λ by the state, δ = −M μ by the preactivation.
Delta = sp.IndexedBase("Delta", real=True)
delta = sp.IndexedBase("delta", real=True)
#: Each variable of the Lagrangian and its tangent v̇, a direction in which it moves.
TANGENTS = {base: sp.IndexedBase(f"{base.label}_dot", real=True) for base in (X, Z, W, b, lam, mu)}


def widths_of(base: sp.IndexedBase, layer: sp.Expr) -> tuple[sp.Expr, ...]:
    """The extents of an array's axes after the layer index, in storage order.

    >>> widths_of(W, k)
    (n(k), n(k - 1))
    """
    if base == W:
        return (n(layer), n(layer - 1))
    if base == b:
        return (n(layer),)
    return (M, n(layer))


class Member(sp.Function):
    """Iverson bracket ``Member(k, kind)``: 1 if layer k is of that kind, otherwise 0."""

    nargs = (2,)
    is_commutative = True
    is_real = True

    def _eval_derivative(self, s: Any) -> sp.Expr:
        return sp.S.Zero


class Opaque(sp.Function):
    """A function of which only the name and the order of differentiation are known.

    ``name`` and ``order`` are class attributes; the last argument is the one it depends on, those
    before it are labels. ``fdiff`` returns the next order.
    """

    name = ""
    order = 0
    is_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        if argindex < len(self.args):
            return sp.S.Zero
        return opaque(self.name, self.order + 1)(*self.args)


class Coupled(sp.Function):
    """An opaque function of a whole vector (v_1, ..., v_n).

    Arguments: ``(*labels, v_STAR, n)``, the vector written with the reserved index ``STAR``. Its
    derivative is the chain rule over the components, d f = Σ_r ∂f/∂v_r · d v_r, where ``∂f/∂v_r``
    is a :class:`Partial`.
    """

    name = ""
    is_real = True

    def _eval_derivative(self, s: Any) -> sp.Expr:
        return _chain_rule(self, self.name, 1, s)


class Partial(sp.Function):
    """∂f/∂v_r of a :class:`Coupled` function, or a higher partial derivative of it.

    Arguments: ``(*labels, r, v_STAR, n)``; with ``order`` two ``(*labels, r, s, v_STAR, n)``.
    """

    name = ""
    order = 1
    is_real = True

    def _eval_derivative(self, s: Any) -> sp.Expr:
        return _chain_rule(self, self.name, self.order + 1, s)


def _chain_rule(f: Any, name: str, order: int, s: Any) -> sp.Expr:
    """Σ_r ∂f/∂v_r · d v_r, the chain rule, with the derivative of ``order`` that belongs to ``name``."""
    *labels, vector, size = f.args
    inner = sp.Dummy("r", integer=True, positive=True)
    change = vector.xreplace({STAR: inner}).diff(s)
    if change == 0:
        return sp.S.Zero
    slope = partial_of(name, order)(*labels, inner, vector, size)
    return sp.Sum(slope * change, (inner, 1, size))


class Pending(sp.Function):
    """``Pending(f, v)``: the derivative ∂f/∂v, stated and not carried out."""

    nargs = (2,)
    is_real = True


class Whole(sp.Function):
    """A sum that no expansion takes apart, until it gets a name: the tangent of a preactivation."""

    nargs = (1,)
    is_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.S.One


class Where(sp.Function):
    """``Where(c, a, b)``: a if c, otherwise b. ``Sum`` would pull a Piecewise out of a product.

    Its derivative is that of the branch; what happens at the boundary is a choice, not a derivative.
    """

    nargs = (3,)
    is_real = True

    @classmethod
    def eval(cls, _: Any, yes: sp.Expr, no: sp.Expr) -> sp.Expr | None:
        return yes if yes == no else None

    def _eval_derivative(self, s: Any) -> sp.Expr:
        condition, yes, no = self.args
        return Where(condition, yes.diff(s), no.diff(s))


def cases(piecewise: sp.Piecewise) -> sp.Expr:
    """A case distinction as nested :class:`Where`, which SymPy leaves where it stands.

    Raises
    ------
    DerivationError
        If it does not end in an 'otherwise' branch.
    """
    *branches, (value, last) = piecewise.args
    if last is not sp.true:
        raise DerivationError(f"{piecewise} is not defined everywhere")
    for branch, condition in reversed(branches):
        value = Where(condition, branch, value)
    return value


class LogSumExp(sp.Function):
    """log Σ_r exp(v_r): arguments ``(v_STAR, n)``; what log(softmax) is written with."""

    nargs = (2,)
    is_real = True


_classes: dict[tuple[type, str, int], Any] = {}


def _named(base: type, name: str, order: int = 0) -> Any:
    key = (base, name, order)
    if key not in _classes:
        title = f"{name}_{base.__name__}{order}"
        _classes[key] = type(title, (base,), {"name": name, "order": order})
    return _classes[key]


def opaque(name: str, order: int = 0) -> Any:
    """The class of the opaque componentwise function ``name``, differentiated ``order`` times."""
    return _named(Opaque, name, order)


def coupled(name: str) -> Any:
    """The class of the opaque function ``name`` of a vector."""
    return _named(Coupled, name)


def partial_of(name: str, order: int = 1) -> Any:
    """The class of ∂f/∂v_r (or ∂²f/∂v_r∂v_s) for the coupled function ``name``."""
    return _named(Partial, name, order)


#: The kinds of layer: componentwise σ^k_p = σ^k(z_p), and coupled σ^k_p = σ^k_p(z_1, ..., z_n).
COMPONENTWISE, COUPLED = sp.symbols("componentwise coupled")

sigma = opaque("sigma")
sigma_vector = coupled("sigma")
ell = coupled("ell")
omega = opaque("omega")
