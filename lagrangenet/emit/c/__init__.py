"""C11: the fastest target where there is a compiler. See :mod:`.module`."""

from lagrangenet.emit.c.module import emit
from lagrangenet.emit.targets import TARGETS, Target

TARGETS.add(Target("c", "standalone C11, compiled on this machine", emit, language="c"))
