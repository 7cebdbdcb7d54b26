"""Sums over the samples of a tile, as C functions: Σ_i u_ip x_iq and Σ_i u_ip."""

from __future__ import annotations

from collections.abc import Iterator

from lagrangenet.emit.c.plan import Plan, Shape
from lagrangenet.emit.c.writer import CACHED, LARGE, Writer, full, split
from lagrangenet.routines.kernels import Outer, Sum

#: Entries of a gradient that are written out one by one.
FEW = 64
#: So many columns are turned at once, and stay in the second cache; a multiple of any block of them.
COLUMNS_IN_CACHE = 128


class Sums(Writer):
    """Writes sums over samples, which are added to those of the tiles before."""

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
        lines = _totals(rows, columns, self.shape.lanes, (step.sign, bias.sign))
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


def is_large(step: Outer, plan: Plan, shape: Shape) -> bool:
    """Whether a sum over samples turns one of its operands."""
    sides = (*map(plan.kernels.width, (step.left, step.right)), shape.tile)
    return min(sides) >= LARGE and shape.lanes >= 4


def turned_columns(step: Outer, plan: Plan, shape: Shape) -> int:
    """How many columns are turned at once, in whole blocks."""
    block = 2 * shape.lanes
    return min(-(-plan.kernels.width(step.right) // block) * block, COLUMNS_IN_CACHE)


def _totals(rows: int, columns: int, lanes: int, signs: tuple[int, int]) -> Iterator[str]:
    """Lines for a matrix with few entries and the vector that follows it in a gradient.

    As many entries as there are lanes are summed together: their vectors are folded into one.
    """
    matrix, vector = ("-" if sign < 0 else "+" for sign in signs)
    entries = [(f"u{p}", f"x{q}") for p in range(rows) for q in range(columns)]
    entries += [(f"u{p}", "") for p in range(rows)]
    for start in range(0, len(entries), lanes):
        block = entries[start : start + lanes]
        yield "{"
        yield f"    V c[LANES] = {{{', '.join(['all(0)'] * lanes)}}};"
        yield "    for (int i = 0; i < n; i += LANES) {"
        for name in dict.fromkeys(name for pair in block for name in pair if name):
            yield f"        const V {name} = load({name[0]} + {name[1:]} * STRIDE + i);"
        for j, (u, x) in enumerate(block):
            yield f"        c[{j}] " + (f"{matrix}= {u} * {x};" if x else f"{vector}= {u};")
        yield "    }"
        yield f"    add_totals(g + {start}, c, {len(block)}, first);"
        yield "}"
