"""What pages get, and when."""

from __future__ import annotations

import json
from typing import Any

from details import details, task
from unit.dashboard.fakes import RECORD, FakeLauncher

from nbray import details as d
from nbray.dashboard.feed import EAGER, SLOW, Feed, Page, query_of
from nbray.dashboard.source import Source
from nbray.view.tables import Query


class Scene:
    def __init__(self) -> None:
        self.launcher = FakeLauncher()
        self.feed = Feed(Source(self.launcher, lambda: RECORD))

    def page(self, **ask: Any) -> tuple[Page, list[dict[str, Any]]]:
        got: list[dict[str, Any]] = []

        def send(text: str) -> None:
            got.append(json.loads(text))

        page = Page(send)
        self.feed.pages.add(page)
        page.heard(json.dumps(ask))
        return page, got

    def ticks(self, count: int, *pages: tuple[Page, list[dict[str, Any]]]) -> None:
        for _ in range(count):
            self.feed.tick()
            for page, got in pages:
                if got:
                    page.heard(json.dumps({"drawn": got[-1]["number"]}))


def test_a_page_gets_its_section_at_once_and_then_only_what_changes() -> None:
    scene = Scene()
    one = scene.page(section="nodes")
    scene.ticks(20, one)
    assert len(one[1]) == 1
    first = one[1][0]
    assert first["section"] == "nodes"
    assert first["state"] == "live"
    assert "host1" in first["html"]
    assert "3 nodes" in first["head"]


def test_nothing_for_a_hidden_page_and_nobody_is_asked() -> None:
    scene = Scene()
    page, got = scene.page(section="tasks", hidden=True)
    scene.ticks(10)
    assert got == []
    assert scene.launcher.attached == []
    page.heard(json.dumps({"section": "tasks"}))
    scene.ticks(1)
    assert len(got) == 1


def test_nothing_more_until_the_page_has_drawn() -> None:
    scene = Scene()
    page, got = scene.page(section="tasks")
    scene.ticks(1)
    for seq in range(40):
        scene.launcher.engine.insight.known = details(tasks=(task(seq),))
        scene.ticks(1)
    assert len(got) == 1
    page.heard(json.dumps({"drawn": 1}))
    scene.ticks(SLOW)
    assert len(got) == 2


def test_only_what_is_shown_is_asked_for_and_lists_only_once_a_second() -> None:
    scene = Scene()
    one, two = scene.page(section="tasks"), scene.page(section="logs")
    scene.ticks(EAGER + 5 * SLOW, one, two)
    asked = scene.launcher.engine.insight.asked
    assert set(asked) == {d.TASKS | d.TEXTS}
    assert len(asked) <= EAGER + 5


def test_a_new_question_is_answered_at_the_next_look() -> None:
    scene = Scene()
    page, got = scene.page(section="tasks")
    scene.ticks(10, (page, got))
    assert page.heard(json.dumps({"section": "tasks", "query": {"state": "failed"}}))
    scene.ticks(1, (page, got))
    assert "No task" in got[-1]["html"]
    assert page.query == Query(state="failed")
    assert got[-1]["query"] == {"state": "failed"}, "what its links were made for"


def test_what_makes_no_sense_is_left_out() -> None:
    page = Page(lambda _text: None)
    assert not page.heard("{")
    assert not page.heard(b"\xff")
    assert not page.heard('{"section": 5}')
    assert page.heard('{"section": "nowhere", "query": {"page": "-3", "x": "y"}}')
    assert page.section == "overview"
    assert page.query == Query()
    assert query_of({"page": "12", "text": "a" * 999}).text == "a" * 200
    assert query_of({"page": "12"}).page == 12
    assert query_of({"page": "²"}).page == 1


def test_the_last_word() -> None:
    scene = Scene()
    page, got = scene.page(section="overview")
    scene.ticks(2, (page, got))
    scene.feed.end()
    assert got[-1]["state"] == "ended"
    assert "stopped" in got[-1]["head"]
    assert not scene.feed.source.attached


def test_the_last_word_is_said_even_if_a_look_has_shown_all_the_rest() -> None:
    """A look may find the cluster gone before whoever watches it does."""
    scene = Scene()
    page, got = scene.page(section="overview")
    scene.ticks(2, (page, got))
    scene.launcher.lives = False
    scene.feed.source.alive()
    scene.ticks(2 * SLOW, (page, got))
    assert "stopped" in got[-1]["head"]
    assert got[-1]["state"] == scene.feed.source.why
    scene.feed.end()
    assert got[-1]["state"] == "ended"
    assert not {"head", "html"} & set(got[-1]), "there was nothing else to say"


def test_pages_that_draw_nothing_or_come_late_hear_it_too() -> None:
    scene = Scene()
    _, hidden = scene.page(section="overview", hidden=True)
    _, busy = scene.page(section="tasks")
    scene.feed.tick()
    scene.feed.end()
    _, late = scene.page(section="nodes")
    starts = len(scene.launcher.attached)
    scene.ticks(3)
    assert [got[-1]["state"] for got in (hidden, busy, late)] == ["ended"] * 3
    assert len(late) == 1, "once"
    assert len(scene.launcher.attached) == starts, "it does not attach again"


def test_a_dashboard_that_is_stopped_says_so() -> None:
    scene = Scene()
    _, got = scene.page(section="overview")
    scene.feed.end("it was stopped")
    _, late = scene.page(section="overview")
    scene.ticks(2)
    assert [(one[-1]["state"], one[-1]["why"]) for one in (got, late)] == [
        ("ended", "it was stopped")
    ] * 2
