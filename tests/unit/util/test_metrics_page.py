"""Prometheus' page: its text, and what is added up."""

from __future__ import annotations

import threading

import pytest

from nbray.util import metrics_page
from nbray.util.metrics_page import MetricsPage, Numbers, Series


@pytest.fixture
def page():
    made = MetricsPage.__new__(MetricsPage)
    made._lock = threading.Lock()
    made._processes = {}
    return made


def counts(name, tags, value):
    return Series(name, "counter", "How many.", (), {tags: Numbers(value)})


def test_its_text(page):
    page.take({"WorkerId": "1"}, [counts("seen", (("kind", 'a"b\\\n'),), 2.0)])
    page.take({"WorkerId": "1"}, [counts("seen", (("kind", "c"),), 3.0)])
    page.take({"WorkerId": "2"}, [Series("now", "gauge", "", (), {(): Numbers(0.5)})])
    numbers = {(): Numbers(20.5, [0, 1, 1])}
    page.take({"WorkerId": "2"}, [Series("size", "histogram", "Sizes.", (0.1, 1.0), numbers)])
    assert page.text() == (
        "# HELP ray_now \n# TYPE ray_now gauge\n"
        'ray_now{WorkerId="2"} 0.5\n'
        "# HELP ray_seen_total How many.\n# TYPE ray_seen_total counter\n"
        'ray_seen_total{WorkerId="1",kind="c"} 3.0\n'
        "# HELP ray_size Sizes.\n# TYPE ray_size histogram\n"
        'ray_size_bucket{WorkerId="2",le="0.1"} 0\n'
        'ray_size_bucket{WorkerId="2",le="1.0"} 1\n'
        'ray_size_bucket{WorkerId="2",le="+Inf"} 2\n'
        'ray_size_sum{WorkerId="2"} 20.5\n'
        'ray_size_count{WorkerId="2"} 2\n'
    )


def test_what_is_in_a_tag_is_escaped(page):
    page.take({}, [counts("seen", (("kind", 'a"b\\\n'),), 2.0)])
    assert r'ray_seen_total{kind="a\"b\\\n"} 2.0' in page.text()


def test_names_of_tags_are_made_fit(page):
    tags = (("a-b", "ü"), ("1st", ""), ("WorkerId", "mine"))
    page.take({"WorkerId": "1"}, [counts("seen", tags, 1.0)])
    assert 'ray_seen_total{WorkerId="mine",a_b="ü",key_1st=""} 1.0' in page.text()


def test_numbers_that_are_none(page):
    for worker, value in enumerate((float("inf"), float("-inf"), float("nan"))):
        gauge = Series("now", "gauge", "", (), {(): Numbers(value)})
        page.take({"WorkerId": str(worker)}, [gauge])
    assert [line.split()[-1] for line in page.text().splitlines()[2:]] == ["+Inf", "-Inf", "NaN"]


def test_a_gauge_ends_with_its_process(page):
    gauge = Series("now", "gauge", "", (), {(): Numbers(1.0)})
    for worker in ("1", "2"):
        page.take({"WorkerId": worker}, [counts("seen", (), 1.0), gauge])
    page.forget(["1", "3"])
    page.forget(["1"])
    assert page.text().count("ray_now{") == 1
    assert page.text().count("ray_seen_total{") == 2


def test_one_name_for_two_kinds(page):
    page.take({"WorkerId": "1"}, [counts("seen", (), 1.0)])
    numbers = {(): Numbers(20.5, [0, 1])}
    page.take({"WorkerId": "2"}, [Series("seen", "histogram", "", (0.1,), numbers)])
    assert page.text().count("ray_seen") == 3


def test_processes_without_end_are_added_up(page, monkeypatch):
    monkeypatch.setattr(metrics_page, "MOST", 3)
    for worker in range(10):
        gauge = Series("now", "gauge", "", (), {(): Numbers(1.0)})
        page.take({"WorkerId": str(worker)}, [counts("seen", (), 1.0), gauge])
    text = page.text()
    assert len(page._processes) == 3
    assert 'ray_seen_total{WorkerId="others"} 8.0' in text
    assert text.count("ray_now{") == 2
