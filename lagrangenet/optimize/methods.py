"""What can solve a problem: a catalogue of methods. A file in this folder that adds to it is read.

A method is a function ``solve(task, start, options, progress) -> Outcome``. It gets the problem as
functions of flat vectors (:class:`~lagrangenet.optimize.task.Task`), a point to start from, its
options with the defaults filled in, and a reporter that it tells about every iteration. What it says
about its own success is not believed: :func:`lagrangenet.minimize` measures where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

from lagrangenet.errors import DataError, MissingExtra, ProblemError
from lagrangenet.optimize.progress import Progress
from lagrangenet.optimize.task import Point, Task

Options = Mapping[str, Any]
Accepts = Literal["bounds", "constraints"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a method ended.

    Attributes
    ----------
    point : Point
        States that are None are those of a forward pass at θ, multipliers that are None those of
        the backward pass.
    message : str
        The method's last word: why it ended.
    counts : mapping
        ``nfev``, ``njev``, ``nhev`` where that is natural.
    extra : mapping
        More entries of the result, as ``bound_multipliers``.
    """

    point: Point
    message: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def _fits(_: Task) -> str:
    return ""


@dataclass(frozen=True, eq=False)
class Method:
    """A way to solve a problem.

    Attributes
    ----------
    name, summary : str
    space : {"reduced", "full"}
        Whether the states follow from θ in every iteration, or are unknowns of their own.
    solve : callable
        ``solve(task, start, options, progress) -> Outcome``.
    defaults : mapping
        Every option with its default; others are refused by name.
    accepts : frozenset
        Of "bounds" and "constraints" on θ.
    unfit : callable
        ``unfit(task) -> str``: why this task is not for this method, and what is; "" if it is.
    package, extra : str
        What it needs besides SciPy, and the extra that installs it.
    """

    name: str
    summary: str
    space: Literal["reduced", "full"]
    solve: Callable[[Task, Point, Options, Progress], Outcome]
    defaults: Options = field(default_factory=dict)
    accepts: frozenset[Accepts] = frozenset()
    unfit: Callable[[Task], str] = _fits
    package: str = ""
    extra: str = ""

    def missing(self) -> str:
        """The package that this method needs and that is not installed; empty if nothing is."""
        return self.package if self.package and find_spec(self.package) is None else ""

    def require(self, task: Task) -> None:
        """Refuse what this method cannot do, with the remedy."""
        if self.missing():
            raise MissingExtra(self.package, self.extra, f"the method {self.name!r}")
        for what in ("bounds", "constraints"):
            if getattr(task.region, what) is not None and what not in self.accepts:
                able = ", ".join(m.name for m in METHODS.values() if what in m.accepts)
                raise ProblemError(
                    f"the method {self.name!r} takes no {what} on the parameters; these do: {able}"
                )
        if reason := self.unfit(task):
            raise ProblemError(f"the method {self.name!r} does not fit: {reason}")

    def options(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        """The defaults, replaced by what is given; an unknown name is refused."""
        given = {} if given is None else given
        for name in given:
            if name not in self.defaults:
                known = ", ".join(self.defaults)
                raise DataError(f"method {self.name!r} has no option {name!r}; known: {known}")
        return {**self.defaults, **given}


class Methods(Mapping[str, Method]):
    """Methods by name. ``add`` is the only registration a method needs."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def add(self, method: Method) -> Method:
        """Register a method and return it."""
        self._methods[method.name] = method
        return method

    def remove(self, name: str) -> None:
        """Take a method out again, as an experiment or a test does with its own."""
        del self._methods[self[name].name]

    def __getitem__(self, name: str) -> Method:
        try:
            return self._methods[name]
        except (KeyError, TypeError):
            known = ", ".join(sorted(self._methods))
            raise ProblemError(f"unknown method {name!r}; known: auto, {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._methods

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


METHODS = Methods()
