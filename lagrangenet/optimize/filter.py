"""A line-search filter: a step has to improve feasibility or the objective, not a sum of both.

After Wächter & Biegler (2005, 2006), with their constants. A pair (Σ|c|, J) in the filter forbids all
points that are no better than it in both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: γ_θ and γ_φ, s_θ and s_φ, η_φ of Wächter & Biegler (2006), table at the end of section 3.
LESS_VIOLATION, LESS_OBJECTIVE = 1e-5, 1e-8
POWER_VIOLATION, POWER_OBJECTIVE, ARMIJO = 1.1, 2.3, 1e-4
#: What rounding leaves of a sum of absolute constraints, and of an objective near 1.
NOISE_VIOLATION, NOISE_OBJECTIVE = 1e-14, 1e-15


@dataclass
class Filter:
    """Pairs that no later point may be dominated by.

    Parameters
    ----------
    violation : float
        Σ|c| at the start: four orders above it nothing is accepted, four below it the objective counts.

    Examples
    --------
    >>> filter = Filter(1.0)
    >>> filter.add(0.5, 2.0)
    >>> filter.allows(0.4, 9.0), filter.allows(0.6, 1.0), filter.allows(0.6, 2.1)
    (True, True, False)
    """

    violation: float
    pairs: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.most = 1e4 * max(1.0, self.violation)
        self.little = 1e-4 * max(1.0, self.violation)

    def add(self, violation: float, fun: float) -> None:
        """Forbid what is no better than this pair."""
        self.pairs.append((violation, fun))

    def allows(self, violation: float, fun: float) -> bool:
        """Whether no pair of the filter dominates these values."""
        if not violation <= self.most:
            return False
        for worst, below in self.pairs:
            less = violation <= (1 - LESS_VIOLATION) * worst
            if not less and not fun <= below - LESS_OBJECTIVE * worst:
                return False
        return True

    def descends(self, slope: float, violation: float, step: float) -> bool:
        """Whether a step promises so much of the objective that this alone is asked for."""
        return (
            slope < 0
            and violation <= self.little
            and step * (-slope) ** POWER_OBJECTIVE > violation**POWER_VIOLATION
        )

    def accepts(
        self,
        before: tuple[float, float],
        after: tuple[float, float],
        slope: float,
        step: float,
    ) -> bool:
        """Whether a step from one pair (Σ|c|, J) to another is progress."""
        (violation, fun), (new_violation, new_fun) = before, after
        if not self.allows(new_violation, new_fun):
            return False
        if self.descends(slope, violation, step):
            return new_fun <= fun + ARMIJO * step * slope + NOISE_OBJECTIVE
        less = new_violation <= (1 - LESS_VIOLATION) * violation + NOISE_VIOLATION
        return less or new_fun <= fun - LESS_OBJECTIVE * violation
