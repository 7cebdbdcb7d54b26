"""The target of a chain's routines: which code computes the objective of a data set, and its source."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lagrangenet.emit import TARGETS
from lagrangenet.emit.c import header
from lagrangenet.routines.ir import Program
from lagrangenet.routines.lower import lower
from lagrangenet.routines.passes.link import link
from lagrangenet.runtime.arrays import Array
from lagrangenet.runtime.checks import Checks
from lagrangenet.runtime.choose import AUTO, estimates, explained
from lagrangenet.runtime.load import load
from lagrangenet.runtime.loaded import Loaded
from lagrangenet.runtime.objective import Engine, ModuleEngine, Objective
from lagrangenet.runtime.say import say_once
from lagrangenet.symbolic.derivation import Derivation


class Targeted(Checks, Loaded):
    """A base of routines; ``target`` computes their objective, with ``threads`` in compiled code."""

    program: Program | None
    target: str
    threads: int

    def objective(self, X: Any, Y: Any) -> Objective:
        """J of this data set as a function of flat parameters, computed by ``target``.

        Examples
        --------
        >>> import numpy as np
        >>> from lagrangenet.problem import chain
        >>> from lagrangenet.symbolic.derivation import derive
        >>> from lagrangenet.runtime import generate
        >>> routines = generate(derive(chain([1, 2, 1])))
        >>> objective = routines.objective([[0.0], [1.0]], [[1.0], [0.0]])
        >>> round(objective(np.ones(routines.problem.size))[0], 6)
        2.723402
        """
        X, Y = self.inputs(X), self.labels(Y)
        self._same_batch(X, "X", Y, "Y")
        return self._objective(X, Y)

    def _objective(self, X: Array, Y: Array) -> Objective:
        engine, target = self._engine(X, Y)
        return Objective(engine, self.problem.size, self.dtype, target)

    def _engine(self, X: Array, Y: Array) -> tuple[Engine, str]:
        """The chosen target with these data, or NumPy where C cannot be compiled."""
        target, source = TARGETS[self.chosen(len(X))], self.linked_source(len(X))
        if target.language == "c":
            from lagrangenet.runtime.compiled import NotCompiled, fastest

            try:
                sources = [source, self.linked_source(len(X), blas=True)]
                return fastest(sources, X, Y, self.problem.size, self.threads), target.name
            except NotCompiled as reason:
                target = TARGETS["numpy"]
                source = target.emit(self._linked)
                say_once(f"{reason}; computing with the target {target.name!r} instead of 'c'")
        return ModuleEngine(load(source), X, Y), target.name

    def chosen(self, samples: int = 128) -> str:
        """The name of the target that computes for so many samples."""
        if self.target != AUTO:
            return self.target
        return estimates(self._linked, samples, self.dtype)[0].target

    def explain(self, samples: int = 128) -> str:
        """What each target is expected to take for so many samples, and which is chosen."""
        found = estimates(self._linked, samples, self.dtype)
        return explained(found, samples, self.chosen(samples))

    def linked_source(self, samples: int = 128, blas: bool = False) -> str:
        """The source of the whole routines that the :meth:`objective` of so many samples runs.

        ``blas`` gives the large products of C to BLAS; the objective takes what is faster here.
        """
        target = TARGETS[self.chosen(samples)]
        if target.language == "c":
            from lagrangenet.runtime.compiled import vector_bytes

            return target.emit(
                self._linked, self.dtype, samples, self.threads, vector_bytes(), blas
            )
        return target.emit(self._linked)

    def header(self) -> str:
        """The declarations for C programs that are linked with the file of the target "c"."""
        return header(self._linked, self.dtype)

    @cached_property
    def _linked(self) -> Program:
        return link(self.program or lower(Derivation(self.problem, order=self.order)))
