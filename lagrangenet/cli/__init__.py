"""The command line: a file here is a command.

Exit status: 0 agreed (or done), 1 disagreed, 2 bad input, 3 a defect of this package. Results go
to standard output, progress to standard error and only on a terminal.
"""

import pkgutil
from importlib import import_module

from lagrangenet.cli.application import app, main

for _found in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")

__all__ = ["app", "main"]
