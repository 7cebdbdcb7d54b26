"""A linked program as one C11 file, which needs a C compiler with vector extensions, and libm.

Data are laid out once (``model_pack``); after that every routine is a function of flat vectors. The
file is made for SAMPLES samples, which may be changed when it is compiled. It keeps no state but the
pointer to a BLAS, if one is handed over.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from importlib.resources import files
from math import prod

from lagrangenet.emit.c import one
from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.loops import NARROW, WIDE, Functions, Writer, chunk_of, chunked, is_large
from lagrangenet.emit.c.plan import (
    LANES_BYTES,
    WORTH_SHARING,
    Group,
    Plan,
    shape,
)
from lagrangenet.emit.c.sums import FEW
from lagrangenet.errors import DerivationError
from lagrangenet.problem import Problem
from lagrangenet.routines.ir import Program
from lagrangenet.routines.kernels import After, Linear, Outer, Sum, kernels
from lagrangenet.symbolic import tensor as t
from lagrangenet.symbolic.tensor import Node, Ref

#: Parameters of what is done with one tile.
_TILE = (
    "const T *theta, const T *x, const T *y, const T *direction, T *work, T *g, T *sums, "
    "int samples, int first"
)
#: Parameters up to which all functions of a small batch are put where they are called.
INLINE_PARAMETERS = 256
#: Arrays of flat vectors: the vector, and whether it is a weight or a bias.
_FLAT = {
    "W": ("theta", 0),
    "b": ("theta", 1),
    "W_dot": ("direction", 0),
    "b_dot": ("direction", 1),
    "dW": ("out", 0),
    "db": ("out", 1),
    "HW": ("out", 0),
    "Hb": ("out", 1),
}


def emit(
    program: Program,
    dtype: str = "float64",
    samples: int = 128,
    threads: int = 1,
    vector: int = 32,
    blas: bool = False,
) -> str:
    """A linked program as the text of a C file.

    Parameters
    ----------
    program : Program
        From :func:`lagrangenet.routines.passes.link.link`.
    dtype : {"float64", "float32"}
    samples : int
        The number of samples that tiles are chosen for.
    threads : int
        How many share the tiles, with threads of their own.
    vector : {16, 32, 64}
        Bytes of a vector register of the machine.
    blas : bool
        Give products of some size to BLAS, and leave threads to it.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> [line for line in source.splitlines() if line.startswith("double model_value_and_grad")]
    ['double model_value_and_grad(const T *theta, const T *x, const T *y, T *work, T *out)']
    """
    return _File(program, dtype, samples, 1 if blas else threads, vector, blas).source()


def header(program: Program, dtype: str = "float64") -> str:
    """The declarations for a C program that is linked with the file.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> print(header(link(lower(derive(chain([2, 3, 1]))))).splitlines()[-3])
    double model_value_and_grad(const double *theta, const double *x, const double *y, double *work, double *out);
    """
    real = "double" if dtype == "float64" else "float"
    text = (files(__package__) / "model.h").read_text(encoding="utf-8").replace("REAL", real)
    routines = "\n".join(f"{signature(r.name, real)};" for r in program.routines)
    return text.replace("ROUTINES", routines)


def signature(name: str, real: str) -> str:
    """The head of a routine."""
    vectors = ["theta", "x", "y", *["direction"] * name.endswith("product")]
    parameters = [f"const {real} *{v}" for v in vectors] + [f"{real} *work"]
    parameters += [f"{real} *out"] * (name != "value")
    kind = "double" if name.startswith("value") else "void"
    return f"{kind} model_{name}({', '.join(parameters)})"


class _File:
    """One file."""

    def __init__(
        self,
        program: Program,
        dtype: str,
        samples: int,
        threads: int,
        vector: int,
        blas: bool,
    ) -> None:
        self.program, self.problem, self.dtype = program, program.problem, dtype
        self.functions = Functions()
        self.plans = {
            r.name: Plan(kernels(r, self.problem), self.problem, samples, blas)
            for r in program.routines
        }
        self.blas = any(plan.blas for plan in self.plans.values())
        self.threads = 1 if samples * self.problem.size < WORTH_SHARING else threads
        widest = max(plan.components for plan in self.plans.values())
        own = self.problem.inputs + self.problem.widths[-1]
        size = 8 if dtype == "float64" else 4
        self.blocks = WIDE if vector == 64 else NARROW
        self.shape = shape(samples, dtype, (widest + own) * size, self.blas, self.threads, vector)
        self.one = one.lanes(self.problem, samples, vector // size)
        if self.one:
            self.shape = replace(self.shape, lanes=max(self.one, 16 // size), across=True)
        weights = self.problem.size * self.shape.lanes * size
        self.lanes = (
            self.shape.tiles > 2 * self.threads and not self.blas and weights <= LANES_BYTES
        )
        small = self.problem.size <= INLINE_PARAMETERS
        self.inline = small and self.threads == 1 and not self.blas and self.shape.in_registers
        self.spare = self._spare()
        self.most_scalars = max(
            1, *(sum(isinstance(s, Sum) and not s.target.axes for s in p.kernels.tile)
                 for p in self.plans.values())
        )  # fmt: skip
        self.offsets = _offsets(self.problem)
        self.components = widest
        self.sums = 0
        self.scalars: list[Ref] = []

    def _spare(self) -> int:
        """Components of the scratch array of large products, in whole blocks; 0 if there are none."""
        block, found = 2 * self.shape.lanes, [0]
        for plan in self.plans.values():
            width = plan.kernels.width
            for step in (s for group in plan.groups for s in group.steps if not plan.on_blas(s)):
                if isinstance(step, Outer) and is_large(step, plan, self.shape):
                    found.append(-(-width(step.right) // block) * block)
                elif isinstance(step, Linear):
                    sizes = (width(term.state) for term in step.terms)
                    found += [chunk_of(self.shape) for n in sizes if chunked(n, self.shape)]
        return max(found)

    def source(self) -> str:
        """The whole text."""
        routines = [self.routine(name) for name in self.plans]
        vectors, tiles, calls = (
            (files(__package__) / name).read_text(encoding="utf-8")
            for name in ("vector.h", "tiles.h", "calls.h")
        )
        parts = [self.head(), vectors, self.constants(), tiles]
        if self.threads > 1:
            parts.insert(3, (files(__package__) / "pool.h").read_text(encoding="utf-8"))
        if self.one:
            parts.append((files(__package__) / "one.h").read_text(encoding="utf-8"))
        if self.spare:
            parts.append((files(__package__) / "large.h").read_text(encoding="utf-8"))
        parts += [*self.functions.source(), *routines, calls]
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"

    def head(self) -> str:
        """What the file is."""
        title = textwrap.fill(f"{self.problem}.", 95, break_long_words=False).replace("*/", "")
        return "\n".join([
            *(f"{'/*' if j == 0 else ' *'} {line}" for j, line in enumerate(title.splitlines())),
            " *",
            " *     minimize    J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ)",
            " *     subject to  x_i^k = σ^k(z_i^k),  z_i^k = W^k x_i^{k-1} + b^k",
            " *     Lagrangian  L = J + Σ_k Σ_i ⟨μ_i^k, z_i^k − W^k x_i^{k-1} − b^k⟩ + ⟨λ_i^k, x_i^k − σ^k(z_i^k)⟩",
            " *",
            " * Every call is labelled with the stationarity condition of L that it came from:",
            " * (S0) ∂L/∂μ^k = 0, (S1) ∂L/∂λ^k = 0, (S2, S3) ∂L/∂x^k = 0, (S4) ∂L/∂z^k = 0, (S5) ∂L/∂W^k,",
            " * (S6) ∂L/∂b^k; (T0) to (T6) are the same of the tangent Lagrangian. Generated by lagrangenet.",
            " */",
            f"#define REAL_IS_DOUBLE {int(self.dtype == 'float64')}",
            f"#define FEW_SAMPLES {int(self.shape.samples <= 2 * self.shape.lanes)}",
            f"#define VECTOR_BYTES {self.shape.lanes * (8 if self.dtype == 'float64' else 4)}",
        ])  # fmt: skip

    def constants(self) -> str:
        """Sizes, as names."""
        s = self.shape
        lines = [
            "#ifndef SAMPLES",
            f"#define SAMPLES {s.samples}",
            "#endif",
            "enum {",
            f"    INPUTS = {self.problem.inputs}, OUTPUTS = {self.problem.widths[-1]},",
            f"    PARAMETERS = {self.problem.size},",
            f"    TILE = {s.tile}, STEP = {s.step}, STRIDE = {s.stride},",
            "    TILES = (SAMPLES + TILE - 1) / TILE,",
            f"    COMPONENTS = {self.components}, SUMS_IN_LANES = {int(self.lanes)}, SCALARS = {self.most_scalars}",
            "};",
            f"#define THREADS {self.threads}",
            f"#define SPARE ((size_t){self.spare} * TILE)",
            f"#define BLOCK_ROWS {self.blocks.rows}",
            *(["#define HAS_GRADIENT"] if "value_and_grad" in self.plans else []),
            *(["#define HAS_PRODUCTS"] if "hessian_product" in self.plans else []),
        ]
        if self.problem.class_weights:
            weights = ", ".join(map(repr, self.problem.class_weights))
            lines += ["", f"static const T class_weights[] = {{{weights}}};"]
        return "\n".join(lines)

    # -- routines ------------------------------------------------------------------------------

    def routine(self, name: str) -> str:
        """A routine: what it does with a tile, then with all of them."""
        plan = self.plans[name]
        self.scalars = [
            s.target for s in plan.kernels.tile if isinstance(s, Sum) and not s.target.axes
        ]
        valued, along = name.startswith("value"), name.endswith("product")
        out, direction = ("NULL" if name == "value" else "out"), ("direction" if along else "NULL")
        sums = "sums" if valued else "NULL"
        after = [line for step in plan.kernels.after for line in self.after(step)]
        return "\n".join([
            f"/* {plan.kernels.routine.summary} */",
            f"{'INLINE' if self.one or self.inline else 'static'} void tile_{name}({_TILE})",
            "{",
            *(f"    {line}" for line in (self.sample(plan) if self.one else self.tile(plan))),
            "}",
            "",
            signature(name, "T"),
            "{",
            *["    double J = 0, sums[SCALARS] = {0};"] * valued,
            f"    all_tiles(tile_{name}, theta, x, y, {direction}, work, {out}, {sums});",
            *(f"    {line}" for line in after),
            *["    return J;"] * valued,
            "}",
        ])  # fmt: skip

    def address(self, plan: Plan, array: Ref) -> str:
        """Where an array is."""
        if array.name == "X" and array.layer == 0:
            return "x"
        if array.name == "Y":
            return "y"
        if array.name == "c":
            return "class_weights"
        if array in self.scalars:
            return f"sums + {self.scalars.index(array)}"
        if array.name in _FLAT:
            vector, kind = _FLAT[array.name]
            offset = self.offsets[int(array.layer or 0) - 1][kind]
            scale = " * LANES" if vector == "out" and self.lanes else ""
            vector = "g" if vector == "out" else vector
            return f"{vector} + {offset}{scale}" if offset else vector
        place = plan.places[(array.name, array.layer)]
        return f"work + (size_t){place} * STRIDE" if place else "work"

    def sample(self, plan: Plan) -> list[str]:
        """The lines for one sample; what its arrays hold is in variables."""
        unused = (
            "(void)direction, (void)work, (void)g, (void)sums, (void)y, (void)samples, (void)first;"
        )
        writer = one.OneSample(plan.kernels, self.problem, lambda array: self.address(plan, array))
        return [unused, *writer.lines()]

    def tile(self, plan: Plan) -> list[str]:
        """The calls for one tile, each after the equation that it came from."""
        writer = Writer(
            plan,
            self.shape,
            self.blocks,
            self.functions,
            lambda array: self.address(plan, array),
            self.inline,
        )
        lines = [
            "const int padded = (samples + STEP - 1) / STEP * STEP;",
            "(void)direction, (void)g, (void)sums, (void)y, (void)first;",
            *["T *const spare = work + WORK;", "(void)spare;"] * bool(self.spare),
        ]
        cleared: set[Ref] = set()
        begun: set[Ref] = set()
        joined: Sum | None = None
        for position, group in enumerate(plan.groups):
            step = group.first
            if step is joined:
                continue
            notes = dict.fromkeys(s.note for s in group.steps)
            lines += [f"/* {note} */" for note in notes]
            if isinstance(step, Outer) or (isinstance(step, Sum) and step.target.axes):
                array = step.left if isinstance(step, Outer) else step.reads[0]
                if array not in cleared:
                    cleared.add(array)
                    rows = plan.kernels.width(array)
                    place = self.address(plan, array)
                    lines.append(f"clear({place}, {rows}, STRIDE, samples, padded);")
                first = "0" if step.target in begun else "first"
                begun.add(step.target)
                joined = self._joined(plan, position)
                if (
                    isinstance(step, Outer)
                    and joined
                    and (joined.target in begun) == (first == "0")
                ):
                    begun.add(joined.target)
                    lines.append(f"/* {joined.note} */")
                    code = writer.totals(step, joined)
                else:
                    joined, code = None, self._summed(plan, writer, step)
                lines.append(code.replace("{first}", first))
            elif isinstance(step, Linear):
                lines += self._linear(plan, writer, group, plan.stored(position))
            else:
                lines.append(writer.rows(group.steps, plan.stored(position)))
        return lines

    def _joined(self, plan: Plan, position: int) -> Sum | None:
        """The sum that is done together with that at a position: ∂L/∂b with ∂L/∂W."""
        step, rest = plan.groups[position].first, plan.groups[position + 1 :]
        after = rest[0].first if rest else None
        if not isinstance(step, Outer) or not isinstance(after, Sum) or not after.target.axes:
            return None
        rows, columns = (plan.kernels.width(a) for a in (step.left, step.right))
        together = after.reads == (step.left,) and after.target.layer == step.target.layer
        few = rows * (columns + 1) <= FEW and not self.lanes and not plan.on_blas(step)
        return after if together and few else None

    def _summed(self, plan: Plan, writer: Writer, step: Outer | Sum) -> str:
        if isinstance(step, Sum):
            return writer.column_sum(step, self.lanes)
        if not plan.on_blas(step):
            return writer.outer(step, self.lanes)
        rows, columns = (plan.kernels.width(a) for a in (step.left, step.right))
        u, x, g = (self.address(plan, a) for a in (step.left, step.right, step.target))
        return (
            f"gemm('T', 'N', {columns}, {rows}, padded, {step.sign}, {x}, STRIDE, {u}, STRIDE, "
            f"{{first}} ? 0 : 1, {g}, {columns});"
        )

    def _linear(self, plan: Plan, writer: Writer, group: Group, stored: list[Ref]) -> list[str]:
        step = group.first
        assert isinstance(step, Linear)
        if not plan.on_blas(step):
            return [writer.linear(group, stored)]
        rows, lines = plan.kernels.width(step.target), []
        for number, term in enumerate(step.terms):
            columns = plan.kernels.width(term.state)
            x, w, z = (self.address(plan, a) for a in (term.state, term.weight, step.target))
            kind, width = ("T", rows) if term.transposed else ("N", columns)
            lines.append(
                f"gemm('N', '{kind}', padded, {rows}, {columns}, {term.sign}, {x}, STRIDE, {w}, "
                f"{width}, {min(number, 1)}, {z}, STRIDE);"
            )
        return lines

    # -- after the last sample -----------------------------------------------------------------

    def after(self, step: After) -> list[str]:
        """What is added when all samples are summed."""
        note = f"/* {step.note} */"
        if not step.target.axes:
            before, code = self._scalar(step.value)
            return [note, *before, f"J = {code};"]
        target = self.place(step.target)
        expressions = Expressions(
            lambda a: f"some({self.place(a)} + e, {size} - e)", self.problem.strength
        )
        size = self._size(step.target)
        value = expressions.value(step.value)
        if step.add:
            value = f"some({target} + e, {size} - e) + {value}"
        return [
            note,
            f"for (int e = 0; e < {size}; e += LANES) {{",
            *(f"    {line}" for line in expressions.lines),
            f"    put({target} + e, {value}, {size} - e);",
            "}",
        ]

    def _scalar(self, node: Node) -> tuple[list[str], str]:
        """Statements, and an expression in double precision."""
        if isinstance(node, t.Number):
            return [], f"({Expressions(str, self.problem.strength).number(node.value)})".replace(
                "(T)", "(double)"
            )
        if isinstance(node, Ref):
            return [], "J" if node.name == "J" else f"sums[{self.scalars.index(node)}]"
        if isinstance(node, t.Reduced) and node.op == "sum":
            return self._parameter_sum(node)
        if isinstance(node, t.Product | t.Total):
            sides = (
                (node.factors, node.divisors)
                if isinstance(node, t.Product)
                else (node.plus, node.minus)
            )
            found = [[self._scalar(one) for one in side] for side in sides]
            before = [line for side in found for lines, _ in side for line in lines]
            first, second = ([code for _, code in side] for side in found)
            joined, other = (" * ", " / ") if isinstance(node, t.Product) else (" + ", " - ")
            code = joined.join(first) or ("1.0" if isinstance(node, t.Product) else "0.0")
            return before, f"({code}{''.join(other + one for one in second)})"
        raise DerivationError(f"no C form for {type(node).__name__} of sums over samples")

    def _parameter_sum(self, node: t.Reduced) -> tuple[list[str], str]:
        arrays = [n for n in node.arg.walk() if isinstance(n, Ref)]
        size = self._size(arrays[0])
        expressions = Expressions(
            lambda a: f"some({self.place(a)} + e, {size} - e)", self.problem.strength
        )
        value = expressions.value(node.arg)
        self.sums += 1
        name = f"sum{self.sums}"
        lines = [
            f"double {name} = 0;",
            f"for (int e = 0; e < {size}; e += LANES) {{",
            *(f"    {line}" for line in expressions.lines),
            f"    {name} += v_total(v_where(v_first({size} - e), {value}, all(0)));",
            "}",
        ]
        return lines, name

    def place(self, array: Ref) -> str:
        """Where an array of parameters, or their gradient, is after the last tile."""
        if array.name not in _FLAT:
            raise DerivationError(f"no C form for the array {array.name!r} after the last sample")
        vector, kind = _FLAT[array.name]
        offset = self.offsets[int(array.layer or 0) - 1][kind]
        return f"{vector} + {offset}" if offset else vector

    def _size(self, array: Ref) -> int:
        return prod(self.problem.shapes[int(array.layer or 0) - 1][_FLAT[array.name][1]])


def _offsets(problem: Problem) -> list[tuple[int, int]]:
    found, end = [], 0
    for weight, bias in problem.shapes:
        found.append((end, end + prod(weight)))
        end += prod(weight) + prod(bias)
    return found
