"""The panel: what moves, what a saved notebook keeps, what happens at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import comm
import msgspec
import pytest
from details import details
from fake_kernel import Kernel, Shell
from harness import eventually
from ipywidgets import Button, VBox, Widget
from scenes import cluster

from nbray import details as d
from nbray import session
from nbray.engine import RuntimeInfo
from nbray.engines.parts import OneMachine
from nbray.engines.scripted import ScriptedEngine
from nbray.events import Snapshot
from nbray.jupyter.cells.live import VIEW
from nbray.jupyter.notebook import current
from nbray.jupyter.panel import panel as module
from nbray.jupyter.panel.controls import OPENERS
from nbray.jupyter.panel.panel import Board, Panel

SECRET = "hush-hush"
CONNECTED = Panel.connected


class Joinable(OneMachine):
    def join_line(self) -> str:
        return f"nbray start --address=10.0.0.1:6379 --redis-password={SECRET}"


def scripted(snapshot: Snapshot) -> ScriptedEngine:
    engine = ScriptedEngine()
    engine.insight.picture, engine.insight.known = snapshot, details()
    engine.context.here = RuntimeInfo()
    engine.cluster = Joinable("n1")
    return engine


class Bench:
    def __init__(self) -> None:
        self.kernel = Kernel()
        self.shell = Shell(self.kernel)
        current().cells.attach(self.shell)
        self.engine = scripted(cluster(2))
        session.install(self.engine)  # type: ignore[arg-type]
        self.board = Board(current())

    def cell(self, name: str) -> None:
        self.kernel.receive(name)
        self.shell.events.fire("pre_run_cell")

    def end(self) -> None:
        self.shell.events.fire("post_run_cell")

    @property
    def bundles(self) -> list[dict[str, Any]]:
        return [sent["content"]["data"] for sent in self.kernel.sent]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(Panel, "connected", True)  # there is no front end to connect to
    monkeypatch.setattr(module, "REFRESH", 0.01)
    made = Bench()
    yield made
    session.install(None)
    session.on_install.remove(made.board._engine_changed)
    if made.board._save in current().cells.on_end:
        current().cells.on_end.remove(made.board._save)
    current().cells.detach()


def wait_for(panel: Panel, text: str) -> None:
    until = time.monotonic() + 60
    while text not in panel.value:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_shows_moves_and_saves(bench: Bench) -> None:
    bench.cell("a")
    panel = bench.board.panel()
    panel._ipython_display_()
    assert "host2" in bench.bundles[0]["text/html"]
    assert "host2" in bench.bundles[0]["text/plain"]
    bench.engine.insight.picture = cluster(3)
    wait_for(panel, "host3")
    bench.end()
    assert "host3" in bench.bundles[-1]["text/html"]
    assert bench.kernel.sent[-1]["kind"] == "update_display_data"


def test_a_cluster_that_ends_by_itself_leaves_its_panels_at_rest(bench: Bench) -> None:
    bench.cell("a")
    panel = bench.board.panel()
    panel._ipython_display_()
    assert len(panel.children) > 1
    bench.engine.ended = "it was stopped"
    wait_for(panel, "stopped")
    assert len(panel.children) == 1, "its buttons are gone"
    assert "stopped" in bench.bundles[-1]["text/plain"]
    bench.engine = scripted(cluster(1))
    session.install(None)
    session.install(bench.engine)  # type: ignore[arg-type]
    assert "stopped" not in panel.value


def test_an_unchanged_panel_sends_nothing(bench: Bench) -> None:
    bench.cell("a")
    bench.board.panel()._ipython_display_()
    sent = len(bench.kernel.sent)
    bench.end()
    bench.cell("b")
    bench.end()
    assert len(bench.kernel.sent) == sent


def test_the_engines_end_leaves_the_last_state_without_a_widget(bench: Bench) -> None:
    bench.cell("a")
    panel = bench.board.panel()
    panel._ipython_display_()
    session.install(None)
    last = bench.bundles[-1]
    assert VIEW not in last
    assert "host2" in last["text/html"]
    assert "stopped" in last["text/html"]
    assert "nbray start" not in last["text/html"]
    session.install(scripted(cluster(1)))  # type: ignore[arg-type]
    assert "host2" not in panel.value
    assert "host1" in panel.value


def test_the_thread_ends_with_the_engine_and_with_the_last_panel(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.board.panel()
    assert bench.board._over is not None
    session.install(None)
    assert bench.board._over is None
    session.install(bench.engine)  # type: ignore[arg-type]
    over = bench.board._over
    assert over is not None
    monkeypatch.setattr(Panel, "connected", False)
    until = time.monotonic() + 60
    while bench.board._over is not None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_old_panels_rest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIVE", 2)
    bench.cell("a")
    first = bench.board.panel()
    first._ipython_display_()
    for _ in range(3):
        bench.board.panel()
    assert VIEW not in bench.bundles[-1]
    assert len(bench.board._panels) == 2


@pytest.fixture
def comms(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Widgets with something like a front end: `comm` objects that do nothing."""
    monkeypatch.setattr(Panel, "connected", CONNECTED)
    monkeypatch.setattr(comm, "create_comm", lambda **_: comm.DummyComm())
    monkeypatch.setattr(module, "LIVE", 2)
    bench.cell("a")
    others = set(module.connected_widgets())
    yield
    for name, widget in module.connected_widgets().items():
        if name not in others:
            widget.close()


WIDGETS, BARE = 23, 5


def opener(panel: Panel, name: str) -> Button:
    assert panel._controls is not None
    return panel._controls._openers[name]


@pytest.mark.usefixtures("comms")
def test_old_panels_let_go_of_their_widgets(bench: Bench) -> None:
    panels = []
    held = []
    others = len(module.connected_widgets())
    for _ in range(6):
        panels.append(bench.board.panel())
        panels[-1]._ipython_display_()
        held.append(len(module.connected_widgets()) - others)
    # a panel and its layout, the table's three; what the buttons are made of
    assert held == [WIDGETS, 2 * WIDGETS, *[2 * WIDGETS] * 4]
    assert [panel.gone for panel in panels] == [True] * 4 + [False] * 2
    assert "layout" not in panels[0]._trait_values
    assert not panels[0].value
    session.install(None)
    assert len(module.connected_widgets()) - others == 2 * BARE, "at rest there are no buttons"


@pytest.mark.usefixtures("comms")
def test_drawers_end_with_their_widgets(bench: Bench) -> None:
    panel = bench.board.panel()
    others = len(module.connected_widgets())
    for name in OPENERS:
        opener(panel, name).click()
        assert panel.drawer == name
        assert len(module.connected_widgets()) > others
    opener(panel, name).click()
    assert not panel.drawer
    assert eventually(lambda: not bench.board.errands.state.busy)
    assert len(module.connected_widgets()) == others
    panel.close()
    assert not panel.connected
    panel.close()


@pytest.mark.usefixtures("comms")
def test_closing_all_widgets_at_once_harms_nothing(bench: Bench) -> None:
    panel = bench.board.panel()
    panel._ipython_display_()
    Widget.close_all()
    bench.board.nudge()
    assert bench.board._panels == []
    session.install(None)
    session.install(bench.engine)  # type: ignore[arg-type]
    assert bench.board.panel().connected


@pytest.mark.usefixtures("comms")
def test_a_panel_that_let_go_moves_again_where_it_is_shown_again(bench: Bench) -> None:
    first = bench.board.panel()
    first._ipython_display_()
    for _ in range(2):
        bench.board.panel()._ipython_display_()
    assert first.gone
    bench.cell("b")
    first._ipython_display_()
    assert not first.gone
    assert first.layout.width == "100%"
    assert bench.bundles[-1][VIEW]["model_id"] == first.model_id
    bench.engine.insight.picture = cluster(3)
    wait_for(first, "host3")
    assert first in bench.board._panels
    assert len(bench.board._panels) == 2


@pytest.mark.usefixtures("comms")
def test_a_panel_in_a_box_keeps_its_widget(bench: Bench) -> None:
    boxed, shown = bench.board.panel(), bench.board.panel()
    shown._ipython_display_()
    box = VBox([shown])
    for _ in range(2):
        bench.board.panel()
    assert boxed.connected, "it was never shown: it waits for its box"
    assert shown.connected
    box.close()


def test_without_an_engine(bench: Bench) -> None:
    session.install(None)
    board = Board(current())
    session.on_install.remove(board._engine_changed)
    assert "No cluster is running" in board.panel().value
    assert repr(board.panel()) == "No cluster is running"


def test_in_a_terminal_it_prints(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    panel = bench.board.panel()
    current().cells.detach()
    panel._ipython_display_()
    assert capsys.readouterr().out.startswith("2 nodes · 12 of 16 CPUs busy")


def test_what_is_open_moves_and_is_asked_for_only_then(bench: Bench) -> None:
    panel = bench.board.panel()
    assert bench.engine.insight.asked == []
    opener(panel, "jobs").click()
    assert bench.engine.insight.asked == [0]
    assert panel._controls is not None
    assert "segment(photos)" in panel._controls._text.value  # type: ignore[union-attr]
    opener(panel, "actors").click()
    assert bench.engine.insight.asked[-1] == d.ACTORS | d.TASKS
    opener(panel, "actors").click()
    asked = len(bench.engine.insight.asked)
    bench.engine.insight.picture = cluster(3)
    wait_for(panel, "host3")
    assert len(bench.engine.insight.asked) <= asked + 1, "a look may have been on its way"


def test_what_a_save_holds_never_has_the_line_nor_buttons(bench: Bench) -> None:
    bench.cell("a")
    panel = bench.board.panel()
    panel._ipython_display_()
    opener(panel, "join").click()
    assert eventually(lambda: bool(bench.board.errands.state.join))
    assert SECRET in panel._controls._text.value  # type: ignore[union-attr]
    bench.engine.insight.picture = cluster(3)
    wait_for(panel, "host3")
    bench.end()
    assert "host3" in bench.bundles[-1]["text/html"]
    session.install(None)
    assert not bench.board.errands.state.join
    assert panel.children == (panel._view,)
    for bundle in bench.bundles:
        assert SECRET not in str(bundle)
        assert "<button" not in bundle["text/html"]


def test_show_is_for_notebooks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(current()._parts, Board, bench.board)
    bench.cell("a")
    assert module.show()
    assert "host2" in bench.bundles[0]["text/html"]
    current().cells.detach()
    assert not module.show()


def test_no_secret_can_appear(bench: Bench) -> None:
    assert {field.name for field in msgspec.structs.fields(Snapshot)} == {
        "nodes", "cells", "engine", "address", "actors", "groups", "awaited",
    }  # fmt: skip


@pytest.mark.usefixtures("comms")
@pytest.mark.parametrize("how", ["voila", "switched off", "asked for"])
def test_a_panel_without_buttons(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "voila":
        monkeypatch.setenv("VOILA_REQUEST_URL", "http://host/voila/render/a.ipynb")
    elif how == "switched off":
        monkeypatch.setenv("NBRAY_CONTROLS", "0")
    others = set(module.connected_widgets())
    panel = bench.board.panel(controls=how != "asked for")
    panel._ipython_display_()
    bench.board.nudge()
    new = [one for name, one in module.connected_widgets().items() if name not in others]
    assert new
    # no button has a model, shown or not
    assert not [one for one in new if isinstance(one, Button)]
    assert len(panel.children) == 1
    assert "host2" in panel.value
    assert VIEW in bench.bundles[0], "it moves all the same"


@pytest.mark.usefixtures("comms")
def test_a_panel_of_a_batch_run_has_no_model(bench: Bench) -> None:
    bench.kernel.request["content"] = {"allow_stdin": False}
    others = set(module.connected_widgets())
    panel = bench.board.panel()
    panel._ipython_display_()
    bench.engine.insight.picture = cluster(1)
    bench.board.nudge()
    bench.board._save("a")
    assert set(module.connected_widgets()) == others
    assert "host2" in bench.bundles[0]["text/html"]
    assert "host2" not in bench.bundles[-1]["text/html"]
    assert "host2" not in panel.value
    assert not any(VIEW in bundle for bundle in bench.bundles)
    panel.rest("<b>over</b>", "over")
    panel.close()
    assert not panel.connected
    assert bench.bundles[-1] == {"text/html": "<b>over</b>", "text/plain": "over"}
