"""Iterations as they happen: recorded, shown to a callback, saved, and stopped at a limit.

A method calls :meth:`Progress.report` once per iteration. What should end the run is raised there as
:class:`Stop`, which ``minimize`` alone catches; a method lets it pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lagrangenet.optimize.task import Point, Task
from lagrangenet.runtime import Array

Callback = Callable[[Any], Any]
#: Seconds between two checkpoints, and what share of the time writing them may take.
CHECKPOINT_EVERY, CHECKPOINT_SHARE = 1.0, 0.05


class Stop(Exception):  # control flow as StopIteration, which SciPy would swallow
    """Ends a method; its text is the reason."""


class Progress:
    """What a method reports to.

    Parameters
    ----------
    task : Task
    callback : callable, optional
        Called as ``callback(intermediate_result)``; may raise StopIteration.
    maxiter : int, optional
        A method that reports more iterations is stopped.
    seconds : float, optional
        A method that runs for longer is stopped at its next iteration.
    save : callable, optional
        ``save(progress)``, called at the first iteration and then every second or more rarely.
    history : list, optional
        Records of the run that this one goes on with.
    memory : dict, optional
        What a method kept of that run.

    Attributes
    ----------
    history : list of dict
        One record per iteration: nit, fun, optimality, constr_violation, seconds, and what the
        method adds.
    last : Point or None
        The iterate of the last report.
    memory : dict
        Arrays by name that a method needs beside its iterate to go on as if it had not been stopped;
        they are kept in the result of a run that is stopped.
    raised : Exception or None
        What a callback or a file raised: no affair of the method, so ``minimize`` passes it on.
    """

    def __init__(
        self,
        task: Task,
        callback: Callback | None = None,
        maxiter: int | None = None,
        seconds: float | None = None,
        save: Callable[[Progress], None] | None = None,
        history: list[dict[str, Any]] | None = None,
        memory: dict[str, Array] | None = None,
    ) -> None:
        self.task, self.callback, self.save = task, callback, save
        self.maxiter, self.seconds = maxiter, seconds
        self.history = [] if history is None else list(history)
        self.before = len(self.history)
        self.memory = {} if memory is None else dict(memory)
        self.last: Point | None = None
        self.raised: Exception | None = None
        self.began = time.perf_counter()
        self.due = self.began
        self.earlier = float(self.history[-1].get("seconds", 0.0)) if self.history else 0.0

    @property
    def nit(self) -> int:
        """Iterations of this run; those before a resumption are in the history alone."""
        return len(self.history) - self.before

    def report(
        self,
        theta: Array,
        states: Array | None = None,
        multipliers: Array | None = None,
        *,
        fun: float,
        optimality: float,
        violation: float = 0.0,
        **extra: Any,
    ) -> None:
        """Tell about the iterate after an iteration.

        The arrays are kept as they are: hand over copies of what the method goes on to change.

        Parameters
        ----------
        theta, states, multipliers : ndarray
            Flat. States are None where they are those of a forward pass, multipliers where they are
            those of the backward pass.
        fun, optimality, violation : float
            J, max |∂L/∂(x, θ)| and max |∂L/∂λ|, as the method sees them.
        **extra
            More entries of the record in the history: ``step``, ``shift``, ...

        Raises
        ------
        Stop
            At the limit of iterations or time, or when the callback raises StopIteration.
        """
        now = time.perf_counter()
        record = {
            "nit": len(self.history) + 1,
            "fun": float(fun),
            "optimality": float(optimality),
            "constr_violation": float(violation),
            "seconds": self.earlier + now - self.began,
            **extra,
        }
        self.history.append(record)
        self.last = Point(theta, states, multipliers)
        try:
            self._tell(record, now)
        except Stop:
            raise
        except Exception as error:
            self.raised = error
            raise
        if self.maxiter is not None and self.nit >= self.maxiter:
            raise Stop(f"stopped at the limit of {self.maxiter} iterations; allow more (maxiter)")
        if self.seconds is not None and now - self.began > self.seconds:
            raise Stop(f"stopped at the limit of {self.seconds:g} s; allow more (seconds)")

    def _tell(self, record: dict[str, Any], now: float) -> None:
        """Save, if it is time to, and call the user's function."""
        if self.save is not None and now >= self.due:
            self.save(self)
            after = time.perf_counter()
            self.due = after + max(CHECKPOINT_EVERY, (after - now) / CHECKPOINT_SHARE)
        if self.callback is not None:
            self._call_back(record)

    def _call_back(self, record: dict[str, Any]) -> None:
        from scipy.optimize import OptimizeResult  # here, because the import takes a while

        assert self.callback is not None
        assert self.last is not None
        theta, states, multipliers = self.last
        found = OptimizeResult(record)
        found.update(x=theta.copy())
        found.update(theta=self.task.shaped(found.x))
        for name, flat in (("states", states), ("multipliers", multipliers)):
            found[name] = None if flat is None else self.task.shapes.arrays(flat.copy())
        try:
            self.callback(found)
        except StopIteration:
            raise Stop("stopped by the callback, which raised StopIteration") from None
