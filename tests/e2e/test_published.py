"""Data by name: it outlives who published it, and the command line lists and frees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from e2e import cli
from harness import eventually

import nbray as ray
from nbray import session

PUBLISHER = """
import numpy as np
import nbray as ray

class Image:
    def __init__(self, pixels):
        self.pixels = pixels

ray.init("auto")
ray.publish("pixels", np.arange(1_000_000))
ray.publish("image", Image(np.ones(500_000)), namespace="course")
"""


@pytest.fixture(autouse=True)
def cluster() -> Iterator[None]:
    started = cli.nbray("start", "--head", "--num-cpus=1", "--port=0")
    assert started.returncode == 0, started.stderr
    yield
    ray.shutdown()
    assert cli.nbray("stop").returncode == 0


def test_it_outlives_its_publisher_and_is_listed_and_freed() -> None:
    assert "nothing is published" in cli.nbray("published").stdout
    done = cli.run([sys.executable, "-c", PUBLISHER])
    assert done.returncode == 0, done.stderr
    listed = cli.nbray("published").stdout
    assert "2 values, 11 MB" in listed
    assert all(word in listed for word in ("pixels", "numpy.ndarray", "image", "Image", "course"))
    ray.init("auto")
    found = ray.published("pixels")
    assert np.array_equal(found, np.arange(1_000_000))
    assert not found.flags.writeable
    assert ray.published("image", namespace="course").pixels.sum() == 500_000
    freed = cli.nbray("published", "--free", "pixels")
    assert (freed.returncode, freed.stdout) == (0, "pixels is freed.\n")
    assert found[-1] == 999_999
    again = cli.nbray("published", "--free", "pixels")
    assert again.returncode == 1
    assert "nothing is published as 'pixels'" in again.stderr
    assert cli.nbray("published", "--free", "image", "--namespace", "course").returncode == 0

    def used() -> int:
        return sum(node.figures.store_used for node in session.require().insight.snapshot().nodes)

    assert eventually(lambda: 0 < used() < 9_000_000)  # what is read is still there
    del found
    assert eventually(lambda: not used())
