"""The verdict on code: each part of an assignment right, wrong with its mistake named, or not gradable.

probes, answers → comparison with the oracle → conduct → diagnosis → parts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lagrangenet.grading.answers import Answers, Failure, Probe
from lagrangenet.grading.assignment import Asked, Assignment
from lagrangenet.grading.blocks import Key
from lagrangenet.grading.comparison import SPECIAL, Comparison, Finding
from lagrangenet.grading.conduct import Conduct, conduct
from lagrangenet.grading.diagnosis import Case, Named, diagnostician
from lagrangenet.grading.probes import AGAIN, KINK, LARGE, SATURATED
from lagrangenet.grading.result import Part

#: Failures after which nothing is known about the submission.
BROKEN = frozenset({"missing", "timeout", "limit", "died", "protocol"})
#: What is wrong where only a special probe shows it.
SPECIAL_FAULTS = {
    SATURATED: "for preactivations of about ±30, where σ is saturated",
    LARGE: "for outputs before softmax of about 750, where exp overflows: subtract their maximum",
    KINK: "where a preactivation is exactly at a kink: σ′ is no subgradient there",
    AGAIN: "when it is called a second time with the same arguments",
}
SPECIAL_HINTS = {
    SATURATED: "Try inputs that are large in size.",
    LARGE: "Try very large numbers before the last activation.",
    KINK: "What is σ′ where σ has a corner?",
    AGAIN: "What is left over from one call to the next?",
}


def judge_code(
    assignment: Assignment, probes: Sequence[Probe], answers: Sequence[Answers]
) -> list[Part]:
    """Judge the answers of one submission.

    Parameters
    ----------
    assignment : Assignment
        What was asked.
    probes, answers : sequences of Probe and Answers
        Questions and answers, aligned.

    Returns
    -------
    list of Part
        One for each part of the assignment that code answers, in its order.

    Examples
    --------
    >>> from lagrangenet.grading.comparison import truth
    >>> from lagrangenet.grading.probes import probes
    >>> assignment = Assignment.from_toml('''
    ... [network]
    ... widths = ["any", "any", 1]
    ... loss = "squared_error"
    ... [submission]
    ... calls = "grads = gradients(theta, X, Y)"
    ... ''')
    >>> asked, answers = probes(assignment, seed=1), []
    >>> for probe in asked:
    ...     M, right = probe.samples, truth(probe)
    ...     blocks = [[right[Key("gradient", k, of)] * M for of in "Wb"] for k in (1, 2)]
    ...     answers.append(Answers(probe.name, gradient=blocks))
    >>> (part,) = judge_code(assignment, asked, answers)
    >>> part.verdict, part.diagnosis.split(";")[0]
    ('wrong', '(S2) λ²: 1/M (the mean over the samples) is missing')
    """
    judged = _Judged(assignment, probes, answers)
    return [judged.part(asked) for asked in assignment.parts if asked.asks != "formula"]


@dataclass(frozen=True, eq=False)
class _Judged:
    """One submission."""

    assignment: Assignment
    probes: Sequence[Probe]
    answers: Sequence[Answers]

    @cached_property
    def kinds(self) -> frozenset[str]:
        contract = self.assignment.contract
        return frozenset(contract.answers if contract else ())

    @cached_property
    def comparisons(self) -> list[Comparison]:
        pairs = zip(self.probes, self.answers, strict=True)
        return [Comparison(p, a, self.assignment.tolerance) for p, a in pairs]

    @cached_property
    def findings(self) -> list[Mapping[Key, Finding]]:
        return [comparison.findings(self.kinds) for comparison in self.comparisons]

    @cached_property
    def conduct(self) -> tuple[Conduct, ...]:
        return conduct(self.probes, self.answers, self.assignment.tolerance)

    @cached_property
    def dependent(self) -> Conduct | None:
        """What is to be said first, if equal calls do not give equal answers."""
        return next((one for one in self.conduct if one.wrong and one.first), None)

    @cached_property
    def case(self) -> Case:
        ordinary = [j for j, probe in enumerate(self.probes) if probe.name not in SPECIAL]
        return diagnostician(self.assignment, self.probes).case(
            [self.comparisons[j] for j in ordinary], [self.findings[j] for j in ordinary]
        )

    # -- one part --------------------------------------------------------------------------------

    def part(self, asked: Asked) -> Part:
        """The verdict on a part."""
        broken = self._broken(asked)
        wrong = [
            (probe, one)
            for probe, findings in zip(self.probes, self.findings, strict=True)
            for key, one in findings.items()
            if not one.right and _asks(asked, key)
        ]
        values = [one for _, one in wrong if one.why != "absent"]
        if broken is not None and not values:
            return _part(asked, "not_gradable", note=broken.message)
        if wrong:
            named = self._named(asked, wrong)
            return _part(asked, "wrong", named)
        if (complaint := self._complaint(asked)) is not None:
            named = Named(complaint.text, None, "", "", "", "", complaint.hint)
            return _part(asked, "wrong", named)
        return _part(asked, "right", note="; ".join(self._notes(asked)))

    def _broken(self, asked: Asked) -> Failure | None:
        """Why nothing can be said: a failure after which there are no answers, or everywhere."""
        failures = [answer.failures.get(asked.asks) for answer in self.answers]
        known = [failure for failure in failures if failure is not None]
        for failure in known:
            if failure.kind in BROKEN:
                return failure
        if known and len(known) == len(failures):
            layout = all(failure.kind == "layout" for failure in known)
            return None if layout else known[0]
        return None

    def _named(self, asked: Asked, wrong: list[tuple[Probe, Finding]]) -> Named:
        if self.dependent is not None:
            return Named(self.dependent.text, None, "", "", "", "", self.dependent.hint)
        special = {probe.name for probe, _ in wrong}
        if special <= SPECIAL and not special & {"larger"}:
            return self._special(asked, wrong)
        failure = self._layout(asked)
        if failure is not None:
            return Named(failure.message, None, "", "", "", "", failure.message)
        return self.case.named(frozenset(k for _, one in wrong for k in [one.key]))

    def _layout(self, asked: Asked) -> Failure | None:
        """The one message of an answer that never had the declared layout."""
        failures = [answer.failures.get(asked.asks) for answer in self.answers]
        if all(failure is not None and failure.kind == "layout" for failure in failures):
            return failures[0]
        return None

    def _special(self, asked: Asked, wrong: list[tuple[Probe, Finding]]) -> Named:
        probe, one = next((pair for pair in wrong if pair[1].why != "absent"), wrong[0])
        where = SPECIAL_FAULTS[probe.name]
        if probe.name == AGAIN and (complaint := self._complaint(asked)) is not None:
            return Named(complaint.text, None, "", "", "", "", complaint.hint)
        index = f" at [{', '.join(map(str, one.index))}]" if one.index else ""
        formula = one.key.formula + index
        if one.why == "absent":
            failure = self.answers[self.probes.index(probe)].failures.get(asked.asks)
            said = f"it ends with: {failure.message}" if failure else "there is no answer"
            text = f"right for ordinary numbers, but {where} {said}"
            return Named(text, None, "", "", "", "", SPECIAL_HINTS[probe.name])
        found = f"{one.found:.6g}"
        text = (
            f"right for ordinary numbers, but wrong {where}: your code gives {found} for {formula}, "
            f"right is {one.expected:.6g}"
        )
        layer = one.key.layer or None
        return Named(
            text,
            layer,
            "",
            f"{formula} = {one.expected:.10g}",
            f"{formula} = {found}",
            "",
            SPECIAL_HINTS[probe.name],
        )

    def _complaint(self, asked: Asked) -> Conduct | None:
        """What is wrong with the conduct; the part for gradients answers for it, or the first."""
        parts = [each for each in self.assignment.parts if each.asks != "formula"]
        blamed = [each for each in parts if each.asks == "gradient"] or parts[:1]
        if asked not in blamed:
            return None
        return next((one for one in self.conduct if one.wrong), None)

    def _notes(self, asked: Asked) -> list[str]:
        """What was accepted although it is not how the package does it."""
        notes = [
            one.note
            for findings in self.findings
            for key, one in findings.items()
            if one.note and _asks(asked, key)
        ]
        if asked.asks == "gradient":
            notes += [one.text for one in self.conduct if not one.wrong]
            notes += self._subgradient()
        if any(answer.dtype == "float32" for answer in self.answers):
            notes.append("compared in single precision")
        return list(dict.fromkeys(notes))

    def _subgradient(self) -> list[str]:
        """A choice at a kink that is not the package's."""
        for probe, comparison in zip(self.probes, self.comparisons, strict=True):
            if probe.name == KINK:
                share = comparison.subgradient
                if share > 1e-3:
                    return [f"σ′ = {share:.3g} of the way between both sides at a kink is accepted"]
        return []


def _asks(asked: Asked, key: Key) -> bool:
    """Whether a part asks for a block."""
    if key.kind != asked.asks:
        return False
    if asked.layers and key.layer not in asked.layers:
        return False
    return not asked.of or key.of == asked.of


def _part(asked: Asked, verdict: str, named: Named | None = None, note: str = "") -> Part:
    points = asked.points if verdict == "right" else 0.0
    if named is None:
        return Part(asked.name, verdict, points, asked.points, note=note)  # type: ignore[arg-type]
    return Part(
        asked.name,
        "wrong",
        points,
        asked.points,
        named.diagnosis,
        named.layer,
        named.equation,
        named.expected,
        named.found,
        named.note,
        named.hint,
    )
