"""`%nbray logs` in words."""

from __future__ import annotations

import pytest

from nbray.events import Output
from nbray.jupyter.notebook import current
from nbray.jupyter.waiting import progress


@pytest.fixture
def logs(ip):
    """The shell's logs, two cells of which have printed."""
    kept = progress.router().logs
    for cell, pid, text in (("In[4]", 11, "a\n"), ("In[5]", 11, "b\n"), ("In[5]", 12, "c\n")):
        kept.add(Output(cell, 1, "lab", pid, "f", "stdout", text))
    own = current().cells
    own._labels.update({"In[4]": "In[4]", "In[5]": "In[5]"})
    return ip


def test_nothing_printed(say):
    assert say("%nbray logs") == "No task has printed anything yet."


def test_several_cells_are_listed(logs, say):
    text = say("%nbray logs")
    assert "In[4]  1 line of 1 worker" in text
    assert "In[5]  2 lines of 2 workers" in text


def test_a_cell_a_worker_a_node(logs, say):
    assert say("%nbray logs 4").endswith("a")
    assert say("print(get_ipython().run_line_magic('nbray', 'logs In[5]'), end='')") == (
        "[lab · pid 11] b\n[lab · pid 12] c"
    )
    assert say("print(get_ipython().run_line_magic('nbray', 'logs 11'), end='')") == "a\nb"
    assert say("len(get_ipython().run_line_magic('nbray', 'logs lab').lines)").endswith("3")


def test_unknown_words_say_what_there_is(logs, say):
    assert "these cells have: In[4], In[5]" in say("%nbray logs 99")
    assert "one cell, pid or node" in say("%nbray logs 1 2")


def test_into_a_file(logs, say, tmp_path):
    path = tmp_path / "log.txt"
    assert say(f"%nbray logs 5 --save {path}") == f"2 lines written to {path}"
    assert path.read_text() == "[lab · pid 11] b\n[lab · pid 12] c\n"


def test_the_receipt_of_short_work_if_asked(ip, say):
    assert "No cell has a receipt yet" in say("%nbray receipt")
    say("import nbray; nbray.init(engine='inline', ignore_reinit_error=True)")
    try:
        say("_ = nbray.get([nbray.remote(len).remote('a') for _ in range(5)])")
        assert "Receipt: 5 tasks on 1 node in" in say("%nbray receipt")
        assert "Cell 99 has no receipt yet" in say("%nbray receipt 99")
        assert "takes one cell" in say("%nbray receipt 1 2")
    finally:
        say("nbray.shutdown()")
