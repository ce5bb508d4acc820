"""`nbray list`, `get`, `summary`, `logs`, `memory`, `timeline`: what a cluster has and does."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from nbray.clusters.local import Local
from nbray.commands.sentences import address_option, one_sentence, timeout_option
from nbray.commands.tables import FORMATS, shown, table, yaml

LISTED = (
    "actors", "cluster-events", "jobs", "nodes", "objects", "placement-groups", "runtime-envs",
    "tasks", "workers",
)  # fmt: skip
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_SORTED = {"PID": "pid", "OBJECT_SIZE": "object_size", "REFERENCE_TYPE": "reference_type"}
_GROUPED = {"NODE_ADDRESS": "ip", "STACK_TRACE": "call_site"}


class Kind(click.ParamType):  # type: ignore[type-arg]
    """What is listed: in the singular too, with '_' or '-'."""

    name = "RESOURCE"

    def __init__(self, *names: str) -> None:
        self._names = names

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The name in Ray's form."""
        asked = str(value).lower().replace("_", "-")
        for name in self._names:
            if asked in {name, name.removesuffix("s")}:
                return name
        raise click.BadParameter(f"{value!r} is none of {', '.join(self._names)}")


def _filter(text: str) -> tuple[str, str, str]:
    for sign in ("!=", "="):
        name, found, value = text.partition(sign)
        if found and name.strip() and value.strip():
            return name.strip(), sign, value.strip()
    raise click.UsageError(f"--filter {text}: write it like --filter state=RUNNING, or with !=")


@click.command("list")
@click.argument("resource", type=Kind(*LISTED))
@click.option("--format", "form", type=click.Choice(FORMATS), default="default")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE",
              help="Only those; KEY!=VALUE: only others. May be given again: all must hold.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--detail", is_flag=True, help="All that is known, as YAML.")
@timeout_option
@address_option
def list_(
    resource: str, form: str, filters: tuple[str, ...], limit: int, detail: bool, timeout: float,
    address: str | None,
) -> None:  # fmt: skip
    """List tasks, actors, objects, nodes, workers, jobs, ... of a cluster."""
    from nbray.util.state.api import StateApiClient
    from nbray.util.state.common import SCHEMAS, ListApiOptions, StateResource

    kind = StateResource(resource.replace("-", "_"))
    with one_sentence():
        options = ListApiOptions(
            limit=limit, timeout=timeout, detail=detail, filters=[_filter(one) for one in filters]
        )
        found = StateApiClient(address).list(kind, options, raise_on_missing_output=False)
    columns = SCHEMAS[kind].list_columns(detail)
    rows = [{name: one[name] for name in columns} for one in found]
    click.echo(shown(rows, form, time.strftime("%Y-%m-%d %H:%M:%S"), detail))


@click.command("get")
@click.argument("resource", type=Kind(*LISTED))
@click.argument("identity", metavar="ID")
@timeout_option
@address_option
def get(resource: str, identity: str, timeout: float, address: str | None) -> None:
    """All that is known of one task, actor, object, ... by its id."""
    from nbray.util.state.api import StateApiClient
    from nbray.util.state.common import GetApiOptions, StateResource

    kind = StateResource(resource.replace("-", "_"))
    with one_sentence():
        found = StateApiClient(address).get(kind, identity, GetApiOptions(timeout=timeout))
    if not found:
        click.echo(f"Resource with id={identity} not found in the cluster.")
        raise SystemExit(1)
    rows = found if isinstance(found, list) else [found]
    click.echo(yaml([one.asdict() for one in rows]), nl=False)


@click.command("summary")
@click.argument("resource", type=Kind("tasks", "actors", "objects"))
@timeout_option
@address_option
def summary(resource: str, timeout: float, address: str | None) -> None:
    """How many tasks, actors or objects are in which state."""
    from nbray.util.state.api import StateApiClient
    from nbray.util.state.common import SummaryApiOptions, SummaryResource

    with one_sentence():
        found = StateApiClient(address).summary(
            SummaryResource(resource), options=SummaryApiOptions(timeout=timeout),
            raise_on_missing_output=False,
        )["cluster"]  # fmt: skip
    stats = {name: value for name, value in found.items() if name.startswith("total")}
    click.echo(f"======== {resource.capitalize()} Summary: {time.strftime('%Y-%m-%d %H:%M:%S')} "
               "========\nStats:\n------------------------------------")  # fmt: skip
    for name, value in stats.items():
        click.echo(f"{name}: {value if isinstance(value, int) else round(value, 3)}")
    click.echo("\nTable (group by " + found["summary_by"] + "):\n" + "-" * 36)
    by_site = found["summary_by"] == "callsite"
    rows = [
        {**({"callsite": name} if by_site else {}), **one} for name, one in found["summary"].items()
    ]
    click.echo(table(rows) if rows else "No resource in the cluster")


# -- logs ------------------------------------------------------------------------------


def _log_options(command: Any) -> Any:
    for option in (
        click.option("--tail", type=int, default=-1,
                     help="So many last lines.  [default: 1000; 0: all]"),
        click.option("-f", "--follow", is_flag=True, help="Go on with what comes."),
        click.option("-id", "--node-id", metavar="ID", help="On which node."),
        click.option("-ip", "--node-ip", metavar="IP", help="On which node."),
        click.option("--interval", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                     help="With --follow: between two looks."),
        timeout_option, address_option,
    ):  # fmt: skip
        command = option(command)
    return command


class Logs(click.Group):
    """A group in which what is no command is a file."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command of the first word; `file` where that is none."""
        if args and args[0] not in self.commands:
            args = ["cluster", *args]
        return super().resolve_command(ctx, args)


def _print(address: str | None, **asked: Any) -> None:
    from nbray.util.state.logs import get_log

    with one_sentence():
        try:
            for piece in get_log(address=address, **asked):
                sys.stdout.write(piece)
                sys.stdout.flush()
        except KeyboardInterrupt:
            pass


@click.group("logs", cls=Logs, invoke_without_command=True)
@click.pass_context
def logs(context: click.Context) -> None:
    """Log files of this machine's part of a cluster, and what actors, tasks, jobs have printed.

    Without a command they are listed.
    """
    if context.invoked_subcommand is None:
        context.invoke(cluster_logs)


@logs.command("cluster")
@click.argument("file", default="*", metavar="[FILE]")
@click.option("--encoding", default="utf-8", show_default=True, help="Of the file.")
@click.option("--encoding-errors", default="replace", show_default=True,
              help="What becomes of what is none: strict, ignore, replace, ...")
@_log_options
def cluster_logs(
    file: str, tail: int, follow: bool, node_id: str | None, node_ip: str | None,
    interval: float | None, timeout: float, encoding: str, encoding_errors: str,
    address: str | None,
) -> None:  # fmt: skip
    """Print FILE of the session's logs; list those that match it if it has a * or is left out."""
    from nbray.util.state.api import connected
    from nbray.util.state.logs import list_logs

    with one_sentence():
        if node_id is None and node_ip is None:
            with connected(address) as (engine, _own):
                node_id = engine.context.runtime().node_id
        found = list_logs(address, node_id, node_ip, file)
    names = [name for some in found.values() for name in some]
    if names == [file]:
        _print(
            address, filename=file, node_id=node_id, node_ip=node_ip, tail=tail, follow=follow,
            _interval=interval, timeout=timeout, encoding=encoding, errors=encoding_errors,
        )  # fmt: skip
        return
    if not names:
        raise click.ClickException(f"there is no log file {file!r}: see `nbray logs`")
    click.echo(yaml(dict(found)), nl=False)


def _of(name: str, option: str, key: str, what: str, *more: Any, kind: Any = str) -> None:
    def command(
        asked: Any, err: bool, tail: int, follow: bool, node_id: str | None, node_ip: str | None,
        interval: float | None, timeout: float, address: str | None, **others: Any,
    ) -> None:  # fmt: skip
        if asked is None and not others.get("pid"):
            raise click.UsageError("At least one of --pid and --id has to be provided.")
        _print(
            address, tail=tail, follow=follow, suffix="err" if err else "out", node_id=node_id,
            node_ip=node_ip, _interval=interval, timeout=timeout, **{key: asked}, **others,
        )  # fmt: skip

    for one in (
        _log_options,
        click.option("--err", is_flag=True, help="What it has written to stderr."),
        click.option(*option.split(), "asked", required=key != "actor_id", type=kind), *more,
    ):  # fmt: skip
        command = one(command)
    logs.command(name, help=f"Print what {what} has printed.")(command)


_of("actor", "-a --id", "actor_id", "an actor",
    click.option("-pid", "--pid", type=int, help="The process of the actor, instead of its id."))
_of("task", "--id", "task_id", "a task",
    click.option("-a", "--attempt-number", type=int, default=0, show_default=True, hidden=True))
_of("worker", "-pid --pid", "pid", "a worker process", kind=int)
_of("job", "--id", "submission_id", "a submitted job")


# -- memory -----------------------------------------------------------------------------


@click.command("memory")
@click.option("--units", type=click.Choice(list(_UNITS)), default="B", show_default=True)
@click.option("--sort-by", type=click.Choice(list(_SORTED)), default="OBJECT_SIZE",
              show_default=True)
@click.option("--group-by", type=click.Choice(list(_GROUPED)), default="NODE_ADDRESS",
              show_default=True)
@click.option("-n", "--n", "--num-entries", "num_entries", type=click.IntRange(min=1),
              help="So many of each group.")
@click.option("--stats-only", is_flag=True, help="The sums alone.")
@click.option("--no-format", is_flag=True, expose_value=False, hidden=True)  # there is one form
@timeout_option
@address_option
def memory(
    units: str, sort_by: str, group_by: str, num_entries: int | None, stats_only: bool,
    timeout: float, address: str | None,
) -> None:  # fmt: skip
    """Objects with their sizes and owners, and what the store of each node holds."""
    from nbray.util.state.api import connected, list_objects

    with one_sentence():
        found = list_objects(
            address, limit=10_000, timeout=timeout, detail=True, raise_on_missing_output=False
        )
        with connected(address) as (engine, _own):
            total = engine.cluster.resources()
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    click.echo(f"======== Object references status: {now} ========")
    key = _SORTED[sort_by]
    found.sort(key=lambda one: one[key], reverse=key == "object_size")
    groups: dict[Any, list[Any]] = {}
    for one in found:
        groups.setdefault(one[_GROUPED[group_by]], []).append(one)
    if not stats_only:
        for group, some in groups.items():
            size = sum(max(0, one.object_size) for one in some)
            click.echo(f"--- Object references for {group} ---\n"
                       f"{len(some)} objects, {_in(size, units)}\n")  # fmt: skip
            click.echo(table([_held(one, units) for one in some[:num_entries]]) + "\n")
    used = sum(max(0, one.object_size) for one in found)
    room = total.get("object_store_memory", 0)
    click.echo("--- Aggregate object store stats across all nodes ---")
    taken = sum(
        one.object_size * (len(one.nodes) - len(one.spilled or ())) for one in found if one.nodes
    )
    click.echo(
        f"Plasma memory usage {taken / (1 << 20):.0f} MiB, {len(found)} objects, "
        f"{100 * taken / (room or 1):.2f}% full"
    )
    click.echo(f"{_in(taken, units)} of {_in(room, units)}; objects have {_in(used, units)} in all")
    spilled = [one for one in found if one.spilled]
    if spilled:
        size = sum(max(0, one.object_size) for one in spilled)
        click.echo(f"Spilled {size / (1 << 20):.0f} MiB, {len(spilled)} objects")


def _held(one: Any, units: str) -> dict[str, Any]:
    return {
        "ip address": one.ip, "pid": one.pid, "type": one.type, "call site": one.call_site,
        "status": one.task_status, "size": _in(max(0, one.object_size), units),
        "reference type": one.reference_type, "pins": one.pins or 0,
        "lies on": ", ".join(
            f"{node} (disk)" if node in (one.spilled or ()) else node for node in one.nodes or ()
        ),
        "object ref": one.object_id,
    }  # fmt: skip


def _in(size: float, units: str) -> str:
    value = size / _UNITS[units]
    return f"{value:.0f} B" if units == "B" else f"{value:.3f} {units}"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True), default="")
@address_option
def timeline(file: str, address: str | None) -> None:
    """Write which worker ran what when to FILE, for chrome://tracing or ui.perfetto.dev.

    Without FILE a name is made up.
    """
    from nbray import api
    from nbray.jupyter.insight.timeline import timeline as make

    file = file or f"nbray-timeline-{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
    with one_sentence():
        if not Local().records():
            raise click.ClickException(
                "no nbray runs on this machine: start a cluster with `nbray start --head`"
            )
        api.init(address=address or "auto", log_to_driver=False)
        try:
            made = make(filename=file)
        finally:
            api.shutdown()
    count = len(made.bars)
    click.echo(f"Trace file written to {file}: {count} task{'s' if count != 1 else ''}")
    click.echo("You can open this with chrome://tracing in the Chrome browser, or ui.perfetto.dev.")


COMMANDS = (list_, get, summary, logs, memory, timeline)
