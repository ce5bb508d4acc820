"""Files of cells in text from workers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nbray.jupyter.printed.file_names import cell_name, named


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


@pytest.mark.parametrize("filler", ["a", "/a", "ipykernel_1/", "/ipykernel_1"])
def test_long_words_beside_such_a_file_cost_no_time(ip: Any, filler: str) -> None:
    ip.run_cell("def f(): pass", store_history=True)
    file = ip.user_ns["f"].__code__.co_filename
    word = filler * 100_000  # a picture as base64, JSON without spaces
    began = time.monotonic()
    assert named(f"{file}:7: careful\n{word}") == f"{cell_name(file)}:7: careful\n{word}"
    assert time.monotonic() - began < 5
