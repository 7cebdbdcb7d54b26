"""Hostile submissions: none passes, none outlives its time, none leaves a process or a file."""

import os
import re
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import lagrangenet
from lagrangenet.grading import Assignment
from lagrangenet.grading.containment import enough, layers_to_use
from lagrangenet.grading.driver import grade
from lagrangenet.grading.submission import Submission
from tests.grading.attacks import BREAKOUTS, ENDLESS, FORGERIES, NOISES, REACHES, RIGHT

ASSIGNMENT = """
name = "Two layers"
[network]
widths = ["any", "any", "any"]
activation = "tanh"
loss = "squared_error"
[submission]
calls = "loss, grads = solve(theta, X, Y)"
[limits]
seconds = {seconds}
memory_mb = 1024
"""
SECONDS = 5.0
#: For starting a child, judging and a busy machine; without limits the attacks run for ever.
SLACK = 30.0
#: Run every time; the others with ``-m slow``.
EVERY_TIME = {
    "loop in a call",
    "sleep",
    "signals ignored",
    "fork bomb",
    "daemon",
    "memory bomb",
    "a large file",
    "many files",
    "exit",
    "a huge message",
    "environment of the grader",
    "a file of the grader",
    "a file outside",
    "a connection",
    "a signal to the grader",
    "the package that knows the answer",
    "the answer in a frame",
    "numpy.testing replaced",
    "a subclass that equals everything",
    "nan",
    "object arrays",
    "shapes that broadcast",
    "a reply of its own",
    "answers for published examples",
    "standard output flood",
    "a folder without rights",
}
contained = pytest.mark.skipif(
    not enough(layers_to_use()[1]),
    reason=f"this machine isolates with {', '.join(layers_to_use()[1]) or 'nothing'} alone",
)


def attacks(group):
    """Parameters of a test: the names of a group."""
    rare = [pytest.mark.slow]
    return [pytest.param(name, marks=[] if name in EVERY_TIME else rare) for name in group]


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    """A temporary folder of the test's own, by which what is left is found."""
    place = tmp_path / "room"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("LAGRANGENET_SECRET", "42")
    yield place
    assert not left(place), "processes were left"
    assert not list(place.iterdir()), "files were left"


def left(place):
    """Processes whose environment names the folder, after a moment in which the kernel tidies up."""
    for _ in range(40):
        running = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        found = [entry.name for entry in running if mentions(entry, place)]
        if not found:
            break
        time.sleep(0.05)
    return found


def mentions(process, place):
    try:
        return os.fsencode(place) in (process / "environ").read_bytes()
    except OSError:
        return False


def graded(attack, seconds=SECONDS, honest=RIGHT):
    """The grade, and how long it took."""
    assignment = Assignment.from_toml(ASSIGNMENT.format(seconds=seconds))
    start = time.monotonic()
    found = grade(assignment, Submission.of_source(honest + attack), seed=5, untrusted=True)
    return found, time.monotonic() - start


def test_every_name_is_one():
    assert {*ENDLESS, *BREAKOUTS, *REACHES, *FORGERIES, *NOISES} > EVERY_TIME


@contained
def test_the_honest_answer_passes():
    found, _ = graded("")
    assert [part.verdict for part in found.parts] == ["right", "right"]
    assert found.status == 0


@contained
@pytest.mark.parametrize("name", attacks(ENDLESS))
def test_what_never_ends_is_ended(name):
    found, seconds = graded(ENDLESS[name], seconds=1.0)
    assert {part.verdict for part in found.parts} == {"not_gradable"}
    assert found.status == 2
    assert found.score == 0
    assert seconds < 1.0 + SLACK


@contained
@pytest.mark.parametrize("name", attacks(BREAKOUTS))
def test_limits_hold(name):
    found, seconds = graded(BREAKOUTS[name])
    assert all(part.verdict != "right" for part in found.parts)
    assert found.score == 0
    assert seconds < SECONDS + SLACK
    assert len(found.to_json()) < 40_000
    assert not re.search("NameError|SyntaxError", found.to_json())


@contained
@pytest.mark.parametrize("name", attacks(REACHES))
def test_nothing_outside_is_reached(name, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("42")
    (outside / "secret").chmod(0o644)
    outside.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {
            "outside": outside,
            "port": server.getsockname()[1],
            "grader": os.getpid(),
            "package": Path(lagrangenet.__file__).parents[1],
            "site": Path(np.__file__).parents[1],
        }
        found, _ = graded(REACHES[name].format(**facts))
        server.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert all(part.verdict != "right" for part in found.parts)
    assert not re.search("NameError|SyntaxError", found.to_json())
    assert [file.name for file in outside.iterdir()] == ["secret"]
    assert not Path("/tmp/lagrangenet-attack").exists()
    assert not Path("/dev/shm/lagrangenet-attack").exists()


@contained
@pytest.mark.parametrize("name", attacks(FORGERIES))
def test_no_forgery_passes(name):
    found, seconds = graded(FORGERIES[name])
    assert all(part.verdict != "right" for part in found.parts if part.name == "gradient")
    assert found.status in {1, 2}
    assert found.score < found.max_score
    assert seconds < SECONDS + SLACK


@contained
@pytest.mark.parametrize("name", attacks(NOISES))
def test_noise_neither_hangs_nor_stays(name):
    found, seconds = graded(NOISES[name])
    assert found.status == 0
    assert seconds < SECONDS + SLACK
    assert len(found.to_json()) < 10_000
