"""What a remote function uses is what its names mean when it is called, as in a notebook."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api import ray

from nbray import session

numbers = itertools.count(1)


class Notebook:
    """Runs cells in one namespace that is `__main__` to what is defined there."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__", "nbray": ray, "remote": ray.remote}

    def cell(self, text: str) -> Any:
        """Run a cell under an identity of its own; what it binds to `_`."""
        token = session.cell.set(f"cell-{next(numbers)}")
        try:
            return self.script(text)
        finally:
            session.cell.reset(token)

    def script(self, text: str) -> Any:
        """Run lines as a script does, which has no cells."""
        self.names.pop("_", None)
        exec(compile(text, f"<edited {next(numbers)}>", "exec"), self.names)
        return self.names.get("_")


@pytest.fixture(params=["cells", "script"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    notebook = Notebook()
    return notebook.cell if request.param == "cells" else notebook.script


@pytest.fixture
def cell() -> Callable[[str], Any]:
    return Notebook().cell


CALL = "_ = nbray.get(f.remote())"
FUNCTION = "@remote\ndef f(): return helper()"
EDITS = {
    "a helper": ("def helper(): return 1", FUNCTION, "def helper(): return 2"),
    "a helper's helper": (
        "def deep(): return 1\ndef helper(): return deep()", FUNCTION, "def deep(): return 2"
    ),
    "a global": ("N = 1\ndef helper(): return N", FUNCTION, "N = 2"),
    "a lambda": ("helper = lambda: 1", FUNCTION, "helper = lambda: 2"),
    "a class": (
        "class K:\n def value(self): return 1\ndef helper(): return K().value()", FUNCTION,
        "class K:\n def value(self): return 2",
    ),
    "a base class": (
        "class B:\n n = 1\nclass K(B): pass\ndef helper(): return K.n", FUNCTION, "B.n = 2"
    ),
    "a method of a class": (
        "class K:\n def value(self): return 1\ndef helper(): return K().value()", FUNCTION,
        "K.value = lambda self: 2",
    ),
    "a partial's function": (
        "import functools\ndef deep(x): return N\nN = 1\nhelper = functools.partial(deep, 0)",
        FUNCTION, "N = 2",
    ),
    "what a decorator wraps": (
        ("import functools\ndef twice(g):\n @functools.wraps(g)\n def inner(): return g()\n"
        " return inner\nN = 1\n@twice\ndef helper(): return N"),
        FUNCTION, "N = 2",
    ),
    "a remote function's helper": (
        ("def deep(): return 1\n@remote(num_cpus=0)\ndef inner(): return deep()\n"
        "def helper(): return nbray.get(inner.remote())"),
        FUNCTION, "def deep(): return 2",
    ),
    "a closure": (
        ("def make():\n n = 1\n def change():\n  nonlocal n\n  n += 1\n def get(): return n\n"
        " return change, get\nchange, helper = make()"),
        FUNCTION, "change()",
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", list(EDITS))
def test_what_was_edited_is_picked_up(run, edit):
    before, function, after = EDITS[edit]
    run(before)
    run(function)
    assert run(CALL) == 1
    assert run(CALL) == 1
    run(after)
    assert run(CALL) == 2


IN_PLACE = {
    "a list": ("N = [1]\ndef helper(): return N[-1]", "N.append(2)"),
    "a dictionary": ("N = {'lr': 1}\ndef helper(): return N['lr']", "N['lr'] = 2"),
    "an attribute": (
        "class Box: pass\nbox = Box(); box.n = 1\ndef helper(): return box.n", "box.n = 2"
    ),
    "an array": (
        "import numpy as np\na = np.ones(10, int)\ndef helper(): return int(a[0])", "a += 1"
    ),
    "a shadowed builtin": ("def helper(): return 1 + abs(0)", "abs = lambda x: 1"),
}


@pytest.mark.parametrize("edit", list(IN_PLACE))
def test_what_was_changed_in_place_is_picked_up_by_the_next_cell(cell, edit):
    before, after = IN_PLACE[edit]
    cell(before)
    cell(FUNCTION)
    assert cell(CALL) == 1
    cell(after)
    assert cell(CALL) == 2


def test_a_name_that_is_missing_is_found_once_it_exists(run):
    run(FUNCTION)
    with pytest.raises(NameError, match="helper"):
        run(CALL)
    run("def helper(): return 5")
    assert run(CALL) == 5


def test_a_name_that_a_helper_misses_is_found_once_it_exists(run):
    run("def helper(): return later + 1\n" + FUNCTION)
    with pytest.raises(NameError, match="later"):
        run(CALL)
    run("later = 4")
    assert run(CALL) == 5


def test_a_name_that_is_taken_away_is_missed(run):
    run("def helper(): return 1\n" + FUNCTION)
    assert run(CALL) == 1
    run("del helper")
    with pytest.raises(NameError, match="helper"):
        run(CALL)


def test_each_call_runs_with_what_the_names_meant_when_it_was_made(run):
    run("@remote\ndef f(): return rate")
    run("refs = []\nfor rate in (1, 2, 3):\n refs.append(f.remote())")
    assert run("_ = nbray.get(refs)") == [1, 2, 3]


@pytest.mark.concurrent  # inline, an actor's class is the user's own
def test_options_and_actors_pick_it_up_too(run):
    run("N = 1\n@remote\ndef f(): return N\n@remote(num_cpus=0)\nclass A:\n def n(self): return N")
    look = "_ = nbray.get([f.options(name='g').remote(), A.remote().n.remote()])"
    assert run(look) == [1, 1]
    run("N = 2")
    assert run(look) == [2, 2]


def test_a_map_picks_it_up_too(run):
    run("N = 1\ndef g(x): return x + N\n@remote\ndef f(x): return g(x)")
    look = "_ = list(nbray.util.map(f, [0, 1])) + list(nbray.util.map(g, [0, 1]))"
    assert run(look) == [1, 2, 1, 2]
    run("N = 2")
    assert run(look) == [2, 3, 2, 3]


@pytest.mark.filterwarnings("error:.*takes.*along")
def test_what_is_unchanged_is_the_same_function_in_every_cell(cell):
    """A worker keeps what the function keeps in its globals."""
    cell(
        "cache = {}\n@remote(num_cpus=4)\ndef f():\n cache['n'] = cache.get('n', 0) + 1\n"
        " return cache['n']"
    )
    assert [cell(CALL) for _ in range(3)] in ([1, 2, 3], [1, 1, 1])


@pytest.mark.concurrent
@pytest.mark.filterwarnings("ignore:.*takes.*along")
def test_what_is_large_is_stored_once_and_picked_up_when_it_is_replaced(cell):
    cell("data = bytes(2_000_000)\n@remote\ndef f(): return len(data)")
    assert [cell(CALL) for _ in range(3)] == [2_000_000] * 3
    stored = [one for one in session.current().insight.holdings() if one.object.size >= 2_000_000]
    assert len(stored) == 1
    del stored
    cell("data = bytes(3_000_000)")
    assert cell(CALL) == 3_000_000


def test_nothing_large_is_kept_alive_by_the_comparison(run):
    np = pytest.importorskip("numpy")
    assert np
    run("import numpy as np, weakref\ndata = np.zeros(10)\n@remote\ndef f(): return data.size")
    run("data = np.zeros(400_000)\ngone = weakref.ref(data)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how much it takes along
        assert run(CALL) == 400_000
    run("data = None")
    assert run("_ = gone()") is None

