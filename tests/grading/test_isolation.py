"""Each layer alone: what it holds back, on machines that have it."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lagrangenet.errors import IsolationError, MissingExtra
from lagrangenet.grading import Assignment, Limits, containment
from lagrangenet.grading.containment import enough, in_force, require_enough
from lagrangenet.grading.driver import grade
from lagrangenet.grading.isolation import landlock, seccomp, surroundings
from lagrangenet.grading.process import Child
from lagrangenet.grading.submission import Submission

LAYERS = {
    "namespaces": ("process namespace", "network namespace", "private file system"),
    "landlock": ("Landlock",),
    "seccomp": ("seccomp",),
    "bubblewrap": ("bubblewrap",),
}


def layer(*names):
    """Skip where a layer does not come up, with what did."""
    use = tuple(names)
    try:
        there = " ".join(in_force(use))
    except OSError as error:
        there = str(error)
    wanted = [word for name in names for word in LAYERS[name]]
    lacking = [word for word in wanted if word not in there]
    reason = f"no {', '.join(lacking)} on this machine ({there or 'nothing'})"
    return pytest.param(
        use, id="+".join(names), marks=pytest.mark.skipif(bool(lacking), reason=reason)
    )


ALONE = [layer("namespaces"), layer("landlock"), layer("seccomp"), layer("bubblewrap")]
FILES = [ALONE[0], ALONE[1], ALONE[3], layer("landlock", "seccomp")]
NETWORK = [ALONE[0], ALONE[2], ALONE[3], layer("landlock", "seccomp")]


def said(source, use, **limits):
    """What a submission prints in these layers, and how it ended."""
    with Child(Submission.of_source(source), Limits(**{"seconds": 20, **limits}), use=use) as child:
        pass
    return child.printed, child.failure, child.broken


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    place = tmp_path / "room"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not list(place.iterdir())


@pytest.mark.parametrize("use", ALONE)
def test_a_submission_can_work_in_each_layer(use):
    source = """
import numpy as np, numpy.random, numpy.polynomial, json, decimal, dataclasses, bz2, threading
open("mine.txt", "w").write("kept"); print(open("mine.txt").read())
import os; os.mkdir("d"); os.rename("mine.txt", "d/x"); os.remove("d/x"); os.rmdir("d")
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
print(np.linalg.solve(np.eye(300) * 2, np.ones(300)).sum(), np.random.default_rng(0).random() < 1)
"""
    assert said(source, use) == ("kept\nthread\n150.0 True\n", None, ())


@pytest.mark.parametrize("use", FILES)
def test_files_outside_are_out_of_reach(use, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("42")
    source = f"""
for place in ({str(secret)!r}, "/etc/passwd", "/proc/1/environ", "/proc/{os.getpid()}/environ"):
    try: print(open(place).read())
    except OSError as error: print("no")
try: open({str(tmp_path / "new")!r}, "w"); print("written")
except OSError: print("no")
"""
    printed, failure, broken = said(source, use)
    assert (printed, failure, broken) == ("no\n" * 5, None, ())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("use", NETWORK)
def test_no_connection_leaves(use):
    source = """
import socket
try:
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
    socket.create_connection(server.getsockname(), timeout=1); print("connected")
except OSError: print("no")
"""
    # a network namespace's loopback is down until somebody takes it up; bubblewrap's is up and its own
    expected = {"no\n"} if "bubblewrap" not in use else {"no\n", "connected\n"}
    assert said(source, use)[0] in expected


@pytest.mark.parametrize("use", NETWORK)
def test_the_machines_loopback_is_not_the_submissions(use):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        source = f"""
import socket
try: socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=1); print("yes")
except OSError: print("no")
"""
        assert said(source, use)[0] == "no\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("use", [*ALONE, pytest.param((), id="limits alone")])
def test_no_process_outlives_its_submission(use, room):
    source = """
import os, time
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(30)
        os._exit(0)
except OSError: pass
print("on")
"""
    assert said(source, use)[0] == "on\n"
    for _ in range(40):
        if not (found := [p for p in Path("/proc").iterdir() if _of(p, room)]):
            break
        time.sleep(0.05)
    assert not found


def _of(process, place):
    try:
        return os.fsencode(place) in (process / "environ").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("use", [pytest.param((), id="limits alone")])
def test_limits_hold_without_any_layer(use):
    endless, failure, _ = said("while True: pass", use, seconds=0.5)
    assert (endless, failure.kind) == ("", "timeout")
    if sys.platform == "linux":
        _, failure, broken = said("x = bytearray(2**31)", use, memory_mb=512)
        assert failure is None
        assert "MemoryError" in broken[0]
        _, failure, broken = said("open('x', 'wb').write(bytes(3 * 2**20))", use, file_mb=1)
        assert "File too large" in (broken or (str(failure),))[0] or failure.kind == "died"
    many = "for k in range(40): open(f'x{k}', 'wb').write(bytes(2**20 - 1))\nimport time; time.sleep(60)"
    assert said(many, use)[1].kind == "limit"


@pytest.mark.parametrize("use", [pytest.param((), id="limits alone"), layer("landlock", "seccomp")])
@pytest.mark.parametrize(
    "source",
    [
        "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')",
        "import os\nos.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('a', 0)",
        "import os\nos.symlink('/', 'root'); os.symlink('.', 'self'); os.mkfifo('pipe')",
    ],
    ids=["deep", "closed", "links"],
)
def test_the_folder_goes_whatever_is_in_it(use, source, room):
    printed, failure, _ = said(source, use)
    assert failure is None or failure.kind == "limit"
    assert printed == ""
    assert not list(room.iterdir())


def test_empty_files_are_counted():
    _, failure, _ = said("for k in range(5000): open(str(k), 'w')\nimport time; time.sleep(60)", ())
    assert failure.kind == "limit"


def test_the_environment_is_not_handed_on(monkeypatch):
    monkeypatch.setenv("LAGRANGENET_SECRET", "42")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    printed, _, _ = said("import os, sys; print(sorted(os.environ), sys.path)", ())
    assert "SECRET" not in printed
    assert "site-packages" not in printed
    assert str(Path(__file__).parents[2]) not in printed


def test_packages_that_are_not_allowed_cannot_be_imported():
    source = "for name in ('lagrangenet', 'sympy', 'pytest'):\n    try: __import__(name); print(name)\n    except ImportError: pass"
    assert said(source, ())[0] == ""


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(MissingExtra, match="no_such_package"):
        surroundings.visible(("no_such_package",))


def test_stand_ins_take_anything():
    source = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(2)\nax.plot([1]).set(x=1)\nprint('ok')"
    stand_ins = ("matplotlib",)
    with Child(Submission.of_source(source), Limits(), placeholders=stand_ins, use=()) as child:
        pass
    assert (child.printed, child.broken) == ("ok\n", ())


def test_what_is_enough():
    namespaces = LAYERS["namespaces"]
    assert enough(namespaces)
    assert enough(["Landlock 1", "seccomp"])
    assert enough(["bubblewrap"])
    for few in ([], ["Landlock 7"], ["seccomp"], namespaces[:2], ["CPU time", "memory"]):
        assert not enough(few)
    with pytest.raises(
        IsolationError, match=r"\(memory\).*namespaces.*bwrap.*Landlock and seccomp"
    ):
        require_enough(["memory"])


def test_untrusted_refuses_where_the_layers_are_too_few(monkeypatch):
    assignment = Assignment.from_toml(
        """
[network]
widths = ["any", 1]
loss = "squared_error"
[submission]
calls = "loss = f(theta, X, Y)"
"""
    )
    monkeypatch.setattr(
        "lagrangenet.grading.driver.layers_to_use", lambda: ((), ("CPU time", "memory"))
    )
    ran = Submission.of_source("open('/tmp/lagrangenet-ran', 'w')")
    with pytest.raises(IsolationError, match="untrusted submissions need more isolation"):
        grade(assignment, ran, untrusted=True)
    assert not Path("/tmp/lagrangenet-ran").exists()


def test_bubblewrap_is_asked_where_namespaces_are_not_to_be_had(monkeypatch):
    asked = []

    def found(use):
        asked.append(use)
        return ("bubblewrap", "seccomp") if "bubblewrap" in use else ("seccomp",)

    monkeypatch.setattr(containment, "in_force", found)
    monkeypatch.setattr(sys, "platform", "linux")
    use, there = containment.layers_to_use.__wrapped__()
    assert use[0] == "bubblewrap"
    assert there == ("bubblewrap", "seccomp")
    assert len(asked) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's headers")
def test_numbers_of_system_calls_are_those_of_the_headers():
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != "x86_64" or not header.exists():
        pytest.skip("no header to compare with")
    numbers = dict(
        line.split()[1:3]
        for line in header.read_text().splitlines()
        if line.startswith("#define __NR_")
    )
    for name, (number, _) in {**seccomp.CALLS, **seccomp.OWN}.items():
        assert numbers[f"__NR_{name}"] == str(number)
    for name in (
        "fork",
        "vfork",
        "execve",
        "socket",
        "connect",
        "ptrace",
        "mount",
        "memfd_create",
        "bpf",
    ):
        assert name not in seccomp.CALLS


def test_the_filter_decides_as_it_says():
    """Interpret the program, instruction by instruction, for every call of both machines."""
    for machine, architecture in enumerate((0xC000003E, 0xC00000B7)):
        code = seccomp.program(7, machine)

        def verdict(number, first=0, arch=architecture, code=code):
            return _run(code, {0: number, 4: arch, 16: first & 0xFFFFFFFF})

        allowed = {pair[machine] for pair in seccomp.CALLS.values()} - {-1}
        special = {pair[machine] for pair in seccomp.OWN.values()}
        clone = (56, 220)[machine]
        for number in range(600):
            if number in special:
                assert verdict(number, 7) == verdict(number, 0) == "allow"
                assert verdict(number, 8) == verdict(number, -1) == "errno 1"
            elif number == clone:
                assert verdict(number, 0x10000) == "allow"
                assert verdict(number, 17) == "errno 1"
            elif number == 435:
                assert verdict(number) == "errno 38"
            else:
                assert verdict(number) == ("allow" if number in allowed else "errno 1")
        assert verdict(0, arch=0x40000003) == "kill"
        assert machine or verdict(0x40000000) == "errno 1"


def _run(code, data):
    import struct

    lines = [struct.unpack_from("=HBBI", code, 8 * k) for k in range(len(code) // 8)]
    at = held = 0
    while True:
        op, yes, no, value = lines[at]
        at += 1
        if op == 0x20:
            held = data[value]
        elif op == 0x06:
            kinds = {0x7FFF0000: "allow", 0x80000000: "kill"}
            return kinds.get(value, f"errno {value & 0xFFFF}")
        else:
            true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[op]
            at += yes if true else no


def test_the_child_starts_without_the_package():
    """Start-up is a Python without site and NumPy: nothing of the grader is loaded in it."""
    source = "import sys; print([m for m in sys.modules if m.startswith(('lagrangenet', 'scipy', 'sympy'))])"
    assert said(source, ())[0] == "[]\n"


def test_versions_are_numbers_where_there_is_no_kernel_for_them(monkeypatch):
    monkeypatch.setattr("lagrangenet.grading.isolation.kernel.MACHINE", None)
    assert landlock.version() == 0
    assert landlock.restrict([], [], ".") == []
    assert seccomp.restrict() == []


def test_the_child_side_needs_the_standard_library_alone():
    folder = Path(surroundings.__file__).parent
    names = [
        file.stem for file in folder.glob("*.py") if file.stem not in {"__init__", "surroundings"}
    ]
    code = (
        "import sys, types; p = types.ModuleType('isolation'); p.__path__ = [sys.argv[1]]; "
        f"sys.modules['isolation'] = p\nfor name in {names}: __import__(f'isolation.{{name}}')\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names))"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "numpy" not in ran.stdout
    assert "lagrangenet" not in ran.stdout
