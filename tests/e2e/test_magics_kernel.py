"""`%load_ext nbray` in a real kernel: what comes under which cell, errors, and Stop."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.front import Answer, Front
from harness import eventually
from jupyter_client.manager import start_new_kernel

ENGINES = ["inline", "native"]


@pytest.fixture(scope="module", params=ENGINES)
def kernel(request: pytest.FixtureRequest) -> Iterator[Front]:
    manager, client = start_new_kernel(kernel_name="python3")
    front = Front(manager, client)
    try:
        setup = front.run(
            f"import os, time\nos.environ['NBRAY_ENGINE'] = {request.param!r}\n"
            "%load_ext nbray\n%nbray start --cpus 2"
        )
        assert not setup.error, setup.traceback
        assert "nbray is running: 1 node, 2 CPUs" in setup.text
        yield front
        stopped = front.run("%nbray stop")
        assert stopped.text == "nbray has stopped.\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


@pytest.fixture
def native(kernel: Front) -> Front:
    """The kernel, where tasks run beside it."""
    if "native" not in kernel.run("nbray.api.session.current().capabilities.name").result:
        pytest.skip("the inline engine runs tasks in the cell itself")
    return kernel


def test_a_remote_cell_shows_its_last_expression_and_its_prints(kernel: Front) -> None:
    kernel.run("offset = 40")
    answer = kernel.run("%%remote -o found\nfound = offset + 2\nprint('from', 'a task')\nfound")
    assert answer.error == "", answer.traceback
    assert answer.result == "42"
    assert answer.text == "from a task\n"
    assert kernel.run("found").result == "42"


def test_functions_classes_and_large_values_travel(kernel: Front) -> None:
    kernel.run(
        "import numpy as np\nimage = np.ones((300, 300))\n"
        "class Scale:\n    def __init__(self, by):\n        self.by = by\n"
        "    def __call__(self, x):\n        return x * self.by\n"
        "def area(scale):\n    return float(scale(image).sum())"
    )
    answer = kernel.run("%%remote --each by in (1, 2)\narea(Scale(by)) + image.shape[0]")
    assert answer.result == "[90300.0, 180300.0]", answer.traceback


def test_a_cell_for_each_of_many_small_elements(kernel: Front) -> None:
    kernel.run("offset = 7")
    answer = kernel.run(
        "%%remote --each i, x in enumerate(range(3000)) -o y\ny = x + offset\ni * y"
    )
    assert answer.result.replace("\n", "").startswith("[0, 8, 18, 30,"), answer.traceback
    assert kernel.run("len(y), y[2999], _[2999]").result == "(3000, 3006, 9014994)"


def test_elements_are_read_from_a_generator(kernel: Front) -> None:
    kernel.run("def letters():\n    yield from 'abc'")
    assert kernel.run("%%remote --each c in letters()\n2 * c").result == "['aa', 'bb', 'cc']"


def test_an_error_of_an_element_names_it_and_the_cells_line(kernel: Front) -> None:
    answer = kernel.run("%%remote --each x in range(500, -1, -1)\nlimit = x\n\n1 / limit")
    assert answer.error.startswith("RayTaskError(ZeroDivisionError)")
    lines = answer.traceback.splitlines()
    assert re.fullmatch(r"Cell In\[\d+\], line 4", lines[1])
    assert lines[2].strip() == "1 / limit"
    assert "(element 500: x = 0)" in answer.traceback
    assert len(lines) <= 8
    assert kernel.run("%%remote --each x in (1, 2)\nx").result == "[1, 2]"


def test_an_error_is_short_and_shows_the_cells_line(kernel: Front) -> None:
    answer = kernel.run("%%remote\nlimit = 0\n\n1 / limit")
    assert answer.error.startswith("RayTaskError(ZeroDivisionError)")
    lines = answer.traceback.splitlines()
    assert lines[0].startswith("ZeroDivisionError in In[")
    assert re.fullmatch(r"Cell In\[\d+\], line 4", lines[1])
    assert lines[2].strip() == "1 / limit"
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert len(lines) <= 6
    assert kernel.run("%%remote\n'fine'").result == "'fine'"


def test_an_error_of_a_plain_task_shows_both_lines(kernel: Front) -> None:
    answer = kernel.run("@remote\ndef broken():\n    return {}['k']\n\nnbray.get(broken.remote())")
    assert "awaited at line 5: nbray.get(broken.remote())" in answer.traceback
    assert "return {}['k']" in answer.traceback
    assert answer.traceback.endswith("KeyError: 'k'")
    assert "site-packages" not in answer.traceback


def test_mistakes_are_one_sentence(kernel: Front) -> None:
    assert "did you mean --cpus" in kernel.run("%%remote --cpu 2\n1").text
    assert "did you mean %nbray status" in kernel.run("%nbray statsu").text


def test_nodes_all(kernel: Front) -> None:
    assert kernel.run("%%remote --nodes all\n1 + 1").result == "[2]"


def test_start_again_changes_nothing(kernel: Front) -> None:
    assert "running already" in kernel.run("%load_ext nbray\n%nbray start").text


def until_there(path: Path) -> str:
    """The line of a cell that waits until there is such a file."""
    return f"while not os.path.exists({str(path)!r}): time.sleep(0.02)"


def test_prints_come_while_the_task_runs(native: Front, tmp_path: Path) -> None:
    go = tmp_path / "go"
    answer = native.start(f"%%remote\nprint('first')\n{until_there(go)}\nprint('second')")
    native.until(lambda message: "first" in answer.text)
    assert "second" not in answer.text
    go.touch()
    native.finish(answer)
    native.until(lambda message: "second" in answer.text) if "second" not in answer.text else None


def test_background_prints_stay_under_their_own_cell(native: Front, tmp_path: Path) -> None:
    go = tmp_path / "go"
    launched = native.run(
        f"%%remote --bg -o late\n{until_there(go)}\n"
        "print('from', 'the background')\nlate = 'here'"
    )
    assert "background cell" in launched.shown
    other = native.run(f"open({str(go)!r}, 'w').close()\ntime.sleep(1)\nprint('other')")
    assert other.text == "other\n"
    if not launched.text:
        native.until(lambda _message: launched.text)
    assert launched.text == "from the background\n"
    assert eventually(lambda: native.run("late").result == "'here'")


def stop(front: Front, answer: Answer) -> float:
    """Press Stop once the cell shows its bars; seconds until it has ended."""
    front.until(lambda _: any(" of " in data["text/plain"] for data in answer.displays.values()))
    time.sleep(0.3)
    pressed = time.monotonic()
    front.manager.interrupt_kernel()
    front.finish(answer)
    return time.monotonic() - pressed


def test_stop_ends_a_remote_cell_and_only_it(native: Front, tmp_path: Path) -> None:
    go = tmp_path / "go"
    kept = native.run(f"%%remote --bg --cpus 0 -o kept\n{until_there(go)}\nkept = 'kept'")
    assert not kept.error, kept.traceback
    answer = native.start("%%remote --each i in range(8)\ntime.sleep(60)")
    took = stop(native, answer)
    assert answer.error == "Stopped"
    assert answer.traceback == "Stopped: 8 elements cancelled"
    assert took < 30
    assert native.run("%%remote --each i in range(4)\ni").result == "[0, 1, 2, 3]"
    go.touch()
    assert eventually(lambda: native.run("kept").result == "'kept'")


def test_stop_ends_a_chunk_between_its_elements(native: Front) -> None:
    answer = native.start("%%remote --each i in range(100_000)\ntime.sleep(0.001)")
    took = stop(native, answer)
    assert answer.error == "Stopped"
    assert re.fullmatch(r"Stopped: \d+ elements cancelled", answer.traceback)
    assert took < 30
    assert native.run("%%remote --each i in range(4)\ni").result == "[0, 1, 2, 3]"


def test_bars_count_the_items_of_a_map(native: Front) -> None:
    native.run("def brief(x):\n    time.sleep(0.001)")
    answer = native.run("for _ in nbray.util.map(brief, range(5000)):\n    pass")
    bars = [data.get("text/plain", "") for data in answer.displays.values()]
    assert any(text.startswith("5,000 of 5,000") for text in bars), bars


def test_stop_ends_a_map(native: Front) -> None:
    native.run("def nap(x):\n    time.sleep(60)")
    answer = native.start("list(nbray.util.map(nap, range(100)))")
    took = stop(native, answer)
    assert answer.error == "KeyboardInterrupt"
    assert took < 30
    assert native.run("list(nbray.util.map(abs, range(-3, 3)))").result == "[3, 2, 1, 0, 1, 2]"


def test_stop_ends_the_tasks_of_a_plain_cell(native: Front) -> None:
    answer = native.start(
        "@remote\ndef nap():\n    time.sleep(60)\nnbray.get([nap.remote() for _ in range(4)])"
    )
    took = stop(native, answer)
    assert answer.error == "KeyboardInterrupt"
    assert took < 30
    after = native.run("@remote\ndef one():\n    return 1\nsum(nbray.get([one.remote()] * 1))")
    assert after.result == "1", after.traceback


def test_a_task_that_ignores_interrupts_is_ended_by_force(native: Front) -> None:
    answer = native.start(
        "%%remote\n"
        "until = time.monotonic() + 60\n"
        "while time.monotonic() < until:\n"
        "    try:\n        time.sleep(1)\n    except BaseException:\n        pass"
    )
    stop(native, answer)
    assert answer.error == "Stopped"
    assert native.run("%%remote --each i in range(3) --cpus 2\ni").result == "[0, 1, 2]"
