"""A derivation as one HTML page with MathML: no network, no script, light and dark, for print too.

Words from a problem or a notation are escaped; formulas come from the MathML style, which escapes
the symbols of a notation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from lagrangenet.report.document import FORM_TITLES, Document
from lagrangenet.symbolic.display import block, display, inline, table

_CSS = """
:root { color-scheme: light dark; --line: #d5d9e0; --soft: #f4f6f9; --quiet: #5a6472;
  --ink: #1b2230; --paper: #ffffff; --accent: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --line: #39424f; --soft: #1c222b; --quiet: #9aa6b5;
  --ink: #e4e9f0; --paper: #12161c; --accent: #7fb0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.subtitle { color: var(--quiet); margin: 0; }
.formula { overflow-x: auto; overflow-y: hidden; padding: .35rem 0; }
.box { background: var(--soft); border-radius: .5rem; padding: .4rem 1rem; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .35rem .6rem; text-align: left; vertical-align: middle;
  border-bottom: 1px solid var(--line); font-weight: normal; }
table.conditions td:nth-child(2) { width: 99%; }
th.label { color: var(--accent); white-space: nowrap; font-variant-numeric: tabular-nums; }
td.meaning { color: var(--quiet); min-width: 15rem; font-size: .92rem; }
table.symbols { width: auto; }
math { font-size: 1.12em; }
math[display="block"] { width: max-content; margin: 0; }
.box math[display="block"] { margin: .2rem 0; }
mtable.terms { text-align: left; }
mtable.terms mtd { padding: .25em .1em; text-align: left; }
ul { padding-left: 1.2rem; }
@media (max-width: 46rem) { table.conditions, .conditions tbody, .conditions tr, .conditions td,
  .conditions th { display: block; width: 100%; border: 0; padding: .1rem 0; }
  .conditions tr { border-bottom: 1px solid var(--line); padding: .5rem 0; } }
@media print { body { max-width: none; padding: 0; font-size: 9.5pt; }
  h2, h3 { break-after: avoid; } tr, .box { break-inside: avoid; }
  .formula { overflow: visible; } }
"""


def page(shown: Document) -> str:
    """The whole page.

    Examples
    --------
    >>> from lagrangenet.report.document import document
    >>> from lagrangenet.symbolic.derivation import derive
    >>> from lagrangenet.symbolic.styles import MathML
    >>> page(document(derive(), ["matrix"], MathML())).splitlines()[0]
    '<!DOCTYPE html>'
    """
    return "\n".join(_page(shown))


def wrapped(title: str, body: str) -> str:
    """A page with this title (words) and body (markup)."""
    return "\n".join([*_head(title), body, "</body></html>"])


def _head(title: str) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en"><head><meta charset="utf-8"/>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
    yield f"<title>{escape(title)}</title><style>{_CSS}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"


def _page(shown: Document) -> Iterator[str]:
    yield from _head(shown.title)
    yield f'<p class="subtitle">{escape(shown.subtitle[0].upper() + shown.subtitle[1:])}.</p>'
    yield from _problem(shown)
    first, *others = shown.parts
    yield "<h2>Conditions</h2>"
    yield f"<h3>{FORM_TITLES[first.form]}</h3>"
    yield table([*first.definitions, *first.conditions, *first.updates])
    if others:
        yield "<h2>The same in other forms</h2>"
    for part in others:
        yield f"<h3>{FORM_TITLES[part.form]}</h3>"
        yield table([*part.definitions, *part.conditions, *part.updates])
    yield "<h2>Symbols</h2>"
    rows = "".join(
        f"<tr><td>{inline(formula)}</td><td>{escape(meaning)}</td></tr>"
        for formula, meaning in shown.symbols
    )
    yield f'<table class="symbols"><tbody>{rows}</tbody></table>'
    yield "</body></html>"


def _problem(shown: Document) -> Iterator[str]:
    part = shown.parts[0]
    yield "<h2>Problem</h2>"
    yield f"<p>Minimize over {inline(shown.unknowns)}</p>"
    yield _box([display(part.objective)])
    yield "<p>subject to, for every sample,</p>"
    yield _box(block(constraint) for constraint in part.constraints)
    if part.definitions:
        yield "<p>where</p>"
        yield _box(map(display, part.definitions))
    if shown.functions:
        items = "".join(
            f"<li>{inline(formula)} = {escape(words)}</li>" for formula, words in shown.functions
        )
        yield f"<ul>{items}</ul>"
    yield "<h2>Lagrangian</h2>"
    yield _box([display(part.lagrangian)])


def _box(blocks: Iterable[str]) -> str:
    return f'<div class="box formula">{"".join(blocks)}</div>'
