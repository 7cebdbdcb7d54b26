"""Sums over the samples of a tile, as C functions: Σ_i u_ip x_iq and Σ_i u_ip."""

from __future__ import annotations

from collections.abc import Iterator

#: Entries of a gradient that are written out one by one.
FEW = 64


def totals(rows: int, columns: int, lanes: int, signs: tuple[int, int]) -> Iterator[str]:
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
