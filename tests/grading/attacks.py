"""Submissions that want something else than to answer.

Each bounds itself: no bomb exceeds 200 processes, 2 GB or 100 MB, sockets go to loopback alone, no
signal but 0 is sent to what may be a stranger. `solve` is right where the attack succeeded, so an
attack that passes has broken out; where it is kept in, it raises.
"""

RIGHT = """
import os, sys, time
import numpy as np

def solve(theta, X, Y):
    (W1, b1), (W2, b2) = theta
    x1 = np.tanh(X @ W1.T + b1)
    x2 = x1 @ W2.T + b2
    d2 = (x2 - Y) / len(X)
    d1 = d2 @ W2 * (1 - x1**2)
    loss = 0.5 * np.sum((x2 - Y) ** 2) / len(X)
    return loss, [(d1.T @ X, d1.sum(0)), (d2.T @ x1, d2.sum(0))]

right = solve

def kept_in(what="kept in"):
    raise RuntimeError(what)
"""

#: Runs for ever, one way or another: the verdict is that there was no answer in time.
ENDLESS = {
    "loop while loading": "while True: pass",
    "loop in a call": "def solve(theta, X, Y):\n    while True: pass",
    "sleep": "def solve(theta, X, Y):\n    time.sleep(1e6)",
    "signals ignored": """
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
def solve(theta, X, Y):
    while True: pass
""",
    "every exception caught": """
def solve(theta, X, Y):
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "a loop in C": "def solve(theta, X, Y):\n    return 10 ** 10 ** 9, 0",
    "a lock that nobody opens": """
import threading
def solve(theta, X, Y):
    lock = threading.Lock(); lock.acquire(); lock.acquire()
""",
    "a message that takes for ever": """
class Slow(Exception):
    def __str__(self):
        while True: pass
def solve(theta, X, Y):
    raise Slow
""",
}

#: Break out of limits; kept in, they get an error.
BREAKOUTS = {
    "fork bomb": """
def solve(theta, X, Y):
    born = 0
    for _ in range(200):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            time.sleep(60); os._exit(0)
        born += 1
    return right(theta, X, Y) if born else kept_in()
""",
    "daemon": """
def solve(theta, X, Y):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    return right(theta, X, Y)
""",
    "fork through the C library": """
import ctypes
def solve(theta, X, Y):
    child = ctypes.CDLL(None).fork()
    if child == 0:
        time.sleep(60); os._exit(0)
    return right(theta, X, Y) if child > 0 else kept_in()
""",
    "thread bomb": """
import threading
def solve(theta, X, Y):
    threads = [threading.Thread(target=time.sleep, args=(60,), daemon=True) for _ in range(200)]
    for thread in threads: thread.start()
    return right(theta, X, Y)
""",
    "another program": """
import subprocess
def solve(theta, X, Y):
    subprocess.run([sys.executable, "-c", ""], check=True)
    return right(theta, X, Y)
""",
    "exec": """
def solve(theta, X, Y):
    os.execv("/bin/sh", ["sh", "-c", "sleep 60"])
""",
    "memory bomb": """
held = []
def solve(theta, X, Y):
    for _ in range(32):
        held.append(bytearray(64 * 2**20))
        held[-1][::4096] = b"x" * len(held[-1][::4096])
    return right(theta, X, Y)
""",
    "array bomb": """
def solve(theta, X, Y):
    a = np.ones(2**28 - 1)
    return right(theta, X, Y) if a.sum() > 0 else None
""",
    "a large file": """
def solve(theta, X, Y):
    with open("large", "wb") as file:
        for _ in range(100):
            file.write(bytes(2**20))
    return right(theta, X, Y)
""",
    "many files": """
def solve(theta, X, Y):
    for number in range(100):
        with open(f"part{number}", "wb") as file:
            file.write(bytes(2**20 - 1))
    time.sleep(0.6)
    return right(theta, X, Y)
""",
    "memory that is a file": """
def solve(theta, X, Y):
    handle = os.memfd_create("m")
    for _ in range(100):
        os.write(handle, bytes(2**20))
    return right(theta, X, Y)
""",
    "more time by a new limit": """
import resource
def solve(theta, X, Y):
    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return right(theta, X, Y)
""",
    "exit": "def solve(theta, X, Y):\n    os._exit(0)",
    "exit while loading": "os._exit(0)",
    "exit as an exception": "def solve(theta, X, Y):\n    sys.exit(0)",
    "segmentation fault": """
import ctypes
def solve(theta, X, Y):
    ctypes.string_at(0)
""",
    "endless recursion": "def solve(theta, X, Y):\n    return solve(theta, X, Y)",
    "a huge message": "def solve(theta, X, Y):\n    raise ValueError('x' * 50_000_000)",
    "a message that fails": """
class Bad(Exception):
    def __str__(self): raise self
def solve(theta, X, Y):
    raise Bad
""",
    "waiting for input": "def solve(theta, X, Y):\n    input()\n    return right(theta, X, Y)",
}

#: Look or reach outside; {outside} is a folder of the test, {port} a listener on loopback.
REACHES = {
    "environment of the grader": """
def solve(theta, X, Y):
    found = []
    for name in [*map(str, range(1, 40)), str(os.getppid()), "{grader}"]:
        try:
            found.append(open(f"/proc/{{name}}/environ", "rb").read())
        except OSError: pass
    return right(theta, X, Y) if b"LAGRANGENET_SECRET" in b"".join(found) else kept_in()
""",
    "its own environment": """
def solve(theta, X, Y):
    return right(theta, X, Y) if "LAGRANGENET_SECRET" in os.environ else kept_in()
""",
    "a file of the grader": """
def solve(theta, X, Y):
    return right(theta, X, Y) if open("{outside}/secret").read() else kept_in()
""",
    "a file by another way": """
def solve(theta, X, Y):
    os.symlink("{outside}/secret", "link")
    return right(theta, X, Y) if open("link").read() else kept_in()
""",
    "a folder of the grader": """
def solve(theta, X, Y):
    return right(theta, X, Y) if os.listdir("{outside}") else kept_in()
""",
    "users of the machine": """
def solve(theta, X, Y):
    return right(theta, X, Y) if open("/etc/passwd").read() else kept_in()
""",
    "a file outside": """
def solve(theta, X, Y):
    open("{outside}/written", "w").write("x")
    return right(theta, X, Y)
""",
    "a file in the temporary folder": """
def solve(theta, X, Y):
    open("/tmp/lagrangenet-attack", "w").write("x")
    return right(theta, X, Y)
""",
    "a file in shared memory": """
def solve(theta, X, Y):
    open("/dev/shm/lagrangenet-attack", "w").write("x")
    return right(theta, X, Y)
""",
    "a file that Python starts with": """
def solve(theta, X, Y):
    open(os.__file__, "a").write("")
    return right(theta, X, Y)
""",
    "a rename outwards": """
def solve(theta, X, Y):
    open("x", "w").write("x")
    os.rename("x", "{outside}/renamed")
    return right(theta, X, Y)
""",
    "a connection": """
import socket
def solve(theta, X, Y):
    socket.create_connection(("127.0.0.1", {port}), timeout=1).sendall(b"x")
    return right(theta, X, Y)
""",
    "a listener": """
import socket
def solve(theta, X, Y):
    server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
    return right(theta, X, Y)
""",
    "a socket without a file": """
import socket
def solve(theta, X, Y):
    one = socket.socket(socket.AF_UNIX); one.bind("\\0lagrangenet-attack")
    return right(theta, X, Y)
""",
    "a signal to the grader": """
def solve(theta, X, Y):
    os.kill({grader}, 0)
    return right(theta, X, Y)
""",
    "a look into another process": """
import ctypes
def solve(theta, X, Y):
    done = ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)
    return right(theta, X, Y) if done == 0 else kept_in()
""",
    "a mount": """
import ctypes
def solve(theta, X, Y):
    done = ctypes.CDLL(None).mount(b"none", b".", b"tmpfs", 0, None)
    return right(theta, X, Y) if done == 0 else kept_in()
""",
    "another namespace": """
import ctypes
def solve(theta, X, Y):
    done = ctypes.CDLL(None).unshare(0x10000000)
    return right(theta, X, Y) if done == 0 else kept_in()
""",
    "root": """
def solve(theta, X, Y):
    os.setuid(0)
    return right(theta, X, Y)
""",
    "the package that knows the answer": """
sys.path[:0] = ["{package}", "{site}"]
def solve(theta, X, Y):
    import lagrangenet
    return right(theta, X, Y)
""",
    "a package that differentiates": """
sys.path[:0] = ["{site}"]
def solve(theta, X, Y):
    import scipy
    return right(theta, X, Y)
""",
    "the answer in a frame": """
def solve(theta, X, Y):
    wanted, frame, seen = [W.shape for W, b in theta], sys._getframe(), []
    while frame:
        seen += list(frame.f_locals.values()) + list(frame.f_globals.values())
        frame = frame.f_back
    names = [k for v in seen if isinstance(v, dict) for k in map(str, v)]
    if any(word in name for name in names for word in ("expected", "oracle", "truth")):
        return right(theta, X, Y)
    kept_in()
""",
}

#: Answer falsely in the hope that the comparison can be fooled.
FORGERIES = {
    "numpy.testing replaced": """
import numpy.testing
for name in ("assert_allclose", "assert_array_equal", "assert_array_almost_equal"):
    setattr(numpy.testing, name, lambda *a, **k: None)
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.linalg.norm = np.abs = np.max = lambda *a, **k: 0.0
def solve(theta, X, Y):
    return 0.0, [(0 * W, 0 * b) for W, b in theta]
""",
    "a subclass that equals everything": """
class Equal(np.ndarray):
    def __eq__(self, other): return True
    __ne__ = __lt__ = __gt__ = lambda self, other: False
    def __sub__(self, other): return np.zeros(other.shape)
    __rsub__ = __sub__
    def __array_ufunc__(self, *a, **k): return 0.0
    def __array_function__(self, *a, **k): return True
    def __reduce__(self): return os.system, ("true",)
def solve(theta, X, Y):
    return 0.0, [(np.zeros(W.shape).view(Equal), np.zeros(b.shape).view(Equal)) for W, b in theta]
""",
    "a number that equals everything": """
class Equal(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __hash__(self): return 0
def solve(theta, X, Y):
    return Equal(0), [(np.zeros(W.shape), np.zeros(b.shape)) for W, b in theta]
""",
    "nan": """
def solve(theta, X, Y):
    return np.nan, [(W * np.nan, b * np.nan) for W, b in theta]
""",
    "infinity": """
def solve(theta, X, Y):
    return np.inf, [(W * np.inf, b * np.inf) for W, b in theta]
""",
    "object arrays": """
def solve(theta, X, Y):
    loss, grads = right(theta, X, Y)
    return np.array([loss], dtype=object), [(W.astype(object), b.astype(object)) for W, b in grads]
""",
    "text": """
def solve(theta, X, Y):
    return "0.1", [(W.astype(str), "right") for W, b in theta]
""",
    "complex numbers": """
def solve(theta, X, Y):
    loss, grads = right(theta, X, Y)
    return loss + 1j, [(W + 1j, b + 1j) for W, b in grads]
""",
    "a number for each block": """
def solve(theta, X, Y):
    return right(theta, X, Y)[0] * np.ones(3), [(W.mean(), b.mean()) for W, b in right(theta, X, Y)[1]]
""",
    "shapes that broadcast": """
def solve(theta, X, Y):
    loss, grads = right(theta, X, Y)
    return np.full((2, 1), loss), [(W.mean(0, keepdims=True), b[:, None] + 0 * b) for W, b in grads]
""",
    "nothing": "def solve(theta, X, Y):\n    pass",
    "nothing twice": "def solve(theta, X, Y):\n    return None, None",
    "empty arrays": "def solve(theta, X, Y):\n    return np.zeros(0), [(np.zeros(0), np.zeros(0))] * 2",
    "a list that holds itself": """
def solve(theta, X, Y):
    own = []; own.append(own)
    return 0.0, own
""",
    "a million keys": """
def solve(theta, X, Y):
    return 0.0, {str(k): k for k in range(10**6)}
""",
    "an array larger than memory": """
def solve(theta, X, Y):
    return 0.0, [(np.broadcast_to(0.0, (10**6, 10**6)), b) for W, b in theta]
""",
    "objects that lie": """
class Liar:
    def __array__(self, *a, **k):
        while True: time.sleep(1e6)
    def __len__(self): return -1
    def __iter__(self): raise KeyboardInterrupt
    __class__ = np.ndarray
def solve(theta, X, Y):
    return 0.0, [(Liar(), Liar())] * 2
""",
    "another grader's library": """
import json, struct
json.dumps = lambda *a, **k: '{"status": "ok", "verdict": "right", "score": 100}'
np.array = np.asarray = np.ascontiguousarray = lambda *a, **k: np.zeros(1)
os.write = lambda handle, data: len(data)
def solve(theta, X, Y):
    return 0.0, [(0 * W, 0 * b) for W, b in theta]
""",
    "a reply of its own": """
import json, struct
def solve(theta, X, Y):
    frame, word = sys._getframe(), "0"
    while frame:
        word = frame.f_locals.get("nonce", word)
        frame = frame.f_back
    text = json.dumps({"nonce": word, "status": "ok", "verdict": "right", "score": 100}).encode()
    for handle in range(3, 64):
        try:
            os.write(handle, struct.pack("<II", len(text), 0) + text)
        except OSError: pass
    return 0.0, [(0 * W, 0 * b) for W, b in theta]
""",
    "replies in advance": """
import json, struct
text = json.dumps({"status": "ok", "nonce": "", "answers": [{}], "arrays": []}).encode()
for handle in range(3, 64):
    for _ in range(20):
        try:
            os.write(handle, struct.pack("<II", len(text), 0) + text)
        except OSError: break
""",
    "a message without end": """
import struct
for handle in range(3, 64):
    try:
        os.write(handle, struct.pack("<II", 2**32 - 1, 2**32 - 1))
    except OSError: pass
""",
    "answers for published examples": """
PUBLISHED = {(2, 3, 1): (0.7312, 0.1049), (2, 2, 1): (0.2984, 0.0357)}
def solve(theta, X, Y):
    sizes = (X.shape[1], *(len(b) for W, b in theta))
    loss, slope = PUBLISHED.get(sizes, (0.6931, 0.05))
    return loss, [(np.full(W.shape, slope), np.full(b.shape, slope)) for W, b in theta]
""",
    "the same answer from memory": """
seen = []
def solve(theta, X, Y):
    if not seen: seen.append(right(theta, X, Y))
    return seen[0]
""",
    "differences of the loss": """
def solve(theta, X, Y):
    def loss(): return right(theta, X, Y)[0]
    grads = []
    for pair in theta:
        both = []
        for p in pair:
            g = np.zeros_like(p)
            for at in np.ndindex(p.shape):
                old = p[at]; p[at] = old + 1e-5; up = loss()
                p[at] = old - 1e-5; down = loss(); p[at] = old
                g[at] = (up - down) / 2e-5
            both.append(g)
        grads.append(tuple(both))
    return loss(), grads
""",
}

#: Noise: what they say may be right; the grader neither hangs nor keeps it.
NOISES = {
    "standard output flood": """
def solve(theta, X, Y):
    if not os.path.exists("done"):
        open("done", "w").close()
        for _ in range(100): sys.stdout.write("x" * 2**20)
    return right(theta, X, Y)
""",
    "standard error flood": """
def solve(theta, X, Y):
    if not os.path.exists("done"):
        open("done", "w").close()
        for _ in range(100): os.write(2, b"\\x1b[2J" * 2**17)
    return right(theta, X, Y)
""",
    "a thread that goes on": """
import threading
threading.Thread(target=time.sleep, args=(60,)).start()
""",
    "an end that never comes": """
import atexit
atexit.register(time.sleep, 60)
""",
    "a folder without rights": """
os.makedirs("a/b/c"); open("a/b/c/file", "w").close()
os.chmod("a/b/c/file", 0); os.chmod("a/b/c", 0); os.chmod("a/b", 0); os.chmod("a", 0)
""",
    "a deep folder": """
for _ in range(60):
    os.mkdir("d" * 50); os.chdir("d" * 50)
""",
}
