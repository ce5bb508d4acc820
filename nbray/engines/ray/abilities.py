"""What the engine over Ray is and can do. Rule: importing it imports nothing of Ray."""

from __future__ import annotations

from nbray.engine import Capabilities

NODES = (
    "nodes of a Ray cluster join and leave by `ray start` and `ray stop` on their machine, or by "
    "Ray's autoscaler: nbray does not start or end them"
)
capabilities = Capabilities("ray", early=False, nodes=NODES)
