"""Running a cell's text, as a worker does."""

import threading
import traceback

import cloudpickle
import numpy as np
import pytest

from nbray.jupyter.remote.body import Program, ShownText, Values, run, why_not


def program(source, **fields):
    return Program(f"# %%remote\n{source}", "Cell In[7]", **fields)


def values(**small):
    return Values(small=cloudpickle.dumps(small))


def test_the_last_expression_and_the_outputs_come_back():
    assert run(program("a = b + 1\na * 2", outputs=("a",)), values(b=2), -1, None) == (6, {"a": 3})


def test_a_cell_without_a_last_expression_shows_nothing():
    assert run(program("a = 1"), Values(), -1, None) == (None, {})
    assert run(program("1", quiet=True), Values(), -1, None) == (None, {})


def test_large_values_come_as_arguments_by_name():
    assert run(program("x - y"), Values(large=("x", "y")), -1, None, 5, 3) == (2, {})


@pytest.mark.parametrize(
    ("target", "item", "expression", "expected"),
    [("x", 3, "x", 3), ("i, (a, *b)", (1, (2, 3, 4)), "i, a, b", (1, 2, [3, 4]))],
)
def test_elements_are_bound(target, item, expression, expected):
    assert run(program(expression, target=target), Values(), 0, item)[0] == expected


def test_tracebacks_show_the_cells_own_line():
    with pytest.raises(ZeroDivisionError) as caught:
        run(program("a = 0\ndef f():\n    return 1 / a\nf()"), Values(), -1, None)
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "Cell In[7]", line 4, in f\n    return 1 / a' in text
    assert 'File "Cell In[7]", line 5' in text


def test_an_error_names_the_element():
    with pytest.raises(ZeroDivisionError) as caught:
        run(program("1 / x", target="x"), Values(), 4, 0)
    assert caught.value.__notes__ == ["(element 4: x = 0)"]


def test_a_broken_repr_hides_no_error():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError) as caught:
        run(program("1 + x", target="x"), Values(), 0, Broken())
    assert "Broken" in caught.value.__notes__[0]


def test_a_missing_output_is_named():
    with pytest.raises(NameError, match="-o a: the cell did not assign 'a'"):
        run(program("if False:\n    a = 1", outputs=("a",)), Values(), -1, None)


def test_an_output_that_cannot_travel_is_named():
    with pytest.raises(TypeError, match="-o lock: .*lock"):
        cell = program("import threading\nlock = threading.Lock()", outputs=("lock",))
        run(cell, Values(), -1, 0)


def test_a_last_expression_that_cannot_travel_is_shown_as_text():
    shown, _ = run(program("import threading\nthreading.Lock()"), Values(), -1, None)
    assert isinstance(shown, ShownText)
    assert "lock" in repr(shown)


def test_tasks_do_not_see_each_others_changes():
    shared = values(seen=[])
    for _ in range(2):
        assert run(program("seen.append(1)\nlen(seen)"), shared, -1, None) == (1, {})


def test_functions_of_the_cell_can_be_brought_back():
    _, outputs = run(program("k = 2\ndef f(x):\n    return k * x", outputs=("f",)), Values(), -1, 0)
    assert cloudpickle.loads(cloudpickle.dumps(outputs["f"]))(4) == 8


def test_what_can_travel():
    assert why_not(np.zeros(3)) == ""
    assert why_not(np.float64(3)) == ""
    assert why_not({"a": [1, 2]}) == ""
    assert "lock" in why_not([threading.Lock()])
