"""Long statements of generated code: broken within brackets, short enough, and the same to Python."""

import ast
import textwrap

import pytest

from lagrangenet.emit.lines import broken, commented, definition

LONG = "np.where((Y * X2).sum(axis=1, keepdims=True) - X2 < 1, -1, 0).astype(Y.dtype)"
STATEMENTS = [
    f"J = ({LONG} - Y).sum() / M",
    f"lam2 = -({LONG} + Y * {LONG}.sum(axis=1, keepdims=True)) / M",
    f"b1 += {LONG} + {LONG}",
    f"g[:, 2:4] -= {LONG} @ {LONG}",
    f"np.add.at(lam_x, (slice(None), x), {LONG} * {LONG})",
    f"return {LONG} ** (3 / 2) / ({LONG} * 2)",
    f'a = np.einsum("iuhd,ihtu->ithd", {LONG}, {LONG}) == np.arange(2)[:, None]',
    f"def kkt_product({', '.join(f'argument{k}' for k in range(12))}): return 0",
]


def meaning(code):
    return ast.dump(ast.parse(f"def f():\n{textwrap.indent(code, '    ')}"))


@pytest.mark.parametrize("width", [40, 60, 99])
@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("depth", [0, 2])
def test_a_broken_statement_means_the_same(statement, depth, width):
    lines = broken("    " * depth + statement, width)
    assert len(lines) > 2 or len("    " * depth + statement) <= width
    assert meaning(textwrap.dedent("\n".join(lines))) == meaning(statement)
    if width == 99:
        assert max(map(len, lines)) <= width
    for line in lines:
        assert line == line.rstrip()


def test_what_is_short_or_has_no_brackets_is_left_alone():
    for line in ("    x = y + z", f"    # {'a + b ' * 30}", f"    x = {'y' * 120}"):
        assert broken(line) == [line]


def test_a_comment_stands_beside_its_statement_or_above_it():
    (line,) = commented("x = y", "# (S1)  x = y")
    assert line.startswith("x = y  ")
    assert line.endswith("  # (S1)  x = y")
    assert commented("x = " + "y" * 60, "# (S1)")[0] == "# (S1)"


def test_a_definition_is_a_function_of_its_lines():
    source = definition("f", "x", "Twice x.", ["y = x + x", f"z = {LONG} + {LONG}", "return y"])
    (function,) = ast.parse(source).body
    assert ast.get_docstring(function) == "Twice x."
    assert len(function.body) == 4
