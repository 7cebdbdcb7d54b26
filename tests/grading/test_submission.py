"""What is handed in, read as text: files, notebooks, folders, formulas."""

import json

import pytest

from lagrangenet.errors import DataError
from lagrangenet.grading.submission import MAX_BYTES, Submission, notebook_cells


def notebook(*sources, kind="code"):
    cells = [{"cell_type": kind, "source": source} for source in sources]
    return json.dumps({"nbformat": 4, "cells": cells})


def test_a_file(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("\ufeffx = 1\n", encoding="utf-8")
    read = Submission.load(file)
    assert (read.name, read.blocks) == ("a.py", (("a.py", "x = 1\n"),))


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install x\n!ls -l\nx = 1", "pass\npass\nx = 1"),
        ("if x:\n    %timeit f()\ny = 2", "if x:\n    pass\ny = 2"),
        ("?f\nf?\nnp.dot??", "pass\npass\npass"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("x = (7\n     % 4)  # why?\ny = 'what?'", "x = (7\n     % 4)  # why?\ny = 'what?'"),
        (["x = 1\n", "y = 2"], "x = 1\ny = 2"),
    ],
)
def test_magics_are_dropped_and_lines_stay(source, plain):
    assert notebook_cells(notebook(source)) == (("cell 1", plain),)


def test_cells_of_another_language_and_text_are_left_out():
    assert notebook_cells(notebook("%%bash\nrm x", "%%html\n<b>", "x = 1")) == (
        ("cell 3", "x = 1"),
    )
    assert notebook_cells(notebook("# title", kind="markdown")) == ()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cells": 1}', '{"cells": [{}]}', "[" * 100_000, '{"worksheets": []}']
)
def test_what_is_no_notebook_is_refused(text):
    with pytest.raises(DataError, match="is no notebook"):
        notebook_cells(text)


def test_nothing_is_executed_here(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    Submission.load(file)
    assert not (tmp_path / "ran").exists()


def test_a_folder_is_one_submission(tmp_path):
    (tmp_path / "layers.py").write_text("W = 1")
    (tmp_path / "solution.py").write_text("import layers")
    (tmp_path / "formulas.toml").write_text('[formulas]\noutput = "λ^N = -1/M"')
    (tmp_path / "notes.txt").write_text("no")
    read = Submission.load(tmp_path)
    assert read.blocks == (("solution.py", "import layers"),)
    assert dict(read.modules) == {"layers": "W = 1"}
    assert dict(read.formulas) == {"output": "λ^N = -1/M"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no .py, .ipynb, .toml, .md, .tex, .txt file"),
        ({"a.py": "", "b.py": ""}, "which of a.py, b.py is the answer"),
        ({"a.ipynb": notebook("x", kind="markdown")}, "no code cell"),
        ({"a.toml": "x = "}, "is no TOML"),
        ({"a.toml": "x = 3"}, "key 'x' is not one of"),
        ({"a.toml": "formulas = 3"}, "has none of the parts"),
        ({"a.md": "# Thoughts"}, "has none of the parts"),
        ({"a.py": "x" * (MAX_BYTES + 1)}, "at most"),
        ({"a.py": b"\xff\xfe"}, "cannot read"),
    ],
)
def test_what_is_no_submission_is_refused(tmp_path, files, words):
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=words):
        Submission.load(tmp_path)


def test_the_digest_is_that_of_the_content(tmp_path):
    file = tmp_path / "a.py"
    file.write_text("x = 1")
    first = Submission.load(file).digest
    file.write_text("x = 2")
    second = Submission.load(file).digest
    file.write_text("x = 1")
    assert Submission.load(file).digest == first != second


def test_a_name_cannot_write_to_the_terminal(tmp_path):
    file = tmp_path / "a\x1b[2J.py"
    file.write_text("x = 1")
    assert Submission.load(file).name == "a [2J.py"
