"""One reading of a line beside the derived equation: in its variables, in normal form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from lagrangenet.errors import DerivationError
from lagrangenet.grading.formulas.arrays import Definition
from lagrangenet.grading.formulas.conventions import FAMILIES, Convention
from lagrangenet.grading.formulas.expected import Expected, candidates, lagrangian
from lagrangenet.grading.formulas.indexed import (
    LAST,
    Fun,
    K,
    Mul,
    Num,
    Pow,
    Range,
    Ref,
    Sum,
    Sym,
    Tree,
    array_names,
    rebased,
    relayered,
    renamed,
)
from lagrangenet.grading.formulas.names import Vocabulary
from lagrangenet.grading.formulas.normal import normal
from lagrangenet.grading.formulas.statements import Statement
from lagrangenet.grading.formulas.task import Task
from lagrangenet.grading.formulas.terms import Normal, TooLarge


@dataclass(frozen=True)
class Setting:
    """What is fixed while the lines of an answer are judged.

    Attributes
    ----------
    task : Task
    convention : Convention
    words : Vocabulary
    inputs_first : bool
        Whether W^k has n_{k−1} rows.
    samples : str
        ``rows`` or ``columns`` where the student says how samples are stored.
    lagrangian : bool
        Whether there is a Lagrangian, so that L is no loss.
    definitions : mapping
    """

    task: Task
    convention: Convention
    words: Vocabulary
    inputs_first: bool = False
    samples: str = ""
    lagrangian: bool = False
    definitions: Mapping[str, Definition] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One reading, how it was stated, and the equation it is nearest to."""

    stated: Statement
    expected: Expected
    form: Normal | None
    right: bool
    raw: tuple[Normal, ...] = ()
    others: tuple[Attempt, ...] = ()

    @property
    def forms(self) -> list[Normal]:
        """What a wrong equation may be equal to: taken literally, or mended."""
        return [form for form in (*self.raw, self.form) if form is not None]


def compared_to(stated: Statement, raw: Statement, setting: Setting) -> Attempt:
    """A statement beside the equations that it may be meant to be."""
    options = (
        [lagrangian(setting.task, setting.convention)]
        if stated.unknown == "L"
        else candidates(setting.task, setting.convention, stated)
    )
    tried: list[Attempt] = []
    if stated.unknown == "L" and setting.convention.splitting == "z":
        stated, raw = (
            renamed_variable(stated, "lambda", "mu"),
            renamed_variable(raw, "lambda", "mu"),
        )
    if stated.below and options and options[0].layers == "below":
        at = rebased("k", "N", -1)
        stated = replace(stated, tree=relayered(stated.tree, at))
        raw = replace(raw, tree=relayered(raw.tree, at))
    for expected in options:
        tree = in_variables(stated.tree, expected, setting)
        form = form_of(tree, expected)
        right = not stated.troubles and form is not None and form == expected.normal
        literal = [in_variables(raw.tree, expected, setting)] if raw.troubles else []
        plain = [] if tree == stated.tree else [stated.tree]  # μ for λ is a mistake of its own
        others = [found for one in (*literal, *plain) if (found := form_of(one, expected))]
        attempt = Attempt(replace(stated, tree=tree), expected, form, right, tuple(others))
        if right:
            return attempt
        tried.append(attempt)
    if not tried:
        raise DerivationError(f"there is no equation for {stated.unknown} at layer {stated.layer}")
    return replace(tried[0], others=tuple(tried[1:]))


def renamed_variable(stated: Statement, old: str, new: str) -> Statement:
    """The multipliers of a statement under another name."""

    def change(one: Tree) -> Tree:
        return replace(one, name=new) if isinstance(one, Ref) and one.name == old else one

    return replace(stated, tree=stated.tree.map(change))


def form_of(tree: Tree, expected: Expected) -> Normal | None:
    """The normal form by the rules of an equation; None if it has none."""
    try:
        return normal(tree, expected.rules)
    except (TooLarge, ZeroDivisionError):
        return None


def in_variables(tree: Tree, expected: Expected, setting: Setting) -> Tree:
    """The tree with gradients put in, and with the multipliers of the expected equation."""
    tree = _with_gradients(tree, setting)
    used = array_names(tree) & set(FAMILIES)
    if not used or used <= expected.variables or len(expected.variables) != 1:
        return tree
    if expected.label == "L" or (expected.label == "S4" and used & {"mu", "delta"}):
        return tree  # λ and μ are variables of their own, or what is to be said of them
    (target,) = expected.variables
    if target not in {"lambda", "Delta"}:
        return tree

    def change(one: Tree) -> Tree:
        if not isinstance(one, Ref) or one.name not in FAMILIES or one.name == target:
            return one
        return _as(target, one, setting)

    return tree.map(change)


def _as(target: str, one: Ref, setting: Setting) -> Tree:
    """μ, δ, λ or Δ by λ or by Δ."""
    convention = setting.convention
    value: Tree = replace(one, name=target)
    if one.name in {"mu", "delta"}:
        sample, component = one.at
        coupled = one.layer == LAST and len(setting.task.functions.kinds) > 1
        if coupled:
            inner = Mul(
                (
                    Ref("jac", one.layer, (sample, "j*", component)),
                    Ref(target, one.layer, (sample, "j*")),
                )
            )
            value = Sum("j*", Range("component", one.layer), inner)
        else:
            value = Mul((Fun("sigma", one.layer, 1, replace(one, name="Z"), component), value))
    if FAMILIES[one.name] == FAMILIES[target]:
        return value
    scale = convention.of(one.name).times(convention.of(target).inverse())
    power = scale.samples + (1 if target == "lambda" else -1)
    factor = Mul((Num(Fraction(-scale.sign)), Pow(Sym("M"), power)))
    return Mul((factor, value))


def _with_gradients(tree: Tree, setting: Setting) -> Tree:
    """∂L/∂W and ∂ℓ/∂W on a right-hand side, as they are derived."""

    def change(one: Tree) -> Tree:
        if not isinstance(one, Ref) or not one.name.startswith("slope"):
            return one
        slope = "sample" if one.name.startswith("slope1") else "objective"
        stated = Statement(one.name[-1], K, Num(Fraction(0)), slope=slope)
        (first, *_) = candidates(setting.task, setting.convention, stated)
        names = dict(zip(first.axes, one.at, strict=False))
        layer = one.layer or K
        return relayered(renamed(first.tree, names), rebased("k", layer.base, layer.offset))

    return tree.map(change)
