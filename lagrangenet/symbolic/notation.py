"""A notation is data: names of symbols, where indices stand, which variable runs backwards.

Five are built in (``notations/*.toml``, after the lecture notes that they are taken from); a user's
own is a file of the same form. Nothing of a notation is executed: every string in it passes an
allow-list, because it ends in LaTeX and HTML, and what is not known is refused with its place.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from lagrangenet.errors import DerivationError, ProblemError

#: What a symbol may stand for, and what it means.
ROLES: Mapping[str, str] = {
    "X": "state: the output of a layer",
    "Z": "preactivation: the argument of the activation",
    "W": "weights",
    "vec": "the rows of the weights as one column",
    "b": "biases",
    "Y": "labels",
    "sigma": "activation",
    "ell": "loss of one sample",
    "objective": "objective",
    "lagrangian": "Lagrangian",
    "lambda": "multiplier of the state equation",
    "mu": "multiplier of the preactivation equation",
    "Delta": "derivative of a sample's loss by the state, −M times its multiplier",
    "delta": "derivative of a sample's loss by the preactivation, −M times its multiplier",
    "Omega": "regularizer",
    "omega": "regularizer of one weight",
    "rho": "strength of the regularizer",
    "eta": "step size",
    "theta": "all parameters",
    "k": "index of a layer",
    "N": "index of the last layer",
    "i": "index of a sample",
    "M": "number of samples",
    "n": "width of a layer",
    "input": "state of layer 0, if it has a name of its own",
    "output": "state of the last layer, if it has a name of its own",
    "identity": "identity matrix",
    "one": "vector of ones",
    **dict.fromkeys("pqrstuv", "index of a component"),
}
_OPTIONAL = {"input", "output"}
#: Pairs of roles that may share a symbol: a source writes both with it, and never confuses them.
_SHARED = ({"Delta", "delta"}, {"Omega", "omega"})

_CHOICES: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "prefer": {
        "splitting": ("activation", "preactivation"),
        "variable": ("lambda", "Delta", "delta"),
        "form": ("index", "matrix", "batch", "vec"),
    },
    "layer": {
        "place": ("superscript", "parentheses", "subscript"),
        "first": (0, 1),
        "parameters": (-1, 0),
        "activation": (True, False),
        "separator": ("", ","),
    },
    "write": {
        "sample": ("always", "summed"),
        "weights": ("entries", "pairs"),
        "loss": ("labels first", "outputs first"),
        "derivative": ("fraction", "nabla"),
        "penalty": ("components", "whole"),
        "error": ("symbol", "derivative", "layered derivative", "overwritten"),
        "recursion": ("k", "k-1"),
        "orientation": ("column", "row"),
    },
}

_LIMIT = 1 << 16
_TITLE = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ][A-Za-zÀ-ÖØ-öø-ÿ0-9 .,:;()–-]{0,79}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}")
_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z0-9{}]|\\?[ ]")
_ALPHABETS = ("LATIN", "GREEK", "SCRIPT", "MATHEMATICAL", "DOUBLE-STRUCK", "BLACK-LETTER", "DIGIT")
_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "pi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon "
    "Phi Psi Omega"
)
_PLAIN = {f"\\{word}" for word in [*_GREEK.split(), "ell", "hbar", "nabla", "partial"]}
_FONTS = ("bf", "bb", "cal", "frak", "it", "rm", "sf")
_ACCENTS = {r"\hat", r"\bar", r"\tilde", r"\vec", *(rf"\math{font}" for font in _FONTS)}


@dataclass(frozen=True)
class Notation:
    """Names and places of everything that a formula shows.

    Attributes
    ----------
    name, title : str
        A short name, and the source it is taken from.
    symbols : mapping
        Role (see :data:`ROLES`) → (text, LaTeX).
    splitting, variable, form : str
        What this notation's source prefers: where z is a state, what runs backwards (λ, Δ or δ).
    place : str
        Where the layer index stands: x^k, h^(k) or o_t.
    first, parameters : int
        The number of layer 1, and what is added to the layer index of W and b.
    error : str
        How Δ and δ are written: as a symbol, as ∂ℓ/∂x, as ∂ℓ_t/∂x, or as one symbol that is
        overwritten, g ← W^T g.

    Examples
    --------
    >>> Notation.named("goodfellow").symbols["X"]
    ('h', 'h')
    """

    name: str
    title: str
    symbols: Mapping[str, tuple[str, str]] = field(repr=False)
    splitting: str = "activation"
    variable: str = "lambda"
    form: str = "index"
    place: str = "superscript"
    first: int = 1
    parameters: int = 0
    activation: bool = True
    separator: str = ""
    sample: str = "always"
    weights: str = "entries"
    loss: str = "labels first"
    derivative: str = "fraction"
    penalty: str = "components"
    error: str = "symbol"
    recursion: str = "k"
    orientation: str = "column"

    @staticmethod
    def named(name: str) -> Notation:
        """A built-in notation.

        Raises
        ------
        DerivationError
            For an unknown name.
        """
        if name not in names():
            known = ", ".join(names())
            raise DerivationError(f"unknown notation {name!r}; known: {known}, or a file NAME.toml")
        return _built_in(name)

    @staticmethod
    def load(path: str | Path) -> Notation:
        """A notation from a TOML file; what the file leaves out is as in ``kkt``.

        Raises
        ------
        ProblemError
            If the file cannot be read, or has an unknown key or an inadmissible value.
        """
        place = f"notation file {str(path)!r}"
        try:
            with Path(path).open("rb") as file:
                content = file.read(_LIMIT + 1)
        except OSError as error:
            raise ProblemError(f"cannot read {place}: {error.strerror or error}") from None
        if len(content) > _LIMIT:
            raise ProblemError(f"{place}: larger than {_LIMIT} bytes")
        return _parsed(content, place)

    @staticmethod
    def choose(what: str | Path | Notation) -> Notation:
        """A built-in notation by name, one from a file ``NAME.toml``, or the notation itself."""
        if isinstance(what, Notation):
            return what
        if isinstance(what, Path) or what.endswith(".toml"):
            return Notation.load(what)
        return Notation.named(what)

    def with_variable(self, variable: str | None) -> Notation:
        """The same notation with the backward recursion in λ, Δ or δ.

        Raises
        ------
        DerivationError
            For another variable.
        """
        known = _CHOICES["prefer"]["variable"]
        if variable is not None and variable not in known:
            raise DerivationError(f"unknown variable {variable!r}; known: {', '.join(known)}")
        return self if variable is None else replace(self, variable=variable)


@cache
def names() -> tuple[str, ...]:
    """The built-in notations."""
    found = [f.name for f in files("lagrangenet.symbolic").joinpath("notations").iterdir()]
    return tuple(sorted(name[:-5] for name in found if name.endswith(".toml")))


@cache
def _built_in(name: str) -> Notation:
    file = files("lagrangenet.symbolic").joinpath("notations", f"{name}.toml")
    return _parsed(file.read_bytes(), f"notation {name!r}", name)


# -- reading ---------------------------------------------------------------------------------------


def _parsed(content: bytes, place: str, name: str = "") -> Notation:
    try:
        table = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProblemError(f"{place} is no TOML: {error}") from None
    except RecursionError:
        raise ProblemError(f"{place} is no TOML for this purpose: nested too deeply") from None
    _only(table, {"name", "title", "symbols", *_CHOICES}, place)
    given = {key: table.get(key, default) for key, default in (("name", "own"), ("title", ""))}
    for key, pattern in (("name", _NAME), ("title", _TITLE)):
        if given[key] != "" and not _matches(pattern, given[key]):
            raise ProblemError(
                f"{place}: {key} is {given[key]!r}; letters, digits, spaces and .,:;()- are "
                "admissible, a letter first"
            )
    if name and given["name"] != name:
        raise ProblemError(f"{place}: its name is {given['name']!r}")
    options: dict[str, Any] = {}
    for section, keys in _CHOICES.items():
        chosen = _table(table, section, place)
        _only(chosen, set(keys), f"{place}, [{section}]")
        for key, value in chosen.items():
            _admissible(value, keys[key], f"{place}, [{section}]: {key}")
            options[key] = value
    symbols = _symbols(_table(table, "symbols", place), f"{place}, [symbols]", name != "kkt")
    return Notation(given["name"], given["title"] or given["name"], symbols, **options)


def _table(table: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ProblemError(f"{place}: {key} is {value!r}, not a table")
    return value


def _only(table: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(table.keys() - known):
        keys = ", ".join(map(repr, unknown))
        raise ProblemError(f"{place}: unknown key {keys}; known: {', '.join(sorted(known))}")


def _admissible(value: Any, known: tuple[Any, ...], place: str) -> None:
    if not any(type(value) is type(one) and value == one for one in known):
        choices = ", ".join(repr(one) for one in known)
        raise ProblemError(f"{place} is {value!r}; admissible: {choices}")


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _symbols(table: Mapping[str, Any], place: str, complete: bool) -> Mapping[str, tuple[str, str]]:
    """The symbols of a table, completed by those of ``kkt``; no two may look the same."""
    _only(table, set(ROLES), place)
    base = dict(Notation.named("kkt").symbols) if complete else {}
    symbols = {**base, **{role: _symbol(v, f"{place}: {role}") for role, v in table.items()}}
    if missing := sorted(ROLES.keys() - _OPTIONAL - symbols.keys()):
        raise ProblemError(f"{place}: no symbol for {', '.join(missing)}")
    for column in (0, 1):
        seen: dict[str, str] = {}
        for role, written in symbols.items():
            other = seen.setdefault(written[column], role)
            if other != role and {other, role} not in _SHARED:
                raise ProblemError(
                    f"{place}: {other} and {role} are both written {written[column]!r}; "
                    "two meanings need two symbols"
                )
    return symbols


def _symbol(value: Any, place: str) -> tuple[str, str]:
    """(text, LaTeX), checked; one string serves for both if it is plain letters."""
    pair = [value, value] if isinstance(value, str) else value
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(s, str) for s in pair)):
        raise ProblemError(f"{place} is {value!r}; expected a string, or [text, LaTeX]")
    text, latex = pair
    if not 1 <= len(text) <= 12 or not all(_letter(c) for c in text) or text[0] in "0123456789":
        raise ProblemError(
            f"{place}: {text!r} is no symbol; 1 to 12 Latin or Greek letters and digits, "
            "a letter first"
        )
    _check_latex(latex, place)
    return text, latex


def _letter(character: str) -> bool:
    if not character.isalnum():
        return False
    return unicodedata.name(character, "").startswith(_ALPHABETS)


def _check_latex(latex: str, place: str) -> None:
    """Letters, digits, Greek letters, accents and fonts; nothing that opens another world."""
    tokens = _TOKEN.findall(latex)
    depth = 0
    ok = "".join(tokens) == latex and 1 <= len(latex) <= 60 and not latex.isspace()
    for part, following in pairwise([*tokens, ""]):
        depth += (part == "{") - (part == "}")
        known = part in _PLAIN or (part in _ACCENTS and following == "{")
        ok = ok and depth >= 0 and (known or not part.startswith("\\"))
        ok = ok and (part, following) != ("{", "}")
    if not ok or depth:
        raise ProblemError(
            f"{place}: {latex!r} is no symbol in LaTeX; letters, digits, Greek letters "
            r"(\lambda), accents and fonts with an argument (\hat{y}, \mathbf{W}) are admissible"
        )
