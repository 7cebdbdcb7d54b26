"""Functions and derivatives: σ, ℓ and ω with their primes, ∂ℓ/∂x, ∂L/∂W, ∂x/∂z, diag."""

from __future__ import annotations

from dataclasses import replace

from lagrangenet.grading.formulas.arrays import Arrays
from lagrangenet.grading.formulas.indexed import (
    LAST,
    Fun,
    Layer,
    Mul,
    Pow,
    Range,
    Ref,
    Sum,
    Sym,
    Tree,
)
from lagrangenet.grading.formulas.letters import Scripts
from lagrangenet.grading.formulas.shapes import Axis, Value, component
from lagrangenet.grading.formulas.tree import Mark, Name, Picked, Script, Slope
from lagrangenet.grading.formulas.words import called


class Calls(Arrays):
    """Reads functions of arrays and derivatives by arrays."""

    def sigma(self, mark: Name) -> Value:
        """σ(z), σ′^k(z^k), or σ′^k alone, which is taken at z^k."""
        found = self.scripts(mark, "sigma")
        if found.extra:
            raise self.refuse(
                mark.at, f"I do not know what {found.extra[0]} means here", "write σ'^k(z^k)"
            )
        layer = found.layer
        if mark.args is None:
            if layer is None:
                raise self.refuse(mark.at, "σ without an argument", "write σ'(z^k)")
            stand = Name(mark.at, self.preactivation, mark.subs, mark.sups)
            return self.applied("sigma", layer, mark.primes, self.name(stand))
        if len(mark.args) != 1:
            raise self.refuse(mark.at, "σ takes one argument", "write σ(z^k)")
        value = self.applied("sigma", layer, mark.primes, self.value(mark.args[0]))
        if found.letters and not value.scalar:
            return self.picked(
                Picked(
                    mark.at,
                    Name(mark.at, mark.name, (), mark.sups, mark.primes, mark.args),
                    tuple(Script(x) for x in found.letters),
                )
            )
        return value

    @property
    def preactivation(self) -> str:
        """The name of z in this notation."""
        return next(n for n, m in self.words.roles.items() if m.role == "Z" and not m.capital)

    @staticmethod
    def applied(name: str, layer: Layer | None, order: int, value: Value) -> Value:
        """A function of every component."""
        along = next((a.index for a in value.axes if a.over.kind == "component"), "")
        return replace(value, tree=Fun(name, layer, order, value.tree, along))

    def function(self, mark: Name) -> Value:
        """exp, tanh, softmax, diag, ...: called by their own names."""
        name = called(mark.name)
        if mark.args is None or len(mark.args) != 1:
            raise self.refuse(mark.at, f"{mark.name} takes one argument", f"write {mark.name}(z)")
        value = self.value(mark.args[0])
        if name == "transpose":
            return value.turned()
        if name == "diag":
            return self.diagonal(value, mark.at)
        return self.applied(name, self.scripts(mark, "sigma").layer, mark.primes, value)

    def diagonal(self, value: Value, at: int) -> Value:
        """diag(v), a matrix."""
        if value.matrix or value.scalar:
            raise self.refuse(at, f"diag of {value}", "diag takes a vector of one sample")
        axis = value.axes[0]
        other = Axis(self.shapes.fresh(), axis.over)
        tree = Mul((value.tree, Ref("kron", axis.over.layer, (axis.index, other.index))))
        return Value(tree, axis, other)

    def loss(self, mark: Name) -> Value:
        """ℓ, ℓ_i, ℓ(y_i, x_i^N), and with a prime its derivative by the output."""
        layer, sample = LAST, ""
        for argument in mark.args or ():
            for name in argument.walk():
                if not isinstance(name, Name) or not self.role(name):
                    continue
                if self.role(name) in {"X", "Z"}:
                    layer = self.scripts(name, "X").layer or LAST
                sample = self.sample_of(self.scripts(name, "Y")) or sample
        own = self.scripts(mark, "Y")
        sample = self.sample_of(own) or sample
        here = self.sample_index(sample)
        if mark.primes > 1:
            raise self.refuse(mark.at, "a second derivative of ℓ", "the first is needed")
        if not mark.primes:
            return Value(Ref("ell", layer, (here,)))
        letters = [x for x in own.letters if self.letters.kind(x) == "component"]
        return self.slope_of_loss(layer, here, letters, mark.at, bool(sample))

    def sample_of(self, found: Scripts) -> str:
        """The letter of a sample among the scripts of a name; empty if there is none."""
        letters = [x for x in (*found.letters, found.sample) if x]
        return next((x for x in reversed(letters) if self.letters.kind(x) == "sample"), "")

    def slope_of_loss(
        self, layer: Layer, sample: str, letters: list[str], at: int, labelled: bool = False
    ) -> Value:
        """∂ℓ/∂x, a vector of one sample or of all."""
        if letters:
            return Value(Ref("ell1", layer, (sample, self.index(letters[0], component(layer), at))))
        if self.batch and not labelled:
            return self.all_samples("ell1", layer, component(layer))
        axis = Axis(self.shapes.fresh(), component(layer))
        value = Value(Ref("ell1", layer, (sample, axis.index)), axis)
        return value.turned() if self.reading.turned in {"errors", "all"} else value

    def penalty(self, mark: Name) -> Value:
        """ω(W), ω′(W) of an array, or Ω(θ), the sum over all weights."""
        if mark.primes and mark.args and len(mark.args) == 1:
            at = self.value(mark.args[0])
            return replace(at, tree=Fun("omega", None, mark.primes, at.tree))
        if not mark.args or self.is_theta(mark.args[0]):
            index, p, q = self.shapes.fresh(), self.shapes.fresh(), self.shapes.fresh()
            layer = Layer(index)
            entry = Fun("omega", None, 0, Ref("W", layer, (p, q)))
            tree: Tree = Sum(p, component(layer), Sum(q, component(layer + -1), entry))
            return Value(Sum(index, Range("layer", None, Layer("", 1), LAST), tree))
        inside = self.value(mark.args[0])
        return replace(inside, tree=Fun("omega", None, mark.primes, inside.tree)).summed()

    def is_theta(self, mark: Mark) -> bool:
        """Whether an argument is all parameters."""
        if not isinstance(mark, Name):
            return False
        role, bare = self.role(mark), not mark.sups and not mark.subs
        return role == "theta" or (role == "W" and bare)

    def slope(self, mark: Slope) -> Value:
        """∂ℓ/∂x^N, ∂ℓ/∂z^k, ∂L/∂W^k, ∂x^N/∂z^N, ∂Ω/∂W^k."""
        of, by = self.differentiated(mark)
        role = self.role(by)
        if role in {"W", "b"}:
            return self.slope_of_parameter(of, by, role)
        if of == "X":
            return self.jacobian(by, mark.at)
        found = self.scripts(by, "Y" if role in {"output", "input"} else role)
        layer = LAST if role == "output" else found.layer
        if layer is None and role == "X" and of == "ell":
            layer = LAST  # ∂ℓ/∂x is meant at the output
        if role not in {"X", "Z", "output"} or layer is None:
            raise self.refuse(by.at, f"a derivative by {by.name}", "write ∂ℓ/∂x^N or ∂ℓ/∂z^k")
        if of == "lagrangian" and self.reading.loss:
            self.shapes.note("L was read as the loss of one sample")
        value = self.error(layer, role, found, by)
        if of == "objective" or (of == "lagrangian" and not self.reading.loss):
            return replace(value, tree=Mul((value.tree, Pow(Sym("M"), -1))))
        return value

    def error(self, layer: Layer, role: str, found: Scripts, by: Name) -> Value:
        """∂ℓ/∂x^k or ∂ℓ/∂z^k, which are Δ^k and δ^k; at the output what ℓ gives."""
        name = "delta" if role == "Z" else "ell1" if layer == LAST else "Delta"
        value = self.sampled(by, "Delta", layer, found, component(layer))
        tree = value.tree.map(lambda one: replace(one, name=name) if isinstance(one, Ref) else one)
        return replace(value, tree=tree)

    def differentiated(self, mark: Slope) -> tuple[str, Name]:
        """What is differentiated, and by what."""
        if not isinstance(mark.by, Name):
            raise self.refuse(mark.at, "a derivative by a formula", "differentiate by a name")
        of = self.role(mark.of)
        of = {"output": "X", "sigma": "X", "omega": "Omega"}.get(of, of)
        if of not in {"ell", "objective", "lagrangian", "X", "Omega"}:
            raise self.refuse(mark.at, "a derivative of this", "write ∂ℓ/∂x^N, or ∂L/∂W^k")
        return of, mark.by

    def slope_of_parameter(self, of: str, by: Name, role: str) -> Value:
        """A gradient; what it is equal to is put in later."""
        value = self.array(by, role, self.scripts(by, role))
        if of == "Omega":
            return replace(value, tree=Fun("omega", None, 1, value.tree))
        name = {"ell": "slope1", "objective": "slope", "lagrangian": "slope"}[of] + role
        here = (self.sample[-1],) if of == "ell" else ()

        def gradient(one: Tree) -> Tree:
            return Ref(name, one.layer, (*here, *one.at)) if isinstance(one, Ref) else one

        return replace(value, tree=value.tree.map(gradient))

    def jacobian(self, by: Name, at: int) -> Value:
        """∂x^k/∂z^k."""
        found = self.scripts(by, "Z")
        if self.role(by) != "Z" or found.layer is None:
            raise self.refuse(at, "this Jacobian", "write ∂x^N/∂z^N")
        if self.batch:
            raise self.refuse(at, "a Jacobian of all samples", "write it for one sample")
        axes = [Axis(self.shapes.fresh(), component(found.layer)) for _ in range(2)]
        entry = Ref("jac", found.layer, (self.sample[-1], *(axis.index for axis in axes)))
        return Value(entry, *axes)
