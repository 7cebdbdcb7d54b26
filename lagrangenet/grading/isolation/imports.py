"""What a submission may import, and how its own texts are run.

Besides the standard library: the packages that the assignment allows, each from its own folder
alone; the other files that were handed in; and stand-ins for packages that only draw. Whatever else
is not found. It keeps nobody from changing this, which is why the files of other packages are not
readable in the first place.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from importlib import machinery, util
from typing import Any

#: The names under which the submission's texts are compiled: what is counted and shown.
TEXTS: set[str] = set()


def run(title: str, text: str, module: types.ModuleType) -> None:
    """Compile a text of the submission and run it in a module."""
    TEXTS.add(f"<{title}>")
    code = compile(text, f"<{title}>", "exec", dont_inherit=True)
    exec(code, module.__dict__)  # noqa: S102  # the submission, in the child that is made for it


class StandIn(types.ModuleType):
    """A package that is not there: every attribute and every call is another stand-in."""

    __path__: list[str] = []  # noqa: RUF012  # what makes a module a package

    def __getattr__(self, name: str) -> Any:
        """Give a stand-in, but for what Python itself asks for."""
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Give a stand-in."""
        return StandIn("value")

    def __iter__(self) -> Iterator[Any]:
        """Two of them, as ``fig, axes = plt.subplots()`` needs."""
        return iter((StandIn("value"), StandIn("value")))


class Finder:
    """Imports besides the standard library: allowed packages, the submission's files, stand-ins."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.packages, self.files = config["packages"], config["modules"]
        self.placeholders = set(config["placeholders"])

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find a top-level package by its folder, a file by its text, a stand-in by its name."""
        del path, target
        if name in self.files:
            return machinery.ModuleSpec(name, self)  # type: ignore[arg-type]  # finder and loader in one
        if name in self.packages:
            folder = self.packages[name]
            if folder.endswith(".py"):
                return util.spec_from_file_location(name, folder)
            start = f"{folder}/__init__.py"
            return util.spec_from_file_location(name, start, submodule_search_locations=[folder])
        if name.split(".", maxsplit=1)[0] in self.placeholders:
            return machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: Any) -> Any:
        """Give the module that a spec stands for."""
        return types.ModuleType(spec.name) if spec.name in self.files else StandIn(spec.name)

    def exec_module(self, module: Any) -> None:
        """Run a file of the submission."""
        if module.__name__ in self.files:
            run(f"{module.__name__}.py", self.files[module.__name__], module)
