"""C files of the package as libraries: compiled once, checked, or refused with the reason."""

import pytest

from lagrangenet.runtime.compiled import NotCompiled, find_compiler
from lagrangenet.runtime.library import library
from tests.compilers import needs_compiler

SOURCE = "int twice(int n) { return 2 * n; }\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAGRANGENET_CACHE", str(tmp_path))
    library.cache_clear()
    yield tmp_path
    library.cache_clear()


@needs_compiler
def test_a_library_is_compiled_once_and_kept(folder):
    assert library(SOURCE).twice(21) == 42
    (entry,) = folder.glob("*.so")
    changed = entry.stat().st_mtime_ns
    library.cache_clear()
    assert library(SOURCE).twice(4) == 8
    assert entry.stat().st_mtime_ns == changed


@needs_compiler
def test_a_damaged_entry_is_built_again(folder):
    library(SOURCE)
    library.cache_clear()
    (entry,) = folder.glob("*.so")
    entry.unlink()
    entry.write_bytes(b"damaged")
    assert library(SOURCE).twice(3) == 6


@needs_compiler
def test_what_does_not_compile_is_refused_with_the_compilers_words(folder):
    with pytest.raises(NotCompiled, match="error"):
        library("int twice(int n) { return n * ; }")


def test_without_a_compiler_the_reason_is_given(folder, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    find_compiler.cache_clear()
    try:
        with pytest.raises(NotCompiled, match="no C compiler"):
            library(SOURCE)
    finally:
        find_compiler.cache_clear()


@needs_compiler
def test_a_folder_that_cannot_be_written_to_is_named(folder, monkeypatch):
    blocked = folder / "file"
    blocked.write_text("")
    monkeypatch.setenv("LAGRANGENET_CACHE", str(blocked / "inside"))
    with pytest.raises(NotCompiled, match="cannot be kept"):
        library(SOURCE)
