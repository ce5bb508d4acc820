"""`nbray.publish`, `published`: data by name, for all who work on a cluster."""

from __future__ import annotations

import numpy as np
import pytest
from api import ray

pytestmark = pytest.mark.own


class Settings:
    def __init__(self, weights):
        self.weights = weights


@ray.remote
def read(name):
    return float(ray.published(name).sum())


@ray.remote
def publish_there(name, value):
    ray.publish(name, value)


def test_what_is_published_is_there_for_all_and_replaced_and_freed():
    assert list(ray.published()) == []
    with pytest.raises(ValueError, match="nothing is published as 'weights': nothing else is"):
        ray.published("weights")
    ray.publish("weights", np.arange(100_000.0))
    ray.publish("small", {"a": 1})
    assert ray.get(read.remote("weights")) == np.arange(100_000.0).sum()
    assert ray.published("small") == {"a": 1}
    kept = ray.published("weights")
    assert not kept.flags.writeable
    ray.publish("weights", np.ones(200_000))
    assert ray.published("weights").sum() == 200_000
    assert kept[99_999] == 99_999
    found = {one.name: one for one in ray.published()}
    assert sorted(found) == ["small", "weights"]
    assert found["weights"].size > 1_600_000
    assert found["weights"].kind == "numpy.ndarray"
    with pytest.raises(ValueError, match="nothing is published as 'wights': there are 'small', 'w"):
        ray.published("wights")
    ray.unpublish("weights")
    with pytest.raises(ValueError, match="there is 'small'"):
        ray.unpublish("weights")
    assert kept[5] == 5
    ray.unpublish("small")
    assert list(ray.published()) == []
    assert "nothing is published" in repr(ray.published())


def test_namespaces_set_names_apart():
    ray.publish("data", 1)
    ray.publish("data", 2, namespace="course")
    assert (ray.published("data"), ray.published("data", namespace="course")) == (1, 2)
    assert "course" in repr(ray.published())
    ray.unpublish("data")
    with pytest.raises(ValueError, match="nothing is published as 'data': nothing else is"):
        ray.published("data")
    ray.unpublish("data", namespace="course")


def test_what_is_published_by_a_task_and_what_a_reference_stands_for():
    ray.get(publish_there.remote("there", [1, 2]))
    assert ray.published("there") == [1, 2]
    ray.publish("there", ray.put([3]))
    assert ray.published("there") == [3]
    ray.unpublish("there")


def test_objects_of_users_classes_are_published_whole():
    ray.publish("settings", Settings(np.ones(50_000)))
    found = ray.published("settings")
    assert type(found).__name__ == "Settings"
    assert found.weights.sum() == 50_000
    ray.unpublish("settings")


def test_what_cannot_be_published_says_so():
    with pytest.raises(TypeError, match="holds references"):
        ray.publish("refs", [ray.put(1)])
    with pytest.raises(TypeError, match="the name must be a str, not int"):
        ray.publish(3, 1)
    with pytest.raises(ValueError, match="must not be empty"):
        ray.publish("", 1)
    with pytest.raises(TypeError, match="pickle"):
        ray.publish("lock", __import__("threading").Lock())
