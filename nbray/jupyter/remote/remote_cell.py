"""`%%remote`: a cell's code as tasks.

Owns the launch, the gathering and what is shown. Options are read by
`remote_line`, names by `names`, values packed by `capture`; `body` runs on the
worker. Rule: the cell's variables change only through `-o`, and only once all
of its tasks have succeeded.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
import re
import sys
import tokenize
import traceback
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.error import UsageError

from nbray import api, session
from nbray.engine import Function
from nbray.exceptions import RayError
from nbray.jobs import launch
from nbray.jobs.keeper import Part, Plan
from nbray.jobs.results import outputs_of, shown_of
from nbray.jupyter import jobs
from nbray.jupyter.cells.stop import stop
from nbray.jupyter.failures.errors import NotebookError, Stopped
from nbray.jupyter.remote import body
from nbray.jupyter.remote.background import Background, NamedBackground
from nbray.jupyter.remote.capture import Capture, Captured
from nbray.jupyter.remote.each import each
from nbray.jupyter.remote.names import CellNames, names_of
from nbray.jupyter.remote.remote_line import RemoteLine, parse
from nbray.options import TaskOptions, task_options
from nbray.refs import ObjectRef
from nbray.remote import RemoteFunction
from nbray.util.mapping import Map

_MAGIC_LINE = re.compile(r"^\s*(%\w|%%\w|!)")


class RemoteCells:
    """The `%%remote` of one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.capture = Capture()
        self._background: list[Background] = []

    def magic(self, line: str, cell: str) -> Any:
        """Run this cell as a task: `%%remote [OPTIONS]`, the code below it.

        What the cell reads from the notebook travels by itself; its last expression
        is shown. The notebook's variables stay as they are, but for those of `-o`.

            -o NAME,...              bring these variables of the cell back
            --each ITEM in ITERABLE  run the cell once for each element, with ITEM bound
                                     as by the head of a loop: --each i, x in enumerate(data).
                                     Shown is the list of the last expressions, in order,
                                     and what -o brings back are lists. Tiny elements
                                     travel thousands at a time, long ones alone.
            --nodes all              run the cell once on each node, with lists likewise
            --bg                     return at once, with a handle to the running cell
            --bg --name NAME         the same, as a job that goes on when this kernel ends:
                                     nbray.fetch("NAME") gets its result in any notebook,
                                     %nbray jobs lists them
            --cpus N, --gpus N, --resources JSON   what the cell, or each element, takes
            --retries N              try again after an error, N times (-1: without end)

        Raises:
            UsageError: the line or the cell's variables do not make sense; one sentence.
            NotebookError: a value cannot travel, or no engine can be had; one sentence.
            Stopped: the Stop button; the cell's work is cancelled.
            RayTaskError: the cell's code raised; with --each, a note names the element.
        """
        if line.strip() in {"-h", "--help"}:
            sys.stdout.write(f"{inspect.cleandoc(_HELP)}\n")
            return None
        try:
            asked = parse(line)
            options = task_options(asked.options)
        except (ValueError, TypeError) as error:
            raise UsageError(f"%%remote: {error}") from None
        # The count of the cell that runs; `execution_count` may be the next one already.
        name = f"In[{self._shell.displayhook.prompt_count}]"
        program, names = self._program(asked, line, cell, f"Cell {name}")
        items = self._items(asked)
        running = session.cell.get()
        results: list[body.Result]
        streamed: Map | None = None
        try:
            program, captured = self._pack(program, names)
            if asked.target and not asked.background:
                streamed = each(program, captured, items, options, name)
                results = list(streamed)
            else:
                if asked.name:
                    plan = _plan(program, captured, items, asked, options, cell)
                    return self._as_job(plan, captured, asked)
                refs = _launch(program, captured, items, asked, options, name)
                if asked.background:
                    return self._in_background(refs, asked, name)
                results = api.get(refs)
        except KeyboardInterrupt:
            left = streamed.left() if streamed is not None else 0
            if streamed is not None:
                streamed.cancel()
            count, what = stop(running), "task"
            if streamed is not None:
                count, what = left, "element"
            raise Stopped(f"{count} {what}{'' if count == 1 else 's'} cancelled") from None
        except BaseException:
            # One failed: nobody waits for the others any more.
            if streamed is not None:
                streamed.cancel()
            if streamed is not None or (asked.all_nodes and not asked.background):
                stop(running)
            raise
        several = bool(asked.target) or asked.all_nodes
        self._shell.user_ns.update(outputs_of(results, asked.outputs, several))
        return shown_of(results, several)

    def collect(self, _info: object = None) -> None:
        """Assign the `-o` variables of background cells that have ended (`pre_run_cell`)."""
        self._background = [one for one in self._background if not one.collect()]

    def forget(self, _engine: object = None) -> None:
        """The engine has changed: nothing that was put or launched exists any more."""
        self.capture.clear()
        self._background.clear()

    def _program(
        self, asked: RemoteLine, line: str, cell: str, filename: str
    ) -> tuple[body.Program, CellNames]:
        """The cell as it travels, and the names in it."""
        # The magic's own line stays, as a comment: line numbers are the notebook's.
        source = f"# %%remote {line}\n{cell}"
        try:
            tree = ast.parse(source, filename)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # whoever runs it warns
                compile(source, filename, "exec", dont_inherit=True)
        except SyntaxError as error:
            if error.text and _MAGIC_LINE.match(error.text):
                raise UsageError(
                    f"%%remote runs plain Python: {error.text.strip()!r} is IPython's own syntax"
                ) from None
            text = "".join(traceback.format_exception_only(error)).rstrip()
            if "await" in str(error) or "async" in str(error):
                text += " (a cell of %%remote is plain Python: call asyncio.run(...))"
            place = f'File "{error.filename}"'
            raise NotebookError(text.replace(place, str(error.filename), 1).strip()) from None
        names = names_of(tree, asked.item_names)
        can_give = {*names.bound, *names.needed, *names.maybe, *asked.item_names}
        for name in asked.outputs:
            if name not in can_give and "*" not in can_give:
                raise UsageError(f"%%remote: -o {name}: the cell does not assign {name!r}")
        program = body.Program(
            source, filename, asked.target, asked.outputs, quiet=_ends_in_semicolon(cell)
        )
        return program, names

    def _items(self, asked: RemoteLine) -> Iterable[Any]:
        """The elements of `--each`, or one None."""
        if not asked.target:
            return [None]
        code = compile(asked.iterable, "--each", "eval", dont_inherit=True)
        try:
            items = eval(code, self._shell.user_ns)  # noqa: S307 - the user's own expression
            iter(items)
        except Exception as error:  # noqa: BLE001 - whatever the user's expression raises
            raise NotebookError(
                f"--each {asked.target} in {asked.iterable}: {type(error).__name__}: {error}"
            ) from None
        found: Iterable[Any] = items
        return found

    def _pack(self, program: body.Program, names: CellNames) -> tuple[body.Program, Captured]:
        """The values of the names that the cell reads; the program with their sources."""
        try:
            session.require()
        except (RayError, OSError) as error:
            raise NotebookError(f"nbray could not start: {error}") from error
        hidden = getattr(self._shell, "user_ns_hidden", {})
        captured = self.capture.pack(names, self._shell.user_ns, hidden)
        program = body.Program(
            program.source, program.filename, program.target, program.outputs, program.quiet,
            captured.sources,
        )
        return program, captured

    def _as_job(self, plan: Plan, captured: Captured, asked: RemoteLine) -> Background:
        if captured.values.live:
            kept = ", ".join(sorted(captured.values.live))
            print(
                f"The job {plan.name} needs {kept} as long as it runs, and what their references "
                "name ends with this notebook."
            )
        try:
            job, handed_over = launch(plan, captured.large)
        except ValueError as error:
            raise NotebookError(f"%%remote --bg: {error}") from None
        if handed_over:
            print(jobs.STAYS.format(plan.name))
        jobs.trail(job)
        refs, _, several = job.result()
        handle = NamedBackground(job, refs, self._taking(asked, several))
        self._background.append(handle)
        return handle

    def _in_background(
        self, refs: list[ObjectRef[Any]], asked: RemoteLine, name: str
    ) -> Background:
        handle = Background(name, refs, self._taking(asked, bool(asked.target) or asked.all_nodes))
        self._background.append(handle)
        return handle

    def _taking(self, asked: RemoteLine, several: bool) -> Callable[[list[body.Result]], Any]:
        """What takes a background cell's results: assigns `-o` variables, gives what it shows."""

        def assign(results: list[body.Result]) -> Any:
            self._shell.user_ns.update(outputs_of(results, asked.outputs, several))
            return shown_of(results, several)

        return assign


_HELP = (RemoteCells.magic.__doc__ or "").partition("Raises:")[0]
"""What `%%remote --help` prints."""


def _plan(
    program: body.Program, captured: Captured, items: Iterable[Any], asked: RemoteLine,
    options: TaskOptions, cell: str,
) -> Plan:
    """The cell as a named job."""
    line = next((line.strip() for line in cell.splitlines() if line.strip()), "")
    values = captured.values
    if asked.all_nodes:
        calls = [(program, values, -1, None)]
        parts = [Part(body.run, one, calls) for one in _for_all_nodes(asked, options)]
    elif asked.target and not values.live:
        shared = functools.partial(body.run, program, values)
        parts = [Part(shared, options, list(enumerate(items)))]
    else:
        calls = [(program, values, i, item) for i, item in enumerate(items)]
        parts = [Part(body.run, options, calls)]
    several = bool(asked.target) or asked.all_nodes
    return Plan(asked.name, line[:200], parts, asked.outputs, several)


def _remote(call: Any, name: str, options: TaskOptions) -> RemoteFunction:
    return RemoteFunction(call, options, Function(call, name))


def _launch(
    program: body.Program, captured: Captured, items: Iterable[Any], asked: RemoteLine,
    options: TaskOptions, name: str,
) -> list[ObjectRef[Any]]:
    """The cell as tasks: one for each node or, in the background, for each element."""
    if asked.all_nodes:
        return _on_all_nodes(program, captured, asked, options, name)
    values, large = captured.values, captured.large
    if asked.target and not values.live:
        # One function for all elements: what they share travels once to each worker.
        shared = _remote(functools.partial(body.run, program, values), name, options)
        return [shared.remote(i, item, *large) for i, item in enumerate(items)]
    single = _remote(body.run, name, options)
    return [single.remote(program, values, i, item, *large) for i, item in enumerate(items)]


def _on_all_nodes(
    program: body.Program, captured: Captured, asked: RemoteLine, options: TaskOptions, name: str
) -> list[ObjectRef[Any]]:
    """One task on each live node; takes no CPU unless asked to, so that no node refuses."""
    return [
        _remote(body.run, name, one).remote(
            program, captured.values, -1, None, *captured.large
        )
        for one in _for_all_nodes(asked, options)
    ]


def _for_all_nodes(asked: RemoteLine, options: TaskOptions) -> list[TaskOptions]:
    base = options if "num_cpus" in asked.options else task_options({"num_cpus": 0}, options)
    return [task_options({"node": number}, base) for number in live_nodes()]


def live_nodes() -> list[int]:
    """The numbers of the cluster's live nodes, in the order of `nbray.nodes()`."""
    # An engine without numbered nodes has one, and 0 means anywhere.
    return [int(node.get("NodeNumber", 0)) for node in api.nodes() if node.get("Alive", True)]


def _ends_in_semicolon(cell: str) -> bool:
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(cell).readline):
            if token.type == tokenize.OP or token.type in {
                tokenize.NAME, tokenize.NUMBER, tokenize.STRING,
            }:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"
