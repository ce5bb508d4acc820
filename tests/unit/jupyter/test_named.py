"""Files of cells in text from workers."""

from __future__ import annotations

from typing import Any

from nbray.jupyter.named import cell_name, named


def test_text_without_files_of_cells_is_the_same_object(ip: Any) -> None:
    text = "warning at /home/me/work.py:3 and ipython"
    assert named(text) is text


def test_files_of_cells_are_called_as_their_cells(ip: Any) -> None:
    ip.run_cell("def f(): pass", store_history=True)
    file = ip.user_ns["f"].__code__.co_filename
    name = cell_name(file)
    assert name.startswith("Cell In[")
    text = f'  File "{file}", line 4, in f\n{file}:7: UserWarning: careful ({file})\n'
    said = named(text)
    assert f'File "{name}", line 4' in said
    assert f"{name}:7: UserWarning" in said
    assert file not in said


def test_files_of_other_notebooks_keep_their_names(ip: Any) -> None:
    text = "/tmp/ipykernel_123/456789.py:3: UserWarning"
    assert named(text) == text
