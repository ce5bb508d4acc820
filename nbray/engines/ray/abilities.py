"""What the engine over Ray is and can do. Rule: importing it imports nothing of Ray."""

from __future__ import annotations

from nbray.engine import Capabilities

NODES = (
    "nodes of a Ray cluster join and leave by `ray start` and `ray stop` on their machine, or by "
    "Ray's autoscaler: nbray does not start or end them"
)
RECORDS = (
    "Ray does not tell nbray of single tasks, actors and objects: its own commands do, in a "
    "terminal on a machine of the cluster (`ray list tasks`, `ray memory`, `ray timeline`)"
)
SUBMITS = (
    "a Ray cluster runs submitted programs itself: `ray job submit`, or "
    "ray.job_submission.JobSubmissionClient('http://HOST:8265')"
)
capabilities = Capabilities("ray", early=False, nodes=NODES, submits=SUBMITS, records=RECORDS)
