"""Formula answers: read, compared with the derived conditions, and their mistakes named.

    text → tokens → tree → reading (shapes) → statement → normal form  ≟  derived condition

``tokens``, ``parser`` know characters and brackets; ``names``, ``letters``, ``reading`` give them a
meaning in a notation; ``shapes`` decides what fits; ``normal`` and ``numbers`` compare; ``mistakes`` asks
the fault rules of the grader what went wrong; ``judge`` takes conventions from the student's own
Lagrangian. Nothing that is read is ever executed.
"""

from lagrangenet.grading.formulas.answers import check_formula, judge_formulas
from lagrangenet.grading.formulas.submission import load

__all__ = ["check_formula", "judge_formulas", "load"]
