"""Numbers as people read them."""

from __future__ import annotations

import pytest

from nbray import figures

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


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (figures.amount(1, "CPU"), "1 CPU"),
        (figures.amount(0, "CPU"), "0 CPUs"),
        (figures.amount(0.25, "GPU"), "0.25 GPUs"),
        (figures.amount(1_024, "CPU"), "1,024 CPUs"),
        (figures.part(0, 1, "CPU"), "0 of 1 CPU"),
        (figures.part(1.5, 2, "CPU"), "1.5 of 2 CPUs"),
        (figures.memory(500_000_000), "477 MB"),
        (figures.memory(24_000_000), "23 MB"),
        (figures.memory(25_300_000_000), "24 GB"),
        (figures.memory_asked(25_300_000_000), "23.6 GB"),
        (figures.memory_asked(3 * GB), "3 GB"),
    ],
)
def test_amounts_have_one_spelling(said: str, expected: str) -> None:
    assert said == expected
