"""The drivers of a cluster, as jobs: what runs on it without having been submitted.

Owns which drivers are users', and what is said of each. Pure. Does not own what is known
(`nbray.details`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nbray.details import Details
from nbray.ids import job_hex, node_of
from nbray.job_submission.records import DriverInfo, JobDetails, JobStatus, JobType

_OWN_PROGRAMS = ("nbray.dashboard", "nbray.jupyter")
"""Programs of nbray that are in a cluster for those who look at it, and are no jobs of users."""


def drivers(
    details: Details, nodes: Mapping[int, Mapping[str, Any]], hidden: int = 0
) -> list[JobDetails]:
    """Those that are attached and those that have been, but the client *hidden*.

    Args:
        nodes: as `Cluster.nodes` gives them, by number.
    """
    live = {one.client for one in details.processes}
    gone = [one for one in details.gone if one.client not in live]
    epoch = details.wall - details.now if details.wall else 0.0
    found = []
    for one in (*details.processes, *gone):
        alive = one.client in live
        line = one.program
        looks = not line or any(name in line for name in _OWN_PROGRAMS)
        if not one.driver or one.client == hidden or looks:
            continue
        identity, node = job_hex(one.client), nodes.get(node_of(one.client), {})
        said = details.environments.get(one.client)
        found.append(
            JobDetails(
                JobType.DRIVER,
                JobStatus.RUNNING if alive else JobStatus.SUCCEEDED,
                line,
                job_id=identity,
                driver_info=DriverInfo(identity, node.get("NodeManagerAddress", ""), str(one.pid)),
                end_time=0 if alive else round((one.ended + epoch) * 1000) if one.ended else None,
                metadata={},
                runtime_env=json.loads(said.text) if said is not None else {},
                driver_node_id=node.get("NodeID"),
            )
        )
    return found
