"""`nbray stack`, `cluster-dump`, `check-open-ports`, `get-auth-token`: a look inside.

Owns these commands. Does not own what is known of a cluster (`nbray.util.state`), nor its records
(`nbray.clusters`). Rule: what is written or packed holds no secret; nothing is sent anywhere.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from nbray.clusters.local import Local
from nbray.clusters.record import Record
from nbray.commands.sentences import address_option, log_options, one_sentence

_SECONDS = 5.0
"""How long a process has to write its stack."""
_STEP = 0.02
_STEPS_WITHOUT_MORE = 5
"""After which it has written all of it."""


@click.command()
@address_option
def stack(address: str | None) -> None:
    """Print where every worker process of this machine is, all its threads.

    No process is stopped for it. What is written reaches the driver as output of C code, too.
    """
    from nbray.util.state.api import connected, list_workers

    with one_sentence():
        with connected(address) as (engine, _own):
            here = engine.context.runtime().node_id
        found = list_workers(address, limit=10_000, detail=True, raise_on_missing_output=False)
    said = 0
    for one in found:
        if one.node_id == here and one.worker_type == "WORKER" and one.is_alive and one.pid:
            said += 1
            click.echo(f"Stack dump for process {one.pid} (worker {one.worker_id})")
            click.echo((_stack_of(one.pid) or "it did not answer, or is not yours") + "\n")
    if not said:
        click.echo("no worker process runs on this machine")


def _stack_of(pid: int) -> str:
    """What process *pid* writes of its threads when it is asked; '' if it does not answer."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        if not int(caught.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1:
            return ""  # the signal would end it
        with Path(f"/proc/{pid}/fd/2").open("rb") as output:
            begin = output.seek(0, os.SEEK_END)
            os.kill(pid, signal.SIGUSR2)
            text, same, until = b"", 0, time.monotonic() + _SECONDS
            while same < _STEPS_WITHOUT_MORE and time.monotonic() < until:
                time.sleep(_STEP)
                output.seek(begin)
                now = output.read()
                same = same + 1 if now and now == text else 0
                text = now
            return text.decode(errors="replace").rstrip()
    except (OSError, StopIteration):
        return ""


# -- an archive -------------------------------------------------------------------------


@click.command("cluster-dump")
@click.argument("cluster_config_file", default="", metavar="")
@click.option("-h", "--host", hidden=True)
@click.option("-u", "--ssh-user", hidden=True)
@click.option("-k", "--ssh-key", hidden=True)
@click.option("-d", "--docker", hidden=True)
@click.option("-l", "--local/--no-local", default=True, help="From this machine.")
@click.option("-o", "--output", metavar="FILE", help="Where to.  [default: a name made up here]")
@click.option("--logs/--no-logs", default=True, help="Logs of this machine's sessions.")
@click.option("--debug-state/--no-debug-state", default=True, help="Status, nodes, actors, tasks.")
@click.option("--pip/--no-pip", default=True, help="Packages that are installed.")
@click.option("--processes/--no-processes", default=True, help="Processes of the cluster here.")
@click.option("--processes-verbose/--no-processes-verbose", default=True, help="In full.")
@click.option("-T", "--tempfile", metavar="FILE", hidden=True)
def cluster_dump(
    cluster_config_file: str, host: str | None, output: str | None, logs: bool, debug_state: bool,
    pip: bool, processes: bool, processes_verbose: bool, **_others: Any,
) -> None:  # fmt: skip
    """Pack logs, status, settings and packages into an archive; it holds no secret.

    What this machine has of its clusters; other machines are not asked for their logs.
    """
    if cluster_config_file or host:
        raise click.ClickException(
            "other machines are reached by no ssh from here: run `nbray cluster-dump` on each"
        )
    records = Local().records()
    if not records:
        raise click.ClickException("no nbray runs on this machine: there is nothing to collect")
    secrets = [word for one in records for word in (one.secret, one.dashboard.key) if word]
    name = output or f"collected_logs_{time.strftime('%Y-%m-%d_%H-%M-%S')}.tar.gz"
    count = 0
    with one_sentence(), tarfile.open(name, "w:gz") as archive:
        for path, text in _parts(records, logs, debug_state, pip, processes, processes_verbose):
            for secret in secrets:
                text = text.replace(secret, "(secret)")
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"{Path(name).name.partition('.')[0]}/{path}")
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            count += 1
    Path(name).chmod(0o600)
    click.echo(f"Created archive: {name} ({count} files)")


def _parts(
    records: Sequence[Record], logs: bool, debug_state: bool, pip: bool, processes: bool, full: bool
) -> Iterator[tuple[str, str]]:
    """(name, text) of what goes into the archive."""
    for record in records:
        folder = Path(record.directory) / "logs"
        for file in sorted(folder.iterdir()) if logs and folder.is_dir() else ():
            if file.is_file():
                name = f"logs/{folder.parent.name}/{file.name}"
                yield name, file.read_text(errors="replace")
    settings = {k: v for k, v in os.environ.items() if k.startswith(("NBRAY_", "RAY_"))}
    hidden = ("SECRET", "PASSWORD", "TOKEN", "KEY")
    yield "settings.txt", "".join(
        f"{name}={'(hidden)' if any(one in name for one in hidden) else value}\n"
        for name, value in sorted(settings.items())
    )
    if debug_state:
        yield "status.txt", _output("-m", "nbray", "status")
        for what in ("nodes", "actors", "tasks", "workers", "placement-groups", "jobs"):
            text = _output("-m", "nbray", "list", what, "--limit", "10000", "--detail")
            yield f"state/{what}.yaml", text
    if pip:
        yield "pip_packages.txt", _output("-m", "pip", "freeze")
    if processes:
        yield "processes.txt", _processes(records, full)


def _output(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def _processes(records: Sequence[Record], full: bool) -> str:
    """Processes whose command or folder is of one of the sessions, a line each."""
    import psutil

    lines = []
    for one in psutil.process_iter(["pid", "name", "cmdline", "memory_info", "status"]):
        words = " ".join(one.info["cmdline"] or ())
        if "nbray" in words or any(record.directory in words for record in records):
            memory = one.info["memory_info"].rss >> 20 if one.info["memory_info"] else 0
            shown = words if full else one.info["name"]
            state = one.info["status"]
            lines.append(f"{one.info['pid']:>8} {state:<10} {memory:>6} MiB  {shown}\n")
    return "".join(lines)


# -- who may enter -----------------------------------------------------------------------


@click.command("get-auth-token")
@click.option("--generate", is_flag=True, help="Make one up, where no cluster runs here.")
def get_auth_token(generate: bool) -> None:
    """Print the secret of the cluster that runs on this machine, and nothing else on stdout."""
    token = next((one.secret for one in Local().records() if one.secret), "")
    if not token and generate:
        import secrets

        token = secrets.token_urlsafe(32)
        click.echo(
            "A new one, for `nbray start --head --secret-file=FILE`: it is kept nowhere.", err=True
        )
    if not token:
        raise click.ClickException(
            "No authentication token found: no nbray runs on this machine. "
            "`nbray get-auth-token --generate` makes one up"
        )
    click.echo(token, nl=False)
    click.echo("", err=True)


@click.command("check-open-ports")
@click.option("-y", "--yes", is_flag=True, hidden=True)  # Ray asks before it calls a service
@click.option("--service-url", hidden=True)
@click.option("-v", "--verbose", is_flag=True, hidden=True)
@log_options
def check_open_ports(**_others: Any) -> None:
    """Say who can reach the ports of this machine's clusters. No service is asked.

    Status 1 if one listens on an address of the public internet.
    """
    import ipaddress

    records = Local().records()
    if not records:
        click.echo("no nbray runs on this machine: no port of its is open")
        return
    public = False
    for one in records:
        host = one.address.rpartition(":")[0].strip("[]")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            who = "whoever can resolve that name"
        else:
            public |= address.is_global
            who = (
                "this machine alone" if address.is_loopback
                else "the public internet, if no firewall is before it" if address.is_global
                else "machines of its network"
            )  # fmt: skip
        click.echo(f"{one.address}  node {one.node}: {who}; who has no secret is refused")
        if one.head and one.dashboard.port:
            click.echo(f"127.0.0.1:{one.dashboard.port}  dashboard: this machine alone")
    if public:
        raise SystemExit(1)


def _usage(name: str, state: str) -> click.Command:
    @click.command(name, help=f"Ray's: {state} the sending of usage statistics. nbray sends none.")
    def command() -> None:
        click.echo("nbray collects no usage statistics and sends nobody anything, now as ever.")

    return command


COMMANDS = (
    stack, cluster_dump, get_auth_token, check_open_ports,
    _usage("disable-usage-stats", "ends"), _usage("enable-usage-stats", "begins"),
)  # fmt: skip
