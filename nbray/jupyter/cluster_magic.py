"""`%nbray`: start, attach, join, status and stop, in words.

Owns the sentences printed. Does not own the reading of the line (`commands`),
the cluster (`nbray.api`) nor the panel. Rule: every command may be run again, and
what goes wrong is one sentence that says what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.display import display

from nbray import api, session
from nbray.config import STATS_INTERVAL
from nbray.dashboard import open_here
from nbray.dashboard.launch import known
from nbray.dashboard.links import Link
from nbray.engine import Engine
from nbray.events import NodeView, Snapshot
from nbray.exceptions import RayError
from nbray.figures import amount, memory, noun
from nbray.jupyter import commands
from nbray.jupyter.cells.audience import audience
from nbray.jupyter.commands import COMMANDS
from nbray.jupyter.failures.errors import NotebookError
from nbray.jupyter.insight.environment import environments
from nbray.jupyter.notebook import current
from nbray.jupyter.panel.staying import staying

STAYS = "It stays when this notebook ends: %nbray attach finds it again, %nbray stop ends it."


class JoinLine(str):
    """The line to paste on another machine; a terminal shows it with a word of advice.

    What a cell shows is saved with the notebook, and the line holds the cluster's secret.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        seen_by = audience(current().cells.kernel)
        if not seen_by.secrets:
            return "The line for joining is shown to the notebook's author only: it holds a secret."
        if current().cells.kernel is not None and not seen_by.controls:
            return (
                "The line holds the cluster's secret, and cells are saved: in a terminal on this "
                "machine, nbray join prints it."
            )
        if current().cells.kernel is not None:
            return (
                "Press Join line above: the line holds the cluster's secret, and is shown for a "
                "minute and never saved. In a terminal on this machine, nbray join prints it."
            )
        return f"Paste this on another machine (it holds the cluster's secret):\n{self}"


def magic(line: str) -> Any:
    return run(line)


def run(line: str) -> Any:
    """`%nbray` *line*; what it returns is what the cell shows.

    Raises:
        UsageError: the line does not make sense; one sentence.
        NotebookError: the cluster cannot do it; one sentence.
    """
    command, values, options = commands.read(line)
    work: dict[str, Callable[[list[str], dict[str, str]], Any]] = {
        "start": _start, "attach": _attach, "join": _join, "status": _status, "stop": _stop,
        "dashboard": _dashboard, "logs": _logs, "debug": _debug,
        "memory": _memory, "free": _free, "jobs": _jobs, "receipt": _receipt, "help": _help,
        "published": _published,
    }
    try:
        return work[command](values, options)
    except (RayError, ValueError, TypeError, RuntimeError, OSError) as error:
        if isinstance(error, NotebookError):
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise NotebookError(f"%nbray {command}: {text}") from None


def _start(_values: list[str], options: dict[str, str]) -> None:
    cpus: float | None = None
    if "--cpus" in options:
        try:
            cpus = float(options["--cpus"])
        except ValueError:
            cpus = -1.0
        if not 0 < cpus < float("inf"):
            given = options["--cpus"]
            raise UsageError(f"%nbray start: --cpus takes a number above 0, not {given!r}")
        cpus = int(cpus) if cpus == int(cpus) else cpus
    infeasible = options.get("--infeasible", "raise")
    if infeasible not in {"wait", "raise"}:
        raise UsageError(f"%nbray start: --infeasible takes wait or raise, not {infeasible!r}")
    engine = _engine(options)
    running = _running()
    if running is not None:
        _other(running, engine, "start")
        _say(f"nbray is running already: {summary(running)}.")
        _show_dashboard(running)
        started = session.started_with()
        if cpus is not None and (started is None or started.num_cpus != cpus):
            _say("For another number of CPUs, run %nbray stop first.")
        _show_panel()
        return
    api.init(
        address="local", num_cpus=cpus, detached="--detach" in options, infeasible=infeasible,
        engine=engine or None,
    )  # fmt: skip
    _say(f"nbray is running: {summary(session.require())}.")
    if "--detach" in options:
        _say(STAYS)
    if other := staying():
        _say(other)
    _show_dashboard(session.require())
    _show_panel()


def _engine(options: dict[str, str]) -> str:
    """The engine that was asked for ('': whichever it is)."""
    name = options.get("--engine", "")
    if name not in {"", "native", "ray"}:
        raise UsageError(f"%nbray: --engine takes native or ray, not {name!r}")
    return name


def _other(running: Engine, engine: str, command: str) -> None:
    """Refuse another engine than the one that runs."""
    if not running.capabilities.answers_to(engine):
        raise NotebookError(
            f"nbray is running here already ({summary(running)}), with another engine: "
            f"run %nbray stop first, then %nbray {command} --engine {engine}"
        )


def _running() -> Engine | None:
    """The engine in use; one whose cluster has ended is taken leave of, and that is said."""
    if session.ended():
        _say(f"{_not_running()}.")
        api.shutdown()
    return session.current()


def _not_running() -> str:
    why = session.ended()
    return f"nbray is not running any more, its cluster has ended: {why}" if why else (
        "nbray is not running"
    )


def _show_panel() -> None:
    """The cluster's panel below the sentence, in a notebook."""
    from nbray.jupyter.panel import panel  # late: it loads ipywidgets

    panel.show()


def _attach(values: list[str], options: dict[str, str]) -> None:
    # The whole line that `nbray join` printed is welcome too.
    if values[:2] == ["printf", "%s"] and values[3:4] == ["|"]:
        options = {"--secret": values[2], **options}
        values = values[4:]
    while values and values[0].startswith("RAY_AUTH_"):
        name, _, value = values[0].partition("=")
        if name == "RAY_AUTH_TOKEN":
            options = {"--secret": value, **options}
        values = values[1:]
    if values[:1] == ["ray"]:
        options = {"--engine": "ray", **options}
    while values and values[0] in {"nbray", "ray", "start"}:
        values = values[1:]
    if "--address" in options:
        values = [options["--address"], *values]
    if len(values) > 1:
        raise UsageError(f"%nbray attach takes one address; usage: {COMMANDS['attach'].usage}")
    address = values[0] if values else "auto"
    engine = _engine(options)
    running = _running()
    if running is not None:
        _other(running, engine, "attach")
        started = session.started_with()
        here = {started.address if started else "", running.context.runtime().address, "auto"}
        if address in here - {""}:
            _say(f"nbray is attached already: {summary(running)}.")
            _show_panel()
            return
        again = f"%nbray attach {values[0]}" if values else "%nbray attach"
        raise NotebookError(
            f"nbray is running here already ({summary(running)}): "
            f"run %nbray stop first, then {again}"
        )
    api.init(address=address, engine=engine or None, _redis_password=_secret(options))
    where = address if values else "the cluster on this machine"
    _say(f"nbray is attached to {where}: {summary(session.require())}.")
    _show_dashboard(session.require())
    _show_panel()
    current().part(environments).attached()


def _secret(options: dict[str, str]) -> str | None:
    """The secret that was given, as it is or in a file."""
    if "--secret" not in options and options.get("--secret-file", "-") != "-":
        return Path(options["--secret-file"]).expanduser().read_text(encoding="utf-8").strip()
    return options.get("--secret")


def _join(_values: list[str], _options: dict[str, str]) -> JoinLine:
    engine = session.live()
    if engine is None:
        raise NotebookError(f"{_not_running()}: run %nbray start first")
    line = JoinLine(engine.cluster.join_line())
    if current().cells.kernel is not None:
        _show_panel()
    return line


def _dashboard(_values: list[str], _options: dict[str, str]) -> Link:
    if session.live() is None:
        raise NotebookError(f"{_not_running()}: run %nbray start first")
    return open_here()


def _status(_values: list[str], _options: dict[str, str]) -> None:
    engine = session.live()
    if engine is None:
        _say(f"{_not_running()}: %nbray start starts a cluster on this machine.")
        return
    snapshot = _settled(engine)
    _say(f"nbray is running: {summary(engine)}.")
    for node in snapshot.nodes:
        _say(f"  {_node(node)}")


def _settled(engine: Engine) -> Snapshot:
    """The picture; nodes tell theirs twice a second, so what has just ended may still run in it."""
    deadline = time.monotonic() + 3 * STATS_INTERVAL
    while True:
        snapshot = engine.insight.snapshot()
        ours = all(view.finished for view in snapshot.cells.values())
        runs = any(node.figures.running for node in snapshot.nodes if node.alive)
        if not (ours and runs) or time.monotonic() >= deadline:
            return snapshot
        time.sleep(STATS_INTERVAL / 5)


def _stop(_values: list[str], options: dict[str, str]) -> None:
    if session.current() is None:
        _say("nbray is not running.")
        return
    from nbray.jupyter import jobs

    _say(jobs.stop_all("--cluster" in options))


def _help(values: list[str], _options: dict[str, str]) -> None:
    _say(commands.helped(values[0] if values else ""))


def _logs(values: list[str], options: dict[str, str]) -> Any:
    from nbray.jupyter.insight import logs_and_receipts as inspection
    from nbray.jupyter.waiting import progress

    if not current().loaded:
        raise NotebookError("nbray is not loaded: run %load_ext nbray first")
    return inspection.logs(progress.router().logs, values, options.get("--save", ""))


def _jobs(values: list[str], _options: dict[str, str]) -> Any:
    from nbray.jupyter import jobs

    if session.live() is None:
        raise NotebookError(
            f"{_not_running()}: %nbray attach finds a cluster with jobs again"
        )
    if not values:
        found = jobs.table()
        if not found.jobs and (other := staying()):
            _say(other)
        return found
    if len(values) != 2 or values[0] not in {"stop", "forget"}:
        raise UsageError(f"%nbray jobs: unexpected {values[-1]!r}; usage: {COMMANDS['jobs'].usage}")
    _say(jobs.stop(values[1]) if values[0] == "stop" else jobs.forget(values[1]))
    return None


def _published(values: list[str], _options: dict[str, str]) -> Any:
    from nbray import publishing

    if session.live() is None:
        raise NotebookError(f"{_not_running()}: nothing is published")
    if not values:
        return publishing.published()
    if len(values) != 2 or values[0] != "free":
        usage = COMMANDS["published"].usage
        raise UsageError(f"%nbray published: unexpected {values[-1]!r}; usage: {usage}")
    namespace, _, name = values[1].rpartition("/")
    publishing.unpublish(name, namespace=namespace)
    _say(f"{values[1]} is freed.")
    return None


def _receipt(values: list[str], _options: dict[str, str]) -> Any:
    from nbray.jupyter.insight import logs_and_receipts as inspection

    return inspection.receipt(values)


def _memory(_values: list[str], _options: dict[str, str]) -> Any:
    from nbray.jupyter.insight import holdings

    return holdings.memory(current())


def _free(_values: list[str], _options: dict[str, str]) -> None:
    from nbray.jupyter.insight import holdings

    holdings.free(current())


def _debug(values: list[str], options: dict[str, str]) -> Any:
    from nbray.jupyter.failures.debug import debug

    return debug(values, options.get("-o", ""), current().cells.shell.user_ns)


def summary(engine: Engine) -> str:
    """'2 nodes, 8 CPUs, 1 GPU, at HOST:PORT' of the live cluster."""
    resources = engine.cluster.resources()
    nodes = sum(1 for node in engine.cluster.nodes() if node.get("Alive", True))
    parts = [noun(nodes, "node"), amount(resources.get("CPU", 0), "CPU")]
    if resources.get("GPU"):
        parts.append(amount(resources["GPU"], "GPU"))
    address = engine.insight.snapshot().address
    return ", ".join(parts) + (f", at {address}" if address else "")


def _node(node: NodeView) -> str:
    """One node as a line of `%nbray status`."""
    figures = node.figures
    head = " (head)" if node.is_head else ""
    state = "" if node.alive else ", not reachable"
    return (
        f"{node.name}{head}, {node.address}{state}: "
        f"{amount(node.resources.get('CPU', 0), 'CPU')}, {figures.cpu_percent:.0f} % busy, "
        f"{noun(figures.workers, 'worker')}, "
        f"{figures.running} running, {figures.queued} queued, "
        f"object store {memory(figures.store_used)}"
        f"{f', {memory(figures.disk_used)} on disk' if figures.disk_used else ''}"
    )


def _show_dashboard(engine: Engine) -> None:
    """The link, where one waits; nothing is started for it."""
    link, why = known(engine)
    if link is not None:
        display(link)  # type: ignore[no-untyped-call]
    elif why:
        _say(f"There is no dashboard: {why}.")


def _say(text: str) -> None:
    # At once: what is displayed next is sent at once, too, and must come below.
    print(text, flush=True)


magic.__doc__ = f"The cluster, in words.\n\n{commands.helped()}\n"  # what `%nbray?` shows
