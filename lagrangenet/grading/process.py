"""The child that runs one submission, as the grader holds it: start, ask, stop.

Bounded in every direction: time for all requests together, bytes that come back, what it prints,
what it writes. Whatever happens in it ends as a :class:`~lagrangenet.grading.answers.Failure`, never
as an exception here; and it is gone, with all it started and its folder, when the ``with`` ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from lagrangenet.grading.answers import Failure
from lagrangenet.grading.assignment import Limits
from lagrangenet.grading.folder import remove, size
from lagrangenet.grading.isolation import surroundings
from lagrangenet.grading.protocol import ProtocolError, message, printable, read_message
from lagrangenet.grading.submission import Submission

#: How long the child may take before the submission is loaded: nothing of it has run by then.
START_SECONDS = 30.0
#: Between two looks at the clock and at the folder.
_TICK = 0.25
_Reply = tuple[dict[str, Any], bytes]


class Child:
    """A running submission.

    Parameters
    ----------
    submission : Submission
        What it runs.
    limits : Limits
        What it may use.
    packages, placeholders : tuple of str
        What it may import besides the standard library, and what it gets stand-ins for.
    use : iterable of str
        The layers to put up, of :data:`~lagrangenet.grading.isolation.surroundings.LAYERS` and
        ``"bubblewrap"``; those that the kernel lacks are left out.

    Attributes
    ----------
    isolation : tuple of str
        The layers in force.
    failure : Failure or None
        Why it cannot be asked anything any more.
    printed : str
        The first of what it printed.
    """

    def __init__(
        self,
        submission: Submission,
        limits: Limits,
        packages: tuple[str, ...] = ("numpy",),
        placeholders: tuple[str, ...] = (),
        use: Iterable[str] = surroundings.LAYERS,
    ) -> None:
        self._limits, self._submission, self._use = limits, submission, tuple(use)
        self._seen, self._placeholders = surroundings.visible(packages), placeholders
        self._replies: queue.Queue[_Reply | ProtocolError | EOFError] = queue.Queue(maxsize=4)
        self._printed = bytearray()
        self._left = self._limits.seconds
        self.isolation: tuple[str, ...] = ()
        self.failure: Failure | None = None
        self.broken: tuple[str, ...] = ()

    @property
    def printed(self) -> str:
        """What it printed, as far as it is kept."""
        return bytes(self._printed).decode(errors="replace")

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="lagrangenet-")
        around: list[str] = []
        if "bubblewrap" in self._use:
            around = surroundings.bubblewrap(self._seen, self._folder)
        self._process = subprocess.Popen(  # noqa: S603  # this Python with our own launcher
            [*around, *surroundings.command()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._folder,
            env=surroundings.environment(self._folder),
            bufsize=0,
            start_new_session=True,
        )
        self._threads = [self._thread(self._read), self._thread(self._drain)]
        self._write(message(self._configuration(bool(around))))
        self._begin()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        for thread in self._threads:
            thread.join(timeout=1.0)
        remove(self._folder)

    def ask(self, build: Callable[[str], bytes]) -> _Reply | Failure:
        """Send a request and wait for its reply.

        Parameters
        ----------
        build : callable
            Makes the message, given the word that the reply has to repeat.
        """
        if self.failure is not None:
            return self.failure
        word = secrets.token_hex(16)
        self._write(build(word))
        start = time.monotonic()
        reply = self._next(self._left)
        self._left -= time.monotonic() - start
        if isinstance(reply, Failure):
            return self._ended(reply)
        if reply[0].get("nonce") != word:
            return self._ended(Failure("protocol", "it wrote into the grader's pipe by itself"))
        return reply

    # -- start and end ----------------------------------------------------------------------------

    def _configuration(self, wrapped: bool) -> dict[str, Any]:
        limits = self._limits
        return {
            **self._seen,
            "use": [name for name in self._use if not (wrapped and name == "namespaces")],
            "around": ["bubblewrap"] if wrapped else [],
            "work": self._folder,
            "limits": {
                "seconds": limits.seconds,
                "memory_mb": limits.memory_mb,
                "file_mb": limits.file_mb,
                "processes": limits.processes,
            },
            "blocks": [list(block) for block in self._submission.blocks],
            "modules": dict(self._submission.modules),
            "placeholders": list(self._placeholders),
        }

    def _begin(self) -> None:
        """Wait until the layers are up, then until the submission is loaded."""
        ready = self._next(START_SECONDS)
        if isinstance(ready, Failure) or ready[0].get("status") != "ready":
            said = printable(self.printed[-300:].strip(), 300)
            self._ended(Failure("start", f"the child process did not start: {said}"))
            return
        self.isolation = tuple(map(str, ready[0]["isolation"]))
        start = time.monotonic()
        loaded = self._next(self._left)
        self._left -= time.monotonic() - start
        if isinstance(loaded, Failure):
            self._ended(loaded)
        elif loaded[0].get("status") != "loaded" or not isinstance(loaded[0].get("broken"), list):
            self._ended(Failure("protocol", "it wrote into the grader's pipe by itself"))
        else:
            self.broken = tuple(printable(text, 600) for text in loaded[0]["broken"][:20])

    def _ended(self, failure: Failure) -> Failure:
        self._kill()
        self.failure = failure
        return failure

    def _kill(self) -> None:
        """End the child and everything that it started."""
        if self._process.returncode is not None:
            return
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.kill(self._process.pid, signal.SIGTERM)  # the launcher kills what it adopted
            self._status(2.0)
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)

    def _status(self, seconds: float) -> int | None:
        """How the child ended, not taken from the kernel yet: its group's number stays its own."""
        if self._process.returncode is not None:
            return self._process.returncode
        if not hasattr(os, "waitid"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=seconds)
            return self._process.returncode
        deadline, how = time.monotonic() + seconds, os.WEXITED | os.WNOHANG | os.WNOWAIT
        while (found := os.waitid(os.P_PID, self._process.pid, how)) is None:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.005)
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    # -- pipes ------------------------------------------------------------------------------------

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def _write(self, data: bytes) -> None:
        """Write from a thread: a child that does not read must not stop the grader."""

        def work() -> None:
            assert self._process.stdin is not None
            left = memoryview(data)
            with contextlib.suppress(OSError, ValueError):
                while left:
                    left = left[self._process.stdin.write(left) or 0 :]

        self._threads.append(self._thread(work))

    def _read(self) -> None:
        """Read replies; the queue is short, so a child that floods it waits."""
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        while True:
            try:
                self._replies.put(read_message(lambda size: os.read(handle, size)))
            except (ProtocolError, EOFError) as end:
                self._replies.put(end)
                return
            except (OSError, ValueError):
                self._replies.put(EOFError())
                return

    def _drain(self) -> None:
        """Read what it prints; keep the first of it."""
        assert self._process.stderr is not None
        handle, most = self._process.stderr.fileno(), self._limits.output_kb * 1024
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(handle, 1 << 16):
                self._printed += part[: max(0, most - len(self._printed))]

    def _next(self, seconds: float) -> _Reply | Failure:
        """The next reply, or why there is none."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                limit = self._limits.seconds
                return Failure("timeout", f"no answer within {limit:g} s, for all calls together")
            try:
                reply = self._replies.get(timeout=min(left, _TICK))
            except queue.Empty:
                if size(self._folder) > 8 * self._limits.file_mb * 2**20:
                    return Failure("limit", "it wrote more files than it may")
                continue
            if isinstance(reply, EOFError):
                return self._died()
            if isinstance(reply, ProtocolError):
                return Failure("protocol", f"it wrote into the grader's pipe by itself: {reply}")
            return reply

    def _died(self) -> Failure:
        status = self._status(2.0)
        number = -status if status is not None and status < 0 else (status or 0) - 128
        if status is None or number <= 0:
            return Failure("died", f"the process ended by itself, with status {status}")
        if number == getattr(signal, "SIGXCPU", None):
            return Failure("timeout", f"it used more than {self._limits.seconds:g} s of CPU time")
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        return Failure("died", f"the process was killed by signal {name}")
