"""The user's own modules: edited on disk, and travelling to a machine that lacks them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.cli import NBRAY, environment, worker_line
from e2e.front import Front
from harness import private_folder
from jupyter_client.manager import start_new_kernel

HELPER = """
import numbers_of_ours

def twice(x):
    return 2 * x + numbers_of_ours.ZERO
"""
FAR = "@remote(resources={'far': 1})\n"


class Place:
    """A notebook's folder with modules, its kernel, and a node that was started elsewhere."""

    def __init__(self, folder: Path, front: Front) -> None:
        self.folder = folder
        self.front = front

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, code: str) -> str:
        """What a cell shows; its error fails the test."""
        answer = self.front.run(code)
        assert not answer.error, answer.traceback
        return answer.result or answer.text


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    folder, elsewhere = private_folder("nbt-notebook-"), private_folder("nbt-else-")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
    place = Place(folder, Front(manager, client))
    place.write("helper.py", HELPER)
    place.write("numbers_of_ours.py", "ZERO = 0\n")
    place.write("parts/__init__.py", "from parts.inner import deep\n")
    place.write("parts/inner/__init__.py", "def deep():\n    return __name__\n")
    place.write("loose/leaf.py", "def leaf():\n    return __file__\n")
    try:
        place.run("%load_ext nbray\n%nbray start --cpus 2")
        line = place.run("line = %nbray join\nprint(line)")
        done = subprocess.run(
            [*NBRAY, *worker_line(line), "--num-cpus=2", '--resources={"far": 2}'],
            cwd=elsewhere, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        place.run("import time\nwhile len(nbray.nodes()) < 2: time.sleep(0.05)")
        yield place
        place.run("%nbray stop")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        for made in (folder, elsewhere):
            shutil.rmtree(made)


def test_modules_travel_to_a_node_started_elsewhere(place: Place) -> None:
    shown = place.run(
        f"import helper\nfrom helper import twice\n{FAR}"
        "def f(x):\n    import os\n    return twice(x), helper.twice(x), os.getcwd()\n"
        "nbray.get(f.remote(4))[:2]"
    )
    assert shown == "(8, 8)"
    assert "nbt-else-" in place.run("nbray.get(f.remote(4))[2]")


def test_a_module_that_only_the_task_imports_travels(place: Place) -> None:
    shown = place.run(
        f"{FAR}def g():\n    import parts\n    from parts.inner import deep\n"
        "    return parts.deep(), deep()\nnbray.get(g.remote())"
    )
    assert shown == "('parts.inner', 'parts.inner')"


def test_a_package_without_init_travels_once_it_is_imported(place: Place) -> None:
    shown = place.run(
        f"from loose.leaf import leaf\n{FAR}def g():\n    return leaf()\n"
        "nbray.get(g.remote()).endswith('loose/leaf.py')"
    )
    assert shown == "True"


def test_instances_and_actors_of_own_classes_travel(place: Place) -> None:
    place.write(
        "shapes.py",
        "class Square:\n    def __init__(self, side):\n        self.side = side\n"
        "    def area(self):\n        return self.side ** 2\n",
    )
    shown = place.run(
        f"from shapes import Square\n{FAR}def area(shape):\n    return shape.area(), shape\n"
        "size, back = nbray.get(area.remote(Square(3)))\nsize, type(back) is Square"
    )
    assert shown == "(9, True)"
    shown = place.run(
        "Far = nbray.remote(resources={'far': 1})(Square)\n"
        "nbray.get(Far.remote(5).area.remote())"
    )
    assert shown == "25"


def test_a_remote_cell_may_import_them(place: Place) -> None:
    assert place.run("%%remote --nodes all\nimport helper\nhelper.twice(21)") == "[42, 42]"


def test_nested_tasks_take_them_along(place: Place) -> None:
    shown = place.run(
        f"{FAR}def inner(x):\n    import helper\n    return helper.twice(x)\n"
        "@remote\ndef outer(x):\n    return nbray.get(inner.remote(x))\nnbray.get(outer.remote(3))"
    )
    assert shown == "6"


CALL = (
    "import os\nlocal, far = f.options(resources={}), f\n"
    "[nbray.get(g.remote(1))[:2] for g in (local, far)]"
)


def test_an_edit_is_picked_up_on_the_next_run(place: Place) -> None:
    place.write("helper.py", HELPER)
    place.run(
        f"import helper\nfrom helper import twice\n{FAR}"
        "def f(x):\n    return twice(x), helper.twice(x)"
    )
    assert place.run(CALL) == "[(2, 2), (2, 2)]"
    place.write("helper.py", HELPER.replace("2 * x", "200 * x"))
    assert place.run(CALL) == "[(200, 200), (200, 200)]"


def test_an_edit_of_what_a_module_imports_is_picked_up(place: Place) -> None:
    place.write("helper.py", f"from numbers_of_ours import ZERO\n{HELPER}")
    assert place.run(CALL) == "[(2, 2), (2, 2)]"
    place.write("numbers_of_ours.py", "ZERO = 7\n")
    assert place.run(CALL) == "[(9, 9), (9, 9)]"
    place.write("numbers_of_ours.py", "ZERO = 0\n")


def test_what_did_not_change_stays_loaded(place: Place) -> None:
    place.write("kept.py", "import os\nLOADED = os.urandom(4).hex()\n")
    place.run("@remote\ndef loaded():\n    import kept, os\n    return os.getpid(), kept.LOADED")
    before = dict(eval(place.run("nbray.get([loaded.remote() for _ in range(8)])")))
    place.write("helper.py", HELPER + "\nMORE = 1\n")
    after = dict(eval(place.run("nbray.get([loaded.remote() for _ in range(8)])")))
    same = before.keys() & after.keys()
    assert same
    assert all(before[pid] == after[pid] for pid in same)


def test_an_edited_remote_function_and_actor_of_a_module_are_picked_up(place: Place) -> None:
    text = (
        "import nbray\n@nbray.remote(num_cpus=1)\ndef answer():\n    return 'old'\n"
        "@nbray.remote\nclass Box:\n    def answer(self):\n        return 'old'\n"
    )
    place.write("tasks_of_ours.py", text)
    call = "nbray.get([answer.remote(), Box.remote().answer.remote()])"
    assert place.run(f"from tasks_of_ours import answer, Box\n{call}") == "['old', 'old']"
    place.write("tasks_of_ours.py", text.replace("'old'", "'newer'"))
    assert place.run(call) == "['newer', 'newer']"


def test_a_mistake_in_an_edit_says_where(place: Place) -> None:
    place.write("helper.py", "def twice(x):\n    return 1 / 0\n")
    answer = place.front.run(CALL)
    assert "ZeroDivisionError" in answer.traceback
    assert "return 1 / 0" in answer.traceback
    place.write("helper.py", "def twice(x:\n")
    answer = place.front.run(CALL)
    assert "SyntaxError" in answer.traceback
    assert "helper.py" in answer.traceback
    place.write("helper.py", HELPER)
    assert place.run(CALL) == "[(2, 2), (2, 2)]"
