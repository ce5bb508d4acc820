"""Functions by value: what tracebacks need survives."""

from __future__ import annotations

import linecache
import pickle
import types

from nbray.definitions import dumps, remember_source


def _cell(filename: str) -> dict[str, object]:
    space: dict[str, object] = {"__name__": "__main__"}
    text = "def outer(x):\n    def inner(y):\n        return x / y\n    return inner\n"
    exec(compile(text, filename, "exec"), space)
    return space


def test_code_keeps_the_name_of_its_file() -> None:
    outer = _cell("<ipython-input-7>")["outer"]
    again = pickle.loads(dumps(outer))
    assert again.__code__.co_filename == "<ipython-input-7>"
    assert again(6)(3) == 2
    (inner,) = [one for one in again.__code__.co_consts if isinstance(one, types.CodeType)]
    assert inner.co_filename == "<ipython-input-7>"


def test_a_text_that_is_no_file_is_found() -> None:
    remember_source("Cell In[78]", "a = 1\nb = 2")
    linecache.checkcache("Cell In[78]")
    assert linecache.getline("Cell In[78]", 2) == "b = 2"
    del linecache.cache["Cell In[78]"]


def test_the_same_function_has_the_same_form() -> None:
    outer = _cell("<cell>")["outer"]
    assert dumps(outer) == dumps(outer)


def test_the_text_of_a_cell_goes_with_its_code_and_once() -> None:
    text = "def outer(x):\n    def inner(y):\n        return x / y\n    return inner\n"
    remember_source("Cell In[79]", text)
    first, second = (_cell("Cell In[79]")["outer"] for _ in range(2))
    whole = dumps([first, second])
    assert whole.count(b"return x / y") == 1
    del linecache.cache["Cell In[79]"]
    pickle.loads(whole)
    assert linecache.getline("Cell In[79]", 3) == "        return x / y\n"
    remember_source("Cell In[79]", "another = 1")
    pickle.loads(whole)
    assert linecache.getline("Cell In[79]", 3) == "        return x / y\n"
    del linecache.cache["Cell In[79]"]


def test_a_file_on_the_disk_does_not_go_along() -> None:
    linecache.getline(__file__, 1)
    space: dict[str, object] = {"__name__": "__main__"}
    exec(compile("def f(): return 1", __file__, "exec"), space)
    assert b"not go along" not in dumps(space["f"])
