"""Cells that are run again and again: definitions, init, captured data; help on what is remote."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from e2e.front import Front, running
from harness import eventually

pytestmark = pytest.mark.slow

TIMES = 80
SETUP = """
import os, time, psutil
import numpy as np
%load_ext nbray
%nbray start --cpus 2

MARK = os.environ['NBRAY_TEST_MARK']

def one(process):
    "What one process of this test's cluster and kernel has, or None."
    try:
        if process.environ().get('NBRAY_TEST_MARK') != MARK:
            return None
        return (process.num_fds(), process.num_threads(),
                sum('memfd' in m.path for m in process.memory_maps()))
    except psutil.Error:
        return None

def traces():
    "What could grow: processes, descriptors and threads of all of them, segments, objects."
    import gc
    gc.collect()
    found = [have for have in map(one, psutil.process_iter()) if have]
    names = ('descriptors', 'threads', 'segments')
    return dict(zip(names, map(sum, zip(*found))), processes=len(found),
                objects=len(nbray.api.session.current().insight.holdings()))
"""
FUNCTIONS = """
@remote
def known():
    import gc
    return max(len(e._loaded) for e in gc.get_objects() if type(e).__name__ == 'Functions')

nbray.get(known.remote()) < 10
"""
LARGE = """
[h.object.size // 10**6 for h in nbray.api.session.current().insight.holdings()
 if h.object.size > 10**6]
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running(SETUP) as (front, _):
        yield front


def settled(front: Front, wait: float = 2.0) -> dict[str, int]:
    """What there is, after what ends by itself has had time to."""
    answer = front.run(f"time.sleep({wait})\ntraces()")
    assert not answer.error, answer.traceback
    found: dict[str, int] = eval(answer.result)
    return found


def rerun(front: Front, cell: str, times: int, result: str) -> None:
    for _ in range(times):
        answer = front.run(cell)
        assert not answer.error, answer.traceback
        assert answer.result == result


def no_growth(front: Front, before: dict[str, int], slack: int = 2) -> None:
    """What ends by itself after a while may take longer on a busy machine."""
    grown: dict[str, tuple[int, int]] = {}

    def over() -> bool:
        after = settled(front, 0.5)
        grown.clear()
        grown.update({name: (before[name], after[name]) for name in before
                      if after[name] > before[name] + slack})  # fmt: skip
        return not grown

    assert eventually(over), grown


def test_a_cell_that_defines_a_remote_function_leaks_nothing(kernel: Front) -> None:
    cell = "@remote\ndef area(x):\n    return x * 2\nnbray.get(area.remote(21))"
    rerun(kernel, cell, 10, "42")
    before = settled(kernel)
    rerun(kernel, cell, TIMES, "42")
    no_growth(kernel, before)
    assert kernel.run(FUNCTIONS).result == "True", "the same text is the same function"


def test_a_cell_that_defines_a_named_actor_leaks_nothing(kernel: Front) -> None:
    cell = (
        "@remote\nclass Counter:\n    def __init__(self):\n        self.value = 0\n"
        "    def add(self):\n        self.value += 1\n        return self.value\n"
        "counter = Counter.options(name='counter').remote()\nnbray.get(counter.add.remote())"
    )
    rerun(kernel, cell, 5, "1")
    before = settled(kernel)
    rerun(kernel, cell, TIMES, "1")
    no_growth(kernel, before)
    assert kernel.run("nbray.get(nbray.get_actor('counter').add.remote())").result == "2"
    twice = kernel.run("[Counter.options(name='twin').remote() for _ in range(2)]")
    assert twice.error == "ActorAlreadyExistsError", "one run of a cell cannot make two"
    other = kernel.run("@remote\nclass Another: ...\nAnother.options(name='counter').remote()")
    assert other.error == "ActorAlreadyExistsError", "another class is another actor"


def test_the_case_of_an_edited_helper(kernel: Front) -> None:
    cells = [
        "def helper(): return 1\n@remote\ndef f(): return helper()\nnbray.get(f.remote())",
        "def helper(): return 2",
        "nbray.get(f.remote())",
    ]
    assert [kernel.run(cell).result for cell in cells][::2] == ["1", "2"]
    answer = kernel.run("@remote\ndef g(): return made_later()\nnbray.get(g.remote())")
    assert "NameError" in answer.error
    assert kernel.run("def made_later(): return 3\nnbray.get(g.remote())").result == "3"


def test_init_again_is_idempotent(kernel: Front) -> None:
    before = settled(kernel, 0.5)
    for _ in range(20):
        answer = kernel.run("nbray.init()\n%nbray start")
        assert not answer.error, answer.traceback
        assert "running already" in answer.text
    no_growth(kernel, before)
    assert kernel.run("len(nbray.nodes())").result == "1"


def test_large_captured_data_is_put_once_and_the_warning_names_it(kernel: Front) -> None:
    answer = kernel.run(
        "table = np.ones(2_000_000)\n"
        "def helper(i):\n    return float(table[i])\n"
        "@remote\ndef look(i):\n    return helper(i)\n"
        "sum(nbray.get([look.remote(i) for i in range(200)]))"
    )
    assert answer.result == "200.0", answer.traceback
    assert re.search(r"UserWarning: look takes 'table' \(1[56] MB\) along", answer.text)
    assert "table = nbray.put(table)" in answer.text
    assert answer.text.count("UserWarning") == 1
    assert kernel.run(LARGE).result == "[16]"
    again = kernel.run("sum(nbray.get([look.remote(i) for i in range(200)]))")
    assert (again.result, again.text) == ("200.0", "")
    kernel.run("del look, table")
    gone = eventually(lambda: kernel.run(f"nbray.put(1);\n{LARGE}").result == "[]", step=0.5)
    assert gone, "workers let go of it, too"


def test_shift_tab_shows_the_original_signature_and_docstring(kernel: Front) -> None:
    kernel.run(
        "@remote\ndef scale(image, by: float = 2.0, *, clip=True):\n"
        "    'Make an image larger.'\n"
        "@remote\nclass Model:\n    'A model.'\n    def __init__(self, depth=3): ...\n"
        "    def fit(self, data, epochs: int = 1):\n        'Fit it.'\n"
        "model = Model.remote()"
    )

    def shown(text: str) -> str:
        found = kernel.client.inspect(text, len(text), reply=True, timeout=60)["content"]
        assert found["found"], text
        return re.sub(r"\x1b\[[0-9;]*m", "", str(found["data"]["text/plain"]))

    for text in ("scale", "scale.remote", "scale.remote("):
        assert "image, by: float = 2.0, *, clip=True" in shown(text), text
        assert "Make an image larger." in shown(text), text
    assert "depth=3" in shown("Model.remote")
    assert "data, epochs: int = 1" in shown("model.fit.remote")
    assert "Fit it." in shown("model.fit.remote")
    assert "Fit it." in shown("model.fit")


def test_completion_on_handles_and_functions(kernel: Front) -> None:
    def offered(text: str) -> set[str]:
        found = kernel.client.complete(text, len(text), reply=True, timeout=60)["content"]
        return {match.rpartition(".")[2] for match in found["matches"]}

    kernel.run("@remote\nclass Other:\n    def fit(self): ...\n    def score(self): ...\n"
               "other = Other.remote()\n@remote\ndef one(): ...\n")  # fmt: skip
    assert {"fit", "score"} <= offered("other.")
    assert {"remote", "options"} <= offered("one.")
    assert {"remote", "options"} <= offered("other.fit.")
