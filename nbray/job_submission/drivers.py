"""The drivers of a cluster, as jobs: what runs on it without having been submitted.

Owns which drivers are users', and what is said of each. Pure, but for a driver's command line,
which is read from this machine's /proc. Does not own what is known (`nbray.details`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbray.details import Details
from nbray.ids import client_hex, node_of
from nbray.job_submission.records import DriverInfo, JobDetails, JobStatus, JobType

_OWN_PROGRAMS = ("nbray.dashboard", "nbray.jupyter")
"""Modules of nbray that attach to a cluster to show it, and are no jobs of users."""


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
        line = command_line(one.pid) if alive else ""
        if not one.driver or one.client == hidden or any(name in line for name in _OWN_PROGRAMS):
            continue
        identity, node = client_hex(one.client), nodes.get(node_of(one.client), {})
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


def command_line(pid: int) -> str:
    """What a process of this machine was started as; '' if it is none of this machine's."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(word.decode(errors="replace") for word in words if word)
