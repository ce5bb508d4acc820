"""This machine as a launcher: who is asked for what, and where a node's Python is looked for."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from unit.clusters.test_manager import record

from nbray.clusters import local, start_command
from nbray.clusters.launcher import Interpreter, Launcher, Refused
from nbray.clusters.local import Local
from nbray.clusters.start_command import Started
from nbray.config import InitConfig, NodeRequest
from nbray.runtime.shell.launch.rundir import Record


class Native:
    """Records in memory; stopping one removes it."""

    def __init__(self) -> None:
        self.kept: list[Record] = []
        self.stopped: list[str] = []
        self.attached: list[InitConfig] = []

    def records(self) -> list[Record]:
        return list(self.kept)

    def stop_session(self, one: Record, timeout: float) -> None:
        self.kept.remove(one)
        self.stopped.append(one.directory)

    def start(self, config: InitConfig) -> Any:
        self.attached.append(config)
        return "an engine"


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Native:
    made = Native()
    monkeypatch.setattr(local, "native", lambda: made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Interpreter, NodeRequest]]:
    """Who was asked for which node; it is said to lie in /run/new."""
    found: list[tuple[Interpreter, NodeRequest]] = []

    def run(by: Interpreter, request: NodeRequest) -> Started:
        found.append((by, request))
        return Started("127.0.0.1:7000", "00aa", False, 2, "/run/new")

    monkeypatch.setattr(start_command, "run", run)
    return found


def test_it_is_a_launcher() -> None:
    launcher: Launcher = Local()
    assert launcher


@pytest.mark.parametrize(
    ("address", "listens"), [("127.0.0.1:7000", "127.0.0.1"), ("10.0.0.5:6379", "")]
)
def test_a_node_joins_by_the_clusters_own_python(
    native: Native, asked: list[Any], address: str, listens: str
) -> None:
    native.kept = [record("new", head=False)]
    head = record("head", executable=sys.executable, head_address=address)
    assert Local().add(head, 2, {"A": "b"}) == native.kept[0]
    assert asked == [
        (
            Interpreter(sys.executable, {"A": "b"}),
            NodeRequest(
                head=False, address=address, node_ip=listens, num_cpus=2, num_gpus=0, secret="hush"
            ),
        )
    ]


@pytest.mark.parametrize("executable", ["", "/env/bin/python"])
def test_a_python_that_is_gone_adds_nothing(
    native: Native, asked: list[Any], executable: str
) -> None:
    with pytest.raises(Refused, match="not known or gone"):
        Local().add(record("head", executable=executable), 1, {})
    assert not asked


def test_a_node_that_ends_at_once_is_said_to_have(native: Native, asked: list[Any]) -> None:
    with pytest.raises(Refused, match="ended at once"):
        Local().start(NodeRequest(head=True), Interpreter(sys.executable, {}))


def test_those_that_joined_are_stopped_before_their_heads(native: Native) -> None:
    native.kept = [record("head"), record("joined", head=False)]
    Local().stop(native.records())
    assert native.stopped == ["/run/joined", "/run/head"]


def test_a_screen_attaches_with_the_secret_and_without_output(native: Native) -> None:
    Local().attach(record("head"))
    assert native.attached == [
        InitConfig(address="127.0.0.1:7000", secret="hush", log_to_driver=False, looks=True)
    ]
