"""Run by a Python that has gradescope-utils, otter-grader and nbgrader: what they make of an export.

python graders.py gradescope|otter|nbgrader < export
"""

import io
import json
import logging
import sys
import tempfile
import unittest
from pathlib import Path


def gradescope(text):
    """The tests of a results.json, made again as unit tests and run by the tool's own runner."""
    from gradescope_utils.autograder_utils.decorators import number, partial_credit
    from gradescope_utils.autograder_utils.json_test_runner import JSONTestRunner

    given = json.loads(text)
    suite = unittest.TestSuite()
    for test in given["tests"]:
        points = test["score"]

        @partial_credit(test["max_score"])
        @number(test["number"])
        def check(self, points=points, set_score=None):
            set_score(points)

        check.__doc__ = test["name"]
        suite.addTest(type("Made", (unittest.TestCase,), {"test": check})("test"))
    stream = io.StringIO()
    JSONTestRunner(stream=stream, visibility="visible").run(suite)
    made = json.loads(stream.getvalue())
    keys = ("name", "number", "score", "max_score", "status")
    rows = [
        [{key: test[key] for key in keys} for test in result["tests"]] for result in (given, made)
    ]
    return {"same": rows[0] == rows[1], "tests": rows[1], "scores": [given["score"], made["score"]]}


def otter(text):
    """The results as otter reads them, as it says them, and as it hands them to Gradescope."""
    from otter.run import AutograderConfig
    from otter.test_files import GradingResults

    read = GradingResults.from_ottr_json(text)
    handed = read.to_gradescope_dict(AutograderConfig({"show_hidden": True}))
    return {
        "total": read.total,
        "possible": read.possible,
        "scores": [[one.score, one.possible, one.passed_all] for one in read.results.values()],
        "summaries": [one.summary() for one in read.results.values()],
        "gradescope": [
            [test["score"], test["max_score"]] for test in handed["tests"] if "score" in test
        ],
        "kept": list(read.to_dict()),
    }


def nbgrader(text):
    """The notebook through nbgrader's own reading, checking and saving of autogrades."""
    import nbformat
    from nbgrader import utils
    from nbgrader.api import Gradebook
    from nbgrader.nbgraderformat import reads
    from nbgrader.preprocessors import SaveAutoGrades, SaveCells

    logging.disable(logging.CRITICAL)
    notebook = reads(text, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if utils.is_grade(cell)]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'gradebook.db')}"
        with Gradebook(url) as gradebook:
            gradebook.add_assignment("hw")
            gradebook.add_student("student")
        names = {"notebook": "answer", "assignment": "hw", "student": "student", "db_url": url}
        SaveCells().preprocess(notebook, {"nbgrader": names})
        with Gradebook(url) as gradebook:
            gradebook.add_submission("hw", "student")
        SaveAutoGrades().preprocess(notebook, {"nbgrader": names})
        with Gradebook(url) as gradebook:
            submission = gradebook.find_submission("hw", "student")
            score, most = submission.score, submission.max_score
            review = submission.needs_manual_grade
    return {
        "grades": [utils.determine_grade(cell) for cell in cells],
        "checksums": [utils.compute_checksum(c) == c.metadata.nbgrader.checksum for c in cells],
        "score": score,
        "max_score": most,
        "review": review,
    }


if __name__ == "__main__":
    tools = {"gradescope": gradescope, "otter": otter, "nbgrader": nbgrader}
    json.dump(tools[sys.argv[1]](sys.stdin.read()), sys.stdout)
