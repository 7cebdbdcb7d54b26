"""Many submissions: graded side by side, each result on disk before the next, what is done kept.

A folder holds submissions, a file or a folder each. A result names the digest of what it came from,
so a run that was interrupted goes on where it was, and a changed submission is graded again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from lagrangenet.errors import DataError
from lagrangenet.grading.assignment import Assignment
from lagrangenet.grading.driver import grade
from lagrangenet.grading.result import Grade, Part
from lagrangenet.grading.submission import CODE, Submission


def submissions(paths: Iterable[str | Path]) -> list[Path]:
    """What is to be graded: the files named, and what is in the folders named.

    In a folder: code, TOML, Markdown and LaTeX files, each a submission, and folders; a ``README`` is
    none.

    Raises
    ------
    DataError
        If a path is not there, a folder holds nothing, or two submissions have one name.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise DataError(f"{str(path)!r}: no such file or folder")
            found.append(path)
            continue
        inside = sorted(
            item
            for item in path.iterdir()
            if not item.name.startswith((".", "_", "README"))
            and (item.is_dir() or item.suffix in (*CODE, ".toml", ".md", ".tex"))
        )
        if not inside:
            raise DataError(
                f"{str(path)!r} holds no submission: .py, .ipynb, .toml, .md, .tex, or folders"
            )
        found += inside
    names = [item.name for item in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"two submissions have the name {twice[0]!r}")
    return found


@dataclass(frozen=True)
class Batch:
    """How submissions of one assignment are graded.

    Attributes
    ----------
    assignment : Assignment
        What was asked.
    seed : int
        Of the probes, the same for all; drawn after they were handed in.
    untrusted : bool
        See :func:`~lagrangenet.grading.driver.grade`.
    folder : Path or None
        Where results are kept.
    """

    assignment: Assignment
    seed: int
    untrusted: bool = False
    folder: Path | None = None

    @classmethod
    def of(
        cls, assignment: Assignment, seed: int | None, untrusted: bool, folder: Path | None
    ) -> Batch:
        """A batch, with a seed of its own if none is given."""
        return cls(
            assignment, secrets.randbelow(2**31) if seed is None else seed, untrusted, folder
        )

    def run(
        self, paths: Iterable[Path], workers: int, report: Callable[[str], None]
    ) -> tuple[Grade, ...]:
        """Grade all, ``workers`` at a time, in the order of the paths."""
        listed = list(paths)
        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(self.one, path): k for k, path in enumerate(listed)}
            grades: dict[int, Grade] = {}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    grades[futures[future]] = future.result()
                    report(f"{done} of {len(listed)} graded")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(grades[k] for k in range(len(listed)))

    def one(self, path: Path) -> Grade:
        """Grade one submission, or take the result that is there."""
        try:
            submission = Submission.load(path)
        except DataError as error:
            return self._kept(unreadable(self.assignment, path.name, str(error)))
        source = self._digest(submission)
        if (known := self._known(submission.name)) is not None and known.source == source:
            return known
        graded = grade(self.assignment, submission, self.seed, self.untrusted)
        return self._kept(replace(graded, source=source))

    def _digest(self, submission: Submission) -> str:
        text = f"{submission.digest} {self.assignment!r}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _known(self, name: str) -> Grade | None:
        if self.folder is None:
            return None
        try:
            return Grade.from_json((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, DataError, UnicodeDecodeError):
            return None

    def _kept(self, graded: Grade) -> Grade:
        if self.folder is not None:
            write_whole(self.folder / f"{graded.submission}.json", graded.to_json() + "\n")
        return graded


def unreadable(assignment: Assignment, name: str, why: str) -> Grade:
    """The grade of what cannot be read."""
    parts = tuple(Part(p.name, "not_gradable", 0.0, p.points, note=why) for p in assignment.parts)
    return Grade(name, assignment.name, parts, note=why, hidden=assignment.hidden)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either there as a whole or as it was before."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"cannot write {str(path)!r}: {error}") from None
