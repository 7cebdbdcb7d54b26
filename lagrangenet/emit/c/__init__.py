"""C11: the fastest target where there is a compiler. See :mod:`.module`.

The printer is imported when it is asked for: with it, importing the package would take a tenth longer.
"""

from typing import Any

from lagrangenet.emit.targets import TARGETS, Cost, Target
from lagrangenet.routines.ir import Program


def emit(program: Program, *settings: Any) -> str:
    """A linked program as the text of a C file; settings as of :func:`.module.emit`."""
    from lagrangenet.emit.c.module import emit as print_c

    return print_c(program, *settings)


def header(program: Program, dtype: str) -> str:
    """The declarations for C programs; see :func:`.module.header`."""
    from lagrangenet.emit.c.module import header as print_header

    return print_header(program, dtype)


_COST = Cost(line=2.7e-9, row=0, value=6.4e-12, exponential=2.7e-10, function=2.8e-10, flop=9.1e-12)
TARGETS.add(Target("c", "standalone C11, compiled on this machine", emit, language="c", cost=_COST))
