"""What is published, as a table."""

from __future__ import annotations

from scenes import HOSTILE

from nbray.publishing import Published
from nbray.view.published import NONE, published_html, published_text


def one(name: str = "weights", space: str = "") -> Published:
    return Published(name, space, 5 << 20, "numpy.ndarray", 100.0, "pid 7 on lab")


def test_a_row_for_each() -> None:
    text = published_text([one(), one("other")], 160.0)
    assert text.splitlines()[0] == "2 values, 10 MB"
    assert text.splitlines()[1].split() == ["name", "type", "size", "published", "by"]
    assert "weights  numpy.ndarray  5 MB  60 s ago" in text
    assert "namespace" in published_text([one(space="course")], 160.0)
    html = published_html([one(), one("other", "course")], 160.0)
    assert "<th>namespace</th>" in html
    assert "numpy.ndarray" in html


def test_nothing_and_hostile_names() -> None:
    assert published_text([], 1.0) == NONE
    assert "<table" not in published_html([], 1.0)
    assert "<script" not in published_html([one(HOSTILE)], 1.0)
