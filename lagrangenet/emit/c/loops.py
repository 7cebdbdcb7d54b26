"""Groups of steps as C functions. Equal functions are written once, whatever layer they serve.

Arrays over samples lie component by component, STRIDE numbers apart, so that a vector holds the same
component of neighbouring samples. Products keep a block of accumulators in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.plan import Group, Plan, Shape, loops, phases_apart
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


@dataclass
class Writer:
    """Writes the groups of a plan."""

    plan: Plan
    shape: Shape
    registers: Blocks
    functions: Functions
    address: Callable[[Ref], str]

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
        body = ["{", f"    for (int i = 0; i < n; i += {self.shape.step}) {{"]
        for number, product in enumerate(terms):
            ends = (number == 0, number == len(terms) - 1)
            chunk = self._chunk(product[1])
            lines = self._rows_of(rows, product, chunk, ends, (start, raw), (finish, more))
            body += [f"        {line}" for line in self._chunked(product[1], chunk, lines)]
        body += ["    }", "}"]
        text = f"static NOINLINE void {{name}}(int n{arguments.parameters})\n" + "\n".join(body)
        name = self.functions.name(f"linear_{rows}x{terms[0][1]}", text)
        return f"{name}(padded{arguments.values});"

    def _chunk(self, size: int) -> int:
        """How many components of a register block of samples stay in cache."""
        chunk = CACHED // (self.shape.step * self.shape.size)
        return size if size <= 2 * chunk else chunk

    def _chunked(self, size: int, chunk: int, lines: Iterator[str]) -> Iterator[str]:
        """A loop over chunks of components, if there is more than one."""
        if chunk == size:
            yield from lines
            return
        yield f"for (int q0 = 0; q0 < {size}; q0 += {chunk}) {{"
        yield f"    const int q1 = q0 + {chunk} < {size} ? q0 + {chunk} : {size};"
        yield from (f"    {line}" for line in lines)
        yield "}"

    def _rows_of(
        self,
        rows: int,
        term: tuple[int, int, str, str, bool],
        chunk: int,
        ends: tuple[bool, bool],
        begin: tuple[str, str],
        finish: tuple[str, str],
    ) -> Iterator[str]:
        """Blocks of rows of one chunk of a term; sums rest in ``raw`` between chunks and terms."""
        first, whole = 0, chunk == term[1]
        begins = _both(ends[0], "" if whole else "q0 == 0")
        done = _both(ends[1], "" if whole else f"q1 == {term[1]}")
        for height, count in split(rows, self.registers.rows):
            end = first + height * count
            loop = f"for (int p = {first}; p < {end}; p += {height}) {{"
            yield loop if count > 1 else f"{{ const int p = {first};"
            block = self._block(height, rows, term, whole, (begins, done), begin, finish)
            yield from (f"    {line}" for line in block)
            yield "}"
            first = end

    def _block(
        self,
        height: int,
        rows: int,
        term: tuple[int, int, str, str, bool],
        whole: bool,
        when: tuple[str, str],
        begin: tuple[str, str],
        finish: tuple[str, str],
    ) -> Iterator[str]:
        (sign, size, x, w, transposed), (start, raw) = term, begin
        vectors = range(self.shape.vectors)
        for r in range(height):
            zero = f"all({start}[p + {r}])" if start else "all(0)"
            before = [f"load({raw} + {self._at(r, v)})" for v in vectors]
            values = [_either(when[0], zero, other) for other in before]
            yield "V " + ", ".join(f"c{r}{v} = {values[v]}" for v in vectors) + ";"
        if size <= UNROLLED or size % 2 == 0:
            yield f"#pragma GCC unroll {UNROLLED if size <= UNROLLED else 2}"
        yield f"for (int q = {0 if whole else 'q0'}; q < {size if whole else 'q1'}; q++) {{"
        yield f"    const T *const at = {x} + (size_t)q * STRIDE + i;"
        yield "    const V " + ", ".join(f"x{v}_ = load(at + {v} * LANES)" for v in vectors) + ";"
        for r in range(height):
            place = f"q * {rows} + p + {r}" if transposed else f"(p + {r}) * {size} + q"
            code = f"const V w_ = all({w}[{place}]);"
            op = "+=" if sign > 0 else "-="
            code += "".join(f" c{r}{v} {op} w_ * x{v}_;" for v in vectors)
            yield f"    {{ {code} }}"
        yield "}"
        pairs = [(r, v) for r in range(height) for v in vectors]
        last = [f"{finish[0]}(c{r}{v}, {self._at(r, v)}, p + {r}, i + {v} * LANES{finish[1]});"
                for r, v in pairs]  # fmt: skip
        rest = [f"store({raw} + {self._at(r, v)}, c{r}{v});" for r, v in pairs]
        if when[1] in {"1", "0"}:
            yield from last if when[1] == "1" else rest
            return
        yield f"if ({when[1]}) {{"
        yield from (f"    {line}" for line in last)
        yield "} else {"
        yield from (f"    {line}" for line in rest)
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
        unused = "(void)at, (void)p, (void)i;"
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
        body.append("    for (int i = 0; i < n; i += LANES) {")
        rows: dict[Ref, str] = {}
        for loop in loops(steps):
            inside = self._row_loop(loop, width, rows, kept, arguments, sums)
            body += [f"        {line}" for line in inside]
        body.append("    }")
        for j, step in enumerate(sums):
            target = arguments.pointer(step.target, True)
            body.append(f"    {target}[0] += {'-' if step.sign < 0 else ''}v_total(total{j});")
        body.append("}")
        count = "int n, int samples" if sums else "int n"
        text = f"static NOINLINE void {{name}}({count}{arguments.parameters})\n" + "\n".join(body)
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


def _load(array: Ref, pointer: str, at: str, p: str, i: str) -> str:
    if array.axes == BATCH:
        return f"load({pointer} + {at})"
    if array.axes == ROW:
        return f"load({pointer} + {i})"
    return f"all({pointer}[{p}])" if array.axes else f"all({pointer}[0])"


def _both(first: bool, second: str) -> str:
    """Two conditions in C, of which the first is known."""
    return (second or "1") if first else "0"


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
