"""What was measured on: versions, processor, compiler."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "lagrangenet",
    "numpy",
    "scipy",
    "sympy",
    "numba",
    "jax",
    "jaxlib",
    "torch",
    "autograd",
    "casadi",
    "scikit-learn",
)
#: Prefixes of the variables that thread pools and BLAS read.
LIBRARIES = ("GOMP_", "KMP_", "MKL_", "NUMBA_", "OMP_", "OPENBLAS_", "XLA_")


def environment() -> dict[str, Any]:
    """As JSON."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "compiler": _compiler(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "variables": {name: os.environ[name] for name in sorted(os.environ) if _counts(name)},
    }


def _counts(variable: str) -> bool:
    """Whether a variable of the environment may change what a library does."""
    return variable.startswith(LIBRARIES)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """The model, and the widest vectors that it computes with."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    vectors = [name for name in ("avx512f", "avx2", "avx") if name in flags][:1]
    return " ".join([facts.get("model name", platform.processor()), *vectors])


def _compiler() -> str:
    """The first line of what it says of itself."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return ""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]
