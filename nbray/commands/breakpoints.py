"""`nbray debug`: breakpoints in tasks of this machine, and the tasks that have failed.

Owns the command. Does not own the debugger, which runs in the task (`nbray.util.rpdb`).
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from nbray.clusters.local import Local
from nbray.commands.sentences import address_option, one_sentence
from nbray.commands.tables import table

_CHUNK = 1 << 16


@click.command("debug")
@address_option
@click.option("-v", "--verbose", is_flag=True, help="With the ids of task, worker, actor, node.")
def debug(address: str | None, verbose: bool) -> None:
    """Enter a task of this machine that has stopped at a breakpoint, by pdb.

    Without any, list the tasks that have failed; a notebook's `%nbray debug` opens its last one.
    """
    found = _waiting()
    if not found:
        _failed(address, verbose)
        return
    while found:
        click.echo("Active breakpoints:")
        click.echo(table([_row(index, one, verbose) for index, (_, one) in enumerate(found)]))
        try:
            chosen = input("Enter breakpoint index or press enter to refresh: ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if chosen:
            if not chosen.isdigit() or int(chosen) >= len(found):
                click.echo(f"There is no breakpoint {chosen}.")
                continue
            path, one = found[int(chosen)]
            if one["traceback"]:
                click.echo(one["traceback"])
            _enter(path)
        found = _waiting()


def _waiting() -> list[tuple[Path, dict[str, Any]]]:
    """(the socket, what is known) of every task that waits, the youngest first."""
    from nbray.util.rpdb import PREFIX

    found = []
    for record in Local().records():
        for note in Path(record.directory).glob(f"{PREFIX}*.json"):
            try:
                known = json.loads(note.read_text())
            except (OSError, ValueError):  # it goes on just now, or is being written
                continue
            if Path(f"/proc/{known['pid']}").exists():
                found.append((note.with_suffix(".sock"), known))
    return sorted(found, key=lambda one: -one[1]["timestamp"])


def _row(index: int, one: dict[str, Any], verbose: bool) -> dict[str, Any]:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["timestamp"]))
    place = f"{one['filename']}:{one['lineno']}"
    row = {"index": index, "timestamp": stamp, "Ray task": one["task"], "filename:lineno": place}
    if verbose:
        row |= {
            "Task ID": one["task_id"], "Worker ID": one["worker_id"],
            "Actor ID": one["actor_id"] or "", "Node ID": one["node_id"],
        }  # fmt: skip
    return row


def _enter(path: Path) -> None:
    """Pass lines to the debugger at *path*, and what it says back, until it lets go."""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(str(path))
        except OSError:
            click.echo("It waits no longer.")
            return
        reading: list[Any] = [link, sys.stdin]
        while True:
            ready, _, _ = select.select(reading, [], [])
            if link in ready:
                data = link.recv(_CHUNK)
                if not data:
                    return
                sys.stdout.write(data.decode(errors="replace"))
                sys.stdout.flush()
            if sys.stdin in ready:
                line = sys.stdin.readline()
                if line:
                    link.sendall(line.encode())
                else:
                    reading.remove(sys.stdin)
                    link.shutdown(socket.SHUT_WR)


def _failed(address: str | None, verbose: bool) -> None:
    from nbray.util.state.api import list_tasks

    with one_sentence():
        found = list_tasks(
            address, filters=[("state", "=", "FAILED")], detail=True, limit=10_000,
            raise_on_missing_output=False,
        )  # fmt: skip
    if not found:
        click.echo("no task has failed")
        return
    found.sort(key=lambda one: one.end_time_ms or 0, reverse=True)
    rows = []
    for index, one in enumerate(found):
        ended = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((one.end_time_ms or 0) / 1000))
        last = (one.error_message or "").strip().splitlines()
        row = {"index": index, "timestamp": ended, "Ray task": one.name, "Task ID": one.task_id}
        if verbose:
            row |= {"Worker ID": one.worker_id, "Actor ID": one.actor_id, "Node ID": one.node_id}
        rows.append({**row, "error": last[-1][:100] if last else one.error_type})
    click.echo(table(rows))
    click.echo(
        "\nIn the notebook whose task it was, `%nbray debug` shows where it failed, with its "
        "variables, and `%debug` enters its frames."
    )


COMMANDS = (debug,)
