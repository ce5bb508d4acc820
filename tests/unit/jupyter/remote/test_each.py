"""A cell's body for each element, without a notebook."""

from __future__ import annotations

import cloudpickle
import pytest

import nbray
from nbray import session
from nbray.jupyter.remote.body import Program, Values
from nbray.jupyter.remote.capture import Captured
from nbray.jupyter.remote.each import each
from nbray.options import TaskOptions


@pytest.fixture(autouse=True)
def engine():
    nbray.shutdown()
    nbray.init(engine="inline")
    yield
    nbray.shutdown()


def program(source, target="x"):
    return Program(f"# %%remote\n{source}", "Cell In[7]", target=target, outputs=("y",))


def captured(live=None, large=(), **small):
    names = tuple(name for name, _ in large)
    values = Values(cloudpickle.dumps(small), live or {}, names)
    return Captured(values, tuple(ref for _, ref in large), {})


def test_values_and_outputs_in_order():
    found = each(program("y = x + k\n2 * y"), captured(k=1), range(300), TaskOptions(), "In[7]")
    assert len(found) == 300
    assert list(found) == [(2 * (n + 1), {"y": n + 1}) for n in range(300)]


def test_large_values_and_references():
    table = nbray.put(list(range(100_000)))
    other = nbray.put(5)
    what = captured({"other": other}, [("table", table)])
    cell = program("import nbray\ny = table[x] + nbray.get(other)")
    found = list(each(cell, what, [3, 99_999], TaskOptions(), "In[7]"))
    assert [outputs["y"] for _, outputs in found] == [8, 100_004]


def test_an_error_names_the_element_once():
    found = each(program("y = 1 / x"), captured(), [1, 0], TaskOptions(), "In[7]")
    assert next(found)[1] == {"y": 1.0}
    with pytest.raises(ZeroDivisionError) as caught:
        next(found)
    assert str(caught.value).count("(element 1: x = 0)") == 2  # in the summary and the traceback
    assert "(item" not in str(caught.value)


def test_elements_are_tried_again():
    options = TaskOptions(max_retries=3, retry_exceptions=True)
    session.tries = []
    cell = program(
        "from nbray import session\nsession.tries.append(x)\ny = 1 / (len(session.tries) - 1)"
    )
    assert len(list(each(cell, captured(), [1], options, "In[7]"))) == 1
    assert session.tries == [1, 1]
    del session.tries
