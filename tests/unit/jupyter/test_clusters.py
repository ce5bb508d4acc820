"""What records say together, which node leaves first, and one sentence for each failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nbray.config import Owner
from nbray.exceptions import RaySystemError
from nbray.jupyter import clusters
from nbray.jupyter.clusters import Hands, Refused, gather, sentence
from nbray.runtime.shell.rundir import Record


def record(name: str, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "directory": f"/run/{name}", "root_pid": 1, "root_started": 0.0, "node": 1, "head": True,
        "address": "127.0.0.1:7000", "head_address": "127.0.0.1:7000", "secret": "hush",
        "node_ip": "127.0.0.1", "version": "0.1.0", "python": "3.11.7", "owner": Owner.DAEMON,
        "created": 1.0, "cluster": "00aa", "executable": "/env/bin/python",
    }  # fmt: skip
    return Record(**{**values, **changes})


class Native:
    """Records in memory; stopping one removes it."""

    def __init__(self, *records: Record) -> None:
        self.kept = list(records)
        self.stopped: list[str] = []

    def records(self) -> list[Record]:
        return list(self.kept)

    def stop_session(self, one: Record, timeout: float) -> None:
        self.kept.remove(one)
        self.stopped.append(one.directory)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Native:
    made = Native(
        record("second", head=False, created=3.0),
        record("first", head=False, created=2.0),
        record("head"),
    )
    monkeypatch.setattr(clusters, "_native", lambda: made)
    return made


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


def test_nothing_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_native", Native)
    found, note = clusters.look()
    assert found == []
    assert note.startswith("No cluster of yours runs on this machine")

    class Broken(Native):
        def records(self) -> list[Record]:
            raise RaySystemError("others may enter the run directory /x: run `chmod 700 /x`")

    monkeypatch.setattr(clusters, "_native", Broken)
    assert clusters.look() == ([], "others may enter the run directory /x: run `chmod 700 /x`")


def test_the_youngest_node_leaves_and_the_head_never(native: Native) -> None:
    hands = Hands()
    asyncio.run(hands.remove_node("00aa"))
    asyncio.run(hands.remove_node("00aa"))
    assert native.stopped == ["/run/second", "/run/first"]
    with pytest.raises(Refused, match="only the head is left"):
        asyncio.run(hands.remove_node("00aa"))


def test_the_head_is_stopped_last(native: Native) -> None:
    asyncio.run(Hands().stop("00aa"))
    assert native.stopped == ["/run/second", "/run/first", "/run/head"]
    with pytest.raises(Refused, match="has ended"):
        asyncio.run(Hands().stop("00aa"))


def test_a_node_joins_by_the_clusters_own_python(
    native: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str], str]] = []

    async def command(python: str, argv: list[str], **more: Any) -> str:
        asked.append((python, argv, more["secret"]))
        return ""

    monkeypatch.setattr(clusters, "command", command)
    with pytest.raises(Refused, match="not known or gone"):
        asyncio.run(Hands().add_node("00aa", {}, 1))
    import sys

    native.kept = [record("head", executable=sys.executable)]
    asyncio.run(Hands().add_node("00aa", {}, 2))
    ((python, argv, secret),) = asked
    assert (python, secret) == (sys.executable, "hush")
    assert "--num-cpus=2" in argv
    assert "--node-ip-address=127.0.0.1" in argv
    assert not [word for word in argv if "hush" in word], "arguments can be read by anybody"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/env/bin/python: No module named nbray", "run `/env/bin/python -m pip install nbray`"),
        ("Warning: weak\nError: the port 6379 is taken\n", "the port 6379 is taken"),
        ("Traceback\nKeyError: 'x'", "KeyError: 'x'"),
        ("", "/env/bin/python ended without a word"),
    ],
)
def test_a_failed_command_in_one_sentence(said: str, told: str) -> None:
    assert sentence("/env/bin/python", said).endswith(told)


def test_the_node_one_is_attached_through_is_kept(native: Native) -> None:
    asyncio.run(Hands().remove_node("00aa", keep="/run/second"))
    assert native.stopped == ["/run/first"]
    with pytest.raises(Refused, match="only the head is left"):
        asyncio.run(Hands().remove_node("00aa", keep="/run/second"))


def test_the_cluster_of_a_session(native: Native) -> None:
    found = clusters.of_session("/run/first")
    assert found is not None
    assert (found.id, found.added, found.head) == ("00aa", 2, True)
    assert clusters.of_session("/run/none") is None
