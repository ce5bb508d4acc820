"""`ray.util.metrics`: what metrics say of themselves, and what they refuse."""

from __future__ import annotations

import pickle

import pytest
from api import load

metrics = load("util.metrics")
Counter, Gauge, Histogram = metrics.Counter, metrics.Gauge, metrics.Histogram


def test_what_they_say_of_themselves():
    counter = Counter("said_requests", description="Requests.", tag_keys=("kind",))
    assert counter.set_default_tags({"kind": "a"}) is counter
    assert counter.info == {
        "name": "said_requests", "description": "Requests.", "tag_keys": ("kind",),
        "default_tags": {"kind": "a"},
    }  # fmt: skip
    histogram = Histogram("said_sizes", boundaries=[0.1, 1.0])
    assert histogram.info["boundaries"] == [0.1, 1.0]
    assert pickle.loads(pickle.dumps(histogram)).info == histogram.info


def test_recording():
    counter = Counter("said_counts", tag_keys=("kind",)).set_default_tags({"kind": "a"})
    counter.inc()
    counter.inc(2.5, tags={"kind": "b"})
    gauge = Gauge("said_gauge")
    gauge.set(4)
    gauge.set(None)
    Histogram("said_times", boundaries=[1]).observe(0)


def test_values():
    counter = Counter("said_values")
    with pytest.raises(ValueError, match="must be >0"):
        counter.inc(0)
    with pytest.raises(TypeError, match="int or float"):
        counter.inc("1")
    with pytest.raises(TypeError, match="int or float"):
        Gauge("said_value").set("1")
    with pytest.raises(TypeError, match="int or float"):
        Histogram("said_many", boundaries=[1]).observe("1")


def test_tags():
    counter = Counter("said_tags", tag_keys=("a", "b"))
    with pytest.raises(ValueError, match=r"Missing value for tag key\(s\): a,b"):
        counter.inc()
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.inc(tags={"a": "1", "b": 2})
    with pytest.raises(ValueError, match="Unrecognized tag key c"):
        counter.set_default_tags({"c": "1"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.set_default_tags({"a": 1})
    with pytest.raises(TypeError, match="tuple"):
        Counter("said_no_tuple", tag_keys="a")
    with pytest.raises(TypeError, match="Tag keys must be str"):
        Counter("said_no_text", tag_keys=(1,))


def test_names_and_boundaries():
    with pytest.raises(ValueError, match="Empty name"):
        Counter("")
    with pytest.warns(UserWarning, match="Invalid metric name"):
        Counter("not a name").inc()
    with pytest.raises(ValueError, match="boundaries"):
        Histogram("said_none")
    with pytest.raises(ValueError, match="boundaries"):
        Histogram("said_zero", boundaries=[0, 1])
