"""Homework, verified: submissions in, verdicts and named mistakes out.

    assignment (TOML) → submission (child process) → probes → arrays → adapters → answers
    → judge and diagnosis → grade → views and exports

The oracle and the derivation stay in this process; what a submission computes comes from another.
"""

from lagrangenet.grading.answers import Answers, Failure, Probe
from lagrangenet.grading.assignment import Asked, Assignment, Limits
from lagrangenet.grading.contract import Contract, Layout
from lagrangenet.grading.driver import grade
from lagrangenet.grading.network import Network
from lagrangenet.grading.result import Grade, Part
from lagrangenet.grading.submission import Submission

__all__ = [
    "Answers",
    "Asked",
    "Assignment",
    "Contract",
    "Failure",
    "Grade",
    "Layout",
    "Limits",
    "Network",
    "Part",
    "Probe",
    "Submission",
    "grade",
]
