"""C11: the fastest target where there is a compiler. See :mod:`.module`."""

from lagrangenet.emit.c.module import emit
from lagrangenet.emit.targets import TARGETS, Cost, Target

_COST = Cost(call=5e-8, line=2e-8, value=1.5e-9)
TARGETS.add(Target("c", "standalone C11, compiled on this machine", emit, "c", cost=_COST))
