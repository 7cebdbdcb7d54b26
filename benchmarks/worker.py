"""One process per number of threads: the pools of BLAS, OpenMP and XLA are sized once and for all.

With more than one thread it has children, one for each contender (:mod:`.apart`).

``run`` starts ``python -m benchmarks.worker`` with its options as JSON on standard input; the last
line that it prints is the result.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.cores import CROWDED, pin

if TYPE_CHECKING:
    from benchmarks.suite import Options

POOLS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NPROC",  # XLA
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
CACHES = (
    "JAX_COMPILATION_CACHE_DIR",
    "LAGRANGENET_CACHE",
    "NUMBA_CACHE_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
)


def run(suite: str, options: Options) -> dict[str, Any]:
    """The results of a fresh process; its caches are empty, so that first calls are first calls."""
    with tempfile.TemporaryDirectory() as caches:
        environment = os.environ | dict.fromkeys(POOLS, str(options.threads))
        environment |= {name: os.path.join(caches, name) for name in CACHES}  # noqa: PTH118
        environment |= {"XDG_CACHE_HOME": caches, "JAX_PLATFORMS": "cpu"}
        # A caller who waits for the result gets it sooner if no other thread is asked to compute it.
        environment["JAX_CPU_ENABLE_ASYNC_DISPATCH"] = "false"
        if options.threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker"],
            input=json.dumps({"suite": suite, "options": options._asdict()}),
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
    if done.returncode < 0:
        raise SystemExit(f"python -m benchmarks: ended by signal {-done.returncode}")
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, in this process."""
    order = json.load(sys.stdin)
    busy = pin(order["options"]["threads"])
    # Only now: libraries count the cores when they are imported.
    from benchmarks.apart import Processes
    from benchmarks.suite import Options, here, progress, run
    from benchmarks.suites import SUITES
    from benchmarks.timing import WrongResult
    from lagrangenet import LagrangenetError

    if max(busy.values(), default=0) > CROWDED:
        progress(f"the cores are in use by others, do not trust the figures: {busy}")
    suite, options = SUITES[order["suite"]], Options(**order["options"])
    try:
        if options.threads > 1:
            with Processes() as processes:
                found = run(suite, options, processes)
        else:
            found = run(suite, options, here)
    except (WrongResult, LagrangenetError) as error:
        raise SystemExit(f"python -m benchmarks: error: {error}") from None
    clock = "wall" if options.threads > 1 else "cpu"  # see timing.Calls
    print(json.dumps(found | {"process": {"busy": busy, "clock": clock, "pools": _pools()}}))


def _pools() -> list[dict[str, Any]]:
    """What each thread pool is, with the architecture that a BLAS chose its kernels for."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    wanted = ("internal_api", "prefix", "version", "architecture", "num_threads")
    return [{name: pool[name] for name in wanted if name in pool} for pool in threadpool_info()]


if __name__ == "__main__":
    main()
