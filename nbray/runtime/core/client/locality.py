"""Where a task's arguments lie: it runs there rather than elsewhere, if it need not wait for that.

Owns which node is nearest to a task, who of a queue goes to a worker of a node, and what the
node is told of it (`Demand.near`). Does not own queues or leases (`tasks`, `pools`). Rule: no
worker that is free is left idle for the sake of what would have to be moved to it, and nobody
at the head of a queue is passed over more than `LOOK` times.

As in Ray (`locality_aware_scheduling`), only what lies in the store counts.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from nbray.config import NEAR_BYTES
from nbray.runtime.core.client.task_records import ShapePool, Task

LOOK = 32
"""Tasks at the head of a queue that are looked at."""


def nearest(task: Task) -> int:
    """The node that has most of the bytes of a task's arguments (0: it hardly matters)."""
    extra = task.extra
    if extra is None:
        return 0
    nodes: dict[int, int] = {}
    for _, value, _ in extra.deps:
        for slot in value.slots:
            nodes[slot.node] = nodes.get(slot.node, 0) + slot.size
    if not nodes:
        return 0
    best, *others = sorted(nodes, key=lambda node: (-nodes[node], node))
    others_have = nodes[others[0]] if others else 0
    return best if nodes[best] - others_have >= NEAR_BYTES else 0


def near_first(pool: ShapePool, node: int) -> bool:
    """Bring a task to the head of the queue that is near to *node*; whether one is there.

    The first one has arguments. One that is near to no node is near to all.
    """
    queue = pool.queue
    first = queue[0]
    if first.near in (0, node):
        return True
    seq, passed = pool.passed
    if seq != first.seq:
        passed = 0
    elif passed >= LOOK:
        return True
    for index, task in enumerate(islice(queue, 1, LOOK), 1):
        if task.deps is not None and task.near == node:
            del queue[index]
            queue.appendleft(task)
            pool.passed = first.seq, passed + 1
            return True
    return False


def wanted(queue: deque[Task]) -> dict[int, int]:
    """How many of the first tasks of a queue are near to each node."""
    found: dict[int, int] = {}
    for task in islice(queue, 2 * LOOK):
        if task.deps is not None and task.near:
            found[task.near] = found.get(task.near, 0) + 1
    return found
