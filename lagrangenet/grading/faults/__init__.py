"""Fault hypotheses: what a wrong equation would look like, generated from the right ones.

Every file of this folder that adds to :data:`RULES` is read; nothing else has to be registered.
"""

import pkgutil
from importlib import import_module

from lagrangenet.grading.faults.rule import RULES, Change, Mutant, Place, Rule, mutants, rule, said

for _found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

__all__ = ["RULES", "Change", "Mutant", "Place", "Rule", "mutants", "rule", "said"]
