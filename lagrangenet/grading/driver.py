"""The driver: one submission in, one grade out.

    submission → child ← probes;  child → replies → answers → judge → parts → grade

The probes are drawn when the submission is already read. The child answers all of them in order;
what is right, and the derivation, stay here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from lagrangenet.errors import IsolationError
from lagrangenet.grading.answers import Answers, Failure, Probe
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.containment import layers_to_use, require_enough
from lagrangenet.grading.exchange import answers, request
from lagrangenet.grading.formulas import judge_formulas
from lagrangenet.grading.judge import judge_code
from lagrangenet.grading.probes import probes
from lagrangenet.grading.process import Child
from lagrangenet.grading.result import Grade, Part
from lagrangenet.grading.submission import Submission


def grade(
    assignment: Assignment,
    submission: Submission,
    seed: int | None = None,
    untrusted: bool = False,
) -> Grade:
    """Grade one submission.

    Parameters
    ----------
    assignment : Assignment
        What was asked.
    submission : Submission
        What was handed in; it runs in a child process.
    seed : int, optional
        Of the probes; by default a new one, which the grade names.
    untrusted : bool
        Refuse to run it unless the isolation in force holds a stranger's code.

    Raises
    ------
    IsolationError
        If ``untrusted`` and the machine lacks the layers, or if no child process can be started.

    Examples
    --------
    >>> assignment = Assignment.from_toml('''
    ... name = "One layer"
    ... [network]
    ... widths = ["any", "any"]
    ... loss = "squared_error"
    ... [submission]
    ... calls = "dW1, db1 = gradient(W1, b1, X, Y)"
    ... ''')
    >>> source = '''
    ... def gradient(W, b, X, Y):
    ...     error = (X @ W.T + b - Y) / len(X)
    ...     return error.T @ X, error.sum(axis=0)
    ... '''
    >>> graded = grade(assignment, Submission.of_source(source), seed=1)
    >>> graded.parts[0].verdict, graded.score
    ('right', 1.0)
    """
    start = time.monotonic()
    drawn = secrets.randbelow(2**31) if seed is None else seed
    isolation: tuple[str, ...] = ()
    note, parts = "", []
    if assignment.contract is not None:
        asked = probes(assignment, drawn)
        given, isolation, note = ask(assignment, submission, asked, untrusted)
        parts = judge_code(assignment, asked, given)
    formulas = _formulas(assignment, submission)
    return Grade(
        submission.name,
        assignment.name,
        tuple(_in_order(assignment, parts, formulas)),
        isolation,
        drawn,
        round(time.monotonic() - start, 3),
        note,
        assignment.hidden,
    )


def ask(
    assignment: Assignment,
    submission: Submission,
    asked: tuple[Probe, ...],
    untrusted: bool = False,
) -> tuple[tuple[Answers, ...], tuple[str, ...], str]:
    """The answers of a submission, the isolation it ran in, and what went wrong at loading."""
    contract = assignment.contract
    assert contract is not None
    if not submission.blocks:
        missing = Failure("missing", "the submission has no code")
        return tuple(answers(assignment, probe, missing) for probe in asked), (), missing.message
    use, there = layers_to_use()
    if untrusted:
        require_enough(there)
    packages, stand_ins = assignment.packages, assignment.placeholders
    with Child(submission, assignment.limits, packages, stand_ins, use) as child:
        if child.failure is not None and child.failure.kind == "start":
            raise IsolationError(child.failure.message)
        given = tuple(
            answers(assignment, probe, child.ask(partial(request, contract, probe)))
            for probe in asked
        )
        note = child.failure.message if child.failure else "; ".join(child.broken)
        return given, child.isolation, note


def _formulas(assignment: Assignment, submission: Submission) -> list[Part]:
    if all(part.asks != "formula" for part in assignment.parts):
        return []
    return judge_formulas(assignment, submission.formulas)


def _in_order(assignment: Assignment, code: list[Part], formulas: list[Part]) -> Iterator[Part]:
    """The parts in the order of the assignment."""
    left = {"code": iter(code), "formula": iter(formulas)}
    for asked in assignment.parts:
        part = next(left["formula" if asked.asks == "formula" else "code"])
        yield replace(part, name=asked.name, max_points=asked.points)
