"""What both forms of a formula share: numbers, layers, signs, and arrays with their indices.

Where an index stands, what a symbol is called and how layers are counted is read from the notation
of the style; the writers of :mod:`.printing` and :mod:`.matrix_form` only say which array they mean.
"""

from __future__ import annotations

import sympy as sp

from lagrangenet.errors import DerivationError
from lagrangenet.symbolic import language as l
from lagrangenet.symbolic.styles import Text

ADD, MUL, POW, ATOM = 1, 2, 3, 4
#: A written expression and how tightly it binds.
Piece = tuple[str, int]

#: Arrays whose first index is the layer; those of a sample have the sample next.
OF_SAMPLES = (
    "X", "Z", "S", "lambda", "mu", "Delta", "delta", "kkt_alpha", "kkt_beta", "kkt_gamma",
    "kkt_e", "kkt_d",
)  # fmt: skip
#: Arrays of a parameter's shape: the parameters, their limits and the multipliers of these.
PARAMETERS = (
    "W", "b", "vec", *(f"kkt_{what}_{of}" for what in ("upper", "lower", "plus", "minus", "row")
                       for of in "Wb"),
)  # fmt: skip
LAYERED = frozenset(
    name + dot for name in (*OF_SAMPLES, *PARAMETERS) for dot in ("", "_dot")
)  # fmt: skip
_STATE_OF = {"Delta": "X", "delta": "Z"}


def is_negative(expr: sp.Expr) -> bool:
    """Whether a term is written with a minus sign in front."""
    return bool(expr.could_extract_minus_sign() and not isinstance(expr, sp.Add))


def abs_(expr: sp.Expr) -> sp.Expr:
    """The term without its sign."""
    return -expr if is_negative(expr) else expr


class Writer:
    """Writes pieces; ``last`` is the layer that is the output, N or its number."""

    def __init__(self, style: Text, last: sp.Expr = l.N) -> None:
        self.style = style
        self.notation = style.notation
        self.last = last

    def at_least(self, piece: Piece, level: int) -> str:
        """The piece, in parentheses if it binds less tightly than that."""
        return piece[0] if piece[1] >= level else self.style.parens(piece[0])

    def scalar(self, expr: sp.Expr) -> Piece:
        """Numbers, symbols, widths n(k) and sums of them."""
        style = self.style
        if expr.is_Integer:  # the most frequent, and SymPy's printer is slow
            shown = style.number(str(abs(int(expr))))
            return (style.negative + shown, ADD) if expr.is_negative else (shown, ATOM)
        if isinstance(expr, l.n):
            return self._width(expr.args[0]), ATOM
        if expr.is_Symbol:
            return style.name(expr.name.rstrip("'")), ATOM
        if expr.is_Float:
            return style.number(f"{float(expr):g}"), ATOM
        if expr.is_Rational:
            sign = style.negative if expr.p < 0 else ""
            parts = (style.number(str(abs(expr.p))), style.number(str(expr.q)))
            return sign + style.fraction(*parts), ADD if sign else MUL
        if expr.is_number:
            return style.number(str(expr)), ATOM
        if isinstance(expr, sp.Add):
            positive = sorted(expr.args, key=lambda a: a.is_number)
            terms = [(not is_negative(a), self.scalar(abs_(a))) for a in positive]
            return self.joined(terms, gap=""), ADD
        if isinstance(expr, sp.Mul):
            factors = sorted(expr.args, key=lambda a: not a.is_number)
            return "".join(self.at_least(self.scalar(a), MUL) for a in factors), MUL
        raise DerivationError(f"cannot write {expr}")

    def joined(self, terms: list[tuple[bool, Piece]], gap: str = " ") -> str:
        """Signed terms, the positive first."""
        return gap.join(self.signed(terms, gap))

    def signed(self, terms: list[tuple[bool, Piece]], gap: str = " ") -> list[str]:
        """Terms with their signs, the positive first: a, + b, − c."""
        out: list[str] = []
        first = self.style.negative
        for positive, piece in sorted(terms, key=lambda term: not term[0]):
            body = self.at_least(piece, ADD if positive else MUL)
            sign = self.style.plus if positive else self.style.minus
            out.append(f"{sign}{gap}{body}" if out else body if positive else first + body)
        return out

    def layer(self, layer: sp.Expr) -> str:
        """A layer as this notation counts it."""
        if layer == self.last and len(self.notation.symbols["N"][0]) > 1:
            return self.style.name("N")
        shift = self.notation.first - 1
        return self.scalar(layer + shift if shift and layer.is_Integer else layer)[0]

    def limits(self, index: sp.Expr, lower: sp.Expr, upper: sp.Expr) -> tuple[str, str, str]:
        """An index and the ends of its range; layers as this notation counts them."""
        of_layers = index.name.rstrip("'") in {l.k.name, l.m.name}
        write = self.layer if of_layers else lambda e: self.scalar(e)[0]
        return self.scalar(index)[0], write(lower), write(upper)

    def _width(self, layer: sp.Expr) -> str:
        name = self.style.name("n")
        if layer == 0 and "input" in self.notation.symbols:
            return self.style.script(name, self.style.name("input"))
        return self.style.script(name, self.layer(layer))

    def array(
        self,
        name: str,
        layer: sp.Expr,
        sample: str = "",
        components: tuple[sp.Expr, ...] = (),
    ) -> Piece:
        """An array of a layer, with its indices where the notation puts them."""
        base = name.removesuffix("_dot")
        if base in _STATE_OF and self.notation.error != "symbol":
            return self._error(name, layer, sample, components)
        written = tuple(self.scalar(c)[0] for c in components)
        special = {0: "input", self.last: "output"}.get(layer, "") if base == "X" else ""
        if special in self.notation.symbols:
            shown = self.style.name(special)
            return self.style.indexed(
                self.style.dotted(shown) if name != base else shown, "", sample, written
            ), ATOM
        if base in PARAMETERS and self.notation.parameters:
            layer = layer + self.notation.parameters
        if base == "W" and len(written) == 2 and self.notation.weights == "pairs":
            pairs = zip((layer, layer - 1), written, strict=True)
            lower = self.style.script_comma.join(self._beside(at, c) for at, c in pairs)
            return self.style.script(self.style.name(name), lower), ATOM
        return self._placed(self.style.name(name), layer, sample, written), ATOM

    def _placed(self, name: str, layer: sp.Expr, sample: str, written: tuple[str, ...]) -> str:
        if self.notation.place == "subscript" and written and not self.notation.separator:
            return self.style.indexed(
                name, "", sample, (self._beside(layer, written[0]), *written[1:])
            )
        return self.style.indexed(name, self.layer(layer), sample, written)

    def _beside(self, layer: sp.Expr, component: str) -> str:
        """A layer and a component next to each other in a subscript: lp, (l+1)p, out,p."""
        shown = self.layer(layer)
        if layer == self.last and len(self.notation.symbols["N"][0]) > 1:
            return shown + self.style.script_comma + component
        if layer == 0 and "input" in self.notation.symbols:
            return component
        return (shown if layer.is_Atom else self.style.enclosed(shown)) + component

    def _error(
        self, name: str, layer: sp.Expr, sample: str, components: tuple[sp.Expr, ...]
    ) -> Piece:
        """Δ or δ, where a notation writes it as a derivative or overwrites it."""
        style, kind = self.style, self.notation.error
        if kind == "overwritten":
            written = tuple(self.scalar(c)[0] for c in components)
            return style.indexed(style.name(name), "", sample, written), ATOM
        level = self.layer(layer) if kind == "layered derivative" else ""
        base = name.removesuffix("_dot")
        loss = style.name("ell" + name.removeprefix(base))
        above = style.indexed(loss, level, sample)
        below = self.array(_STATE_OF[base], layer, sample, components)[0]
        return style.derivative(above, below), POW if style.stacked else MUL

    def function_at(self, name: str, order: int, layer: sp.Expr | None, component: str = "") -> str:
        """The name of a function with primes, layer and component: σ′^k."""
        style = self.style
        base = style.prime(style.name(name), order)
        if layer is None or (name == "sigma" and not self.notation.activation):
            return style.script(base, component)
        return style.indexed(base, self.layer(layer), "", (component,) if component else ())

    def loss(self, labels: str, outputs: str) -> str:
        """ℓ(y, x), or L(ŷ, y)."""
        pair = [labels, outputs]
        if self.notation.loss == "outputs first":
            pair.reverse()
        return self.style.function(self.style.name("ell"), pair)

    def penalty(self) -> str:
        """Ω(θ)."""
        return self.style.function(self.style.name("Omega"), [self.style.name("theta")])
