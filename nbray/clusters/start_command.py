"""`nbray start`, run by another Python: its arguments, its answer, its failures.

Owns the command line between two nbrays, and what `nbray start --json` prints.
Does not own the command (`nbray.cli`). Rule: a secret reaches the command by
its standard input, and nothing that it prints holds one.
"""

from __future__ import annotations

import json
import subprocess

import msgspec

from nbray.clusters.launcher import Interpreter, Refused
from nbray.clusters.record import Record
from nbray.config import NodeRequest

COMMAND_SECONDS = 60.0


class Started(msgspec.Struct, frozen=True):
    """A node that runs, as `nbray start --json` says it in one line."""

    address: str
    """'host:port' of the cluster."""
    cluster: str
    """Its id."""
    head: bool
    node: int
    """The node's number."""
    directory: str
    """The session's folder: the record lies there."""


def started(record: Record) -> Started:
    """What is said of *record*."""
    return Started(
        address=record.head_address,
        cluster=record.cluster,
        head=record.head,
        node=record.node,
        directory=record.directory,
    )


def arguments(request: NodeRequest) -> list[str]:
    """The arguments that ask `nbray start` for *request*; its secret goes to standard input."""
    words = ["--head"] if request.head else [f"--address={request.address}"]
    words.append(f"--port={request.port}")
    if request.node_ip:
        words.append(f"--node-ip-address={request.node_ip}")
    if request.num_cpus is not None:
        words.append(f"--num-cpus={request.num_cpus!r}")
    if request.num_gpus is not None:
        words.append(f"--num-gpus={request.num_gpus!r}")
    if request.resources:
        words.append(f"--resources={json.dumps(request.resources)}")
    if request.labels:
        words.append(f"--labels={','.join(f'{k}={v}' for k, v in request.labels.items())}")
    if request.object_store_memory is not None:
        words.append(f"--object-store-memory={request.object_store_memory}")
    if request.spill_directory:
        words.append(f"--object-spilling-directory={request.spill_directory}")
    if request.max_workers:
        words.append(f"--max-workers={request.max_workers}")
    if request.secret:
        words.append("--secret-file=-")
    if request.insecure_password:
        words.append("--insecure-password")
    if request.head:
        if not request.dashboard:
            words.append("--include-dashboard=false")
        if request.dashboard_port:
            words.append(f"--dashboard-port={request.dashboard_port}")
        if request.idle_timeout >= 0:
            words.append(f"--idle-timeout={request.idle_timeout!r}")
    return words


def run(by: Interpreter, request: NodeRequest) -> Started:
    """Have *by* start what *request* asks for.

    Raises:
        Refused: it did not work, in the command's own words; or *by* has no nbray.
    """
    try:
        done = subprocess.run(
            # -P: a file in the notebook's folder must not stand in for a module of ours.
            [by.python, "-P", "-m", "nbray.cli", "start", *arguments(request), "--json"],
            input=request.secret.encode(),
            capture_output=True,
            env=by.env,
            cwd=by.cwd,
            start_new_session=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except OSError as error:
        raise Refused(f"{by.python} cannot be run: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise Refused(
            f"`{by.python} -m nbray.cli start` said nothing for {COMMAND_SECONDS:.0f} seconds"
        ) from None
    if done.returncode:
        raise Refused(sentence(by.python, done.stderr.decode(errors="replace")))
    try:
        return msgspec.json.decode(done.stdout, type=Started)
    except msgspec.DecodeError:
        raise Refused(
            f"the nbray of {by.python} does not say what it has started: "
            "install the same version in both environments"
        ) from None


def sentence(python: str, said: str) -> str:
    """One sentence out of what a failed command of *python* wrote to stderr."""
    if "No module named nbray" in said or "No module named 'nbray'" in said:
        return f"nbray is not installed for {python}: run `{python} -m pip install nbray`"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (told or lines or [f"{python} ended without a word"])[-1]
