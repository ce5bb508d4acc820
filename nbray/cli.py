"""The command line: `nbray start`, `nbray status`, `nbray stop`, `nbray doctor`.

Owns the options, what is printed, and exit statuses. Does not own what is done:
nodes come and go by the launcher of this machine (`nbray.clusters.local`).

Rule: whatever goes wrong is one sentence on stderr and a status that is not
zero (1: it could not be done, 2: it was asked wrongly). Nothing heavy is
imported before a command runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import click

from nbray import arguments
from nbray.as_ray.command import run
from nbray.clusters.local import Local
from nbray.clusters.record import Record
from nbray.clusters.start_options import labels_file_option, labels_option, resources_option
from nbray.commands import add_to
from nbray.commands.cluster import without_effect
from nbray.commands.sentences import log_options
from nbray.config import DEFAULT_PORT, HEAD_PATIENCE, MOST_WORKERS, NodeRequest, join_line
from nbray.exceptions import RayError, RaySystemError
from nbray.version import __version__

_FIGURES_SECONDS = 3.0
"""How long `status` waits for the first figures of the nodes."""
_BLOCK_STEP = 0.2


@contextlib.contextmanager
def _one_sentence() -> Iterator[None]:
    """Turn the runtime's errors into a line on stderr and status 1."""
    try:
        yield
    except (RayError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        # `str` of an OSError with a number is "[Errno 98] ..."
        raise click.ClickException(error.strerror or str(error)) from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--logging-level", hidden=True, expose_value=False)  # of Ray's: there is no log
@click.option("--logging-format", hidden=True, expose_value=False)
@click.version_option(__version__, prog_name="nbray")
def main() -> None:
    """Clusters for notebooks, with Ray's API."""


@main.command()
@click.option("--head", is_flag=True, help="Start a new cluster.")
@click.option("--address", metavar="HOST:PORT", help="Join the cluster whose head is there.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"TCP port of this node.  [default: {DEFAULT_PORT} for a head, else any free one]",
)
@click.option(
    "--node-ip-address", metavar="IP", default="",
    help="Address of this machine to listen on.  [default: the primary one]",
)  # fmt: skip
@click.option("--num-cpus", type=click.FloatRange(min=0), help="CPUs that tasks may use.")
@click.option("--num-gpus", type=click.FloatRange(min=0), help="GPUs that tasks may use.")
@click.option(
    "--resources", metavar="JSON", callback=resources_option,
    help="""Further resources, like '{"disk": 2}'.""",
)  # fmt: skip
@click.option("--memory", type=click.IntRange(min=1), hidden=True)  # as in Ray: bytes for tasks
@click.option(
    "--labels", metavar="KEY=VALUE,...", callback=labels_option, help="The node's labels.",
)  # fmt: skip
@click.option(
    "--labels-file", metavar="FILE", callback=labels_file_option, help="A file of labels (YAML).",
)  # fmt: skip
@click.option(
    "--object-store-memory", metavar="BYTES", type=click.IntRange(min=1),
    help="Memory for objects.  [default: 30 % of the machine's]",
)  # fmt: skip
@click.option(
    "--object-spilling-directory", metavar="FOLDER", type=click.Path(file_okay=False),
    help="Where objects go that do not fit into that memory.  [default: the system's folder for "
    "temporary files, or another one that is on a disk]",
)  # fmt: skip
@click.option(
    "--max-workers", metavar="COUNT", type=click.IntRange(min=1), envvar=MOST_WORKERS,
    help=f"Most worker processes.  [default: {MOST_WORKERS}, or what half the memory allows]",
)  # fmt: skip
@click.option(
    "--redis-password", metavar="SECRET",
    help="The cluster's secret, as Ray has it; --secret-file keeps it out of the shell's history.",
)  # fmt: skip
@click.option(
    "--secret-file", type=click.File("r"), metavar="FILE",
    help="Read the secret from FILE ('-': standard input).",
)  # fmt: skip
@click.option(
    "--insecure-password", is_flag=True,
    help="Accept a password that is easy to guess on addresses others can reach.",
)  # fmt: skip
@click.option(
    "--include-dashboard", metavar="BOOL", type=bool, default=None,
    help="false: no port listens for the dashboard.  [default: true, with --head]",
)  # fmt: skip
@click.option(
    "--dashboard-port", metavar="PORT", type=click.IntRange(0, 65535),
    help="Where it listens, on 127.0.0.1.  [default, or 0: 8265, or the next one that is free]",
)  # fmt: skip
@click.option(
    "--idle-timeout", metavar="SECONDS", type=click.FloatRange(min=0),
    help="A head's cluster ends when nobody has used it for so long; 0: never.  "
    "[default: NBRAY_IDLE_TIMEOUT; else on a hub an hour, a day while it keeps a job's result; "
    "else never]",
)  # fmt: skip
@click.option("--block", is_flag=True, help="Stay until the node ends; Ctrl-C ends it.")
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print what runs as a line of JSON, for programs; it holds no secret.",
)  # fmt: skip
@without_effect
def start(
    head: bool,
    address: str | None,
    port: int | None,
    node_ip_address: str,
    num_cpus: float | None,
    num_gpus: float | None,
    resources: dict[str, float],
    memory: int | None,
    labels: dict[str, str],
    labels_file: dict[str, str],
    object_store_memory: int | None,
    object_spilling_directory: str | None,
    max_workers: int | None,
    redis_password: str | None,
    secret_file: IO[str] | None,
    insecure_password: bool,
    include_dashboard: bool | None,
    dashboard_port: int | None,
    idle_timeout: float | None,
    block: bool,
    as_json: bool,
) -> None:
    """Start a cluster (--head), or have this machine join one (--address)."""
    if head == bool(address):
        raise click.UsageError(
            "give either --head (a new cluster) or --address=HOST:PORT (join one)"
        )
    if redis_password is not None and secret_file is not None:
        raise click.UsageError("give either --redis-password or --secret-file")
    if address and (include_dashboard or dashboard_port is not None):
        raise click.UsageError(
            "the dashboard belongs to the head: give --dashboard-port there; here, once it has "
            "joined, `nbray dashboard` starts one"
        )
    if address and idle_timeout is not None:
        raise click.UsageError(
            "a cluster ends with its head: give --idle-timeout where that is started"
        )
    secret = redis_password
    if secret_file is not None:
        secret = secret_file.read()
    if secret is not None and not secret.strip():
        raise click.UsageError("the secret is empty")
    if redis_password is not None:
        _hide_secret(redis_password)
    request = NodeRequest(
        head=head,
        address=address or "",
        port=port if port is not None else DEFAULT_PORT if head else 0,
        node_ip=node_ip_address,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources={**resources, **({"memory": float(memory)} if memory else {})},
        labels={**labels_file, **labels},
        object_store_memory=object_store_memory,
        spill_directory=arguments.folder("--object-spilling-directory", object_spilling_directory),
        max_workers=max_workers or 0,
        secret=(secret or "").strip(),
        insecure_password=insecure_password,
        dashboard=include_dashboard is not False,
        dashboard_port=dashboard_port or 0,
        idle_timeout=-1.0 if idle_timeout is None else idle_timeout,
        ends_with=os.getpid() if block else 0,
    )
    with _one_sentence():
        launcher = Local()
        request, warnings = launcher.settle(request)
        for warning in warnings:
            click.echo(f"Warning: {warning}", err=True)
        say = _as_json if as_json else _greeting
        if not block:
            click.echo(say(launcher.start(request)))
            return
        # From before the node exists: a signal must not end this command without it.
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _stay(launcher, launcher.start(request), say)
        finally:
            signal.signal(signal.SIGTERM, previous)


@main.command()
@click.option(
    "--address", metavar="HOST:PORT", envvar=["NBRAY_ADDRESS", "RAY_ADDRESS"],
    help="Only that cluster.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="What each node has, too.")
@log_options
def status(address: str | None, verbose: bool) -> None:
    """Show the clusters that this machine is part of."""
    failed = False
    with _one_sentence():
        launcher = Local()
        one = address not in {None, "", "auto"}
        chosen = [_chosen(launcher, address)] if one else launcher.records()
        clusters: dict[str, Record] = {}
        for session in chosen:
            clusters.setdefault(session.head_address, session)
    if not clusters:
        raise click.ClickException(
            "no nbray runs on this machine: start a cluster with `nbray start --head`"
        )
    for number, session in enumerate(clusters.values()):
        if number:
            click.echo()
        try:
            text = _panel(launcher, session, verbose)
        except (RayError, OSError) as error:
            failed = True
            role = "head" if session.head else f"node {session.node}"
            text = f"nbray · {session.head_address} · {role} on this machine at {session.address}"
            click.echo(f"Error: {error}", err=True)
        click.echo(text)
    if failed:
        raise SystemExit(1)


@main.command()
@click.option("--address", metavar="HOST:PORT", help="Of which cluster.  [default: the youngest]")
def join(address: str | None) -> None:
    """Print the line by which another machine joins a cluster; it holds the cluster's secret."""
    with _one_sentence():
        launcher = Local()
        engine = launcher.attach(_chosen(launcher, address))
        try:
            # A cluster of a notebook's listens only from now on.
            click.echo(engine.cluster.join_line())
        finally:
            engine.shutdown()


def _chosen(launcher: Local, address: str | None) -> Record:
    """The youngest session here, or that of the cluster at *address*.

    Raises:
        ClickException: there is none.
    """
    for session in launcher.records():
        if address in (None, session.head_address, session.address):
            return session
    found = launcher.find(address) if address else None
    if found is not None:
        return found
    raise click.ClickException(
        f"this machine is not part of a cluster at {address}: see `nbray status`"
        if address
        else "no nbray runs on this machine: start a cluster with `nbray start --head`"
    )


@main.command()
@click.option("--address", metavar="HOST:PORT", help="Of which cluster.  [default: the youngest]")
@click.option(
    "--port", type=click.IntRange(1, 65535),
    help="TCP port on this machine, where it has none yet.  [default: 8265, or the next free one]",
)  # fmt: skip
@click.option("--stop", "end", is_flag=True, help="End its process; the cluster goes on.")
def dashboard(address: str | None, port: int | None, end: bool) -> None:
    """Print the link to the dashboard of a cluster that this machine is part of.

    Whoever opens the link that `nbray start --head` printed sees the same. Where no
    port listens for it yet, this command starts it.
    """
    from nbray.dashboard import launch

    with _one_sentence():
        session = _chosen(Local(), address)
        if end:
            again = "; whoever opens its link starts it again" if launch.offered(session) else ""
            stopped = launch.stop(session)
            click.echo(f"the dashboard has ended{again}" if stopped else "no dashboard runs")
        else:
            click.echo(launch.of_session(session, port))


@main.command()
@click.option("-f", "--force", is_flag=True, help="At once: processes get no time to end.")
@click.option(
    "-g", "--grace-period", type=click.FloatRange(min=0), metavar="SECONDS",
    help="What they get, all together.  [default: 10]",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Name each node that ends.")
@log_options
def stop(force: bool, grace_period: float | None, verbose: bool) -> None:
    """End every node that runs on this machine, whoever's terminal it was started from."""
    with _one_sentence():
        launcher = Local()
        records = launcher.records()
        for one in records if verbose else ():
            click.echo(f"stopping node {one.node} of {one.head_address} ({one.directory})")
        launcher.stop(records, 0.0 if force else grace_period)
    count = len(records)
    if count == 0:
        click.echo("no nbray runs on this machine")
    else:
        click.echo(f"stopped {count} node{'s' if count != 1 else ''}")


@main.command()
def doctor() -> None:
    """Say what is installed and switched on, and the command that mends what is not."""
    from nbray.jupyter.doctor import examine, verdict

    problems = 0
    found = []
    for finding in examine():
        found.append(finding)
        click.echo(f"{'ok ' if finding.good else 'BAD'}  {finding.text}")
        if not finding.good:
            problems += 1
            click.echo(f"       {finding.mend}")
    if problems:
        things = "one thing" if problems == 1 else f"{problems} things"
        raise click.ClickException(f"{things} to mend: the line below each says how")
    click.echo(verdict(found))


main.add_command(run)

# -- what is printed ---------------------------------------------------------------


def _join_line(session: Record) -> str:
    return join_line(session.head_address, session.secret)


def _hide_secret(secret: str) -> None:
    """Begin again without the secret in the arguments, which every user of the machine sees.

    Returns where it is not in this program's own arguments, or they cannot be told apart.
    """
    option = "--redis-password"
    words: list[str] = []
    found = False
    rest = list(sys.orig_argv)
    while rest:
        word = rest.pop(0)
        name, equals, _ = word.partition("=")
        if found or len(name) < 4 or not option.startswith(name):
            words.append(word)
            continue
        found = True
        if not equals and rest:
            rest.pop(0)
        reader, writer = os.pipe()
        os.write(writer, secret.encode())  # a pipe takes far more than that
        os.close(writer)
        os.set_inheritable(reader, True)
        words.append(f"--secret-file=/dev/fd/{reader}")
    if found and Path("/dev/fd").exists():
        os.execv(sys.executable, [sys.executable, *words[1:]])  # noqa: S606 - this very program


def _on_this_machine_only(address: str) -> bool:
    return address.startswith(("127.", "[::1]", "localhost"))


def _greeting(session: Record) -> str:
    """What to do next, as lines to paste."""
    if not session.head:
        return (
            "nbray runtime started.\n"
            f"This machine is node {session.node} of the cluster at {session.head_address}.\n\n"
            "To end what runs here:\n    nbray stop"
        )
    from nbray.dashboard.links import saved

    line = _join_line(session)
    if saved(os.environ):
        line = (
            "what `nbray join` prints in a terminal here (this notebook will be saved, and the "
            "line holds the cluster's secret)"
        )
    beside = f"On this machine, also:\n    nbray start --address='{session.head_address}'\n\n"
    if _on_this_machine_only(session.head_address):
        join = f"It listens on this machine only. To add a node here:\n    {line}\n\n"
        elsewhere = ""
    else:
        join = f"On each further machine, paste:\n    {line}\n\n"
        elsewhere = (
            "From Python elsewhere:\n"
            f"    nbray.init(address={session.head_address!r}, "
            "_redis_password=...)    # the secret in that line\n\n"
        )
    return (
        f"nbray runtime started.\nA cluster runs at {session.head_address}.\n\n"
        f"{join}"
        f"{beside}"
        "From Python on this machine:\n"
        "    import nbray\n"
        '    nbray.init(address="auto")\n\n'
        f"{elsewhere}"
        f"To see it in a browser:\n    {_browser(session)}\n\n"
        "To see it in a terminal:\n    nbray status\n\n"
        "To end what runs here:\n    nbray stop"
    )


def _browser(session: Record) -> str:
    """The dashboard's link, or what there is instead."""
    from nbray.dashboard.launch import offered

    link = offered(session)
    if link is not None:
        return link.url
    why = session.dashboard.why
    return "nbray dashboard" + (f"        # {why}" if why else "")


def _as_json(session: Record) -> str:
    """The same for programs."""
    import msgspec

    from nbray.clusters.start_command import started

    return msgspec.json.encode(started(session)).decode()


def _panel(launcher: Local, session: Record, verbose: bool) -> str:
    """The cluster's panel as text, and what Ray says of its own, by attaching for a moment."""
    from nbray import details
    from nbray.view import panel_text
    from nbray.view.cluster_status import status_text

    engine = launcher.attach(session)
    try:
        deadline = time.monotonic() + _FIGURES_SECONDS
        snapshot = engine.insight.snapshot()
        while not snapshot.nodes and time.monotonic() < deadline:
            time.sleep(0.05)
            snapshot = engine.insight.snapshot()
        if not snapshot.nodes:
            raise RaySystemError(
                f"the head's machine ({session.head_address}) does not answer: it is asleep or cut "
                f"off; this one waits {HEAD_PATIENCE:.0f} s for it, and joins again when it is back"
            )
        found = engine.insight.complete(details.TASKS | details.ACTORS, _FIGURES_SECONDS)
        groups, at = engine.cluster.groups.find(), time.strftime("%Y-%m-%d %H:%M:%S")
        said = status_text(snapshot, found, verbose, groups=groups, at=at)
        return f"{panel_text(snapshot)}\n\n{said}"
    finally:
        engine.shutdown()


def _stay(launcher: Local, session: Record, say: Callable[[Record], str]) -> None:
    """Greet and wait until the session ends; end it when this command is told to end."""
    try:
        click.echo(say(session))
        while launcher.alive(session):
            time.sleep(_BLOCK_STEP)
        click.echo("the node has ended")
    except KeyboardInterrupt:
        click.echo("stopping")
        launcher.remove(session)


add_to(main)
if __name__ == "__main__":
    main()
