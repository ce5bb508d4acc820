"""Which worker ran what when: asking, choosing, writing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import details as made
import msgspec
import pytest
import scenes
from fake_kernel import Shell

import nbray
from nbray import details as d
from nbray.details import Details
from nbray.engines.scripted import ScriptedEngine
from nbray.jupyter.insight import timeline as module
from nbray.jupyter.insight.timeline import Timeline, gather
from nbray.jupyter.notebook import current
from nbray.view.timeline import Bar

BARS = [Bar("laptop", 7, "f", "[3] f()", 10.0, 11.5), Bar("lab", 9, "g", "", 10.5, 12.0, True)]


class Answers:
    """Details whose version rises with each answer, and a clock that only sleeping moves."""

    def __init__(self, *versions: int) -> None:
        self.versions = list(versions)
        self.now = 0.0

    def look(self) -> Details:
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return Details(version=version)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def gather(self) -> Details:
        return gather(self.look, lambda: self.now, self.sleep)


def test_it_waits_until_no_more_answers_come() -> None:
    answers = Answers(5, 5, 6, 7, 7, 8)
    assert answers.gather().version == 8
    assert module.QUIET < answers.now < module.LONGEST / 2


def test_it_gives_up_where_nobody_answers() -> None:
    answers = Answers(0)
    assert answers.gather().version == 0
    assert answers.now >= module.LONGEST - module.LOOK


def test_a_picture_and_text(tmp_path: Path) -> None:
    line = Timeline(BARS, missing=3)
    shown = line._repr_mimebundle_()
    assert "<svg" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert "3 earlier tasks not shown" in shown["text/html"]
    assert shown["text/plain"].startswith("2 tasks on 2 workers in 2 s")
    line.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())
    tasks = [event for event in events if event["ph"] == "X"]
    assert [(event["name"], event["ts"], event["dur"]) for event in tasks] == [
        ("f", 0, 1_500_000), ("g", 500_000, 1_500_000),
    ]  # fmt: skip


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "LONGEST", 0.0)
    scripted = ScriptedEngine()
    tasks = (made.task(1), made.task(2, cell="other"))
    scripted.insight.known = msgspec.structs.replace(made.details(tasks=tasks), me=made.DRIVER)
    scripted.insight.picture = scenes.cluster()
    monkeypatch.setattr("nbray.session.current", lambda: scripted)
    yield
    assert set(scripted.insight.asked) <= {d.TASKS}


def test_all_cells_or_one(engine: None, tmp_path: Path) -> None:
    assert len(nbray.timeline().bars) == 2
    nbray.timeline(str(tmp_path / "ray.json"))  # as Ray's users write it
    assert "segment" in (tmp_path / "ray.json").read_text()
    own = current().cells
    own.attach(Shell(None))
    try:
        own._labels["c"] = "In[3]"
        assert len(nbray.timeline(3).bars) == len(nbray.timeline("In[3]").bars) == 1
        with pytest.raises(ValueError, match="there is no cell 4: give the number"):
            nbray.timeline(4)
    finally:
        own.detach()
