"""tqdm's bars of widgets, drawn as text."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from nbray.patches import tqdm_notebook as patch

bars: Any = pytest.importorskip("tqdm.notebook")
pytest.importorskip("ipywidgets")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is shown of one bar after the other, as a task's `display` shows it."""
    made: list[patch.TextBars] = []
    monkeypatch.setattr(bars.std_tqdm, "monitor_interval", 0)  # no thread that stays

    def display(container: Any) -> None:
        text = patch.TextBars(container.pbar.__class__)
        made.append(text)
        monkeypatch.setattr(patch, "TextBars", lambda _: text)
        assert patch.as_text(container)

    monkeypatch.setattr(bars, "display", display)
    yield io.StringIO()
    for text in made:
        text.uninstall()


def test_each_bar_moves_to_its_end(screen: io.StringIO) -> None:
    options = {"file": screen, "mininterval": 0, "colour": "green", "ncols": "100%"}
    assert sum(bars.tqdm(range(4), desc="first", **options)) == 6
    with bars.tqdm(total=3, desc="second", display=True, **options) as bar:
        bar.update(3)
        bar.reset(2)
        bar.update(2)
    assert list(bars.trange(2, desc="third", leave=False, **options)) == [0, 1]
    last = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", screen.getvalue()))
    assert [line for line in last if line.startswith("first") and "4/4" in line]
    assert [line for line in last if line.startswith("second") and "2/2" in line]
    assert [line for line in last if line.startswith("third") and "2/2" in line]
    assert "100%" in screen.getvalue()


def test_taken_back_all_is_as_it_was() -> None:
    before = {name: value for name, value in vars(bars.tqdm).items() if callable(value)}
    text = patch.TextBars(bars.tqdm)
    text.install()
    assert vars(bars.tqdm)["update"] is not before["update"]
    text.uninstall()
    assert {name: vars(bars.tqdm)[name] for name in before} == before


def test_another_widget_is_left_alone() -> None:
    assert not patch.as_text(object())
