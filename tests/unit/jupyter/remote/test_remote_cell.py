"""`%%remote` in an IPython shell, on the inline engine."""

import re
import threading

import numpy as np
import pytest

import nbray


def run(ip, line, cell):
    """What the cell shows; raises what it raised."""
    result = ip.run_cell(f"%%remote {line}\n{cell}", store_history=True)
    result.raise_error()
    return result.result


def shown(ip, capsys, line, cell):
    """What a failing cell prints, without colours."""
    result = ip.run_cell(f"%%remote {line}\n{cell}", store_history=True)
    assert not result.success
    out, err = capsys.readouterr()
    return re.sub(r"\x1b\[[0-9;]*m", "", out + err)


def test_the_last_expression_is_shown(ip):
    ip.user_ns["x"] = 20
    assert run(ip, "", "y = x + 1\ny * 2") == 42
    assert ip.user_ns["_"] == 42
    assert "y" not in ip.user_ns
    assert run(ip, "", "x;") is None
    assert run(ip, "", "y = x") is None


def test_variables_are_brought_back(ip):
    run(ip, "-o a,b -o c", "a = 1\nb, c = 'b', [3]")
    assert [ip.user_ns[name] for name in "abc"] == [1, "b", [3]]


def test_functions_classes_and_modules_of_the_notebook_travel(ip):
    ip.run_cell(
        "import math\nfactor = 3\ndef scale(x):\n    return factor * x\n"
        "class Box:\n    def __init__(self, x):\n        self.x = scale(x)"
    ).raise_error()
    assert run(ip, "-o box", "box = Box(math.floor(2.5))\nbox.x") == 6
    assert isinstance(ip.user_ns["box"], ip.user_ns["Box"])


def test_each_makes_a_task_an_element(ip):
    ip.user_ns["items"] = ["a", "b", "c"]
    assert run(ip, "--each i, x in enumerate(items) -o twice", "twice = 2 * x\n(i, x)") == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]
    assert ip.user_ns["twice"] == ["aa", "bb", "cc"]
    assert run(ip, "--each x in []", "x") is None
    assert run(ip, "--each x in [7]", "x") == [7]
    assert run(ip, "--each x in items", "y = x") is None


def test_each_reads_any_iterable(ip):
    ip.user_ns["numbers"] = (n for n in range(2000))
    assert run(ip, "--each n in numbers", "n + 1") == list(range(1, 2001))


def test_elements_do_not_see_each_others_changes(ip):
    ip.user_ns["seen"] = []
    assert run(ip, "--each n in range(50)", "seen.append(n)\nlen(seen)") == [1] * 50


def test_the_help_says_what_each_option_does(ip):
    text = ip.magics_manager.magics["cell"]["remote"].__doc__
    for option in ("-o", "--each ITEM in ITERABLE", "--nodes all", "--bg", "--retries"):
        assert option in text


def test_each_takes_the_values_of_references(ip):
    ip.user_ns["refs"] = [nbray.put(1), nbray.put(2)]
    assert run(ip, "--each r in refs", "r + 1") == [2, 3]


def test_references_and_remote_functions_can_be_used_inside(ip):
    ip.run_cell("@remote\ndef double(x):\n    return 2 * x\nref = nbray.put(4)").raise_error()
    assert run(ip, "", "nbray.get(double.remote(nbray.get(ref)))") == 8
    assert run(ip, "--each x in (1, 2)", "nbray.get(ref) + x") == [5, 6]


def test_large_values_are_put_once_and_read_only(ip, monkeypatch):
    puts = []
    put = nbray.put
    monkeypatch.setattr(nbray.api, "put", lambda value: puts.append(1) or put(value))
    ip.user_ns["image"] = np.ones(50_000)
    for _ in range(3):
        assert run(ip, "--each k in (1, 2)", "float(image.sum()) * k") == [50_000, 100_000]
    assert len(puts) == 1


def test_nodes_all_runs_once_on_each_node(ip):
    assert run(ip, "--nodes all -o a", "a = 3\na") == [3]
    assert ip.user_ns["a"] == [3]


def test_an_error_shows_the_cells_own_line_and_the_node(ip, capsys):
    text = shown(ip, capsys, "", "a = 0\n1 / a")
    assert "ZeroDivisionError" in text.splitlines()[0]
    assert re.search(r"Cell In\[1\], line 3\n +1 / a\n", text)
    assert text.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "nbray" not in text.replace("Cell", "")


def test_an_error_of_an_element_names_it(ip, capsys):
    assert "(element 1: x = 0)" in shown(ip, capsys, "--each x in (1, 0)", "1 / x")


def test_after_an_error_the_notebooks_variables_are_as_before(ip, capsys):
    ip.user_ns["a"] = "old"
    shown(ip, capsys, "-o a", "a = 1\nraise ValueError")
    assert ip.user_ns["a"] == "old"


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("--cpu 2", "1", "did you mean --cpus"),
        ("-o b", "a = 1", "the cell does not assign 'b'"),
        ("", "!ls", "plain Python: '!ls'"),
        ("", "%time 1", "plain Python: '%time 1'"),
        ("""--resources '{"CPU": 1}'""", "1", "use num_cpus"),
        ("--each x in nowhere", "x", "NameError: name 'nowhere' is not defined"),
        ("--each x in 3", "x", "'int' object is not iterable"),
    ],
)
def test_mistakes_are_one_sentence(ip, capsys, line, cell, message):
    text = shown(ip, capsys, line, cell).strip()
    assert message in text
    assert len(text.splitlines()) == 1


def test_a_syntax_error_points_at_the_cells_line(ip, capsys):
    text = shown(ip, capsys, "", "a = 1\nb = = 2")
    assert ", line 3\n" in text
    assert '"' not in text
    assert "b = = 2" in text


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("import asyncio\nawait asyncio.sleep(1)", "'await' outside function"),
        ("return 5", "'return' outside function"),
        ("yield 5", "'yield' outside function"),
        ("x = 1\nbreak", "'break' outside loop"),
        ("async with x: pass", "'async with' outside"),
        ("def f():\n    nonlocal y", "no binding for nonlocal"),
        ("def f(a, a): pass", "duplicate argument"),
    ],
)
def test_what_does_not_compile_is_never_sent(ip, capsys, cell, says):
    text = shown(ip, capsys, "", cell)
    assert says in text
    assert f"line {len(cell.splitlines()) + 1}" in text
    assert "Traceback" not in text
    assert "nbray/" not in text
    assert ("asyncio.run" in text) == ("await" in cell or "async" in cell.splitlines()[-1])


def test_what_cannot_travel_is_one_sentence(ip, capsys):
    ip.user_ns["lock"] = threading.Lock()
    text = shown(ip, capsys, "", "lock")
    assert "'lock' (lock) cannot travel" in text
    assert len(text.strip().splitlines()) == 1


def test_a_cell_can_be_run_again_and_again(ip):
    ip.user_ns["data"] = [1]
    for _ in range(50):
        assert run(ip, "-o data", "data.append(1)\nlen(data)") == len(ip.user_ns["data"])
    assert len(ip.user_ns["data"]) == 51


def test_in_the_background(ip):
    handle = run(ip, "--bg -o a", "a = 5\na + 1")
    assert handle.done()
    assert "background cell In[1]" in repr(handle)
    assert handle.result() == 6
    assert ip.user_ns["a"] == 5
    assert handle.result(timeout=1) == 6
    handle.cancel()


def test_background_variables_arrive_before_the_next_cell(ip):
    run(ip, "--bg -o a", "a = 5")
    ip.run_cell("b = a + 1").raise_error()
    assert ip.user_ns["b"] == 6


def test_a_failed_background_cell_says_so_once(ip, capsys):
    handle = run(ip, "--bg -o a", "a = 1 / 0")
    for _ in range(2):
        ip.run_cell("pass").raise_error()
    assert capsys.readouterr().err.count("The background cell In[1] failed") == 1
    assert "failed" in repr(handle)
    with pytest.raises(ZeroDivisionError):
        handle.result()


def test_the_stop_button_cancels_the_cells_work(ip, capsys, monkeypatch):
    cancelled = []
    where = "nbray.jupyter.remote.remote_cell.stop"
    monkeypatch.setattr(where, lambda cell: cancelled.append(cell) or 3)

    def interrupted(refs):
        raise KeyboardInterrupt

    monkeypatch.setattr(nbray.api, "get", interrupted)
    assert shown(ip, capsys, "", "1").strip() == "Stopped: 3 tasks cancelled"
    assert len(cancelled) == 1
    monkeypatch.undo()
    monkeypatch.setenv("NBRAY_ENGINE", "inline")
    assert run(ip, "", "2") == 2


@pytest.mark.parametrize("line", ["--help", "-h"])
def test_help_is_printed_and_nothing_runs(ip, capsys, line):
    assert ip.run_cell(f"%%remote {line}\n1 / 0").success
    text = capsys.readouterr().out
    assert "--each ITEM in ITERABLE" in text
    assert "--retries N" in text
    assert "Raises" not in text
