"""An executed document as Markdown: prose as it is, code and outputs fenced, formulas as math."""

from __future__ import annotations

from derivations.cells import Executed
from derivations.document import Formula, Listing, Printed, Shown, Table


def markdown(document: Executed) -> str:
    """The text of ``NN_name.md``."""
    note = f"<!-- Generated from {document.path.name} by `python -m derivations`. -->"
    blocks = [note]
    for cell in document.cells:
        blocks.append(cell.text if cell.kind == "markdown" else _fenced("python", cell.text))
        blocks += [_output(one) for one in cell.shown]
    return "\n\n".join(blocks) + "\n"


def _output(shown: Shown) -> str:
    match shown:
        case Formula():
            return _fenced("math", shown.latex)
        case Listing(source):
            return _fenced("python", source)
        case Table():
            return shown._repr_markdown_()
        case Printed(text):
            return _fenced("text", text.rstrip("\n"))


def _fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```"
