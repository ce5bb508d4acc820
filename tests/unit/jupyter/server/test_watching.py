"""What pages are told: all at first, then changes; nobody there, nobody looks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from nbray.clusters.cluster import Cluster
from nbray.clusters.launcher import Refused
from nbray.jupyter.server import watching
from nbray.jupyter.server.watching import ClusterWatch, Look

EXEC = asyncio.create_subprocess_exec
ONE = Cluster(
    "00aa", "127.0.0.1:7000", sys.executable, "3.11.7", "0.1.0", "/run/s", True, 0, 17, 1.0
)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


class Scene:
    """A run directory to change, and pages that write down what they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[Cluster] = []
        self.looks = 0
        self.told: list[dict[str, Any]] = []
        self.observed: list[Any] = []
        scene = self

        class Quiet:
            """Stands for an observer's process."""

            def __init__(self, cluster: Cluster, see: Any) -> None:
                self.cluster, self.see, self.ended = cluster, see, False
                scene.observed.append(self)

            def end(self) -> None:
                self.ended = True

        monkeypatch.setattr(watching, "Observer", Quiet)
        monkeypatch.setattr(watching, "REFRESH", 0.005)

        async def origin(pid: int) -> str:
            return f"notebook {pid}"

        self.watch = ClusterWatch(origin, self.look)

    def look(self) -> tuple[list[Cluster], str]:
        self.looks += 1
        return list(self.found), "" if self.found else "none here"

    def hear(self, text: str) -> None:
        self.told.append(json.loads(text))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_only_changes_are_told(scene: Scene) -> None:
    async def play() -> None:
        scene.watch.join(scene.hear)
        await until(lambda: scene.looks > 3)
        assert scene.told == [{"kind": "clusters", "clusters": [], "note": "none here"}]
        scene.found = [ONE]
        scene.watch.hurry()
        await until(lambda: len(scene.told) == 2)
        (listed,) = scene.told[1]["clusters"]
        assert (listed["id"], listed["origin"]) == ("00aa", "notebook 17")
        assert "directory" not in listed
        look = Look("00aa", "<p>", 3, 1.0, 4.0)
        scene.observed[0].see(look)
        scene.observed[0].see(look)
        assert scene.told[2:] == [
            {"kind": "view", "id": "00aa", "html": "<p>", "nodes": 3, "busy": 1.0, "cpus": 4.0,
             "error": ""}
        ]  # fmt: skip
        late: list[str] = []
        scene.watch.join(late.append)
        assert [json.loads(text) for text in late] == scene.told[1:]
        scene.found = []
        await until(lambda: len(scene.told) == 4)
        assert scene.observed[0].ended
        scene.observed[0].see(Look("00aa", "<p>late"))
        assert len(scene.told) == 4
        scene.watch.leave(scene.hear)
        scene.watch.leave(late.append)

    asyncio.run(play())


def test_a_cluster_that_outlives_who_started_it_keeps_its_name(scene: Scene) -> None:
    async def play() -> None:
        scene.found = [ONE]
        scene.watch.join(scene.hear)
        await until(lambda: scene.told)
        scene.watch.leave(scene.hear)
        await until(lambda: scene.observed[0].ended)
        scene.found = [msgspec.structs.replace(ONE, owner_pid=0)]  # it has a named job
        scene.watch.join(scene.hear)
        await until(lambda: len(scene.told) == 2)
        assert scene.told[1]["clusters"][0]["origin"] == "notebook 17"
        assert (await scene.watch.listed()).clusters[0].origin == "notebook 17"
        scene.watch.leave(scene.hear)
        await until(lambda: scene.observed[1].ended)

    asyncio.run(play())


def test_nobody_looks_when_nobody_listens(scene: Scene) -> None:
    async def play() -> None:
        scene.found = [ONE]
        scene.watch.join(scene.hear)
        scene.watch.join(scene.hear)  # a page that says 'look' twice is one page
        await until(lambda: scene.observed)
        scene.watch.leave(scene.hear)
        await until(lambda: scene.observed[0].ended)
        looks = scene.looks
        await asyncio.sleep(0.05)
        assert scene.looks == looks
        scene.watch.join(scene.hear)
        await until(lambda: len(scene.observed) == 2)
        assert len(scene.told) == 2, "all is told again"
        scene.watch.leave(scene.hear)
        await until(lambda: scene.observed[1].ended)

    asyncio.run(play())


def test_an_unknown_owner_does_not_hide_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)

    async def broken(_pid: int) -> str:
        raise LookupError

    async def play() -> None:
        scene.found = [ONE]
        scene.watch = ClusterWatch(broken, scene.look)
        scene.watch.join(scene.hear)
        await until(lambda: scene.told)
        assert scene.told[0]["clusters"][0]["origin"] == ""
        scene.watch.leave(scene.hear)
        await until(lambda: scene.observed[0].ended)

    asyncio.run(play())


def observe(program: str, monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """What is seen of a cluster whose observer runs *program*."""
    seen: list[Look] = []

    async def instead(*argv: str, **more: Any) -> asyncio.subprocess.Process:
        return await EXEC(argv[0], "-c", program, **more)

    async def play() -> None:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)
        observer = watching.Observer(ONE, seen.append)
        await until(lambda: seen and seen[-1].error)
        with pytest.raises(Refused, match="try again"):
            await observer.join_line()
        observer.end()
        await asyncio.sleep(0)

    asyncio.run(play())
    return seen


def test_what_an_observer_says_is_relayed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = msgspec.json.encode(watching.observer.View("<p>", 2, 0.0, 2.0)).decode()
    seen = observe(f"print({said!r})", monkeypatch)
    assert seen == [Look("00aa", "<p>", 2, 0.0, 2.0), Look("00aa", error="this cluster has ended")]


def test_why_it_cannot_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (seen,) = observe("raise SystemExit('no way in')", monkeypatch)
    assert seen.error == "no way in"
    (seen,) = observe("print('something else')", monkeypatch)
    assert "install the same version" in seen.error
