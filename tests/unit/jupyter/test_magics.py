"""`%load_ext nbray`: what it adds to an IPython shell and takes back."""

import pytest

import nbray
from nbray import session
from nbray.events import Output
from nbray.jupyter import magics
from nbray.jupyter.notebook import current
from nbray.jupyter.waiting import progress


def test_loading_brings_remote_and_both_magics(ip):
    assert ip.user_ns["remote"] is nbray.remote
    assert ip.user_ns["nbray"] is nbray
    assert "remote" in ip.magics_manager.magics["cell"]
    assert "nbray" in ip.magics_manager.magics["line"]


def test_unloading_leaves_nothing(shell, monkeypatch):
    before = {event: list(hooks) for event, hooks in shell.events.callbacks.items()}
    for _ in range(2):
        shell.run_cell("%load_ext nbray").raise_error()
        nbray.load_ipython_extension(shell)  # twice is once
        magics.unload(shell)
        assert {event: list(hooks) for event, hooks in shell.events.callbacks.items()} == before
        assert "remote" not in shell.user_ns
        assert "remote" not in shell.magics_manager.magics["cell"]
        assert shell.custom_exceptions == ()
        shell.extension_manager.loaded.discard("nbray")
    magics.unload(shell)


def test_unloading_keeps_what_the_user_named_so(ip):
    ip.user_ns["remote"] = "mine"
    magics.unload(ip)
    assert ip.user_ns["remote"] == "mine"


def test_tasks_output_goes_to_the_launching_cell(ip, capsys):
    ip.run_cell("%nbray start").raise_error()
    capsys.readouterr()
    ip.run_cell("@remote\ndef f():\n    print('hello from a task')\nnbray.get(f.remote())")
    assert "hello from a task" in capsys.readouterr().out


def test_an_error_of_a_plain_task_is_short(say):
    text = say("@remote\ndef f():\n    return 1 / 0\n\nnbray.get(f.remote())")
    assert text.splitlines()[0].startswith("ZeroDivisionError in f")
    assert "awaited at line 5: nbray.get(f.remote())" in text
    assert "    return 1 / 0" in text
    assert text.endswith("ZeroDivisionError: division by zero")
    assert "engines" not in text


def test_an_interrupted_wait_is_shown_short(say, ip, capsys, monkeypatch):
    ip.run_cell("%nbray start\nref = nbray.put(1)").raise_error()

    def interrupted(refs, timeout):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(session.current(), "get", interrupted)
        capsys.readouterr()
        assert say("nbray.get(ref)").splitlines() == [
            "Stopped: the cell's tasks are cancelled", "  awaited at line 1: nbray.get(ref)",
        ]
    assert "Traceback" in say("raise KeyboardInterrupt")


def test_an_interrupted_plain_cell_is_stopped(ip, monkeypatch):
    stopped = []
    extension = current().part(magics.Extensions).by_shell[ip]
    monkeypatch.setattr(extension.notebook.interrupts, "_stop", stopped.append)
    ip.run_cell("raise KeyboardInterrupt", store_history=True)
    ip.run_cell("1", store_history=True)
    assert len(stopped) == 1
    assert stopped[0]


def test_output_events_are_written_under_their_cell(ip, capsys):
    router = progress.router()
    router(Output("In[1]", 1, "lab", 1, "f", "stdout", "late\n"))
    assert capsys.readouterr().out == "late\n"


@pytest.mark.parametrize("line", ["%reset -f", "%reset -f in out", "get_ipython().reset()"])
def test_after_a_reset_the_next_cells_have_the_names(ip, line):
    ip.run_cell(line).raise_error()
    ip.run_cell("remote, nbray.get").raise_error()


def test_a_name_that_the_user_has_deleted_stays_so(ip):
    ip.run_cell("del remote").raise_error()
    ip.run_cell("1").raise_error()
    assert "remote" not in ip.user_ns


def test_dir_shows_what_is_for_users():
    assert dir(nbray) == sorted(nbray.__all__)
