"""The certificate: what was checked, against what, with which figures, and what reproduces it.

A certificate is data. It agrees only if every check that applies agrees; a check whose oracle did
not certify itself is inconclusive, and that is not a pass.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lagrangenet.problem import Problem

SCHEMA = "lagrangenet.certificate/1"

Verdict = Literal["agree", "disagree", "inapplicable", "inconclusive"]


@dataclass(frozen=True)
class CheckResult:
    """One line of a certificate.

    Attributes
    ----------
    problem : str
        Which problem was checked.
    name : str
        What was compared with what.
    figure : float or None
        The worst deviation that was measured; None if nothing was.
    tolerance : float
        The largest figure that agrees.
    verdict : {"agree", "disagree", "inapplicable", "inconclusive"}
    where : str
        Layer and equation of the worst deviation.
    note : str
        The reason of the tolerance; on failure, what was found.
    """

    problem: str
    name: str
    figure: float | None
    tolerance: float
    verdict: Verdict
    where: str = ""
    note: str = ""


@dataclass(frozen=True)
class Certificate:
    """The verdict on the generated code of one or several problems.

    Examples
    --------
    >>> line = CheckResult("xor", "gradient", 1e-16, 1e-12, "agree")
    >>> certificate = Certificate({"xor": {}}, 0, {}, {}, (line,))
    >>> certificate.verdict, certificate.agrees
    ('agree', True)
    """

    problem: Mapping[str, Mapping[str, Any]]
    seed: int
    environment: Mapping[str, str]
    sources: Mapping[str, str]
    checks: tuple[CheckResult, ...]

    @property
    def agrees(self) -> bool:
        """Whether at least one check was made and no check that applies failed."""
        verdicts = {check.verdict for check in self.checks}
        return "agree" in verdicts and not verdicts & {"disagree", "inconclusive"}

    @property
    def verdict(self) -> str:
        """``agree`` or ``disagree``."""
        return "agree" if self.agrees else "disagree"

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that did not agree."""
        return tuple(c for c in self.checks if c.verdict in {"disagree", "inconclusive"})

    def to_dict(self) -> dict[str, Any]:
        """The certificate as plain data, in the versioned schema."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "problem": {name: dict(declared) for name, declared in self.problem.items()},
            "seed": self.seed,
            "environment": dict(self.environment),
            "sources": dict(self.sources),
            "checks": [_finite(asdict(check)) for check in self.checks],
        }

    def to_json(self) -> str:
        """The certificate as JSON (infinite figures as the string ``"inf"``)."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        ValueError
            For another schema.
        """
        data = json.loads(text)
        if data.get("schema") != SCHEMA:
            raise ValueError(f"schema {data.get('schema')!r}, expected {SCHEMA!r}")
        checks = []
        for check in data["checks"]:
            figure = check["figure"]
            checks.append(
                CheckResult(**{**check, "figure": None if figure is None else float(figure)})
            )
        return cls(
            data["problem"], data["seed"], data["environment"], data["sources"], tuple(checks)
        )

    @classmethod
    def joined(cls, certificates: Iterable[Certificate]) -> Certificate:
        """One certificate over several problems, made with one seed."""
        parts = list(certificates)
        return cls(
            {name: value for part in parts for name, value in part.problem.items()},
            parts[0].seed,
            parts[0].environment,
            {name: value for part in parts for name, value in part.sources.items()},
            tuple(check for part in parts for check in part.checks),
        )

    def __str__(self) -> str:
        rows = [f"verdict: {self.verdict}"]
        for check in self.checks:
            figure = "–" if check.figure is None else f"{check.figure:.1e}"
            rows.append(
                f"{check.verdict:12s} {figure:>8s} ≤ {check.tolerance:.0e}  "
                f"{check.problem}: {check.name}"
            )
            if check.verdict != "agree":
                rows.append(f"{'':12s} {' '.join(filter(None, (check.where, check.note)))}")
        return "\n".join(rows)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    figure = row["figure"]
    if figure is not None and not np.isfinite(figure):
        row["figure"] = str(figure)
    return row


def declaration(problem: Problem, X: np.ndarray, Y: np.ndarray) -> dict[str, Any]:
    """A problem and its data as the certificate states them."""
    return {
        "summary": str(problem),
        "declaration": problem.to_toml(),
        "parameters": problem.size,
        "samples": len(X),
        "data_sha256": digest(np.ascontiguousarray(X), np.ascontiguousarray(Y)),
    }


def digest(*parts: Any) -> str:
    """SHA-256 over bytes and contiguous arrays."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def source_hash(source: str) -> str:
    """SHA-256 of a source text."""
    return digest(source.encode())


@cache
def package_hash() -> str:
    """SHA-256 over the package's own Python files, in order of their paths."""
    root = Path(__file__).resolve().parent.parent
    files = sorted(root.rglob("*.py"))
    return digest(*(f"{p.relative_to(root).as_posix()}\n".encode() + p.read_bytes() for p in files))


@cache
def environment() -> dict[str, str]:
    """Versions that the figures depend on."""
    from importlib.metadata import PackageNotFoundError, version  # here: its import is slow

    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    found["machine"] = platform.machine()
    for name in ("lagrangenet", "numpy", "scipy", "sympy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
