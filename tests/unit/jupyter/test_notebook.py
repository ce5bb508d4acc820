"""What the parts of one notebook share."""

from __future__ import annotations

import threading
import time

from nbray.jupyter.notebook import Notebook, current


class Part:
    def __init__(self, notebook: Notebook) -> None:
        time.sleep(0.01)
        self.notebook = notebook


def test_a_part_is_made_once_with_its_notebook() -> None:
    notebook = Notebook()
    made: list[Part] = []
    threads = [
        threading.Thread(target=lambda: made.append(notebook.part(Part))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert made[0].notebook is notebook
    assert Notebook().part(Part) is not made[0]


def test_a_part_may_need_another() -> None:
    class Upper:
        def __init__(self, notebook: Notebook) -> None:
            self.lower = notebook.part(Part)

    notebook = Notebook()
    assert notebook.part(Upper).lower is notebook.part(Part)


def test_copies_are_those_of_all_shells() -> None:
    notebook = Notebook()
    assert not notebook.loaded
    notebook.puts += [lambda: {"a": 1}, lambda: {"b": 2}]  # type: ignore[dict-item]
    assert notebook.loaded
    assert notebook.copies() == {"a": 1, "b": 2}


def test_the_process_has_one() -> None:
    assert current() is current()


def test_attaching_follows_the_shell(shell) -> None:  # type: ignore[no-untyped-def]
    notebook = Notebook()
    try:
        assert notebook.attach() is notebook
        assert notebook.cells.shell is shell
    finally:
        notebook.cells.detach()
    assert notebook.cells.shell is None
