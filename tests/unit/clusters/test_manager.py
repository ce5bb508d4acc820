"""What records say together, and which node leaves first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from nbray.clusters.cluster import gather
from nbray.clusters.launcher import Interpreter, Refused
from nbray.clusters.manager import ClusterManager
from nbray.config import NodeRequest, Owner
from nbray.exceptions import RaySystemError
from nbray.runtime.shell.launch.rundir import Record


def record(name: str, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "directory": f"/run/{name}", "root_pid": 1, "root_started": 0.0, "node": 1, "head": True,
        "address": "127.0.0.1:7000", "head_address": "127.0.0.1:7000", "secret": "hush",
        "node_ip": "127.0.0.1", "version": "0.1.0", "python": "3.11.7", "owner": Owner.DAEMON,
        "created": 1.0, "cluster": "00aa", "executable": "/env/bin/python",
    }  # fmt: skip
    return Record(**{**values, **changes})


class Kept:
    """A launcher of records in memory; removing one forgets it."""

    def __init__(self, *records: Record) -> None:
        self.kept = list(records)
        self.removed: list[str] = []
        self.asked: list[Any] = []

    def records(self) -> list[Record]:
        return list(self.kept)

    def alive(self, one: Record) -> bool:
        return one in self.kept

    def start(self, request: NodeRequest, by: Interpreter | None = None) -> Record:
        self.asked.append((request, by))
        return self.kept[-1]

    def add(self, one: Record, cpus: float, env: Mapping[str, str]) -> Record:
        self.asked.append((one.directory, cpus, env))
        return one

    def remove(self, one: Record) -> None:
        self.kept.remove(one)
        self.removed.append(one.directory)

    def stop(self, records: Iterable[Record]) -> None:
        for one in records:
            self.remove(one)

    def attach(self, one: Record) -> Any:
        raise NotImplementedError


@pytest.fixture
def launcher() -> Kept:
    return Kept(
        record("second", head=False, created=3.0),
        record("first", head=False, created=2.0),
        record("head"),
    )


def test_sessions_of_one_cluster_are_one() -> None:
    moved = "10.0.0.5:7000"  # the head's address after it was opened to others
    joined = record("joined", head=False, created=5.0)
    (found,) = gather([joined, record("head", head_address=moved, owner_pid=17)])
    assert (found.id, found.address, found.directory) == ("00aa", moved, "/run/head")
    assert (found.head, found.added, found.owner_pid) == (True, 1, 17)


def test_a_cluster_with_its_head_elsewhere() -> None:
    (found,) = gather([record("joined", head=False, head_address="10.0.0.9:6379")])
    assert (found.head, found.added, found.address) == (False, 1, "10.0.0.9:6379")


def test_the_youngest_is_first() -> None:
    old, new = record("old"), record("new", cluster="00bb", created=2.0)
    assert [cluster.id for cluster in gather([old, new])] == ["00bb", "00aa"]


def test_records_of_an_older_nbray_go_by_their_address() -> None:
    plain = record("head", cluster="", executable="")
    (found,) = gather([plain, record("joined", cluster="", head=False)])
    assert (found.id, found.added, found.executable) == ("127.0.0.1-7000", 1, "")


def test_nothing_is_explained() -> None:
    found, note = ClusterManager(Kept()).look()
    assert found == []
    assert note.startswith("No cluster of yours runs on this machine")

    class Broken(Kept):
        def records(self) -> list[Record]:
            raise RaySystemError("others may enter the run directory /x: run `chmod 700 /x`")

    told = "others may enter the run directory /x: run `chmod 700 /x`"
    assert ClusterManager(Broken()).look() == ([], told)


def test_a_cluster_listens_here_only_until_it_is_opened(launcher: Kept) -> None:
    by = Interpreter("/env/bin/python", {"A": "b"}, "/home")
    assert ClusterManager(launcher).start(by, 2.0).directory == "/run/head"
    ((request, asked),) = launcher.asked
    assert request == NodeRequest(head=True, node_ip="127.0.0.1", num_cpus=2.0)
    assert asked == by


def test_a_node_joins_where_the_head_runs(launcher: Kept) -> None:
    ClusterManager(launcher).add_node("00aa", {"A": "b"}, 2)
    assert launcher.asked == [("/run/head", 2, {"A": "b"})]
    with pytest.raises(Refused, match="has ended"):
        ClusterManager(launcher).add_node("none", {}, 2)


def test_the_youngest_node_leaves_and_the_head_never(launcher: Kept) -> None:
    manager = ClusterManager(launcher)
    manager.remove_node("00aa")
    manager.remove_node("00aa")
    assert launcher.removed == ["/run/second", "/run/first"]
    with pytest.raises(Refused, match="only the head is left"):
        manager.remove_node("00aa")


def test_the_head_is_stopped_last(launcher: Kept) -> None:
    manager = ClusterManager(launcher)
    manager.stop("00aa")
    assert launcher.removed == ["/run/second", "/run/first", "/run/head"]
    with pytest.raises(Refused, match="has ended"):
        manager.stop("00aa")


def test_the_node_one_is_attached_through_is_kept(launcher: Kept) -> None:
    manager = ClusterManager(launcher)
    manager.remove_node("00aa", keep="/run/second")
    assert launcher.removed == ["/run/first"]
    with pytest.raises(Refused, match="only the head is left"):
        manager.remove_node("00aa", keep="/run/second")


def test_the_cluster_of_a_session(launcher: Kept) -> None:
    manager = ClusterManager(launcher)
    found = manager.of_session("/run/first")
    assert found is not None
    assert (found.id, found.added, found.head) == ("00aa", 2, True)
    assert manager.of_session("/run/none") is None
