"""Steps of one vector of samples after another as C functions, in shared loops."""

from __future__ import annotations

from collections.abc import Iterator

from lagrangenet.emit.c.expressions import Expressions
from lagrangenet.emit.c.plan import loops, phases_apart
from lagrangenet.emit.c.writer import LARGE, Arguments, Writer, loaded
from lagrangenet.routines.kernels import BATCH, ROW, Pointwise, Rowwise, Step, Sum
from lagrangenet.routines.passes.live import Key, key
from lagrangenet.symbolic.tensor import Ref


class Rows(Writer):
    """Writes what is neither a product nor a sum over samples alone."""

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
        inside_lines, stores = inside.lines, []
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
                stores.append(f"store({target} + at, {inside.value(step.target)});")
        inside_lines += stores  # perhaps in the place of what was read
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
            return loaded(array, arguments.pointer(array), "at", "p", "i")

        found = Expressions(load, self.plan.problem.strength)
        for array, name in rows.items():
            found.define(array, name)
        return found


def _each_alone(steps: tuple[Step, ...]) -> bool:
    """Whether steps need nothing of a sample but one component."""
    arrays = [a for step in steps for a in (step.target, *step.reads)]
    return all(isinstance(s, Pointwise | Sum) for s in steps) and all(a.axes != ROW for a in arrays)
