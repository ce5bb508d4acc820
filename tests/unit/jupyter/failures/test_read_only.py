"""Who writes to an array of the store in a cell hears what to do."""

from __future__ import annotations


def test_the_error_of_writing_says_what_to_do(say):
    say("%nbray start\nimport numpy as np\narray = nbray.get(nbray.put(np.ones(10)))")
    assert "array = array.copy() makes one that can be changed" in say("array[0] = 2")
    assert "copy()" not in say("int('read-only?')[0]")
