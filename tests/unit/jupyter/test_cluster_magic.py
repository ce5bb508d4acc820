"""`%nbray` in an IPython shell, on the inline engine."""

import re
from types import SimpleNamespace

import pytest

import nbray
from nbray import session
from nbray.dashboard.links import link
from nbray.engine import RuntimeInfo
from nbray.exceptions import RaySystemError
from nbray.jupyter import cluster_magic
from nbray.jupyter.cluster_magic import JoinLine
from nbray.jupyter.commands import COMMANDS


def test_start_status_and_stop_can_be_repeated(say):
    assert say("%nbray stop") == "nbray is not running."
    assert "not running" in say("%nbray")
    assert re.match(r"nbray is running: 1 node, 3 CPUs", say("%nbray start --cpus 3"))
    engine = session.current()
    assert "running already: 1 node" in say("%nbray start")
    assert "%nbray stop first" in say("%nbray start --cpus 5")
    assert session.current() is engine
    status = say("%nbray status")
    assert "1 node, 3 CPUs" in status
    assert "object store" in status
    assert say("%nbray stop") == "nbray has stopped."
    assert session.current() is None
    assert say("%nbray stop") == "nbray is not running."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%nbray strat", "did you mean %nbray start?"),
        ("%nbray dance", "there are start, attach"),
        ("%nbray start --cpu 3", "did you mean --cpus?"),
        ("%nbray start --cpus", "--cpus needs a value"),
        ("%nbray start --cpus none", "a number above 0"),
        ("%nbray start now", "unexpected 'now'"),
        ("%nbray attach a:1 b:2", "one address"),
        ("%nbray start --detatch", "did you mean --detach?"),
        ("%nbray attach nowhere", "HOST:PORT"),
        ("%nbray start 'x", "not closed"),
        ("%nbray join", "not running"),
    ],
)
def test_mistakes_are_one_sentence(say, line, message):
    text = say(line)
    assert message in text
    assert len(text.splitlines()) == 1
    assert session.current() is None


def test_join_shows_and_returns_the_line(ip, monkeypatch):
    ip.run_cell("%nbray start").raise_error()
    monkeypatch.setattr(session.current().cluster, "join_line", lambda: "nbray start --address=a:1")
    ip.run_cell("line = %nbray join").raise_error()
    assert ip.user_ns["line"] == "nbray start --address=a:1"
    assert repr(JoinLine("x")).startswith("Paste this on another machine")


def test_in_a_notebook_the_line_for_joining_is_not_shown(monkeypatch):
    notebook = SimpleNamespace(cells=SimpleNamespace(kernel=object()))
    monkeypatch.setattr(cluster_magic, "current", lambda: notebook)
    assert "hush" not in repr(JoinLine("printf %s hush | nbray start"))
    assert "Press Join line" in repr(JoinLine("printf %s hush | nbray start"))
    monkeypatch.setenv("NBRAY_CONTROLS", "0")
    assert "Press" not in repr(JoinLine("hush")), "there is no button"
    assert "hush" not in repr(JoinLine("hush"))
    assert "nbray join prints it" in repr(JoinLine("hush"))


def test_join_says_why_it_cannot(say, ip, capsys, monkeypatch):
    ip.run_cell("%nbray start").raise_error()

    def refuse():
        raise RaySystemError("this engine\ncannot be joined")

    monkeypatch.setattr(session.current().cluster, "join_line", refuse)
    capsys.readouterr()
    assert say("%nbray join") == "%nbray join: this engine cannot be joined"


def test_attach_again_and_elsewhere(say, monkeypatch):
    joined = []

    def init(address, engine, _redis_password):
        joined.append((address, engine, _redis_password))
        monkeypatch.undo()
        nbray.init(engine="inline")

    monkeypatch.setattr(nbray.api, "init", init)
    line = "printf %s x | nbray start --address=lab:6379 --secret-file=-"
    assert "attached to lab:6379" in say(f"%nbray attach {line}")
    assert joined == [("lab:6379", None, "x")]
    assert "run %nbray stop first" in say("%nbray attach other:1")
    there = RuntimeInfo(address="lab:6379")
    monkeypatch.setattr(session.current().context, "runtime", lambda: there)
    assert "attached already" in say("%nbray attach lab:6379")


def test_start_shows_the_link_that_waits(say, monkeypatch):
    found = [(None, "none of the ports can be used")]
    monkeypatch.setattr(cluster_magic, "known", lambda engine: found[0])
    assert "There is no dashboard: none of the ports can be used." in say("%nbray start")
    found[0] = (link(8265, "k", {}), "")
    assert "http://127.0.0.1:8265/?key=k" in say("%nbray start")
    found[0] = (None, "")
    assert "dashboard" not in say("%nbray start")


def test_dashboard_needs_a_cluster_of_processes(say):
    assert "%nbray start first" in say("%nbray dashboard")
    say("%nbray start")  # the inline engine: there is nothing to look at from outside
    text = say("%nbray dashboard")
    assert "inline engine has no cluster" in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("line", ["%nbray help", "%nbray --help", "%nbray -h"])
def test_help_lists_every_command_in_words(say, line):
    said = say(line)
    for command in COMMANDS.values():
        assert f"{command.usage} " in said
        assert command.says in said
    assert session.current() is None


@pytest.mark.parametrize("line", ["%nbray help start", "%nbray start --help", "%nbray start -h"])
def test_help_of_one_command(say, line):
    assert say(line).startswith("%nbray start [--cpus N] [--detach]")
    assert session.current() is None


def test_help_of_nothing(say):
    assert "unknown command 'strat'" in say("%nbray help strat")


def test_the_question_mark_shows_the_commands(ip):
    info = ip.object_inspect("%nbray", detail_level=0)
    for command in COMMANDS.values():
        assert command.usage in info["docstring"]


def test_the_tab_key_is_answered(ip):
    hooks = ip.strdispatchers["complete_command"].strs
    assert any(key == "%nbray" for key in hooks)
