"""Bars of tasks: their text."""

from __future__ import annotations

import pytest

from nbray import experimental
from nbray.experimental.tqdm_ray import instance, safe_print, tqdm


def test_a_bar_redraws_its_line(capsys):
    assert list(tqdm(range(4), desc="work", flush_interval_s=0)) == [0, 1, 2, 3]
    drawn = capsys.readouterr().err
    assert drawn.count("\r") == 5
    assert drawn.endswith("\n")
    assert "work:  50%|████████████            | 2/4 [" in drawn
    assert "100%" in drawn.splitlines()[-1]


def test_it_is_drawn_seldom(capsys):
    for _ in tqdm(iter(range(1000))):
        pass
    assert 1 < capsys.readouterr().err.count("\r") < 10


def test_by_hand(capsys):
    with tqdm(total=10, unit="file", flush_interval_s=0) as bar:
        bar.update(3)
        bar.set_description("copying")
        bar.refresh()
        assert bar.n == 3
        assert str(bar).startswith("copying:  30%|")
        assert "file/s" in str(bar)
    bar.close()
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_missing():
    with pytest.raises(ValueError, match="No iterable"):
        list(tqdm())
    with pytest.raises(AttributeError, match="--resources"):
        experimental.set_resource  # noqa: B018 - the error is the point


def test_printing_beside_bars(capsys):
    instance().hide_bars()
    safe_print("beside")
    instance().unhide_bars()
    assert capsys.readouterr().out == "beside\n"
