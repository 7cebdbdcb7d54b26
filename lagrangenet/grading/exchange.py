"""A probe as a request, a reply as answers: names of the contract on one side, arrays on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lagrangenet.grading import adapters
from lagrangenet.grading.adapters import Array, LayoutError, Pair
from lagrangenet.grading.answers import Answers, Failure, Probe
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.contract import INPUTS, OUTPUTS, Contract, kind
from lagrangenet.grading.protocol import Bad, Packer, ProtocolError, arrays, printable, value

Failures = dict[str, Failure]


def request(contract: Contract, probe: Probe, word: str) -> bytes:
    """The message that asks a probe."""
    packer, layout = Packer(), contract.layout
    lists = layout.arrays == "lists"
    given = {name: inputs(contract, probe, name) for name in contract.inputs}
    each: list[dict[str, Any]] = [{}]
    if layout.single:
        rows = {name: given.pop(name) for name in list(given) if name in {"X", "x", "Y", "y"}}
        each = [
            {name: packer.node(adapters.one(layout, row[i]), lists) for name, row in rows.items()}
            for i in range(probe.samples)
        ]
    header = {
        "nonce": word,
        "plan": [step.plan() for step in contract.calls],
        "inputs": {name: packer.node(item, lists) for name, item in given.items()},
        "each": each,
        "outputs": list(contract.outputs),
        "count": probe.count,
    }
    return packer.message(header)


def inputs(contract: Contract, probe: Probe, name: str) -> Any:
    """What a name of the vocabulary stands for in this probe."""
    layout, theta, widths = contract.layout, probe.theta, probe.problem.widths
    word, number = kind(name, INPUTS), "".join(c for c in name if c.isdigit())
    if word in {"X", "x"}:
        return adapters.samples(layout, probe.X)
    if word in {"Y", "y"}:
        return adapters.labels(layout, probe.Y)
    if word == "n#":
        return widths[_within(int(number), len(widths), name)]
    if word in {"W#", "b#"}:
        k = _within(int(number) - layout.first, len(theta), name)
        return adapters.blocks(layout, *theta[k])[0 if word == "W#" else -1]
    several: dict[str, Callable[[], Any]] = {
        "theta": lambda: adapters.container(layout, theta),
        "W": lambda: [adapters.blocks(layout, W, b)[0] for W, b in theta],
        "b": lambda: [adapters.bias(layout, b) for _, b in theta],
        "widths": lambda: list(widths),
        "N": lambda: len(theta),
        "M": lambda: 1 if layout.single else probe.samples,
        "eta": lambda: probe.eta,
        "rho": lambda: probe.strength,
    }
    return several[word or ""]()


def _within(k: int, length: int, name: str) -> int:
    if not 0 <= k < length:
        raise LayoutError(f"the contract passes {name}, which this network does not have")
    return k


def answers(
    assignment: Assignment, probe: Probe, reply: tuple[dict[str, Any], bytes] | Failure
) -> Answers:
    """What a reply says, in the package's layout and scale."""
    contract = assignment.contract
    assert contract is not None
    if isinstance(reply, Failure):
        return Answers(probe.name, failures=dict.fromkeys(contract.answers, reply))
    try:
        with np.errstate(all="ignore"):
            return _Reader(assignment, contract, probe, *reply).answers()
    except (
        ProtocolError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
    ) as error:
        broken = Failure("protocol", f"its reply cannot be read: {printable(str(error), 200)}")
        return Answers(probe.name, failures=dict.fromkeys(contract.answers, broken))


class _Reader:
    """One reply while it is read; whatever is in it came from a submission."""

    def __init__(
        self,
        assignment: Assignment,
        contract: Contract,
        probe: Probe,
        header: dict[str, Any],
        payload: bytes,
    ) -> None:
        self.contract, self.probe, self.layout = contract, probe, contract.layout
        self.widths, self.network = probe.problem.widths, assignment.network
        held = arrays(header["arrays"], payload)
        self.narrow = any(array.dtype.itemsize < 8 and array.dtype.kind == "f" for array in held)
        self.found = [
            {name: value(node, held) for name, node in answer.items() if name in contract.outputs}
            for answer in header["answers"]
        ]
        if len(self.found) != (probe.samples if self.layout.single else 1):
            raise ProtocolError("answers that were not asked")
        self.header = header
        self.failures: Failures = {}

    def answers(self) -> Answers:
        """Everything that was answered, and why the rest was not."""
        for name, why in self.header["failures"].items():
            if word := kind(name, OUTPUTS):
                said, message = why
                failure = Failure(printable(said, 20), printable(message, 1200))
                self.failures.setdefault(OUTPUTS[word], failure)
        read: dict[str, Any] = {"loss": self.loss, "gradient": self.gradient}
        read |= {"multipliers": self.multipliers, "states": self.states}
        given = {name: self.attempt(name, read[name]) for name in self.contract.answers}
        samples = self.probe.samples if self.layout.single else 1
        calls = {str(name): int(n) // samples for name, n in self.header["calls"].items()}
        return Answers(
            self.probe.name,
            **given,
            dtype="float32" if self.narrow else "float64",
            changed=tuple(str(name) for name in self.header["changed"]),
            seconds=float(self.header["seconds"]),
            calls=MappingProxyType(calls),
            failures=MappingProxyType(self.failures),
            updated=self.contract.updates,
        )

    def attempt(self, name: str, read: Callable[[], Any]) -> Any:
        """An answer, or None and its failure."""
        if name in self.failures:
            return None
        try:
            return read()
        except LayoutError as error:
            self.failures[name] = Failure("layout", str(error)[:600])
            return None

    def taken(self, name: str) -> list[Any]:
        """An output of each call."""
        missing = Bad("nothing")
        return [answer.get(name, missing) for answer in self.found]

    def names(self, answer: str) -> list[str]:
        """Outputs that belong to an answer."""
        return [n for n in self.contract.outputs if OUTPUTS[kind(n, OUTPUTS) or ""] == answer]

    def factor(self) -> float:
        """c: what the submission's objective is multiplied with."""
        return self.network.factor(self.widths, 1 if self.layout.single else self.probe.samples)

    def loss(self) -> float:
        values = [adapters.number(item, "loss") for item in self.taken("loss")]
        return float(np.mean(values)) / self.factor()

    # -- gradient ---------------------------------------------------------------------------------

    def gradient(self) -> tuple[Pair, ...]:
        """∂J/∂θ: averaged over calls, from updates where these are returned, divided by c."""
        each = [self.of_call(answer) for answer in self.found]
        layers = []
        for k, (W, b) in enumerate(self.probe.theta):
            blocks = [
                self.block([call[k][j] for call in each], old) for j, old in enumerate((W, b))
            ]
            layers.append((blocks[0], blocks[1]))
        return tuple(layers)

    def block(self, values: list[Array | None], old: Array) -> Array | None:
        present = [item for item in values if item is not None]
        if len(present) < len(values):
            return None
        if len({item.shape for item in present}) > 1:
            return present[0]
        mean = present[0] if len(present) == 1 else np.mean(present, axis=0)
        if self.contract.updates and mean.shape == old.shape:
            mean = (old - mean) / self.probe.eta
        return np.asarray(mean / self.factor())

    def of_call(self, answer: Mapping[str, Any]) -> list[list[Array | None]]:
        """(dW, db) of every layer, put together from the outputs of one call."""
        depth = len(self.widths) - 1
        made: list[list[Array | None]] = [[None, None] for _ in range(depth)]
        for name in self.names("gradient"):
            word = (kind(name, OUTPUTS) or "").removesuffix("_new").removeprefix("d")
            item = answer.get(name, Bad("nothing"))
            if word in {"grads", "theta"}:
                pairs = adapters.contained(self._held(name), item, self.widths, name)
                made = [list(pair) for pair in pairs]
            elif word in {"W", "b"}:
                values = adapters.items(item, name)
                if len(values) != depth:
                    raise LayoutError(f"{name} has {len(values)} items for {depth} layers")
                for k, inner in enumerate(values):
                    self.place(made, k, word, inner, f"{name}[{k}]")
            else:
                number = int("".join(c for c in name if c.isdigit()))
                k = _within(number - self.layout.first, depth, name)
                self.place(made, k, word[0], item, name)
        return made

    def _held(self, name: str) -> Any:
        return self.layout if name == "theta_new" else self.layout.of_gradient()

    def place(
        self, made: list[list[Array | None]], k: int, word: str, item: Any, name: str
    ) -> None:
        """Put one block in its place."""
        if self.layout.folded:
            made[k] = list(adapters.unfolded(self.layout, item, name))
        elif word == "W":
            made[k][0] = adapters.matrix(self.layout, item, name)
        else:
            made[k][1] = adapters.vector(self.layout, item, self.widths[k + 1], name)

    # -- arrays of samples --------------------------------------------------------------------------

    def multipliers(self) -> tuple[Array, ...]:
        """λ^1..λ^N: the sign turned round and the scale undone."""
        layout, M = self.layout, self.probe.samples
        one = layout.single or layout.multipliers == "sample"
        factor = M * self.network.factor(self.widths, 1) if one else self.factor()
        found = self.by_layer("multipliers", "lam", "lam")
        return tuple(np.asarray(layout.multiplier_sign * lam / factor) for lam in found)

    def states(self) -> tuple[Array, ...]:
        """x^1..x^N."""
        return self.by_layer("states", "states", "x")

    def by_layer(self, answer: str, whole: str, stem: str) -> tuple[Array, ...]:
        depth, names = len(self.widths) - 1, self.names(answer)
        if whole in names:
            lists = [adapters.items(item, whole) for item in self.taken(whole)]
            columns: list[Any] = [list(column) for column in zip(*lists, strict=False)]
        else:
            numbered = {int(name.removeprefix(stem)): name for name in names}
            columns = [self.taken(numbered[k]) for k in sorted(numbered)]
        return adapters.each(
            columns, depth, whole, True, lambda item, word: adapters.rows(self.layout, item, word)
        )
