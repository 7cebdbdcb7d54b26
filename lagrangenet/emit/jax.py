"""Whole routines in JAX: compiled by XLA for whatever device JAX finds.

JAX compiles the lines; its own differentiation is never used, the derivatives are those of the
conditions. In JAX the precision is a setting of the process. The module asks for 64 bits, and for
products in full precision on a GPU, around each of its own calls alone: the caller's setting stays,
and arrays of float32 stay float32. XLA takes numbers below the smallest normal one for zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from lagrangenet.emit.expressions import NUMPY, SCIPY
from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.emit.whole import WholePrinter, whole
from lagrangenet.routines.ir import Program

_DEFINITIONS = (
    '''def exact(function):
    """The function with numbers of 64 bits and full products; JAX's own settings stay."""

    @functools.wraps(function)
    def call(*arrays):
        with jax.enable_x64(True), jax.default_matmul_precision("highest"):
            return function(*arrays)

    return call''',
    '''@exact
def native(array):
    """A copy of an array on JAX's device."""
    return jnp.array(array)''',
    '''def plain(array):
    """An array of JAX as NumPy's."""
    return jax.device_get(array)''',
)


class JaxPrinter(WholePrinter):
    """Routines of jax.numpy."""

    language = "JAX"
    functions: ClassVar[Mapping[str, str]] = MappingProxyType(
        {name: code.replace("np.", "jnp.") for name, code in NUMPY.items()}
        | {name: f"jax.scipy.special.{name}" for name in SCIPY}
    )
    smallest = "jnp.maximum(x, jnp.finfo(x.dtype).tiny)"
    decorators = ("@exact", "@jax.jit")
    imports = ("import functools\n", "import jax", "import jax.numpy as jnp")
    reserved = frozenset({"functools", "jax", "jnp", "exact", "native", "plain"})

    def packages(self) -> list[str]:
        """JAX, which brings what it needs."""
        return ["jax"]

    def definitions(self) -> tuple[str, ...]:
        """Precision and conversions."""
        return _DEFINITIONS

    def weights(self, batch: str) -> str:
        """The weights of the classes, of the type of an array."""
        return super().weights(batch).replace("np.", "jnp.")

    def joined(self, parts: list[str]) -> str:
        """Parts as one flat vector."""
        return super().joined(parts).replace("np.", "jnp.")


def emit(program: Program) -> str:
    """A linked program as the source text of a module for JAX.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> next(line.split("#")[0].strip() for line in source.splitlines() if "X1 =" in line)
    'X1 = jnp.tanh(Z1)'
    """
    return whole(program, JaxPrinter(program.problem))


# Of a call 20 µs are its compilation of about 2 s, shared by 100,000 calls.
_COST = Cost(call=3.1e-5, line=9.2e-7, row=1.7e-9, value=6.1e-10, exponential=0, flop=1.3e-11)
TARGETS.add(Target("jax", "JAX, compiled by XLA", emit, package="jax", extra="jax", cost=_COST))
