"""`nbray symmetric-run` and `microbenchmark`: programs on a cluster that is there for them.

Owns these commands. Does not own what a node is started with (`nbray start`), nor the rows of
the benchmark (`nbray._private.ray_perf`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import Any

import click

from nbray.clusters.local import Local

_JOIN_SECONDS = 120.0
"""How long `symmetric-run` waits for the head, or for nodes, as in Ray."""
_STEP = 0.5


@click.command()
def microbenchmark() -> None:
    """Measure calls, actors and objects on this machine, by the rows of Ray's own benchmark.

    TESTS_TO_RUN and TESTS_TO_SKIP, words with commas between them, choose among the rows.
    """
    from nbray._private.ray_perf import main

    main()


# -- a program on machines that all run the same command ---------------------------------


class _WithProgram(click.Command):
    """What stands behind '--' is a program and its arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["program"], args = args[at + 1 :], args[:at]
        return super().parse_args(ctx, args)


@click.command(
    "symmetric-run", cls=_WithProgram,
    context_settings={"ignore_unknown_options": True},
    options_metavar="--address HOST:PORT [--min-nodes N] [OPTIONS OF nbray start]",
)  # fmt: skip
@click.option("--address", required=True, metavar="HOST:PORT", help="Where the head is to be.")
@click.option("--min-nodes", type=click.IntRange(min=1), default=1, help="Wait for so many.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGUMENTS]")
@click.pass_context
def symmetric_run(
    context: click.Context, address: str, min_nodes: int, options: tuple[str, ...]
) -> None:
    """Run PROGRAM on a cluster of the machines on which this same command is run.

    The machine that HOST names becomes the head, waits for the others, runs PROGRAM and ends the
    cluster; every other one joins and stays until the cluster ends. With more than one machine
    each needs the same --secret-file.
    """
    program = context.meta.get("program")
    if program is None:
        raise click.ClickException(
            "No separator '--' found in arguments. Please use '--' to separate Ray start "
            "arguments and the entrypoint command."
        )
    if not program:
        raise click.ClickException("No entrypoint command provided.")
    for one in options:
        if one.partition("=")[0] in {"--head", "--node-ip-address", "--port", "--block"}:
            raise click.ClickException(f"Cannot use {one.partition('=')[0]} option here.")
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise click.ClickException(f"Invalid address format: {address}, should be `host:port`")
    if Local().records():
        raise click.ClickException("Ray is already started on this node.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:
        raise click.ClickException(f"Could not resolve hostname: {host}") from None
    family, ip = found[0][0], str(found[0][4][0])
    start = [sys.executable, "-m", "nbray", "start", *options]
    if not _is_here(family, ip) or (min_nodes > 1 and ip.startswith("127.")):
        click.echo(f"On worker node. Connecting to Ray cluster at {address}...")
        _await_port(ip, int(port))
        joined = subprocess.run([*start, "--address", address, "--block"], check=False)
        raise SystemExit(joined.returncode)
    click.echo("On head node. Starting Ray cluster head...")
    begun = subprocess.run(
        [*start, "--head", f"--node-ip-address={ip}", f"--port={port}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if begun.returncode:
        raise click.ClickException(f"Failed to start Ray: {begun.stderr.strip()}")
    click.echo("Head node started.")
    try:
        if min_nodes > 1:
            _await_nodes(address, min_nodes)
        click.echo(f"Running command on head node: {program}")
        ran = subprocess.run(program, env={**os.environ, "RAY_ADDRESS": address}, check=False)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        launcher = Local()
        launcher.stop(launcher.records(), None)
    raise SystemExit(ran.returncode)


def _is_here(family: Any, ip: str) -> bool:
    """Whether *ip* is an address of this machine: whether something can listen there."""
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((ip, 0))
        return True
    return False


def _await_port(ip: str, port: int) -> None:
    until = time.monotonic() + _JOIN_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((ip, port), timeout=_STEP):
            return
        time.sleep(_STEP)
    raise click.ClickException("Timed out waiting for head node to start.")


def _await_nodes(address: str, count: int) -> None:
    from nbray.util.state.api import connected

    until = time.monotonic() + _JOIN_SECONDS
    with connected(address) as (engine, _own):
        while sum(bool(node["Alive"]) for node in engine.cluster.nodes()) < count:
            if time.monotonic() > until:
                raise click.ClickException("Timed out waiting for other nodes to start.")
            time.sleep(_STEP)


COMMANDS = (microbenchmark, symmetric_run)
