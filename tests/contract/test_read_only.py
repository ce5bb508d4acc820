"""Who writes to what lies in the store hears what to do."""

from __future__ import annotations

import numpy as np
import pytest
from api import ray


@pytest.mark.own
@pytest.mark.parametrize("size", [10, 50_000])
def test_the_error_of_writing_says_what_to_do(size):
    @ray.remote
    def scale(array, way):
        if way == "items":
            array[:] = 2
        elif way == "operator":
            array *= 2
        else:
            memoryview(array).cast("B")[0] = 1

    ref = ray.put(np.ones(size))
    for way in ("items", "operator", "memoryview"):
        with pytest.raises(ray.exceptions.RayTaskError, match=r"array = array.copy\(\) makes one"):
            ray.get(scale.remote(ref, way))


@pytest.mark.own
def test_other_errors_have_no_such_word():
    @ray.remote
    def other():
        raise ValueError("the folder is read only")

    with pytest.raises(ValueError, match="the folder") as caught:
        ray.get(other.remote())
    assert "copy()" not in str(caught.value)
