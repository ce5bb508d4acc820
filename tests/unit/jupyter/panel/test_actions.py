"""What the panel's buttons do: one thing at a time, and one sentence when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from harness import eventually
from scenes import cluster

from nbray import session
from nbray.clusters.cluster import Cluster
from nbray.clusters.launcher import Refused
from nbray.engine import RuntimeInfo
from nbray.engines.parts import OneMachine, PlainInsight
from nbray.engines.scripted import ScriptedEngine
from nbray.events import Snapshot
from nbray.exceptions import RaySystemError
from nbray.jupyter.panel import actions as errands
from nbray.jupyter.panel.actions import Errands, State, removable

LINE = "nbray start --address=10.0.0.1:6379 --redis-password=hush"


class Machines(OneMachine):
    """Two of them."""

    count = 2
    leaving = False

    def __init__(self) -> None:
        super().__init__("n1")
        self.ended: list[tuple[int, bool]] = []

    def end_node(self, number: int, gently: bool) -> None:
        if number == 1:
            raise ValueError("the head's node cannot leave\nits cluster")
        self.ended.append((number, gently))
        self.leaving = gently
        self.count -= not gently

    def join_line(self) -> str:
        return LINE


class Looking(PlainInsight):
    def __init__(self, machines: Machines) -> None:
        super().__init__()
        self.machines = machines

    def snapshot(self) -> Snapshot:
        nodes = cluster(self.machines.count).nodes
        last = msgspec.structs.replace(nodes[-1], leaving=self.machines.leaving)
        return Snapshot(nodes=(*nodes[:-1], last))


class Engine(ScriptedEngine):
    """Two nodes; a session in the folder /run/mine."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: Machines = Machines()
        self.insight = Looking(self.cluster)
        self.context.here = RuntimeInfo(session_dir="/run/mine")


class Manager:
    """Adds and takes away nodes of the engine."""

    engine: Engine
    may: threading.Event
    asked: list[tuple[str, ...]]
    fails = ""
    here = Cluster(
        "00aa", "127.0.0.1:1", "/py", "3.11", "0", "/run/mine", True, 1, 7, 1.0
    )

    def of_session(self, directory: str) -> Cluster | None:
        return Manager.here if directory == "/run/mine" else None

    def add_node(self, key: str, env: Any, cpus: float) -> None:
        assert Manager.may.wait(60)
        if Manager.fails:
            raise Refused(Manager.fails)
        Manager.asked.append(("add", key, f"{cpus:g}"))
        Manager.engine.cluster.count += 1

    def remove_node(self, key: str, keep: str = "") -> None:
        Manager.asked.append(("remove", key, keep))
        Manager.engine.cluster.count -= 1


class Bench:
    def __init__(self) -> None:
        self.told: list[State] = []
        self.errands = Errands(lambda: self.told.append(self.errands.state))

    def done(self) -> State:
        assert eventually(lambda: not self.errands.state.busy)
        return self.errands.state


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    made = Engine()
    monkeypatch.setattr(Manager, "engine", made, raising=False)
    monkeypatch.setattr(Manager, "may", threading.Event(), raising=False)
    monkeypatch.setattr(Manager, "asked", [], raising=False)
    monkeypatch.setattr(Manager, "fails", "")
    Manager.may.set()
    monkeypatch.setattr(errands, "ClusterManager", Manager)
    session.install(made)  # type: ignore[arg-type]
    yield made
    session.install(None)


def test_a_node_is_added_and_taken_away(engine: Engine) -> None:
    bench = Bench()
    bench.errands.add()
    assert bench.done() == State()
    assert bench.told[0].busy == "Adding a node on this machine…"
    bench.errands.remove()
    assert bench.done() == State()
    assert Manager.asked == [("add", "00aa", "1"), ("remove", "00aa", "/run/mine")]


def test_one_thing_at_a_time(engine: Engine) -> None:
    Manager.may.clear()
    bench = Bench()
    bench.errands.add()
    bench.errands.add()
    bench.errands.remove()
    assert bench.errands.state.busy
    Manager.may.set()
    bench.done()
    assert [what for what, *_ in Manager.asked] == ["add"]


def test_what_goes_wrong_is_one_sentence_until_the_next_click(engine: Engine) -> None:
    Manager.fails = "the port is taken"
    bench = Bench()
    bench.errands.add()
    assert bench.done().error == "the port is taken"
    bench.errands.end(1, True)
    assert bench.done().error == "the head's node cannot leave its cluster"
    bench.errands.remove()
    assert bench.done() == State()


def test_what_nobody_thought_of_is_told_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.cluster, "end_node", lambda *_: {}["x"])
    bench = Bench()
    bench.errands.end(2, True)
    assert bench.done().error == "KeyError: 'x'"


def test_a_node_leaves_gently_or_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    bench.errands.end(2, True)
    assert bench.done() == State()
    bench.errands.end(2, False)
    assert bench.done() == State()
    assert engine.cluster.ended == [(2, True), (2, False)]
    monkeypatch.setattr(errands, "SEEN", 0.0)
    monkeypatch.setattr(
        engine.cluster, "end_node", lambda *_: setattr(engine.cluster, "count", 3)
    )
    bench.errands.end(3, False)
    assert "has not answered yet" in bench.done().error


def test_the_line_is_forgotten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.errands.join()
    assert bench.done().join == LINE
    bench.errands.hide()
    assert bench.errands.state == State()
    monkeypatch.setattr(errands, "SHOWN", 0.01)
    bench.errands.join()
    assert eventually(lambda: any(state.join for state in bench.told[3:]))
    assert eventually(lambda: not bench.errands.state.join)


def test_an_engine_without_processes_says_so(engine: Engine) -> None:
    engine.context.here = RuntimeInfo()
    bench = Bench()
    bench.errands.add()
    assert "inline engine" in bench.done().error
    assert removable(engine) == 0  # type: ignore[arg-type]


def test_after_the_end_it_says_so(engine: Engine) -> None:
    bench = Bench()
    session.install(None)
    bench.errands.add()
    assert bench.done().error == "nbray is not running any more"


def test_how_many_can_be_taken_away(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert removable(engine) == 1  # type: ignore[arg-type]
    guest = Cluster("00aa", "127.0.0.1:1", "/py", "3.11", "0", "/run/other", False, 2, 0, 1.0)
    monkeypatch.setattr(Manager, "of_session", lambda _self, _folder: guest)
    assert removable(engine) == 1, "not the node it is attached through"  # type: ignore[arg-type]

    def broken() -> RuntimeInfo:
        raise RaySystemError("over")

    monkeypatch.setattr(engine.context, "runtime", broken)
    with pytest.raises(RaySystemError):
        removable(engine)  # type: ignore[arg-type]
