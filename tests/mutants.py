"""Wrong programs, made systematically: each mutant changes one thing in an emitted module.

A mutant is what a mistake in a derivation, in lowering or in printing would look like. The rules
are deterministic and know Python's syntax and the emitted names (W1, X2, lam3, RHO, M, eta), but
neither the mathematics nor the checks. The only loops run over ranges, so every mutant terminates.
Modules of graphs keep their arrays in dictionaries; ``GRAPH_RULES`` are the mistakes of those.
"""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

Place = tuple[tuple[str, int | None], ...]

Rule = Callable[["Scope", ast.AST], Iterator[ast.AST | None]]

#: The rules for a type of node, each with its kind; filled by ``rule`` below.
RULES: dict[type[ast.AST], list[tuple[str, Rule]]] = {}
GRAPH_RULES: dict[type[ast.AST], list[tuple[str, Rule]]] = {}


class Mutant(NamedTuple):
    """A changed program.

    ``description`` is unique among the mutants of a source: the routine, and the statement before
    and after. ``line`` is a line of the original source, ``kind`` the rule.
    """

    description: str
    line: int
    source: str
    kind: str


class Scope(NamedTuple):
    """What a rule may look at: the function, the names that it binds, and the helper functions."""

    function: str
    bound: frozenset[str]
    helpers: tuple[str, ...]


def mutants(source: str, *, graph: bool = False) -> Iterator[Mutant]:
    """Every mutant of a source, in the order of its lines; none equals another or the source."""
    tree = ast.parse(source)
    assert not any(isinstance(node, ast.While) for node in ast.walk(tree))
    parts = [ast.unparse(part) for part in tree.body]
    seen = {"\n".join(parts)}
    for place, node in _places(tree):
        scope, (_, at) = _scope(tree, place), place[0]
        rules = RULES.get(type(node), []) + (GRAPH_RULES.get(type(node), []) if graph else [])
        for kind, rule in rules:
            for new in rule(scope, node):
                changed = _replaced(tree, place, new)
                text = "\n".join([*parts[:at], ast.unparse(changed.body[at]), *parts[at + 1 :]])
                if text not in seen:
                    seen.add(text)
                    description = _description(tree, changed, place, new)
                    yield Mutant(description, node.lineno, text, kind)


def rule(kind: str, *types: type[ast.AST], table=RULES):
    """Register a rule: from a node of these types to its replacements (None drops a statement)."""

    def register(function):
        for each in types:
            table.setdefault(each, []).append((kind, function))
        return function

    return register


# -- places in a tree ------------------------------------------------------------------------------


def _places(tree: ast.Module) -> list[tuple[Place, ast.AST]]:
    """Every expression and statement that computes something, with the way to it."""
    found: list[tuple[Place, ast.AST]] = []

    def visit(node: ast.AST, place: Place) -> None:
        if isinstance(node, ast.Expr | ast.Import | ast.arguments):
            return  # docstrings, the import, names of arguments
        if hasattr(node, "lineno"):
            found.append((place, node))
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                for j, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        visit(item, (*place, (field, j)))
            elif isinstance(value, ast.AST):
                visit(value, (*place, (field, None)))

    visit(tree, ())
    return found


def _at(tree: ast.AST, place: Place) -> ast.AST:
    for field, j in place:
        value = getattr(tree, field)
        tree = value if j is None else value[j]
    return tree


def _replaced(tree: ast.Module, place: Place, new: ast.AST | None) -> ast.Module:
    """The tree with one node replaced; the nodes on the way to it are copied, the others shared."""
    changed = parent = copy.copy(tree)
    for depth, (field, j) in enumerate(place, 1):
        value = getattr(parent, field)
        child = value if j is None else value[j]
        child = new if depth == len(place) else copy.copy(child)
        if j is not None:
            items = list(value)
            items[j : j + 1] = [] if child is None else [child]
            setattr(parent, field, items)
        else:
            setattr(parent, field, child)
        parent = child
    return ast.fix_missing_locations(changed)


def _scope(tree: ast.Module, place: Place) -> Scope:
    helpers = [f.name for f in tree.body if isinstance(f, ast.FunctionDef)]
    helpers = helpers[: helpers.index("forward")]
    function = _at(tree, place[:1])
    if not isinstance(function, ast.FunctionDef):
        return Scope("module", frozenset(), tuple(helpers))
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name)}
    names |= {a.arg for a in function.args.args}
    return Scope(function.name, frozenset(names) - {"_"}, tuple(helpers))


def _description(tree: ast.Module, changed: ast.Module, place: Place, new: ast.AST | None) -> str:
    """``backward: lam1 = mu2 @ W2 → lam1 = W2 @ mu2``: the statement before and after."""
    depth = next(d for d in range(len(place), 0, -1) if isinstance(_at(tree, place[:d]), ast.stmt))
    dropped = new is None and depth == len(place)
    after = "nothing" if dropped else ast.unparse(_at(changed, place[:depth]))
    return f"{_scope(tree, place).function}: {ast.unparse(_at(tree, place[:depth]))} → {after}"


# -- signs, terms and factors ----------------------------------------------------------------------


def _binary(node: ast.BinOp, op: ast.operator) -> ast.BinOp:
    return ast.BinOp(node.left, op, node.right)


def _minus(node: ast.expr) -> ast.UnaryOp:
    return ast.UnaryOp(ast.USub(), node)


@rule("sign", ast.UnaryOp)
def _sign_removed(scope, node):
    if isinstance(node.op, ast.USub):
        yield node.operand


@rule("sign", ast.Assign)
def _sign_added(scope, node):
    if _is_arithmetic(node):
        yield ast.Assign(node.targets, _minus(node.value))


@rule("sign", ast.BinOp)
def _sign_flipped(scope, node):
    if isinstance(node.op, ast.Add):
        yield _binary(node, ast.Sub())
    if isinstance(node.op, ast.Sub):
        yield _binary(node, ast.Add())


@rule("sign", ast.AugAssign)
def _accumulation_flipped(scope, node):
    yield ast.AugAssign(node.target, ast.Sub(), node.value)


@rule("term dropped", ast.BinOp)
def _term_dropped(scope, node):
    if isinstance(node.op, ast.Add | ast.Sub):
        yield node.left
        yield node.right if isinstance(node.op, ast.Add) else _minus(node.right)


@rule("term dropped", ast.AugAssign)
def _accumulation_dropped(scope, node):
    yield None


@rule("accumulation overwritten", ast.AugAssign)
def _overwritten(scope, node):
    yield ast.Assign([node.target], node.value)


@rule("factor dropped", ast.BinOp)
def _factor_dropped(scope, node):
    if isinstance(node.op, ast.Mult):
        yield node.left
        yield node.right


@rule("divisor dropped", ast.BinOp)
def _divisor_dropped(scope, node):
    if isinstance(node.op, ast.Div):
        yield node.left


@rule("times for over", ast.BinOp)
def _times_for_over(scope, node):
    if isinstance(node.op, ast.Mult):
        yield _binary(node, ast.Div())
    if isinstance(node.op, ast.Div):
        yield _binary(node, ast.Mult())


# -- matrices --------------------------------------------------------------------------------------


@rule("operands swapped", ast.BinOp)
def _operands_swapped(scope, node):
    if isinstance(node.op, ast.MatMult | ast.Sub | ast.Div):
        yield ast.BinOp(node.right, node.op, node.left)


@rule("transposed", ast.Attribute)
def _transpose_dropped(scope, node):
    if node.attr == "T":
        yield node.value


@rule("transposed", ast.BinOp)
def _transpose_added(scope, node):
    def transposed(part):
        return ast.Attribute(part, "T", ast.Load())

    if isinstance(node.op, ast.MatMult):
        yield transposed(node)
        yield ast.BinOp(transposed(node.left), node.op, node.right)
        yield ast.BinOp(node.left, node.op, transposed(node.right))
    if isinstance(node.op, ast.Mult | ast.Add | ast.Sub):
        for side in ("left", "right"):
            if isinstance(part := getattr(node, side), ast.Name) and _is_matrix(part.id):
                changed = copy.copy(node)
                setattr(changed, side, transposed(part))
                yield changed


def _is_matrix(name: str) -> bool:
    found = _layer(name)
    return found is not None and found[0] not in {"b", "db", "b_x", "grad_b_x"}


@rule("elementwise for matrix product", ast.BinOp)
def _elementwise(scope, node):
    if isinstance(node.op, ast.MatMult):
        yield _binary(node, ast.Mult())
    if isinstance(node.op, ast.Mult):
        yield _binary(node, ast.MatMult())


# -- names -----------------------------------------------------------------------------------------

#: Arrays of one layer that could be mistaken for each other.
KIN = (("X", "Z", "S"), ("lam", "mu"), ("W", "dW"), ("b", "db"), ("r_lam", "r_x"),
       ("x", "z_x"), ("lam_x", "lam_z_x"))  # fmt: skip


def _layer(name: str) -> tuple[str, int] | None:
    match = re.fullmatch(r"([A-Za-z_]+?)(\d+)", name)
    return (match[1], int(match[2])) if match else None


@rule("layer off by one", ast.Name)
def _neighbouring_layer(scope, node):
    if isinstance(node.ctx, ast.Load) and (found := _layer(node.id)):
        stem, k = found
        candidates = [f"{stem}{k - 1}", f"{stem}{k + 1}"]
        candidates += ["X"] if (stem, k) == ("X", 1) else []
        yield from (ast.Name(name, node.ctx) for name in candidates if name in scope.bound)


@rule("another array of the layer", ast.Name)
def _kin(scope, node):
    if isinstance(node.ctx, ast.Load) and (found := _layer(node.id)):
        stem, k = found
        family = next((f for f in KIN if stem in f), ())
        names = (f"{other}{k}" for other in family if other != stem)
        yield from (ast.Name(name, node.ctx) for name in names if name in scope.bound)


@rule("Y for X", ast.Name)
def _labels_for_inputs(scope, node):
    other = {"X": "Y", "Y": "X"}.get(node.id)
    if isinstance(node.ctx, ast.Load) and other in scope.bound:
        yield ast.Name(other, node.ctx)


@rule("scalar changed", ast.Name)
def _scalar(scope, node):
    if isinstance(node.ctx, ast.Load):
        if node.id == "RHO":
            yield ast.BinOp(ast.Constant(2), ast.Mult(), node)
        if node.id == "M":
            yield ast.BinOp(node, ast.Add(), ast.Constant(1))
            yield ast.BinOp(node, ast.Sub(), ast.Constant(1))
        if node.id == "eta":
            yield _minus(node)
            yield ast.BinOp(node, ast.Div(), ast.Constant(2))


@rule("unpacked in another order", ast.Tuple)
def _unpacked(scope, node):
    if isinstance(node.ctx, ast.Store):
        yield from _neighbours_swapped(node)


@rule("returned in another order", ast.Tuple)
def _returned(scope, node):
    if isinstance(node.ctx, ast.Load):
        yield from _neighbours_swapped(node)


def _neighbours_swapped(node: ast.Tuple) -> Iterator[ast.Tuple]:
    for j in range(len(node.elts) - 1):
        elts = list(node.elts)
        elts[j], elts[j + 1] = elts[j + 1], elts[j]
        yield ast.Tuple(elts, node.ctx)


# -- numbers, comparisons, calls -------------------------------------------------------------------


@rule("power off by one", ast.BinOp)
def _power(scope, node):
    if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
        for exponent in (node.right.value + 1, node.right.value - 1):
            yield ast.BinOp(node.left, node.op, ast.Constant(exponent))


@rule("constant changed", ast.Constant)
def _constant(scope, node):
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return
    if isinstance(node.value, float):
        yield ast.Constant(10 * node.value)
        yield ast.Constant(node.value * (1 + 1e-9))
    elif node.value == 0:
        yield ast.Constant(1)
    else:
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)


@rule("comparison changed", ast.Compare)
def _comparison(scope, node):
    if len(node.ops) > 1:
        return
    (op,) = node.ops
    for other in (ast.Lt, ast.LtE, ast.Gt, ast.GtE):
        if not isinstance(op, other):
            yield ast.Compare(node.left, [other()], node.comparators)


@rule("axis changed", ast.Call)
def _axis(scope, node):
    for j, keyword in enumerate(node.keywords):
        rest = [k for i, k in enumerate(node.keywords) if i != j]
        yield ast.Call(node.func, node.args, rest)
        if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
            other = ast.keyword("axis", ast.Constant(1 - keyword.value.value))
            yield ast.Call(node.func, node.args, [other, *rest])


OTHER = {
    "sum": ("mean", "max"),
    "max": ("min", "sum", "mean"),
    "tanh": ("sin", "arctan"),
    "exp": ("expm1", "exp2"),
    "log": ("log1p", "log2"),
    "maximum": ("minimum",),
    "abs": ("square",),
    "logaddexp": ("logaddexp2", "maximum"),
}


@rule("another function", ast.Attribute)
def _another_function(scope, node):
    yield from (ast.Attribute(node.value, name, node.ctx) for name in OTHER.get(node.attr, ()))


@rule("another function", ast.Name)
def _another_helper(scope, node):
    if isinstance(node.ctx, ast.Load) and node.id in scope.helpers:
        yield from (ast.Name(name, node.ctx) for name in scope.helpers if name != node.id)


@rule("call dropped", ast.Call)
def _call_dropped(scope, node):
    if node.args:
        yield node.args[0]
    elif isinstance(node.func, ast.Attribute):
        yield node.func.value


@rule("branches swapped", ast.Call)
def _branches(scope, node):
    if ast.unparse(node.func) == "np.where":
        condition, first, second = node.args
        yield ast.Call(node.func, [condition, second, first], node.keywords)
        yield first
        yield second


# -- dictionaries and loops, in the modules of graphs ----------------------------------------------


@rule("another entry of the dictionary", ast.Subscript, table=GRAPH_RULES)
def _another_key(scope, node):
    if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        family = sorted(n for n in scope.bound if n != node.slice.value)
        near = [n for n in family if n[:1] == node.slice.value[:1]][:1]
        yield from (ast.Subscript(node.value, ast.Constant(n), node.ctx) for n in near)


@rule("returned under another name", ast.Dict, table=GRAPH_RULES)
def _returned_under(scope, node):
    for j in range(len(node.values) - 1):
        values = list(node.values)
        values[j], values[j + 1] = values[j + 1], values[j]
        yield ast.Dict(node.keys, values)


@rule("loop too short", ast.For, table=GRAPH_RULES)
def _short_loop(scope, node):
    call = node.iter
    if isinstance(call, ast.Call) and len(call.args) > 1:
        first, last = call.args[:2]
        for change in ([ast.BinOp(first, ast.Add(), ast.Constant(1)), last],
                       [first, ast.BinOp(last, ast.Sub(), ast.Constant(1))]):  # fmt: skip
            shorter = ast.Call(call.func, [*change, *call.args[2:]], call.keywords)
            yield ast.For(node.target, shorter, node.body, node.orelse)


@rule("condition ignored", ast.If, table=GRAPH_RULES)
def _condition(scope, node):
    yield None
    yield ast.If(ast.Constant(True), node.body, node.orelse)


# -- a whole line ----------------------------------------------------------------------------------


def _is_arithmetic(node: ast.Assign) -> bool:
    """Neither an unpacking of arguments nor the batch size."""
    target = node.targets[0]
    return isinstance(target, ast.Name) and target.id != "M"


@rule("slightly wrong", ast.Assign)
def _slightly_wrong(scope, node):
    if _is_arithmetic(node):
        yield ast.Assign(node.targets, ast.BinOp(ast.Constant(1 + 1e-9), ast.Mult(), node.value))


@rule("single precision", ast.Assign)
def _single_precision(scope, node):
    if _is_arithmetic(node):
        function = ast.Attribute(ast.Name("np", ast.Load()), "float32", ast.Load())
        yield ast.Assign(node.targets, ast.Call(function, [node.value], []))


@rule("set to zero", ast.Assign)
def _zero(scope, node):
    if _is_arithmetic(node):
        yield ast.Assign(node.targets, ast.BinOp(ast.Constant(0), ast.Mult(), node.value))


@rule("in place", ast.Assign)
def _in_place(scope, node):
    value = node.value
    if isinstance(value, ast.BinOp) and ast.unparse(value.left) == ast.unparse(node.targets[0]):
        yield ast.AugAssign(node.targets[0], value.op, value.right)
