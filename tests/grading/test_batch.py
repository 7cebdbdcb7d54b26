"""Many submissions: in order, resumable, whole files; and the command that does it."""

import csv
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from lagrangenet.cli import main
from lagrangenet.errors import DataError
from lagrangenet.grading import Assignment, Grade
from lagrangenet.grading.batch import Batch, submissions

HERE = Path(__file__).parent
TASK = HERE / "answers" / "lagrange.toml"
RIGHT = (HERE / "answers" / "lagrange.py").read_text()
WRONG = RIGHT.replace("(Y - xs[-1]) / M", "(Y - xs[-1])")
CRASH = "def solve(theta, X, Y): return 1 / 0"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "class"
    place.mkdir()
    (place / "ada.py").write_text(RIGHT)
    (place / "bob.py").write_text(WRONG)
    (place / "=cmd.py").write_text(CRASH)
    (place / "dan.ipynb").write_text("{}")
    (place / ".hidden.py").write_text(RIGHT)
    (place / "notes.txt").write_text("no submission")
    (place / "eve").mkdir()
    (place / "eve" / "solution.py").write_text(RIGHT)
    return place


def run(*arguments):
    """The command: its standard output, standard error and exit status."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(["grade", *map(str, arguments)])
    return out.getvalue(), err.getvalue(), end.value.code


def test_a_class(folder, tmp_path):
    out = tmp_path / "out"
    _, said, status = run(
        folder, "--assignment", TASK, "--out", out, "--format", "html", "--seed", 3
    )
    assert status == 2
    assert "5 graded" in said
    grades = {
        name: Grade.from_json((out / f"{name}.json").read_text())
        for name in ("ada.py", "bob.py", "eve")
    }
    assert [grades[name].score for name in ("ada.py", "bob.py", "eve")] == [3, 1, 3]
    assert {grade.seed for grade in grades.values()} == {3}
    rows = list(csv.DictReader(io.StringIO((out / "class.csv").read_text())))
    assert [row["submission"] for row in rows] == [
        "'=cmd.py",
        "ada.py",
        "bob.py",
        "dan.ipynb",
        "eve",
    ]
    assert [row["gradient verdict"] for row in rows] == [
        "not_gradable",
        "right",
        "wrong",
        "not_gradable",
        "right",
    ]
    assert "1/M" in rows[2]["gradient diagnosis"]
    page = (out / "class.html").read_text()
    assert "1/M (the mean over the samples) is missing" in page
    assert "dan.ipynb is no notebook" in (out / "dan.ipynb.html").read_text()
    assert not [file for file in out.iterdir() if file.name.startswith(".")]


def test_a_rerun_does_only_what_changed(folder, tmp_path, monkeypatch):
    graded = []

    def counted(assignment, submission, *arguments):
        graded.append(submission.name)
        return original(assignment, submission, *arguments)

    from lagrangenet.grading import batch

    original = batch.grade
    monkeypatch.setattr(batch, "grade", counted)
    assignment = Assignment.load(TASK)
    paths = [folder / name for name in ("ada.py", "bob.py", "eve")]

    def once(seed, task=assignment):
        graded.clear()
        return Batch.of(task, seed, False, tmp_path / "out").run(paths, 2, lambda _: None)

    first = once(1)
    assert sorted(graded) == ["ada.py", "bob.py", "eve"]
    assert once(None) == first
    assert graded == []
    (folder / "bob.py").write_text(RIGHT)
    assert [grade.score for grade in once(2)] == [3, 3, 3]
    assert graded == ["bob.py"]
    (tmp_path / "out" / "ada.py.json").write_text("{")
    once(2)
    assert graded == ["ada.py"]
    once(2, Assignment.from_toml(TASK.read_text().replace("[2, 3]", "[1, 3]")))
    assert sorted(graded) == ["ada.py", "bob.py", "eve"]


def test_a_seed_repeats_a_grade_and_no_seed_draws_one():
    assignment, path = Assignment.load(TASK), HERE / "answers" / "lagrange.py"
    seeds = {Batch.of(assignment, None, False, None).seed for _ in range(3)}
    assert len(seeds) == 3
    one, two = (Batch.of(assignment, 5, False, None).one(path) for _ in range(2))
    assert (one.parts, one.seed) == (two.parts, two.seed)


def test_what_is_found(folder, tmp_path):
    assert [path.name for path in submissions([folder])] == [
        "=cmd.py",
        "ada.py",
        "bob.py",
        "dan.ipynb",
        "eve",
    ]
    with pytest.raises(DataError, match="no such file"):
        submissions([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no submission"):
        submissions([tmp_path / "empty"])
    shutil.copytree(folder, tmp_path / "again")
    with pytest.raises(DataError, match=r"two submissions have the name '=cmd.py'"):
        submissions([folder, tmp_path / "again"])


@pytest.mark.parametrize(
    ("source", "status"), [(RIGHT, 0), (WRONG, 1), (CRASH, 2), ("x = 1", 2), ("x = (", 2)]
)
def test_the_exit_status(tmp_path, source, status):
    (tmp_path / "s.py").write_text(source)
    out, _, code = run(tmp_path / "s.py", "--assignment", TASK, "--format", "json", "--seed", 1)
    grade = json.loads(out)
    assert code == status
    assert {"schema", "score", "max_score", "parts", "isolation", "seed"} <= grade.keys()
    keys = {"name", "verdict", "diagnosis", "layer", "equation", "expected", "found", "note"}
    assert all(keys <= part.keys() for part in grade["parts"])


def test_why_it_is_not_gradable_is_said(tmp_path):
    (tmp_path / "s.py").write_text("def solv(theta, X, Y): pass")
    out, _, _ = run(tmp_path / "s.py", "--assignment", TASK)
    assert "the submission has no 'solve'" in out
    (tmp_path / "s.py").write_text("import nothing_there\ndef solve(theta, X, Y): pass")
    out, _, _ = run(tmp_path / "s.py", "--assignment", TASK)
    assert "No module named 'nothing_there' (s.py, line 1, in <module>)" in out


def test_hidden_and_full(tmp_path):
    (tmp_path / "s.py").write_text(WRONG)
    arguments = (tmp_path / "s.py", "--assignment", TASK, "--seed", 1)
    hidden, full = run(*arguments)[0], run(*arguments, "--full")[0]
    assert "hint:" in hidden
    assert "1/M (the mean over the samples) is missing" not in hidden
    assert "1/M (the mean over the samples) is missing" in full
    page = run(*arguments, "--full", "--format", "html")[0]
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to grade and against what"),
        (["x.py"], "say what to grade and against what"),
        (["x.py", "--assignment", str(TASK)], "'x.py': no such file"),
        (["x.py", "--assignment", "none.toml"], "cannot read the problem file"),
        (["x.py", "--assignment", str(TASK), "--format", "pdf"], "no format 'pdf'; known: text"),
    ],
)
def test_bad_input_is_named(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, said, status = run(*arguments)
    assert status == 2
    assert words in said


def test_several_submissions_need_a_folder_where_a_format_is_one_document(folder):
    _, said, status = run(folder, "--assignment", TASK, "--format", "html")
    assert (status, "say where with --out" in said) == (2, True)
    out, _, _ = run(folder / "ada.py", folder / "eve", "--assignment", TASK, "--format", "json")
    assert [grade["score"] for grade in json.loads(out)["grades"]] == [3, 3]


def test_the_template(tmp_path):
    text, _, status = run("--init")
    assert status == 0
    assert Assignment.from_toml(text).name == "Backpropagation by hand"
    place = tmp_path / "hw.toml"
    assert run("--init", "--assignment", place)[2] == 0
    assert place.read_text() == text
    _, said, status = run("--init", "--assignment", place)
    assert (status, "is there already" in said) == (2, True)


def test_untrusted_is_refused_with_status_2(tmp_path, monkeypatch, capsys):
    (tmp_path / "s.py").write_text(RIGHT)
    monkeypatch.setattr("lagrangenet.grading.driver.layers_to_use", lambda: ((), ("memory",)))
    with pytest.raises(SystemExit) as end:
        main(["grade", str(tmp_path / "s.py"), "--assignment", str(TASK), "--untrusted"])
    assert end.value.code == 2
    assert (
        "untrusted submissions need more isolation than is there (memory)"
        in capsys.readouterr().err
    )
