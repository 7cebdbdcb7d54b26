"""What the child is told to put around itself, and what it may see; the grader's side.

Readable are the standard library, the packages that an assignment allows, and the system's shared
libraries; ``site-packages`` is not, so that no other package, this one included, can be imported.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lagrangenet.errors import MissingExtra

LAYERS = ("namespaces", "landlock", "seccomp")
#: Variables that a Python may need to start at all; everything else is not passed on.
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
_THREADS = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
_BOOTSTRAP = (
    "import sys, types; p = types.ModuleType('isolation'); p.__path__ = [sys.argv[1]]; "
    "sys.modules['isolation'] = p; from isolation import launcher; launcher.main()"
)


def command() -> list[str]:
    """How the child is started: no environment, no site, no bytecode written."""
    flags = ["-I", "-S", "-B", "-X", "utf8"]
    return [sys.executable, *flags, "-c", _BOOTSTRAP, str(Path(__file__).parent)]


def environment(folder: str) -> dict[str, str]:
    """The child's environment: nothing of this process's but what a Python needs to start."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    single = {f"{name}_NUM_THREADS": "1" for name in _THREADS}
    return {**kept, **single, "PATH": os.defpath, "HOME": folder, "TMPDIR": folder}


@cache
def visible(packages: tuple[str, ...]) -> dict[str, Any]:
    """Folders of the packages, and what may be read.

    Raises
    ------
    MissingExtra
        If an allowed package is not installed.
    """
    found = {name: _folder(name) for name in packages}
    beside = [f"{folder}.libs" for folder in found.values()]
    places = [*found.values(), *(folder for folder in beside if Path(folder).is_dir())]
    library = dict.fromkeys(sysconfig.get_path(key) for key in ("stdlib", "platstdlib"))
    others = ("site-packages", "dist-packages")
    entries = [
        str(entry) for folder in library for entry in _entries(folder) if entry.name not in others
    ]
    system = _system()
    return {
        "packages": found,
        "roots": [*library, *places, *system],
        "readable": [*entries, *places, *system],
        "hidden": [str(Path(folder, name)) for folder in library for name in others],
    }


def _folder(package: str) -> str:
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or spec.origin is None:
        raise MissingExtra(
            package, "all", f"the assignment lets submissions import {package}; grading"
        )
    file = Path(spec.origin).resolve()
    return str(file.parent if file.name == "__init__.py" else file)


def _entries(folder: str) -> Iterable[Path]:
    return sorted(Path(folder).iterdir())


def _system() -> list[str]:
    """Shared libraries of the system."""
    kind = sysconfig.get_config_var("MULTIARCH")
    candidates = [f"/usr/lib/{kind}", f"/lib/{kind}"] if kind else ["/usr/lib"]
    candidates += ["/usr/lib64", "/lib64", "/etc/ld.so.cache"]
    return [path for path in candidates if Path(path).exists()]


def bubblewrap(seen: dict[str, Any], folder: str) -> list[str]:
    """The words before the command that let bubblewrap put namespaces around it; none without it."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    if program is None:
        return []
    prefix = [sys.prefix, sys.base_prefix, str(Path(__file__).parent), *seen["roots"]]
    binds = [word for path in dict.fromkeys(prefix) for word in ("--ro-bind-try", path, path)]
    return [
        *(program, "--unshare-all", "--die-with-parent", "--new-session", *binds),
        *("--dev", "/dev", "--bind", folder, folder, "--remount-ro", "/", "--chdir", folder, "--"),
    ]
