"""Which cores a measurement runs on, and whether it has them for itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
LOOK = 0.5  # seconds: the counters advance in hundredths
CROWDED = 0.1


def pin(threads: int) -> dict[int, float]:
    """Stay on as many cores as there are threads, the idlest; returns how busy each of them was.

    Where the system cannot do that, nothing happens and nothing is known.
    """
    if not hasattr(os, "sched_setaffinity"):
        return {}
    allowed = sorted(os.sched_getaffinity(0))
    share = _busy()
    chosen = sorted(allowed, key=lambda core: share.get(core, 0.0))[:threads]
    os.sched_setaffinity(0, chosen)
    return {core: round(share[core], 2) for core in chosen if core in share}


def _busy() -> dict[int, float]:
    """The share of time that each core was not idle, just now."""
    if not STAT.exists():
        return {}
    before = _ticks(STAT.read_text())
    time.sleep(LOOK)
    after = _ticks(STAT.read_text())
    return {
        core: 1 - (after[core][1] - idle) / max(after[core][0] - total, 1)
        for core, (total, idle) in before.items()
        if core in after
    }


def _ticks(text: str) -> dict[int, tuple[int, int]]:
    """Of each core, all ticks and those in which it was idle or waited for a disk."""
    found = {}
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields[:8]]
            found[int(name[3:])] = sum(ticks), ticks[3] + ticks[4]
    return found
