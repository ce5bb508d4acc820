"""When a task fails: what a notebook shows, and what it can look at afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from e2e.front import Front, running
from harness import eventually


@pytest.fixture(scope="module")
def kernel() -> Iterator[Front]:
    with running("import os, time, json\n%load_ext nbray\n%nbray start --cpus 2") as (front, _):
        yield front


def test_the_cells_own_line_comes_first_with_its_values(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef share(part, whole):\n    label = 'x'\n    return part / whole\n"
        "nbray.get(share.remote(3, 0))"
    )
    lines = answer.traceback.splitlines()
    assert lines[0].startswith("ZeroDivisionError in share on ")
    assert re.fullmatch(r"Cell In\[\d+\], line 4 in share", lines[1])
    assert lines[2].strip() == "return part / whole"
    assert lines[3:5] == ["    where part = 3", "    where whole = 0"]
    assert lines[5] == "  awaited at line 5: nbray.get(share.remote(3, 0))"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert len(lines) == 7


def test_every_cells_line_is_shown_whichever_defines_it(kernel: Front) -> None:
    kernel.run(
        "def helper(low):\n    high = 0\n    return low / high\n"
        "class Base:\n    def work(self, low):\n        return helper(low)"
    )
    kernel.run(
        "@remote\nclass Child(Base):\n    def __init__(self, low=1):\n        if low > 4:\n"
        "            self.work(low)\n"
        "@remote\ndef calls(low):\n    return helper(low)"
    )
    for code in ("calls.remote(3)", "Child.remote().work.remote(3)"):
        lines = kernel.run(f"nbray.get({code})").traceback.splitlines()
        assert lines[2:5] == ["    return low / high", "    where low = 3", "    where high = 0"]
        assert "    return helper(low)" in lines
    lines = kernel.run("nbray.get(Child.remote(5).work.remote(3))").traceback.splitlines()
    assert "ActorDiedError" in lines[0]
    assert {"    return low / high", "    return helper(low)", "    self.work(low)"} <= {*lines}


def test_library_frames_are_folded_and_nothing_is_cut(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef parse(text):\n    return json.loads(text)\nnbray.get(parse.remote('{'))"
    )
    assert "... 3 library frames" in answer.traceback
    assert "where text = '{'" in answer.traceback
    (details,) = [d for d in answer.displays.values() if "Full traceback" in d["text/html"]]
    assert "4 frames, 3 of libraries" in details["text/html"]
    assert details["text/html"].count("json/decoder.py") == 2
    assert "folded" in details["text/plain"]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("double.remote(threading.Lock())", "argument 1 of double cannot be pickled: it is a"),
        ("double(1)", "TypeError: remote functions cannot be called directly"),
        ("nbray.get([1, 2])", "TypeError: get(): item 0 of the list is no ObjectRef"),
        ("nbray.remote(num_cpu=2)(len)", "did you mean 'num_cpus'?"),
        ("nbray.get_actor('nobody')", "ValueError: no live actor is called 'nobody'"),
    ],
)
def test_a_mistake_is_a_sentence_at_the_users_line(kernel: Front, code: str, says: str) -> None:
    answer = kernel.run(
        "import threading\n@remote\ndef double(x):\n    return 2 * x\n"
        f"def helper():\n    return {code}\nhelper()"
    )
    lines = answer.traceback.splitlines()
    assert says in lines[0]
    assert re.fullmatch(r"Cell In\[\d+\], line 7", lines[1])
    assert re.fullmatch(r"Cell In\[\d+\], line 6 in helper", lines[3])
    assert [lines[2], lines[4], *lines[5:]] == ["    helper()", f"    return {code}"]
    assert answer.error in {"TypeError", "ValueError"}
    (details,) = [d for d in answer.displays.values() if "Full traceback" in d["text/html"]]
    assert "nbray" in details["text/html"], "nothing is cut"
    assert re.search(r"nbray/(remote|api|options)\.py", kernel.run("%tb").traceback)


def test_other_errors_are_shown_as_ever(kernel: Front) -> None:
    answer = kernel.run("def wrong():\n    return int('x')\nwrong()")
    assert answer.error == "ValueError"
    assert "Traceback (most recent call last)" in answer.traceback
    assert "----> 3 wrong()" in answer.traceback
    answer = kernel.run("list(nbray.util.map(int, (1 / 0 for _ in range(3))))")
    assert answer.error == "ZeroDivisionError"
    answer = kernel.run("def broken():\n    raise ValueError('mine')\n    yield\n"
                        "list(nbray.util.map(int, broken()))")  # fmt: skip
    assert "raise ValueError('mine')" in answer.traceback


def test_the_same_failure_of_500_tasks_shows_once_with_a_count(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef bad(i):\n    raise ValueError(f'item {i} is bad')\n"
        "refs = [bad.remote(i) for i in range(500)]\n"
        "nbray.wait(refs, num_returns=2)\n"
        "nbray.get(refs)"
    )
    counted = re.search(
        r"\((?:all )?(\d+)(?: of 500)? tasks failed the same way(?:, one of them with i=\d+)?\)",
        answer.traceback,
    )
    assert counted, answer.traceback
    assert 2 <= int(counted[1]) <= 500, "those that failed until it was raised"
    assert answer.traceback.count("ValueError: item") == 1
    assert len(answer.traceback) < 2_000
    mixed = kernel.run(
        "@remote\ndef some(i):\n    if i % 2:\n        raise KeyError(i)\n    return 1 / (i % 4)\n"
        "refs = [some.remote(i) for i in range(100)]\n"
        "nbray.wait(refs, num_returns=100)\n"
        "nbray.get(refs)"
    )
    assert "(25 of 100 tasks failed the same way, one of them with i=0)" in mixed.traceback


def test_an_each_cell_names_the_element(kernel: Front) -> None:
    answer = kernel.run("%%remote --each i in range(40)\nlimit = 0\ni / limit")
    assert "(element 0: i = 0)" in answer.traceback
    assert answer.traceback.count("ZeroDivisionError: division by zero") == 1
    assert "where i = 0" in answer.traceback
    assert "where limit = 0" in answer.traceback


def test_debug_opens_a_post_mortem_with_the_remote_locals(kernel: Front) -> None:
    kernel.run(
        "import threading\n"
        "@remote\ndef outer(n):\n    table = {i: i * i for i in range(n)}\n"
        "    lock = threading.Lock()\n    return inner(table, 'missing')\n"
        "def inner(table, key):\n    return table[key]\n"
        "ref = outer.remote(3)\nnbray.get(ref)"
    )
    shown = kernel.run("%nbray debug")
    assert "KeyError: 'missing'" in shown.result
    assert re.search(r"Cell In\[\d+\], line 8 in inner", shown.result)
    assert "table = {0: 0, 1: 1, 2: 4}" in shown.result
    assert kernel.run("p = %nbray debug\np['table'][2]").result == "4"
    assert "lock" in kernel.run("%nbray debug 0").result
    assert kernel.run("%nbray debug 1 -o table,key").text == "table, key from frame 1\n"
    assert kernel.run("(table, key)").result == "({0: 0, 1: 1, 2: 4}, 'missing')"
    assert kernel.run("p.eval('len(table)')").result == "3"
    stayed = kernel.run("%nbray debug 0 -o lock")
    assert "the value of 'lock' stayed where it was: it cannot be pickled" in stayed.traceback
    assert kernel.run("'the kernel is fine'").result == "'the kernel is fine'"


def test_debug_of_an_element_has_its_frames_and_none_of_the_chunk(kernel: Front) -> None:
    kernel.run("def tenth(row):\n    scale = 10\n    return scale / row")
    failed = kernel.run("%%remote --each i in range(40)\nbase = 3\ntenth(i - base)")
    assert "(element 3: i = 3)" in failed.traceback
    shown = kernel.run("%nbray debug").result
    frames = [line for line in shown.splitlines() if re.match(r"[> ] \d+ ", line)]
    assert len(frames) == 2, shown
    assert re.fullmatch(r"  0  Cell In\[\d+\], line 3", frames[0])
    assert re.fullmatch(r"> 1  Cell In\[\d+\], line 3 in tenth", frames[1])
    assert kernel.run("p = %nbray debug 0\np['i'], p['base']").result == "(3, 3)"
    assert kernel.run("%nbray debug 1 -o scale").text == "scale from frame 1\n"


def test_debug_of_an_item_of_a_map(kernel: Front) -> None:
    failed = kernel.run(
        "def ratio(n):\n    left = n - 25\n    return n / left\n"
        "list(nbray.util.map(ratio, range(40)))"
    )
    assert "(item 25: 25)" in failed.traceback
    shown = kernel.run("%nbray debug").result
    assert re.search(r"^> 0  Cell In\[\d+\], line 3 in ratio$", shown, re.MULTILINE), shown
    assert "chunk_run" not in shown
    assert kernel.run("p = %nbray debug\np['n'], p['left']").result == "(25, 0)"
    kernel.run("def over(n):\n    raise StopIteration\nlist(nbray.util.map(over, [1]))")
    assert "No line of yours raised it" in kernel.run("%nbray debug").result


def test_debug_of_an_actors_failure(kernel: Front) -> None:
    kernel.run(
        "@remote\nclass Counter:\n    def __init__(self):\n        self.value = 5\n"
        "    def add(self, by):\n        self.value += by\n"
        "counter = Counter.remote()\nnbray.get(counter.add.remote('x'))"
    )
    shown = kernel.run("%nbray debug").result
    assert "TypeError" in shown
    assert "in Counter.add" in shown
    assert re.search(r"by +='x'|by +=? ?= 'x'", shown.replace("  ", " "))


def test_a_worker_that_died_says_which_task_memory_limit_node_and_signal(kernel: Front) -> None:
    answer = kernel.run(
        "@remote(max_retries=0)\ndef die():\n    os.kill(os.getpid(), 9)\nnbray.get(die.remote())"
    )
    text = answer.traceback
    assert text.startswith("WorkerCrashedError: die: its process (pid ")
    assert re.search(r"on \S+ was killed by SIGKILL; it had used up to [\d,]+ MB of the "
                     r"[\d.]+ GB there are", text), text  # fmt: skip
    assert "awaited at line 4: nbray.get(die.remote())" in text
    assert "The process is gone" in kernel.run("%nbray debug").result


def test_a_crash_in_c_code_says_on_which_line(kernel: Front) -> None:
    answer = kernel.run(
        "@remote(max_retries=0)\ndef crash():\n    import ctypes\n    print('about to')\n"
        "    time.sleep(0.2)\n    ctypes.string_at(0)\nnbray.get(crash.remote())"
    )
    assert "was killed by SIGSEGV: Segmentation fault at " in answer.traceback
    assert "line 6, in crash" in answer.traceback
    assert "about to" in answer.printed


INIT = """
@nbray.remote
class Broken:
    def __init__(self):
        raise ValueError("in init")
    def f(self): return 1
broken = Broken.remote()
nbray.get(broken.f.remote())
"""
CRASH = """
@nbray.remote(max_retries=0)
def crash():
    import ctypes
    ctypes.string_at(0)
nbray.get(crash.remote())
"""
WARN = """
@nbray.remote
def warn():
    import warnings
    warnings.warn("careful")
nbray.get(warn.remote())
"""


@pytest.mark.parametrize(
    ("code", "line", "says"),
    [(INIT, 4, "ValueError: in init"), (CRASH, 4, "SIGSEGV"), (WARN, 4, "UserWarning: careful")],
    ids=["init", "crash", "warning"],
)
def test_whatever_tells_of_a_cell_calls_it_by_its_number(
    kernel: Front, code: str, line: int, says: str
) -> None:
    answer = kernel.run(code.strip())
    number = answer.number
    eventually(lambda: kernel.run("pass") and says in answer.traceback + answer.text)
    text = answer.traceback + answer.text
    assert f"Cell In[{number}]" in text
    assert f"line {line}" in text or f":{line}:" in text
    assert "ipykernel_" not in text
    assert text.count(says) == 1


def test_how_often_a_task_was_tried_is_said(kernel: Front) -> None:
    answer = kernel.run(
        "@nbray.remote(max_retries=1)\ndef leave(): os._exit(3)\nnbray.get(leave.remote())"
    )
    assert "the last of 2 attempts: max_retries=1" in answer.traceback
