"""Does the certificate of a graph notice wrong code? Every mutant has to disagree.

A mutant changes one thing in an emitted module (``tests/mutants.py``). A survivor is listed in
``EQUIVALENT`` with the reason why it computes the same, or the certificate has a hole. The answers
of the oracle are the same for all mutants of a graph, so they are kept.
"""

import logging
import pickle
import random
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from lagrangenet import L2
from lagrangenet.graph import Constraint, Graph
from lagrangenet.runtime import GraphRoutines
from lagrangenet.verify.graph_oracle import GraphOracle
from lagrangenet.verify.graph_solution_checks import GraphSolution
from lagrangenet.verify.graph_subject import GraphCheck, GraphSubject
from tests.graphs import random_point, routines
from tests.mutants import GRAPH_RULES, Mutant, mutants

#: What SciPy's solution is compared with is generated anew, not the code under test.
CHECKS = [c for c in GraphCheck.registered if c is not GraphSolution]
#: Mutants of each kind that the fast run takes from each graph.
SAMPLE = 2


def _autoencoder() -> Graph:
    """Tied weights, a kink, a penalty."""
    return Graph(
        {"x0": 3},
        [
            Constraint("x1", "dense", "x0", m=2, activation="relu", W="w1"),
            Constraint("x2", "transposed_dense", "x1", m=3, activation="tanh", W="w1"),
        ],
        regularizer=L2(0.1),
        name="autoencoder",
    )


def _recurrence() -> Graph:
    """Loops over time; every size is another, so that no axis is mistaken for one of equal length."""
    return Graph(
        {"s": ("T", 5)},
        [
            Constraint("h", "recurrent", "s", m=2, activation="tanh"),
            Constraint("e", "mean_over_time", "h"),
            Constraint("y", "affine", "e", m=6),
        ],
        name="recurrence",
    )


def _window() -> Graph:
    """Strided windows that overlap, a maximum, a gate with the state before it."""
    return Graph(
        {"x0": (2, 6)},
        [
            Constraint("x1", "conv1d", "x0", O=2, R=3, stride=2, pad=1),
            Constraint("x2", "max_pool1d", "x1", stride=1),
            Constraint("x3", "flatten", "x2"),
            Constraint("x4", "softmax", "x3"),
            Constraint("x5", "multiply", ("x4", "x3")),
        ],
        name="window",
    )


GRAPHS = {g.name: g for g in (_autoencoder(), _recurrence(), _window())}


class Kept:
    """An oracle that remembers its answers."""

    def __init__(self, oracle: GraphOracle) -> None:
        self.oracle, self.answers = oracle, {}

    def __getattr__(self, name):
        found = getattr(self.oracle, name)
        if not callable(found):
            return found

        def answer(*arguments):
            key = name, pickle.dumps(arguments)
            if key not in self.answers:
                self.answers[key] = found(*arguments)
            return self.answers[key]

        return answer


@cache
def _oracle(name: str) -> Kept:
    return Kept(GraphOracle(GRAPHS[name]))


@cache
def _data(name: str):
    return random_point(GRAPHS[name], np.random.default_rng(1), 3, 4)


@cache
def _mutants(name: str) -> tuple[Mutant, ...]:
    return tuple(mutants(routines(GRAPHS[name]).source, graph=True))


def _subject(name: str, code: GraphRoutines) -> GraphSubject:
    case = _data(name)
    subject = GraphSubject(case.graph, code, case.inputs, case.Y, 0, lambda _: None)
    vars(subject)["oracle"] = _oracle(name)
    return subject


def _killer(name: str, source: str) -> str:
    """The first check that disagrees; code that cannot even be loaded is found too."""
    try:
        subject = _subject(name, GraphRoutines(GRAPHS[name], source))
    except Exception as error:  # noqa: BLE001  # whatever a mutant raises kills it
        return f"loading raises {type(error).__name__}"
    for kind in CHECKS:
        if kind().run(subject).verdict == "disagree":
            return kind.name
    return ""


# -- survivors -------------------------------------------------------------------------------------

SQUARE = "(−a)² = a²"
BATCH = "every state has the same number of rows"
SIGN = "only the sign of z is read, and x = relu(z) > 0 exactly where z > 0"

#: For each graph, reasons and the mutants that compute the same for that reason.
EQUIVALENT: dict[str, dict[str, list[str]]] = {
    "autoencoder": {
        SQUARE: [
            "loss: w1 = theta['w1'] → w1 = -theta['w1']",
            "loss: J = ((x2 - Y) ** 2).sum() / (M * 2) → J = ((Y - x2) ** 2).sum() / (M * 2)",
            "gauss_newton_product: x2 = states['x2'] → x2 = -states['x2']",
        ],
        BATCH: [
            f"{routine}: M = x0.shape[0] → M = x1.shape[0]"
            for routine in ("residuals", "hessian_product", "gauss_newton_product", "kkt_product")
        ],
        SIGN: [
            *(
                f"{routine}: z_x1 = states['z_x1'] → z_x1 = {changed}"
                for routine in (
                    "backward",
                    "hessian_product",
                    "gauss_newton_product",
                    "kkt_product",
                )
                for changed in ("1.000000001 * states['z_x1']", "np.float32(states['z_x1'])")
            ),
            *(
                f"{routine}: {name} = np.where(z_x1 > 0, {other}, 0)"
                f" → {name} = np.where(x1 > 0, {other}, 0)"
                for routine in ("hessian_product", "gauss_newton_product")
                for name, other in (("x1_dot", "z_x1_dot"), ("lam_z_x1_dot", "lam_x1_dot"))
            ),
        ],
    },
}


#: An array of zeros, before it is filled, with another sign or factor (its type is that of others).
ZEROS = re.compile(
    r"(.*) = np\.zeros\((.*), dtype=.*\) → \1 = (-|1\.000000001 \* |0 \* )?np\.zeros\(\2.*"
)


def _equivalent(name: str, description: str) -> bool:
    listed = {mutant for group in EQUIVALENT.get(name, {}).values() for mutant in group}
    where, _, change = description.partition(": ")
    return description in listed or bool(where and ZEROS.fullmatch(change))


def _survivors(name: str, tried) -> list[str]:
    killers = {mutant.description: _killer(name, mutant.source) for mutant in tried}
    counted = Counter(killers.values()).most_common()
    logging.getLogger(__name__).info("%s: %d mutants, %s", name, len(killers), counted)
    alive = [description for description, killer in killers.items() if not killer]
    return [description for description in alive if not _equivalent(name, description)]


# -- tests -----------------------------------------------------------------------------------------

EVERY_GRAPH = pytest.mark.parametrize("name", GRAPHS)


@EVERY_GRAPH
def test_the_generated_code_agrees(name):
    assert not _killer(name, routines(GRAPHS[name]).source)


@pytest.mark.slow
def test_the_graphs_give_mutants_of_every_kind_of_their_own():
    kinds = {mutant.kind for name in GRAPHS for mutant in _mutants(name)}
    assert {kind for rules in GRAPH_RULES.values() for kind, _ in rules} <= kinds


@pytest.mark.parametrize(
    "name",
    [n if n in EQUIVALENT else pytest.param(n, marks=pytest.mark.slow) for n in GRAPHS],
)
def test_a_sample_of_mutants_disagrees(name):
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in _mutants(name):
        by_kind.setdefault(mutant.kind, []).append(mutant)
    rng = random.Random(20240607)
    tried = [m for group in by_kind.values() for m in rng.sample(group, min(SAMPLE, len(group)))]
    assert len(tried) >= 20
    assert not _survivors(name, tried)


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUIVALENT)
def test_all_mutants_disagree_but_for_equivalent_ones(name):
    made = _mutants(name)
    survivors = _survivors(name, made)
    assert not survivors, "\n".join(survivors)
    listed = {mutant for group in EQUIVALENT[name].values() for mutant in group}
    assert listed <= {mutant.description for mutant in made}
    assert len(listed) <= 0.05 * len(made)
