"""`%load_ext nbray` and `%nbray`, in an IPython shell on the inline engine."""

import re

import pytest

import nbray
from nbray import session
from nbray.engine import RuntimeInfo
from nbray.events import Output
from nbray.exceptions import RaySystemError
from nbray.jupyter import magics
from nbray.jupyter.cluster_magic import JoinLine


@pytest.fixture
def ip(shell, monkeypatch):
    monkeypatch.setenv("NBRAY_ENGINE", "inline")
    shell.run_cell("%load_ext nbray").raise_error()
    yield shell
    nbray.shutdown()
    magics.unload(shell)


def say(ip, capsys, line):
    """What a line prints, without colours."""
    ip.run_cell(line, store_history=True)
    out, err = capsys.readouterr()
    return re.sub(r"\x1b\[[0-9;]*m", "", out + err).strip()


def test_loading_brings_remote_and_both_magics(ip):
    assert ip.user_ns["remote"] is nbray.remote
    assert ip.user_ns["nbray"] is nbray
    assert "remote" in ip.magics_manager.magics["cell"]
    assert "nbray" in ip.magics_manager.magics["line"]


def test_unloading_leaves_nothing(shell, monkeypatch):
    before = {event: list(hooks) for event, hooks in shell.events.callbacks.items()}
    for _ in range(2):
        shell.run_cell("%load_ext nbray").raise_error()
        magics.load(shell)  # twice is once
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


def test_start_status_and_stop_can_be_repeated(ip, capsys):
    assert say(ip, capsys, "%nbray stop") == "nbray is not running."
    assert "not running" in say(ip, capsys, "%nbray")
    assert re.match(r"nbray is running: 1 node, 3 CPUs", say(ip, capsys, "%nbray start --cpus 3"))
    engine = session.current()
    assert "running already: 1 node" in say(ip, capsys, "%nbray start")
    assert "%nbray stop first" in say(ip, capsys, "%nbray start --cpus 5")
    assert session.current() is engine
    status = say(ip, capsys, "%nbray status")
    assert "1 node, 3 CPUs" in status
    assert "object store" in status
    assert say(ip, capsys, "%nbray stop") == "nbray has stopped."
    assert session.current() is None
    assert say(ip, capsys, "%nbray stop") == "nbray is not running."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%nbray strat", "did you mean %nbray start?"),
        ("%nbray dance", "there are start, attach"),
        ("%nbray start --cpu 3", "did you mean --cpus?"),
        ("%nbray start --cpus", "--cpus needs a value"),
        ("%nbray start --cpus none", "a number above 0"),
        ("%nbray start now", "unexpected 'now'"),
        ("%nbray attach", "one address"),
        ("%nbray attach nowhere", "HOST:PORT"),
        ("%nbray start 'x", "not closed"),
        ("%nbray join", "not running"),
    ],
)
def test_mistakes_are_one_sentence(ip, capsys, line, message):
    text = say(ip, capsys, line)
    assert message in text
    assert len(text.splitlines()) == 1
    assert session.current() is None


def test_join_shows_and_returns_the_line(ip, capsys, monkeypatch):
    ip.run_cell("%nbray start").raise_error()
    monkeypatch.setattr(session.current(), "join_line", lambda: "nbray start --address=a:1")
    ip.run_cell("line = %nbray join").raise_error()
    assert ip.user_ns["line"] == "nbray start --address=a:1"
    assert repr(JoinLine("x")).startswith("Paste this on another machine")


def test_join_says_why_it_cannot(ip, capsys, monkeypatch):
    ip.run_cell("%nbray start").raise_error()

    def refuse():
        raise RaySystemError("this engine\ncannot be joined")

    monkeypatch.setattr(session.current(), "join_line", refuse)
    capsys.readouterr()
    assert say(ip, capsys, "%nbray join") == "%nbray join: this engine cannot be joined"


def test_attach_again_and_elsewhere(ip, capsys, monkeypatch):
    joined = []

    def init(address, _redis_password):
        joined.append((address, _redis_password))
        monkeypatch.undo()
        nbray.init(engine="inline")

    monkeypatch.setattr(nbray, "init", init)
    line = "nbray start --address=lab:6379 --redis-password=x"
    assert "attached to lab:6379" in say(ip, capsys, f"%nbray attach {line}")
    assert joined == [("lab:6379", "x")]
    assert "run %nbray stop first" in say(ip, capsys, "%nbray attach other:1")
    there = RuntimeInfo(address="lab:6379")
    monkeypatch.setattr(session.current(), "runtime", lambda: there)
    assert "attached already" in say(ip, capsys, "%nbray attach lab:6379")


def test_tasks_output_goes_to_the_launching_cell(ip, capsys):
    ip.run_cell("%nbray start").raise_error()
    capsys.readouterr()
    ip.run_cell("@remote\ndef f():\n    print('hello from a task')\nnbray.get(f.remote())")
    assert "hello from a task" in capsys.readouterr().out


def test_an_error_of_a_plain_task_is_short(ip, capsys):
    text = say(ip, capsys, "@remote\ndef f():\n    return 1 / 0\n\nnbray.get(f.remote())")
    assert text.splitlines()[0].startswith("ZeroDivisionError in f")
    assert "awaited at line 5: nbray.get(f.remote())" in text
    assert "    return 1 / 0" in text
    assert text.endswith("ZeroDivisionError: division by zero")
    assert "engines" not in text


def test_an_interrupted_wait_is_shown_short(ip, capsys, monkeypatch):
    ip.run_cell("%nbray start\nref = nbray.put(1)").raise_error()

    def interrupted(refs, timeout):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(session.current(), "get", interrupted)
        capsys.readouterr()
        assert say(ip, capsys, "nbray.get(ref)").splitlines() == [
            "Stopped: the cell's tasks are cancelled", "  awaited at line 1: nbray.get(ref)",
        ]
    assert "Traceback" in say(ip, capsys, "raise KeyboardInterrupt")


def test_an_interrupted_plain_cell_is_stopped(ip, monkeypatch):
    stopped = []
    monkeypatch.setattr(magics._extensions()[ip]._interrupts, "_stop", stopped.append)
    ip.run_cell("raise KeyboardInterrupt", store_history=True)
    ip.run_cell("1", store_history=True)
    assert len(stopped) == 1
    assert stopped[0]


def test_output_events_are_written_under_their_cell(ip, capsys):
    router = magics._extensions()[ip]._router
    router(Output("In[1]", 1, "lab", 1, "f", "stdout", "late\n"))
    assert capsys.readouterr().out == "late\n"
