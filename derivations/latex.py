r"""An executed document as LaTeX, for pdflatex and lualatex alike, with stock packages only.

Code keeps its Greek letters and superscripts: :data:`CHARACTERS` maps each of them to mathematics,
set in a cell of the typewriter's width so that columns stay aligned. A character without an entry
is refused by name, so nothing is lost silently in the PDF. Of Markdown it knows headings,
paragraphs, lists, emphasis, code, links and inline formulas; display formulas come from code cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from derivations.cells import Cell, Executed
from derivations.document import Formula, Listing, Printed, Shown, Table

#: Characters outside ASCII: the mathematics that they stand for, or text.
CHARACTERS = {
    "α": r"\alpha", "δ": r"\delta", "ε": r"\varepsilon", "η": r"\eta", "θ": r"\theta",
    "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho", "σ": r"\sigma", "ω": r"\omega", "Δ": r"\Delta",
    "Σ": r"\Sigma", "Ω": r"\Omega", "ℓ": r"\ell", "∂": r"\partial", "∇": r"\nabla",
    "⊙": r"\odot", "·": r"\cdot", "±": r"\pm", "−": "-", "′": r"{}^{\prime}", "″": r"{}^{\prime\prime}", "ᵀ": r"{}^{\top}",
    "→": r"\to", "←": r"\leftarrow", "≤": r"\le", "≥": r"\ge", "≈": r"\approx", "∈": r"\in",
    "⟨": r"\langle", "⟩": r"\rangle", "⁺": "{}^{+}", "⁻": "{}^{-}", "∞": r"\infty", "√": r"\surd",
    "ẋ": r"\dot x", "ż": r"\dot z", "ḃ": r"\dot b", "Ẇ": r"\dot W", "Ẋ": r"\dot X",
    **{digit: f"{{}}^{{{value}}}" for value, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}  # fmt: skip
#: A dot above the character before it, where Unicode has no letter with a dot.
DOT = "\N{COMBINING DOT ABOVE}"
#: Characters of prose that are text.
WORDS = {"–": "--", "é": r"\'e", "ü": r"\"u", "Á": r"\'A"}

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: "\\" + character for character in "&%$#_{}"}
_TOKEN = re.compile(
    r"(?P<code>`[^`]+`)|(?P<math>\$[^$]+\$)|(?P<bold>\*\*(?s:.+?)\*\*)|(?P<em>\*[^*]+\*)"
    r"|(?P<link>\[[^\]]+\]\([^)]+\))"
)
_ITEM = re.compile(r"(?P<bullet>[-*]|\d+\.) +")
_HEADINGS = ("title", "section", "subsection")


class UnknownCharacter(ValueError):
    """A character that has no entry in :data:`CHARACTERS`."""


def latex(document: Executed) -> str:
    """The text of ``NN_name.tex``, complete with preamble."""
    body = "\n\n".join(part for cell in document.cells for part in _cell(cell))
    for character in sorted(set(body)):
        if not character.isascii() and character not in {*CHARACTERS, *WORDS, DOT}:
            raise UnknownCharacter(
                f"{document.path.name}: no LaTeX for {character!r} (U+{ord(character):04X}); "
                "add it to CHARACTERS in derivations/latex.py"
            )
    note = f"% Generated from {document.path.name} by `python -m derivations`.\n"
    return (
        note + PREAMBLE + characters() + f"\n\\begin{{document}}\n\n{body}\n\n\\end{{document}}\n"
    )


def characters() -> str:
    """Definitions of the characters that code and formulas use."""
    rows = [rf"\newunicodechar{{{key}}}{{\uni{{{value}}}}}" for key, value in CHARACTERS.items()]
    rows.append(rf"\newunicodechar{{{DOT}}}{{\dotabove}}")
    return "\n".join(rows) + "\n"


def _cell(cell: Cell) -> Iterator[str]:
    if cell.kind == "markdown":
        yield from _prose(cell)
    else:
        yield _verbatim("Code", cell.text)
    for shown in cell.shown:
        yield _output(shown)


def _output(shown: Shown) -> str:
    match shown:
        case Formula():
            return f"\\begin{{equation*}}\n{shown.latex}\n\\end{{equation*}}"
        case Listing(source):
            return _verbatim("Generated", source)
        case Printed(text):
            return _verbatim("Output", text.rstrip("\n"))
        case Table():
            return _table(shown)


def _verbatim(kind: str, text: str) -> str:
    return f"\\begin{{{kind}}}\n{text}\n\\end{{{kind}}}"


def _table(shown: Table) -> str:
    columns = "l" * (len(shown.header) - 1) + "X"
    head, *rows = (" & ".join(inline(cell) for cell in row) for row in (shown.header, *shown.rows))
    body = " \\\\\n".join(rows)
    return (
        f"\\begin{{center}}\\small\n\\begin{{tabularx}}{{\\textwidth}}{{{columns}}}\n\\toprule\n"
        f"{head} \\\\\n\\midrule\n{body} \\\\\n\\bottomrule\n\\end{{tabularx}}\n\\end{{center}}"
    )


# -- prose ---------------------------------------------------------------------------------------


def _prose(cell: Cell) -> Iterator[str]:
    if "$$" in cell.text:
        raise ValueError(f"line {cell.line}: a display formula in prose; derive it and show() it")
    for block in re.split(r"\n\s*\n", cell.text):
        heading = re.fullmatch(r"(#{1,3}) +(.+)", block)
        if heading:
            level = len(heading[1])
            title = inline(heading[2])
            yield rf"\{_HEADINGS[level - 1]}{{{title}}}" + ("\n\\maketitle" if level == 1 else "")
        elif _ITEM.match(block):
            yield _list(block)
        else:
            yield inline(block)


def _list(block: str) -> str:
    items: list[str] = []
    for line in block.splitlines():
        mark = _ITEM.match(line)
        if mark:
            items.append(line[mark.end() :])
        else:
            items[-1] += "\n" + line.strip()
    kind = "itemize" if block[0] in "-*" else "enumerate"
    body = "\n".join(rf"\item {inline(item)}" for item in items)
    return f"\\begin{{{kind}}}\n{body}\n\\end{{{kind}}}"


def inline(text: str) -> str:
    """Inline Markdown as LaTeX."""
    out, end = "", 0
    for token in _TOKEN.finditer(text):
        out += _words(text[end : token.start()]) + _inline_token(token)
        end = token.end()
    return out + _words(text[end:])


def _words(text: str) -> str:
    """Prose, with quotation marks that open and close."""
    return re.sub(r'"([^"]*)"', r"``\1''", escaped(text))


def _inline_token(token: re.Match[str]) -> str:
    found = token[0]
    match token.lastgroup:
        case "math":
            return found
        case "code":
            return rf"\texttt{{{escaped(found[1:-1])}}}"
        case "bold":
            return rf"\textbf{{{inline(found[2:-2])}}}"
        case "em":
            return rf"\emph{{{inline(found[1:-1])}}}"
        case _:
            title, address = found[1:-1].split("](")
            return rf"\href{{{address}}}{{{inline(title)}}}"


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_SPECIAL.get(c) or WORDS.get(c) or c for c in text)


PREAMBLE = r"""\documentclass[a4paper,11pt]{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage[utf8]{inputenc}
\fi
\usepackage{lmodern}
\usepackage[margin=2.4cm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{booktabs,tabularx}
\usepackage{fancyvrb}
\usepackage{newunicodechar}
\usepackage[hidelinks]{hyperref}
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6\baselineskip}
\allowdisplaybreaks
\author{}\date{}
% Mathematics in code stands in a cell as wide as a typewriter letter.
\newlength{\cell}
\newcommand{\plainuni}[1]{\ensuremath{#1}}
\newcommand{\celluni}[1]{\hbox to \cell{\hss$\smash{#1}$\hss}}
\let\uni\plainuni
\newcommand{\dotabove}{\hbox to 0pt{\hss\hbox to \cell{\hss$\smash{\dot{\phantom{\lambda}}}$\hss}}}
\setlength{\cell}{0.5em}
\newcommand{\cells}{\settowidth{\cell}{\texttt{m}}\let\uni\celluni}
\DefineVerbatimEnvironment{Code}{Verbatim}
  {fontsize=\fontsize{8.6}{10.4}\selectfont,frame=leftline,framerule=1.2pt,framesep=6pt,formatcom=\cells}
\DefineVerbatimEnvironment{Generated}{Verbatim}
  {fontsize=\fontsize{8.6}{10.4}\selectfont,frame=lines,framesep=4pt,formatcom=\cells}
\DefineVerbatimEnvironment{Output}{Verbatim}
  {fontsize=\fontsize{8.6}{10.4}\selectfont,xleftmargin=9pt,formatcom=\cells}
"""
