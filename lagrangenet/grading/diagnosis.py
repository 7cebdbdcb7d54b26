"""Which mistake it is, in the words of a colleague.

    layer 2, (S5) ∂L/∂W²: the term ρ ω′(W²) is missing; your code gives 0.1312 at [3, 1], right is 0.0328

The fault hypotheses of :mod:`lagrangenet.grading.faults` are asked which of them gives exactly the
submitted numbers at all ordinary probes. Where none does, what is said is true all the same: the
ratio of the numbers, their order, and where agreement ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lagrangenet.grading.answers import Probe
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.blocks import Key, answered, superscript
from lagrangenet.grading.comparison import SPECIAL, Comparison, Finding, truth
from lagrangenet.grading.faults.hypotheses import Hypothesis
from lagrangenet.grading.faults.predictions import Predictions
from lagrangenet.grading.faults.search import Explanation, Given, Search
from lagrangenet.grading.signatures import Pair, agreement, joined, ratio, signature

Findings = Mapping[Key, Finding]

#: What an equation is about, for hints that do not give it away.
STAGES = {
    "S0": "the linear part of the forward pass",
    "S1": "the activation of the forward pass",
    "S2": "the derivative of the loss at the output",
    "S2, S4": "the error at the output",
    "S3": "how the error passes through the weights",
    "S4": "how the error passes through the activation",
    "S5": "the gradient of the weights",
    "S6": "the gradient of the biases",
    "J": "the loss",
    "R": "the regularizer in the loss",
    "R b": "the regularizer in the loss",
    "step W": "the update of the weights",
    "step b": "the update of the biases",
    "out x": "which states are returned",
    "out λ": "which multipliers are returned",
    "out W": "which gradients are returned",
    "out b": "which gradients are returned",
}
#: Labels that are not those of a stationarity condition, as they are printed.
SHOWN = {
    "R": "J",
    "R b": "J",
    "step W": "step",
    "step b": "step",
    "out x": "answer",
    "out λ": "answer",
    "out W": "answer",
    "out b": "answer",
}


@dataclass(frozen=True)
class Named:
    """A mistake, said about one part of an assignment; fields as of a ``Part``."""

    diagnosis: str
    layer: int | None
    equation: str
    expected: str
    found: str
    note: str
    hint: str


class Diagnostician:
    """What the hypotheses of an assignment predict at its probes, kept for all submissions."""

    def __init__(self, assignment: Assignment, probes: Sequence[Probe]) -> None:
        contract = assignment.contract
        kinds = contract.answers if contract else ()
        ordinary = tuple(p for p in probes if p.name not in SPECIAL)
        updates = contract is not None and contract.updates
        single = contract is not None and contract.layout.single
        self.predictions = Predictions(ordinary, kinds, updates, single)

    def case(self, comparisons: Sequence[Comparison], findings: Sequence[Findings]) -> Case:
        """One submission; both arguments of the ordinary probes alone, in their order."""
        return Case(self.predictions, comparisons, findings)


_KEPT: OrderedDict[int, tuple[Sequence[Probe], Assignment, Diagnostician]] = OrderedDict()
_MOST_KEPT = 8


def diagnostician(assignment: Assignment, probes: Sequence[Probe]) -> Diagnostician:
    """The diagnostician of an assignment and a set of probes, made once."""
    kept = _KEPT.get(id(probes))
    if kept is None or kept[0] is not probes or kept[1] is not assignment:
        kept = (probes, assignment, Diagnostician(assignment, probes))
        _KEPT[id(probes)] = kept
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return kept[2]


@dataclass(frozen=True, eq=False)
class Case:
    """The wrong answers of one submission.

    Attributes
    ----------
    predictions : Predictions
        Of the assignment.
    comparisons, findings
        Answers and verdicts at the ordinary probes.
    """

    predictions: Predictions
    comparisons: Sequence[Comparison]
    findings: Sequence[Findings]

    @cached_property
    def given(self) -> Given:
        """The answers as a vector."""
        sheet = self.predictions.sheet
        vector, states = sheet.filled([answered(c.answer) for c in self.comparisons])
        allowed = np.empty(sheet.size)
        for block in sheet.blocks:
            comparison = self.comparisons[block.probe]
            least = comparison.allowed(block.key, truth(comparison.probe))
            size = np.abs(vector[block.span])
            largest = float(size.max()) if np.isfinite(size).all() else 0.0
            allowed[block.span] = max(least, comparison.relative * largest)
        return Given(sheet, vector, states, allowed)

    @cached_property
    def explanation(self) -> Explanation | None:
        """The faults that explain all answers, if there are such."""
        return Search(self.predictions, self.given).explanation()

    def named(self, wanted: frozenset[Key]) -> Named:
        """What is to be said about the blocks of a part."""
        faults = self._concerned(wanted)
        if not faults:
            return self._unknown(wanted)
        explanation = self.explanation
        assert explanation is not None
        sentences = [self._sentence(fault) for fault in faults]
        problem = self._deepest.problem
        layer = self._layer(faults[0])
        text, expected, submitted = self._evidence(wanted, layer)
        other = [self._sentence(fault) for fault in explanation.others]
        note = f"the same numbers would come of: {'; or '.join(other)}" if other else ""
        hints = [f"Look at {_stage(h)}. {h.hint}" for h in faults]
        line = self.predictions.equations.line(faults[0].label, layer or problem.depth)
        return Named(
            "; and ".join(sentences) + text,
            layer,
            f"({shown(faults[0])}) {line}",
            expected,
            submitted,
            note,
            " ".join(hints),
        )

    # -- a fault that is known -------------------------------------------------------------------

    @cached_property
    def _deepest(self) -> Probe:
        return max(self.predictions.probes, key=lambda probe: probe.problem.depth)

    def _concerned(self, wanted: frozenset[Key]) -> list[Hypothesis]:
        """The faults of the explanation that show in these blocks."""
        if self.explanation is None:
            return []
        faults = self.explanation.faults
        if len(faults) == 1:
            return list(faults)
        shown = [fault for fault in faults if self._shows(fault, wanted)]
        return shown or list(faults)

    def _shows(self, fault: Hypothesis, wanted: frozenset[Key]) -> bool:
        right, states = self.predictions.right
        try:
            vector, found = self.predictions.of(fault)
        except ValueError:
            return True
        for j, block in enumerate(self.predictions.sheet.blocks):
            if block.key in wanted and (
                found[j] != states[j]
                or not np.allclose(vector[block.span], right[block.span], rtol=1e-9, atol=1e-12)
            ):
                return True
        return False

    def _layer(self, fault: Hypothesis) -> int | None:
        """The layer concerned, the first in the order of computation if there are several."""
        layers = fault.layers(self._deepest.problem)
        if fault.equation.label == "J" or not layers:
            return None
        return layers[0] if fault.equation.label in {"S0", "S1", "R", "R b"} else layers[-1]

    def _sentence(self, fault: Hypothesis) -> str:
        """``layer 2, (S5) ∂L/∂W²: the term ... is missing``."""
        problem = self._deepest.problem
        layers = fault.layers(problem)
        head = f"({shown(fault)})"
        if fault.equation.label not in {"J", "S2", "S2, S4"}:
            many = len(layers) > 1
            head = f"{fault.scope.name}, {head}" if many else f"layer {layers[0]}, {head}"
        one = layers[0] if len(layers) == 1 else None
        target = " and ".join(_target(equation.label, one) for equation in fault.equations)
        return f"{head} {target}: {fault.said(problem)}"

    def _evidence(self, wanted: frozenset[Key], layer: int | None) -> tuple[str, str, str]:
        """The student's and the right number at one index, and their ratio."""
        place = self._shown(wanted, layer)
        if place is None:
            return self._stopped(wanted), "", ""
        probe, one = place
        index = f" at [{', '.join(map(str, one.index))}]" if one.index else ""
        where = f"{one.key.formula}{index}"
        if one.why == "shape":
            shape = np.shape(truth(probe)[one.key])
            text = f"; your {one.key.formula} has shape {one.shape}, right is {shape}"
            return text, f"shape {shape}", f"shape {one.shape}"
        text = f"; your code gives {one.found:.6g} for {where}, right is {one.expected:.6g}"
        same = ratio(self._pairs(frozenset({one.key})))
        text += f"; {same}" if same else ""
        return text, f"{where} = {one.expected:.10g}", f"{where} = {one.found:.10g}"

    def _stopped(self, wanted: frozenset[Key]) -> str:
        """Where there is no number at all: at which sizes, and why."""
        kinds = {key.kind for key in wanted}
        for comparison in self.comparisons:
            for kind, failure in comparison.answer.failures.items():
                if kind in kinds:
                    sizes = "-".join(map(str, comparison.probe.problem.widths))
                    return f"; at the sizes {sizes} it ends with: {failure.message}"
        return ""

    def _shown(self, wanted: frozenset[Key], layer: int | None) -> tuple[Probe, Finding] | None:
        """A wrong block with a number, of the layer concerned if there is one."""
        best: tuple[tuple[int, int, int], Probe, Finding] | None = None
        for probe, findings in zip(self.predictions.probes, self.findings, strict=True):
            for position, (key, one) in enumerate(findings.items()):
                if one.right or key not in wanted or one.why == "absent":
                    continue
                rank = (int(one.why == "value"), int(key.layer == layer), -position)
                if best is None or rank > best[0]:
                    best = rank, probe, one
        return None if best is None else best[1:]

    def _pairs(self, wanted: frozenset[Key], wrong: bool = True) -> list[Pair]:
        """Blocks as numbers; the wrong ones, or all."""
        found = []
        for comparison, findings in zip(self.comparisons, self.findings, strict=True):
            given, right = answered(comparison.answer), truth(comparison.probe)
            for key, one in findings.items():
                if key in wanted and not (wrong and one.right) and given.get(key) is not None:
                    arrays = (
                        np.asarray(given[key], dtype=float),
                        np.asarray(right[key], dtype=float),
                    )
                    found.append(Pair(comparison.probe, key, *arrays))
        return found

    # -- a fault that is not known ---------------------------------------------------------------

    def _unknown(self, wanted: frozenset[Key]) -> Named:
        """What is true where no hypothesis gives the numbers."""
        place = self._shown(wanted, None)
        layer = place[1].key.layer or None if place else None
        said = [
            self._without_numbers(wanted) or "the mistake is none that this grader knows",
            self._signature(wanted),
            agreement(self.findings, self.predictions.probes),
        ]
        text, expected, found = self._evidence(wanted, layer)
        hint = "Compare with the right numbers, from the output backwards."
        whole = "; ".join(filter(None, said)) + text
        return Named(whole, layer, "", expected, found, "", hint)

    def _signature(self, wanted: frozenset[Key]) -> str:
        """What is true of the wrong blocks, each on its own or those of a layer together."""
        pairs = self._pairs(wanted)
        found = signature(pairs)
        if found or not any(key.kind == "gradient" for key in wanted):
            return found
        layers: dict[tuple[int, int], list[Pair]] = {}
        both = frozenset(Key("gradient", key.layer, of) for key in wanted for of in "Wb")
        for pair in self._pairs(both, wrong=False):
            layers.setdefault((id(pair.probe), pair.key.layer), []).append(pair)
        return signature([joined(each) for each in layers.values()])

    def _without_numbers(self, wanted: frozenset[Key]) -> str:
        """What to say if nothing that came can be compared."""
        here = [f[key] for f in self.findings for key in wanted if key in f]
        if all(one.why == "shape" for one in here):
            return "no array has its shape"
        if all(one.right or one.why == "absent" for one in here):
            return "what comes is right, but it does not come for all sizes"
        return ""


def shown(fault: Hypothesis) -> str:
    """The label of a wrong equation as it is printed."""
    return ", ".join(dict.fromkeys(SHOWN.get(e.label, e.label) for e in fault.equations))


def _stage(fault: Hypothesis) -> str:
    return " and ".join(dict.fromkeys(STAGES[equation.label] for equation in fault.equations))


def _target(label: str, layer: int | None) -> str:
    """What an equation computes."""
    k = "^k" if layer is None else superscript(layer)
    names = {
        "S0": f"z{k}",
        "S1": f"x{k}",
        "S2": f"λ{k}",
        "S3": f"λ{k}",
        "S4": f"μ{k}",
        "S2, S4": f"μ{k}",
        "S5": f"∂L/∂W{k}",
        "S6": f"∂L/∂b{k}",
        "J": "J",
        "R": f"ρ Ω(W{k})",
        "R b": f"ρ Ω(b{k})",
        "out x": f"the returned x{k}",
        "out λ": f"the returned λ{k}",
        "out W": f"the returned ∂L/∂W{k}",
        "out b": f"the returned ∂L/∂b{k}",
    }
    return names.get(label, f"{label[-1]}{k}")
