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


_COST = Cost(call=5e-8, line=2e-8, value=1.5e-9)
TARGETS.add(Target("c", "standalone C11, compiled on this machine", emit, language="c", cost=_COST))
