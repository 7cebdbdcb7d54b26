"""Products with weights as C functions: a block of accumulators stays in registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.plan import CHUNK_BYTES, Group, Shape
from lagrangenet.emit.c.writer import LARGE, UNROLLED, Arguments, Writer, loaded, steps
from lagrangenet.routines.kernels import Linear, Pointwise
from lagrangenet.symbolic.tensor import Ref


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

    def zero(self, row: str) -> str:
        """What a sum begins with."""
        return f"all({self.start}[{row}])" if self.start else "all(0)"

    def panel(self, height: int) -> str:
        """The statement that copies the weights of a block of rows."""
        if self.transposed:
            return f"panel_of_columns({height}, {self.w} + (size_t)q0 * {self.rows} + p, {self.rows}, q1 - q0, panel);"
        return f"panel_of_rows({height}, {self.w} + (size_t)p * {self.size} + q0, {self.size}, q1 - q0, panel);"

    def weight(self, r: int) -> str:
        """The weight of row r of a block."""
        place = f"q * {self.rows} + p + {r}" if self.transposed else f"(p + {r}) * {self.size} + q"
        return f"{self.w}[{place}]"


class Products(Writer):
    """Writes products, each with what follows it componentwise."""

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
            chunk = (
                _chunk(product[1], self.shape) if chunked(product[1], self.shape) else product[1]
            )
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
        for height, first, end in steps(parts[0].rows, self.registers.rows):
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
        for height, first, end in steps(part.rows, self.registers.rows):
            yield f"    for (int p = {first}; p < {end}; p += {height}) {{"
            yield f"        T panel[{chunk * height}] __attribute__((aligned(64)));"
            yield f"        {part.panel(height)}"
            yield "        for (int i = 0; i < n; i += STEP) {"
            yield f"            V c[{height}][VECTORS];"
            yield f"            ahead({height}, {part.raw} + (size_t)p * STRIDE + i);"
            yield f"            {self._times(height)}(panel, spare + (size_t)i * {chunk}, q1 - q0, c);"
            yield f"            for (int j = 0; j < {height} * VECTORS; j++) {{"
            yield from (f"                {line}" for line in self._rest(part))
            yield "            }"
            yield "        }"
            yield "    }"
        yield "}"

    def _times(self, height: int) -> str:
        """A function of its own, so that its registers hold nothing but sums."""
        head = "(const T *panel, const T *x, int columns, V (*sums)[VECTORS])"
        body = f"{{\n    panel_times({height}, panel, x, columns, sums);\n}}"
        return self.functions.name(
            f"panel_times_{height}", f"static NOINLINE void {{name}}{head}\n{body}"
        )

    def _rest(self, part: _Part) -> Iterator[str]:
        """What is done with the sum of a chunk: it is added to those before; the last is finished."""
        yield "const int r = p + j / VECTORS, k = i + j % VECTORS * LANES;"
        yield "const size_t at = (size_t)r * STRIDE + k;"
        before = _either(part.begins, part.zero("r"), f"load({part.raw} + at)")
        sign = "+" if part.sign > 0 else "-"
        yield f"const V sum = ({before}) {sign} c[j / VECTORS][j % VECTORS];"
        done, rest = f"{part.finish}(sum, at, r, k{part.more});", f"store({part.raw} + at, sum);"
        yield _either(part.done, done, rest, f"if ({part.done}) {done} else {rest}")

    def _block(self, height: int, parts: list[_Part]) -> Iterator[str]:
        """A block of rows of one register block of samples; sums rest in ``raw`` in between."""
        first, last = parts[0], parts[-1]
        pairs = [(r, v) for r in range(height) for v in range(self.shape.vectors)]
        for r, v in pairs:
            before = f"load({first.raw} + {self._at(r, v)})"
            yield f"V c{r}{v} = {first.zero(f'p + {r}') if first.is_first else before};"
        for part in parts:
            yield from self._multiplied(height, part)
        for r, v in pairs:
            at = self._at(r, v)
            done = f"{last.finish}(c{r}{v}, {at}, p + {r}, i + {v} * LANES{last.more});"
            yield done if last.is_last else f"store({last.raw} + {at}, c{r}{v});"

    def _multiplied(self, height: int, part: _Part) -> Iterator[str]:
        """Add w x for all components of a part."""
        vectors, size = range(self.shape.vectors), part.size
        if size <= UNROLLED or size % 2 == 0:
            yield f"#pragma GCC unroll {UNROLLED if size <= UNROLLED else 2}"
        yield f"for (int q = 0; q < {size}; q++) {{"
        yield f"    const T *const at = {part.x} + (size_t)q * STRIDE + i;"
        yield "    const V " + ", ".join(f"x{v}_ = load(at + {v} * LANES)" for v in vectors) + ";"
        for r in range(height):
            code = f"const V w_ = all({part.weight(r)});"
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
            return loaded(array, own.pointer(array), "at", "p", "i")

        expressions = Expressions(load, self.plan.problem.strength)
        expressions.define(group.first.target, "c")
        body, stores = expressions.lines, []
        for step in group.steps:
            if isinstance(step, Pointwise):
                name = f"s{len(body)}"
                body.append(f"const V {name} = {expressions.value(step.value)};")
                expressions.define(step.target, name)
            if step.target in stored:
                arguments.pointer(step.target, True)
                target = own.pointer(step.target, True)
                stores.append(f"store({target} + at, {expressions.value(step.target)});")
        unused = "(void)c, (void)at, (void)p, (void)i;"
        text = f"INLINE void {{name}}(V c, size_t at, int p, int i{own.parameters})\n"
        text += "\n".join(["{", *(f"    {line}" for line in [unused, *body, *stores]), "}"])
        passed = "".join(f", {arguments.inside[place]}" for place in own.inside)
        return self.functions.name("finish", text), passed


def chunk_of(shape: Shape) -> int:
    """How many components of a register block of samples stay in cache."""
    return CHUNK_BYTES // (shape.step * shape.size)


def chunked(size: int, shape: Shape) -> bool:
    """Whether a product over so many components is done in chunks."""
    return size > chunk_of(shape) and shape.tile >= LARGE


def _chunk(size: int, shape: Shape) -> int:
    """Components of nearly equal chunks, a multiple of four."""
    chunks = -(-size // chunk_of(shape))
    return -(-size // chunks // 4) * 4


def _either(when: str, yes: str, no: str, depends: str = "") -> str:
    """C that depends on a condition."""
    return {"1": yes, "0": no}.get(when, depends or f"{when} ? {yes} : {no}")
