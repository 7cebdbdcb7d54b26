"""Groups of steps as C functions. Equal functions are written once, whatever layer they serve.

Arrays over samples lie component by component, STRIDE numbers apart, so that a vector holds the same
component of neighbouring samples. Products keep a block of accumulators in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.plan import Group, Plan, Shape, loops, phases_apart
from lagrangenet.emit.c.sums import totals
from lagrangenet.routines.kernels import BATCH, ROW, Linear, Outer, Pointwise, Rowwise, Step, Sum
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic.tensor import Ref


@dataclass(frozen=True)
class Blocks:
    """Accumulators that registers have room for.

    Attributes
    ----------
    rows : int
        Of a product with weights, of two vectors each.
    outer : pair of int
        Rows and columns of a sum over samples.
    """

    rows: int
    outer: tuple[int, int]


#: For 16 vector registers, and for 32.
NARROW, WIDE = Blocks(6, (3, 4)), Blocks(12, (6, 4))
#: Bytes that are read again and again should stay in the first cache.
CACHED = 16_384
#: From this number of rows, columns and samples a sum over samples turns one of its operands.
LARGE = 48
#: Loops over components that are no longer than this are unrolled.
UNROLLED = 16


@dataclass
class Functions:
    """The functions of a file, each once.

    Attributes
    ----------
    texts : dict
        Name by everything that follows the name.
    """

    texts: dict[str, str] = field(default_factory=dict)

    def name(self, stem: str, text: str) -> str:
        """The name of the function with this text (``{name}`` stands for it)."""
        if text not in self.texts:
            count = sum(n == stem or n.startswith(f"{stem}_") for n in self.texts.values())
            self.texts[text] = f"{stem}_{count + 1}" if count else stem
        return self.texts[text]

    def source(self) -> Iterator[str]:
        """All functions, in the order in which they were needed."""
        yield from (text.replace("{name}", name) for text, name in self.texts.items())


@dataclass
class Arguments:
    """Pointers of a function: what they are called inside, and what they are outside."""

    address: Callable[[Ref], str]
    inside: dict[tuple[str, str], str] = field(default_factory=dict)

    def pointer(self, array: Ref, out: bool = False) -> str:
        """The parameter for an array."""
        where = self.address(array)
        kind = "T *" if out else "const T *"
        letter = "y" if out else ("w" if array.axes not in (BATCH, ROW) else "x")
        number = sum(name.startswith(letter) for name in self.inside.values())
        return self.inside.setdefault((kind, where), f"{letter}{number}")

    @property
    def parameters(self) -> str:
        """For the definition."""
        return "".join(f", {kind}{name}" for (kind, _), name in self.inside.items())

    @property
    def values(self) -> str:
        """For the call."""
        return "".join(f", {where}" for _, where in self.inside)


@dataclass(frozen=True)
class _Part:
    """One product of a Linear: what its loops need to know, as C."""

    rows: int
    sign: int
    size: int
    x: str
    w: str
    transposed: bool
    chunk: int
    is_first: bool
    is_last: bool
    start: str
    raw: str
    finish: str
    more: str

    @property
    def large(self) -> bool:
        """Whether it is done in chunks."""
        return self.chunk < self.size

    @property
    def begins(self) -> str:
        """Whether sums begin here."""
        return ("q0 == 0" if self.large else "1") if self.is_first else "0"

    @property
    def done(self) -> str:
        """Whether sums are complete here."""
        return (f"q1 == {self.size}" if self.large else "1") if self.is_last else "0"

    @property
    def state(self) -> str:
        """Where the samples of component q are."""
        if self.large:
            return f"spare + (size_t)i * {self.chunk} + (size_t)(q - q0) * STEP"
        return f"{self.x} + (size_t)q * STRIDE + i"

    def weight(self, r: int, height: int) -> str:
        """The weight of row r of a block."""
        if self.large:
            return f"panel[(q - q0) * {height} + {r}]"
        place = f"q * {self.rows} + p + {r}" if self.transposed else f"(p + {r}) * {self.size} + q"
        return f"{self.w}[{place}]"


@dataclass
class Writer:
    """Writes the groups of a plan."""

    plan: Plan
    shape: Shape
    registers: Blocks
    functions: Functions
    address: Callable[[Ref], str]
    inline: bool = False

    @property
    def linkage(self) -> str:
        """How functions begin: those of a small batch are put where they are called."""
        return "INLINE" if self.inline else "static NOINLINE"

    @property
    def unrolled(self) -> list[str]:
        """What stands before a loop of a small batch."""
        return [f"#pragma GCC unroll {UNROLLED}"] * self.inline

    # -- products with weights -----------------------------------------------------------------

    def linear(self, group: Group, stored: list[Ref]) -> str:
        """The call of a function for a product and what follows it componentwise."""
        step = group.first
        assert isinstance(step, Linear)
        rows = self.plan.kernels.width(step.target)
        arguments = Arguments(self.address)
        terms = []
        for term in step.terms:
            size = self.plan.kernels.width(term.state)
            x, w = arguments.pointer(term.state), arguments.pointer(term.weight)
            terms.append((term.sign, size, x, w, term.transposed))
        start = arguments.pointer(step.start) if step.start is not None else ""
        finish, more = self._finish(group, stored, arguments)
        raw = arguments.pointer(stored[0], True)
        parts = []
        for number, product in enumerate(terms):
            chunk = chunk_of(self.shape) if chunked(product[1], self.shape) else product[1]
            ends = (number == 0, number == len(terms) - 1)
            parts.append(_Part(rows, *product, chunk, *ends, start, raw, finish, more))
        if any(part.large for part in parts):
            lines = [x for p in parts for x in (self._large(p) if p.large else self._small([p]))]
        else:
            lines = [*self._small(parts)]
        body = ["{", *(f"    {line}" for line in lines), "}"]
        large = any(chunked(product[1], self.shape) for product in terms)
        spare = ", T *spare" * large
        text = f"{self.linkage} void {{name}}(int n{arguments.parameters}{spare})\n"
        name = self.functions.name(f"linear_{rows}x{terms[0][1]}", text + "\n".join(body))
        return f"{name}(padded{arguments.values}{', spare' * large});"

    def _small(self, parts: list[_Part]) -> Iterator[str]:
        """Products whose operands stay in cache: samples outside, rows inside."""
        yield f"for (int i = 0; i < n; i += {self.shape.step}) {{"
        for height, first, end in _steps(parts[0].rows, self.registers.rows):
            loop = f"for (int p = {first}; p < {end}; p += {height}) {{"
            yield f"    {loop}" if end > first + height else f"    {{ const int p = {first};"
            yield from (f"        {line}" for line in self._block(height, parts))
            yield "    }"
        yield "}"

    def _large(self, part: _Part) -> Iterator[str]:
        """A product in chunks: a panel of weights is copied, and used for all samples."""
        chunk, size = part.chunk, part.size
        yield f"for (int q0 = 0; q0 < {size}; q0 += {chunk}) {{"
        yield f"    const int q1 = q0 + {chunk} < {size} ? q0 + {chunk} : {size};"
        yield f"    gather({part.x} + (size_t)q0 * STRIDE, q1 - q0, {chunk}, n, spare);"
        for height, first, end in _steps(part.rows, self.registers.rows):
            yield f"    for (int p = {first}; p < {end}; p += {height}) {{"
            yield f"        T panel[{chunk * height}] __attribute__((aligned(64)));"
            yield f"        for (int r = 0; r < {height}; r++)"
            place = f"q * {part.rows} + p + r" if part.transposed else f"(p + r) * {size} + q"
            yield "            for (int q = q0; q < q1; q++)"
            yield f"                panel[(q - q0) * {height} + r] = {part.w}[{place}];"
            yield f"        for (int i = 0; i < n; i += {self.shape.step}) {{"
            yield from (f"            {line}" for line in self._block(height, [part]))
            yield "        }"
            yield "    }"
        yield "}"

    def _block(self, height: int, parts: list[_Part]) -> Iterator[str]:
        """A block of rows of one register block of samples; sums rest in ``raw`` in between."""
        first, last = parts[0], parts[-1]
        pairs = [(r, v) for r in range(height) for v in range(self.shape.vectors)]
        for r, v in pairs:
            zero = f"all({first.start}[p + {r}])" if first.start else "all(0)"
            value = _either(first.begins, zero, f"load({first.raw} + {self._at(r, v)})")
            yield f"V c{r}{v} = {value};"
        for part in parts:
            yield from self._multiplied(height, part)
        done = [f"{last.finish}(c{r}{v}, {self._at(r, v)}, p + {r}, i + {v} * LANES{last.more});"
                for r, v in pairs]  # fmt: skip
        rest = [f"store({last.raw} + {self._at(r, v)}, c{r}{v});" for r, v in pairs]
        if last.done in {"1", "0"}:
            yield from done if last.done == "1" else rest
            return
        yield f"if ({last.done}) {{"
        yield from (f"    {line}" for line in done)
        yield "} else {"
        yield from (f"    {line}" for line in rest)
        yield "}"

    def _multiplied(self, height: int, part: _Part) -> Iterator[str]:
        """Add w x for all components of a part."""
        vectors, size = range(self.shape.vectors), part.size
        if size <= UNROLLED or size % 2 == 0:
            yield f"#pragma GCC unroll {UNROLLED if size <= UNROLLED else 2}"
        yield f"for (int q = {'q0' if part.large else 0}; q < {'q1' if part.large else size}; q++) {{"
        yield f"    const T *const at = {part.state};"
        yield "    const V " + ", ".join(f"x{v}_ = load(at + {v} * LANES)" for v in vectors) + ";"
        for r in range(height):
            code = f"const V w_ = all({part.weight(r, height)});"
            op = "+=" if part.sign > 0 else "-="
            code += "".join(f" c{r}{v} {op} w_ * x{v}_;" for v in vectors)
            yield f"    {{ {code} }}"
        yield "}"

    def _at(self, r: int, v: int) -> str:
        """Where row r and vector v of a block are in an array over samples."""
        return f"(size_t)(p + {r}) * STRIDE + i + {v} * LANES"

    def _finish(self, group: Group, stored: list[Ref], arguments: Arguments) -> tuple[str, str]:
        """A function of one vector of the product: what follows it, and what is stored."""
        own = Arguments(self.address)

        def load(array: Ref) -> str:
            arguments.pointer(array)
            return _load(array, own.pointer(array), "at", "p", "i")

        expressions = Expressions(load, self.plan.problem.strength)
        expressions.define(group.first.target, "c")
        body = expressions.lines
        for step in group.steps:
            if isinstance(step, Pointwise):
                name = f"s{len(body)}"
                body.append(f"const V {name} = {expressions.value(step.value)};")
                expressions.define(step.target, name)
            if step.target in stored:
                arguments.pointer(step.target, True)
                target = own.pointer(step.target, True)
                body.append(f"store({target} + at, {expressions.value(step.target)});")
        unused = "(void)c, (void)at, (void)p, (void)i;"
        text = f"INLINE void {{name}}(V c, size_t at, int p, int i{own.parameters})\n"
        text += "\n".join(["{", *(f"    {line}" for line in [unused, *body]), "}"])
        passed = "".join(f", {arguments.inside[place]}" for place in own.inside)
        return self.functions.name("finish", text), passed

    # -- row by row ----------------------------------------------------------------------------

    def rows(self, steps: tuple[Step, ...], stored: list[Ref]) -> str:
        """The call of a function for steps of one vector of samples after another."""
        arguments = Arguments(self.address)
        kept = {key(a) for a in stored} | phases_apart(steps)
        width = max(self.plan.wide(step) for step in steps)
        sums = [s for s in steps if isinstance(s, Sum)]
        body = ["{", *(f"    V total{j} = all(0);" for j in range(len(sums)))]
        rows: dict[Ref, str] = {}
        inside = [
            line
            for loop in loops(steps)
            for line in self._row_loop(loop, width, rows, kept, arguments, sums)
        ]
        samples = "for (int i = 0; i < n; i += LANES) {"
        if width >= LARGE and _each_alone(
            steps
        ):  # one component after another, as they lie in memory
            head, *inside, _ = inside
            body += [f"    {head}", f"        {samples}", *(f"        {x}" for x in inside)]
            body += ["        }", "    }"]
        else:
            body += [*self.unrolled, f"    {samples}", *(f"        {x}" for x in inside), "    }"]
        for j, step in enumerate(sums):
            target = arguments.pointer(step.target, True)
            body.append(f"    {target}[0] += {'-' if step.sign < 0 else ''}v_total(total{j});")
        body.append("}")
        count = "int n, int samples" if sums else "int n"
        text = f"{self.linkage} void {{name}}({count}{arguments.parameters})\n" + "\n".join(body)
        name = self.functions.name(f"rows_{width}" if width else "rows", text)
        return f"{name}(padded{', samples' * bool(sums)}{arguments.values});"

    def _row_loop(
        self,
        loop: list[Step],
        width: int,
        rows: dict[Ref, str],
        kept: set[Key],
        arguments: Arguments,
        sums: list[Sum],
    ) -> Iterator[str]:
        """One loop over components; what is of rows alone stands before it."""
        before, inside = self._expressions(arguments, rows), self._expressions(arguments, rows)
        inside_lines = inside.lines
        begun: list[str] = []
        for step in loop:
            wide = any(a.axes == BATCH for a in (step.target, *step.reads))
            if isinstance(step, Pointwise) and step.target.axes == ROW:
                name = f"r{len(rows)}"
                before.lines.append(f"const V {name} = {before.value(step.value)};")
                rows[step.target] = name
                for one in (before, inside):
                    one.define(step.target, name)
            elif isinstance(step, Pointwise):
                value = inside.value(step.value)
                if not value.isidentifier():
                    name = f"s{len(inside_lines)}"
                    inside_lines.append(f"const V {name} = {value};")
                    value = name
                inside.define(step.target, value)
            elif isinstance(step, Rowwise):
                name = f"r{len(rows)}"
                rows[step.target] = name
                begun.append(f"V {name} = all({'-INFINITY' if step.op == 'max' else '0'});")
                value = inside.value(step.value)
                update = f"v_maximum({name}, {value})" if step.op == "max" else f"{name} + {value}"
                inside_lines.append(f"{name} = {update};")
            elif isinstance(step, Sum):
                lines = inside if wide else before
                masked = f"v_where(v_first(samples - i), {lines.value(step.value)}, all(0))"
                lines.lines.append(f"total{sums.index(step)} += {masked};")
            if key(step.target) in kept and step.target.axes == BATCH:
                target = arguments.pointer(step.target, True)
                inside_lines.append(f"store({target} + at, {inside.value(step.target)});")
        yield from before.lines
        yield from begun
        if inside_lines:
            yield from self.unrolled
            yield f"for (int p = 0; p < {width}; p++) {{"
            yield "    const size_t at = (size_t)p * STRIDE + i;"
            yield from (f"    {line}" for line in inside_lines)
            yield "}"
        for step in loop:
            if key(step.target) in kept and step.target.axes == ROW:
                yield f"store({arguments.pointer(step.target, True)} + i, {rows[step.target]});"

    def _expressions(self, arguments: Arguments, rows: dict[Ref, str]) -> Expressions:
        def load(array: Ref) -> str:
            return _load(array, arguments.pointer(array), "at", "p", "i")

        found = Expressions(load, self.plan.problem.strength)
        for array, name in rows.items():
            found.define(array, name)
        return found

    # -- sums over samples ---------------------------------------------------------------------

    def outer(self, step: Outer, lanes: bool) -> str:
        """The call of a function for Σ_i u_ip x_iq."""
        rows, columns = (self.plan.kernels.width(a) for a in (step.left, step.right))
        if is_large(step, self.plan, self.shape):
            u, x, g = (self.address(a) for a in (step.left, step.right, step.target))
            return f"outer_large(padded, {{first}}, {rows}, {columns}, {step.sign}, {u}, {x}, spare, {g});"
        most = self.registers.outer[1]
        parts = split(columns, most) if lanes else full(columns, most)
        body, second = ["{"], 0
        for breadth, times in parts:
            end = second + breadth * times
            chunk = max(1, CACHED // (self.shape.tile * self.shape.size) // breadth) * breadth
            head, until = f"int q0 = {second}; q0 < {end}; q0 += {chunk}", f"q0 + {chunk}"
            body += [
                f"    for ({head}) {{",
                f"        const int q1 = {until} < {end} ? {until} : {end};",
            ]
            first = 0
            for height, count in split(rows, self.registers.outer[0]):
                last = first + height * count
                body += [
                    f"        for (int p = {first}; p < {last}; p += {height})",
                    f"            for (int q = q0; q < q1; q += {breadth}) {{",
                ]
                block = self._outer_block(height, breadth, columns, step.sign, lanes)
                body += [f"                {line}" for line in block]
                body.append("            }")
                first = last
            body.append("    }")
            second = end
        body.append("}")
        text = "static NOINLINE void {name}(int n, int first, const T *u, const T *x, T *g)\n"
        name = self.functions.name(f"outer_{rows}x{columns}", text + "\n".join(body))
        places = ", ".join(self.address(a) for a in (step.left, step.right, step.target))
        return f"{name}(padded, {{first}}, {places});"

    def _outer_block(
        self, height: int, breadth: int, columns: int, sign: int, lanes: bool
    ) -> Iterator[str]:
        for r in range(height):
            yield "V " + ", ".join(f"c{r}{s} = all(0)" for s in range(breadth)) + ";"
        yield "for (int i = 0; i < n; i += LANES) {"
        for r in range(height):
            yield f"    const V u{r} = load(u + (size_t)(p + {r}) * STRIDE + i);"
        for s in range(breadth):
            code = f"const V x_ = load(x + (size_t)(q + {s}) * STRIDE + i);"
            code += "".join(f" c{r}{s} += u{r} * x_;" for r in range(height))
            yield f"    {{ {code} }}"
        yield "}"
        minus = "-" if sign < 0 else ""
        for r in range(height):
            at = f"(size_t)(p + {r}) * {columns} + q"
            if breadth == 4 and not lanes and self.shape.lanes >= 4:
                sums = ", ".join(f"{minus}c{r}{s}" for s in range(4))
                yield f"add4(g, {at}, {sums}, first);"
                continue
            add = "add_lanes" if lanes else "add"
            yield from (f"{add}(g, {at} + {s}, {minus}c{r}{s}, first);" for s in range(breadth))

    def totals(self, step: Outer, bias: Sum) -> str:
        """The call of a function for Σ_i u_ip x_iq and Σ_i u_ip, which lie next to each other."""
        rows, columns = (self.plan.kernels.width(a) for a in (step.left, step.right))
        lines = totals(rows, columns, self.shape.lanes, (step.sign, bias.sign))
        text = f"{self.linkage} void {{name}}(int n, int first, const T *u, const T *x, T *g)\n{{\n"
        for line in lines:
            if line.lstrip().startswith("for"):
                text += "".join(f"{pragma}\n" for pragma in self.unrolled)
            text += f"    {line}\n"
        name = self.functions.name(f"totals_{rows}x{columns}", text + "}")
        places = ", ".join(self.address(a) for a in (step.left, step.right, step.target))
        return f"{name}(padded, {{first}}, {places});"

    def column_sum(self, step: Sum, lanes: bool) -> str:
        """The call of a function for Σ_i u_ip."""
        (array,) = step.reads
        rows = self.plan.kernels.width(array)
        add = "add_lanes" if lanes else "add"
        minus = "-" if step.sign < 0 else ""
        text = "\n".join([
            "static NOINLINE void {name}(int n, int first, const T *u, T *g)",
            "{",
            f"    for (int p = 0; p < {rows}; p++) {{",
            "        V c = all(0);",
            "        for (int i = 0; i < n; i += LANES) c += load(u + (size_t)p * STRIDE + i);",
            f"        {add}(g, (size_t)p, {minus}c, first);",
            "    }",
            "}",
        ])  # fmt: skip
        name = self.functions.name(f"sum_{rows}", text)
        return f"{name}(padded, {{first}}, {self.address(array)}, {self.address(step.target)});"


def chunk_of(shape: Shape) -> int:
    """How many components of a register block of samples stay in cache."""
    return CACHED // (shape.step * shape.size)


def chunked(size: int, shape: Shape) -> bool:
    """Whether a product over so many components is done in chunks."""
    return size > 2 * chunk_of(shape) and shape.tile >= LARGE


def is_large(step: Outer, plan: Plan, shape: Shape) -> bool:
    """Whether a sum over samples turns one of its operands."""
    sides = (*map(plan.kernels.width, (step.left, step.right)), shape.tile)
    return min(sides) >= LARGE and shape.lanes >= 4


def _each_alone(steps: tuple[Step, ...]) -> bool:
    """Whether steps need nothing of a sample but one component."""
    arrays = [a for step in steps for a in (step.target, *step.reads)]
    return all(isinstance(s, Pointwise | Sum) for s in steps) and all(a.axes != ROW for a in arrays)


def _load(array: Ref, pointer: str, at: str, p: str, i: str) -> str:
    if array.axes == BATCH:
        return f"load({pointer} + {at})"
    if array.axes == ROW:
        return f"load({pointer} + {i})"
    return f"all({pointer}[{p}])" if array.axes else f"all({pointer}[0])"


def _steps(total: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Height, begin and end of the blocks of :func:`split`."""
    begin = 0
    for height, count in split(total, most):
        yield height, begin, begin + height * count
        begin += height * count


def _either(when: str, yes: str, no: str) -> str:
    """A value in C that depends on a condition."""
    return {"1": yes, "0": no}.get(when, f"{when} ? {yes} : {no}")


def full(total: int, most: int) -> list[tuple[int, int]]:
    """A length in blocks of ``most`` and one of what is left.

    >>> full(14, 4)
    [(4, 3), (2, 1)]
    """
    found = [(most, total // most), (total % most, 1)]
    return [(size, times) for size, times in found if size and times]


def split(total: int, most: int) -> list[tuple[int, int]]:
    """A length in nearly equal blocks of at most ``most``: (height, how many), higher ones first.

    >>> split(32, 6)
    [(6, 2), (5, 4)]
    """
    count = -(-total // most)
    height, higher = divmod(total, count)
    found = [(height + 1, higher), (height, count - higher)]
    return [(size, times) for size, times in found if size and times]
