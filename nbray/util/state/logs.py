"""Logs by the state API: the files of the session on this machine, and what tasks have printed.

Owns finding them. What a task or actor has printed is kept by the driver whose work it is, the
last megabyte of it, and is found by the process that printed it. Does not own the files: the
cluster's processes write them.
"""

# ruff: noqa: ARG001 - Ray's arguments; texts are decoded already
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbray import details as d
from nbray.ids import OWN_CELL
from nbray.job_submission.client import log_of as submitted_log
from nbray.util.state.api import connected
from nbray.util.state.common import DEFAULT_RPC_TIMEOUT
from nbray.util.state.exception import RayStateApiException
from nbray.util.state.readings import Reading

if TYPE_CHECKING:
    from nbray.engine import Engine

DEFAULT_LOG_LIMIT = 1000
"""Lines."""
_POLL = 0.25


def list_logs(
    address: str | None = None, node_id: str | None = None, node_ip: str | None = None,
    glob_filter: str | None = None, timeout: float = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:  # fmt: skip
    """The names of a node's log files, by what writes them: {'node': ['node.log'], ...}.

    Raises:
        AssertionError: neither *node_id* nor *node_ip* says which node.
        RayStateApiException: that node is not this machine's.
    """
    assert node_id is not None or node_ip is not None, (
        "At least one of node ip and node id is required"
    )
    with connected(address) as (engine, _own):
        folder = _folder(engine, node_id, node_ip)
    found: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        if file.is_file() and fnmatch(file.name, glob_filter or "*"):
            kind = "worker" if file.stem.split("-")[0].isalnum() and "-" in file.stem else file.stem
            found.setdefault(kind, []).append(file.name)
    return found


def get_log(
    address: str | None = None, node_id: str | None = None, node_ip: str | None = None,
    filename: str | None = None, actor_id: str | None = None, task_id: str | None = None,
    pid: int | None = None, follow: bool = False, tail: int = -1,
    timeout: float = DEFAULT_RPC_TIMEOUT, suffix: str = "out", encoding: str | None = "utf-8",
    errors: str | None = "strict", submission_id: str | None = None, attempt_number: int = 0,
    _interval: float | None = None, filter_ansi_code: bool = False,
) -> Iterator[str]:  # fmt: skip
    """Lines of a log, in pieces: of a file, or of what an actor, a task or a process printed.

    Args:
        tail: so many last lines; -1: 1,000; 0: all.
        follow: go on with what comes.
        suffix: 'out' or 'err'.
        encoding, errors: how a file's bytes become text; 'strict' is 'replace' here.

    Raises:
        ValueError: nothing says which log.
        RayStateApiException: there is no such log.
    """
    if suffix not in ("out", "err"):
        raise ValueError(f"Invalid suffix: {suffix}. Must be one of 'out' or 'err'.")
    if node_id and node_ip:
        raise ValueError(
            "Both node_id and node_ip are given. Only one of them can be provided. "
            f"Given node id: {node_id}, given node ip: {node_ip}"
        )
    if not (actor_id or task_id or pid or filename or submission_id):
        raise ValueError(
            "None of actor_id, task_id, pid, submission_id or filename "
            "is provided. At least one of them is required to fetch logs."
        )
    if not (node_id or node_ip or actor_id or task_id or submission_id or pid):
        raise ValueError(
            "node_id or node_ip must be provided as constructor arguments when no "
            "actor or task_id is supplied as arguments."
        )
    def read(engine: Engine) -> str:
        if filename:
            folder = _folder(engine, node_id, node_ip)
            return _file(folder, filename, encoding or "utf-8", errors or "strict")
        if submission_id:
            return submitted_log(engine, submission_id)
        return _printed(engine, actor_id, task_id, pid, timeout, f"std{suffix}")

    lines = DEFAULT_LOG_LIMIT if tail == -1 else tail
    return _pieces(address, read, lines, (_interval or _POLL) if follow else 0.0, filter_ansi_code)


_HALF = "\N{REPLACEMENT CHARACTER}"
"""What half a character reads as: at the end of what still grows, the rest of it is to come."""


def _pieces(
    address: str | None, read: Callable[[Engine], str], tail: int, interval: float, plain: bool
) -> Iterator[str]:
    """The last lines of what *read* gives, then every *interval* seconds (0: never) what is new."""
    import re  # late: few read logs

    def shown(text: str) -> str:
        return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text) if plain else text

    with connected(address) as (engine, _own):
        text = read(engine)
        if interval:
            text = text.rstrip(_HALF)
        seen = len(text)
        first = shown(_last(text, tail))
        if first:
            yield first
        while interval and not engine.ended:
            time.sleep(interval)
            text = read(engine).rstrip(_HALF)
            if len(text) > seen:
                yield shown(text[seen:])
            seen = len(text)


def _last(text: str, tail: int) -> str:
    if tail <= 0:
        return text
    return "".join(text.splitlines(keepends=True)[-tail:])


def _folder(engine: Engine, node_id: str | None, node_ip: str | None) -> Path:
    here = engine.context.runtime()
    nodes = [
        node for node in engine.cluster.nodes()
        if node_id in (None, node["NodeID"]) and node_ip in (None, node["NodeManagerAddress"])
    ]  # fmt: skip
    if not nodes:
        raise RayStateApiException(f"there is no node {node_id or node_ip}")
    if all(node["NodeID"] != here.node_id for node in nodes) or not here.session_dir:
        raise RayStateApiException(
            f"the log files of node {node_id or node_ip} lie on its own machine: ask there"
        )
    return Path(here.session_dir) / "logs"


def _file(folder: Path, filename: str, encoding: str, errors: str) -> str:
    path = (folder / filename).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        raise RayStateApiException(f"there is no log file {filename!r}: see list_logs()")
    # Half a character at the end of what still grows is no error.
    return path.read_text(encoding, "replace" if errors == "strict" else errors)


def _printed(
    engine: Engine, actor_id: str | None, task_id: str | None, pid: int | None, timeout: float,
    stream: str,
) -> str:  # fmt: skip
    details = engine.insight.complete(d.TASKS | d.ACTORS | d.TEXTS, timeout)
    reading = Reading(details, engine.cluster.nodes())
    texts = [one for one in details.texts if one.stream == stream and one.cell != OWN_CELL]
    if actor_id:
        actor = next((row for row in reading.actors() if row["actor_id"] == actor_id), None)
        if actor is None:
            raise RayStateApiException(f"there is no actor {actor_id}")
        pid = actor["pid"]
    elif task_id:
        return "".join(one.text for one in _of_task(details, reading, texts, task_id))
    return "".join(one.text for one in texts if one.pid == pid)


def _of_task(
    details: d.Details, reading: Reading, texts: list[d.TextRecord], task_id: str
) -> list[Any]:
    tasks = [one for one in details.tasks if one.hex() == task_id]
    if not tasks:
        raise RayStateApiException(f"there is no task {task_id}")
    row = next(row for row in reading.tasks() if row["task_id"] == task_id)
    begun = min((one.started for one in tasks if one.started), default=0.0)
    ended = max((one.ended or float("inf")) for one in tasks)
    # Text comes to its driver a moment after it was printed.
    return [
        one for one in texts
        if one.pid == row["worker_pid"] and one.task == row["name"]
        and (not one.at or begun - 0.05 <= one.at <= ended + 0.5)
    ]  # fmt: skip
