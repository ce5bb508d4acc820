"""Cells: identity, explicit parents, late output from threads."""

from __future__ import annotations

import contextvars
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from fake_kernel import Kernel, Shell

from nbray import session
from nbray.jupyter.cells import cells as module
from nbray.jupyter.cells.cells import Cells


@pytest.fixture(autouse=True)
def no_cell() -> Any:
    token = session.cell.set("")
    yield
    session.cell.reset(token)


def run(shell: Shell, kernel: Kernel, msg_id: str) -> str:
    kernel.receive(msg_id)
    shell.events.fire("pre_run_cell")
    seen = session.cell.get()
    shell.events.fire("post_run_cell")
    return seen


def test_the_cell_is_the_request_that_runs_it() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    assert run(shell, kernel, "a") == "a"
    assert session.cell.get() == ""
    assert own.parent("a")["header"]["msg_id"] == "a"


def test_a_cell_is_called_by_its_number_and_what_it_ran() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    kernel.receive("a")
    shell.events.fire("pre_run_cell", SimpleNamespace(raw_cell="\n  sizes = f()\nmore()"))
    shell.events.fire("post_run_cell")
    assert session.cell_label("a") == f"[{shell.execution_count}] sizes = f()"
    assert session.cell_label("unknown") == ""


def test_attaching_inside_a_cell_counts_that_cell() -> None:
    kernel = Kernel()
    kernel.receive("first")
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    assert session.cell.get() == "first"
    shell.events.fire("post_run_cell")
    assert session.cell.get() == ""


def test_a_plain_terminal_counts_by_prompt() -> None:
    shell, own = Shell(), Cells()
    own.attach(shell)
    shell.events.fire("pre_run_cell")
    assert session.cell.get() == "In[7]"
    assert own.kernel is None
    assert own.publish("In[7]", "stream", {"name": "stdout", "text": "x"}) is False


def test_nested_cells_give_the_name_back() -> None:
    shell, own = Shell(), Cells()
    own.attach(shell)
    shell.events.fire("pre_run_cell")
    shell.execution_count = 8
    shell.events.fire("pre_run_cell")
    assert session.cell.get() == "In[8]"
    shell.events.fire("post_run_cell")
    assert session.cell.get() == "In[7]"


def test_late_output_of_a_thread_keeps_its_cell_as_parent() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    run(shell, kernel, "a")
    kernel.receive("b")
    thread = threading.Thread(target=own.stream, args=("a", "late\n"))
    thread.start()
    thread.join()
    own.display("b", {"text/plain": "now"}, display_id="d", update=True)
    first, second = kernel.sent
    assert first["parent"]["header"]["msg_id"] == "a"
    assert (first["kind"], first["content"]) == ("stream", {"name": "stdout", "text": "late\n"})
    assert second["kind"] == "update_display_data"
    assert second["content"]["transient"] == {"display_id": "d"}


def test_an_unknown_cell_falls_back_to_the_running_one() -> None:
    kernel = Kernel()
    own = Cells()
    own.attach(Shell(kernel))
    kernel.receive("now")
    assert own.parent("never seen")["header"]["msg_id"] == "now"


def test_memory_of_cells_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    for number in range(5):
        run(shell, kernel, f"m{number}")
    kernel.request = {}
    assert own.parent("m0") == {}
    assert own.parent("m4") != {}


def test_cells_hold_once_what_their_headers_have_in_common() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    sent = [
        {"msg_id": f"m{number}", "date": f"{number} o'clock", "session": session, "version": "5"}
        for number, session in enumerate(("first", "first", "second", "second"))
    ]
    for header in sent:
        kernel.request = {"header": dict(header), "content": {"code": "x" * 1000}}
        shell.events.fire("pre_run_cell")
        shell.events.fire("post_run_cell")
    assert [own.parent(f"m{number}") for number in range(4)] == [{"header": one} for one in sent]
    assert len({id(request.common) for request in own._parents.values()}) == 2


def test_attach_is_idempotent_and_detach_leaves_nothing() -> None:
    shell, own = Shell(Kernel()), Cells()
    own.attach(shell)
    own.attach(shell)
    assert [len(hooks) for hooks in shell.events.callbacks.values()] == [1, 1]
    own.detach()
    assert [len(hooks) for hooks in shell.events.callbacks.values()] == [0, 0]


def test_outside_a_kernel_output_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    own = Cells()
    own.stream("x", "out\n")
    own.stream("x", "err\n", "stderr")
    own.display("x", {"text/plain": "plain", "text/html": "<b>no</b>"})
    own.display("x", {"text/plain": "update"}, display_id="d", update=True)
    captured = capsys.readouterr()
    assert captured.out == "out\nplain\n"
    assert captured.err == "err\n"


def test_end_hooks_hear_of_each_cell() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    heard: list[str] = []
    own.on_end.append(heard.append)
    own.attach(shell)
    run(shell, kernel, "a")
    run(shell, kernel, "b")
    assert heard == ["a", "b"]


def test_updates_travel_with_the_running_cell() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    run(shell, kernel, "a")
    kernel.receive("b")
    shell.events.fire("pre_run_cell")
    own.display("a", {"text/plain": "x"}, display_id="d", update=True)
    own.display("a", {"text/plain": "x"}, display_id="d")
    assert [sent["parent"]["header"]["msg_id"] for sent in kernel.sent] == ["b", "a"]
    shell.events.fire("post_run_cell")
    assert own.carrier("a") == "a"


def test_what_headers_have_in_common_is_held_once() -> None:
    kernel = Kernel()
    shell, own = Shell(kernel), Cells()
    own.attach(shell)
    for name in ("a", "b"):
        kernel.request = {"header": json.loads(f'{{"msg_id": "{name}", "session": "one of many"}}')}
        shell.events.fire("pre_run_cell")
        shell.events.fire("post_run_cell")
    first, second = own.parent("a")["header"], own.parent("b")["header"]
    assert first["session"] is second["session"]
    assert first == {"msg_id": "a", "session": "one of many"}


def test_a_cell_that_awaits_ends_in_another_context() -> None:
    kernel = Kernel()
    shell = Shell(kernel)
    own = Cells()
    own.attach(shell)
    ended: list[str] = []
    own.on_end.append(ended.append)

    class Info:
        raw_cell = "await f()"

    class Result:
        info = Info()

    kernel.receive("m1")
    contextvars.copy_context().run(shell.events.fire, "pre_run_cell", Result.info)
    shell.events.fire("post_run_cell", Result())
    assert ended == ["m1"]
    assert session.cell.get() == ""
    own.detach()


def test_the_cell_that_loads_the_extension_has_its_title_too(monkeypatch):
    monkeypatch.setattr(session, "cell_labels", {})
    kernel, cells = Kernel(), Cells()
    kernel.receive("first")
    kernel.request["content"] = {"code": "%load_ext nbray\nnbray.get(f.remote())"}
    cells.attach(Shell(kernel))
    try:
        assert session.cell_labels["first"].endswith("] nbray.get(f.remote())")
    finally:
        session.cell.set("")
        cells.detach()
