"""How errors look in a notebook."""

import re
import sys

from nbray.exceptions import RayTaskError
from nbray.jupyter.failures.errors import NotebookError, Stopped, fold, render

TRACEBACK = """Traceback (most recent call last):
  File "Cell In[3]", line 2, in <module>
    fit(data)
  File "/venv/lib/python3.11/site-packages/sklearn/base.py", line 10, in fit
    inner()
    ^^^^^^^
  File "/venv/lib/python3.11/site-packages/sklearn/base.py", line 20, in inner
    raise ValueError("no data")
ValueError: no data"""


def plain(lines):
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]


def test_library_frames_are_folded_into_a_line():
    assert plain(fold(TRACEBACK)) == [
        "Cell In[3], line 2",
        "    fit(data)",
        "  ... 2 library frames",
        "ValueError: no data",
    ]


def test_a_text_without_frames_is_kept():
    assert fold("what happened") == ["what happened"]


def test_a_tasks_error_starts_with_type_function_and_node():
    error = RayTaskError("f", TRACEBACK, ValueError("no data"), "lab", 12).as_instanceof_cause()
    lines = plain(render(error))
    assert lines[0] == "ValueError in f on lab, pid 12"
    assert lines[1] == "Cell In[3], line 2"
    assert lines[-1] == "ValueError: no data"


def test_the_errors_own_text_is_there_even_if_the_traceback_lacks_it():
    lines = plain(render(RayTaskError("f", "", KeyError("k"))))
    assert lines == ["KeyError in f", "KeyError: 'k'"]


def test_the_notebooks_line_that_waited_is_shown(tmp_path):
    path = tmp_path / "cell.py"
    path.write_text("def get(error):\n    raise error\n")
    scope: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    try:
        scope["get"](RayTaskError("f", TRACEBACK, ValueError("no data")))
    except RayTaskError as error:
        lines = plain(render(error, sys.exc_info()[2]))
    assert lines[1] == "  awaited at line 2: raise error"


def test_sentences_have_no_traceback():
    assert plain(NotebookError("no cluster")._render_traceback_()) == ["no cluster"]
    shown = plain(Stopped("3 tasks cancelled")._render_traceback_())
    assert shown == ["Stopped: 3 tasks cancelled"]


SUMMARY = f"""Cell In[3], line 2, in fit
    return 1 / limit
    where limit = 0
ValueError: no data

{TRACEBACK.replace("<module>", "fit").replace("fit(data)", "return 1 / limit")}"""


def test_the_users_line_and_its_values_come_first():
    error = RayTaskError("f", SUMMARY, ValueError("no data"), "lab", 12).as_instanceof_cause()
    assert plain(render(error)) == [
        "ValueError in f on lab, pid 12",
        "Cell In[3], line 2 in fit",
        "    return 1 / limit",
        "    where limit = 0",
        "  ... 2 library frames",
        "ValueError: no data",
    ]


def test_the_same_failure_is_counted():
    error = RayTaskError("f", SUMMARY, ValueError("no data"), "lab", 12)
    error.alike = 500
    assert plain(render(error))[0] == (
        "ValueError in f on lab, pid 12 (500 tasks failed the same way)"
    )


GROUP = """Cell In[2], line 3, in f
    raise ExceptionGroup("two", errors)
ExceptionGroup: two (1 sub-exception)

  + Exception Group Traceback (most recent call last):
  |   File "Cell In[2]", line 3, in f
  |     raise ExceptionGroup("two", errors)
  | ExceptionGroup: two (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "<ipython-input-2-0123456789ab>", line 2, in f
    |     json.loads("{")
    |     ^^^^^^^^^^^^^^^
    |   File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    |     return decode(s)
    |            ^^^^^^^^^
    | ValueError: no JSON
    +------------------------------------"""


def test_a_group_is_told_as_other_errors_are(monkeypatch):
    monkeypatch.setattr(
        "nbray.jupyter.failures.errors.cell_name", lambda file: file.replace("<ipy", "Cell <ipy")
    )
    cause = ExceptionGroup("two", [ValueError("no JSON")])
    lines = plain(render(RayTaskError("f", GROUP, cause)))
    assert lines[:3] == [
        "ExceptionGroup in f", "Cell In[2], line 3 in f",
        '    raise ExceptionGroup("two", errors)',
    ]  # fmt: skip
    assert not [line for line in lines if "Traceback" in line or "File " in line]
    assert "    | Cell <ipython-input-2-0123456789ab>, line 2 in f" in lines
    at = lines.index("    |   ... 1 library frame")
    assert lines[at + 1] == "    | ValueError: no JSON"
    assert lines[-1] == "ExceptionGroup: two (1 sub-exception)"
