"""Numbers as people read them."""

from __future__ import annotations

import pytest

from nbray.view import figures

GB = 1024**3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (figures.count(1_000), "1,000"),
        (figures.noun(1, "node"), "1 node"),
        (figures.noun(3, "node"), "3 nodes"),
        (figures.brief(3.14), "3.1"),
        (figures.brief(3.0), "3"),
        (figures.brief(12.4), "12"),
        (figures.brief(0), "0"),
        (figures.memory(512), "512 bytes"),
        (figures.memory(1.2 * GB), "1.2 GB"),
        (figures.memory_share(3.1 * GB, 12 * GB), "3.1 of 12 GB"),
        (figures.memory_share(0, 12 * GB), "0 of 12 GB"),
        (figures.memory_share(900 * 1024, 12 * GB), "900 KB of 12 GB"),
        (figures.memory_share(0, 0), "0 of 0 bytes"),
        (figures.rate(187.2), "187/s"),
        (figures.rate(3.42), "3.4/s"),
        (figures.rate(0.2), "12/min"),
        (figures.rate(0.01), "36/h"),
        (figures.rate(0), "0/h"),
        (figures.duration(0.42), "0.4 s"),
        (figures.duration(42), "42 s"),
        (figures.duration(130), "2 min"),
        (figures.duration(5_400), "1.5 h"),
        (figures.duration(200_000), "2.3 days"),
        (figures.duration(-1), "0 s"),
        (figures.left(2.4), "3 s left"),
        (figures.left(0.0), "1 s left"),
        (figures.left(120), "2 min left"),
    ],
)
def test_wording(said: str, expected: str) -> None:
    assert said == expected


def test_percent_is_bounded() -> None:
    assert figures.percent(1, 0) == 0
    assert figures.percent(5, 4) == 100
    assert figures.percent(-1, 4) == 0
    assert figures.percent(1, 4) == 25
