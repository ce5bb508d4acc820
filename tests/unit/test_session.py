"""The one mutable slot."""

from __future__ import annotations

import os
import threading
import time
import types

import pytest

from nbray import api, session
from nbray.config import InitConfig
from nbray.engines.scripted import ScriptedEngine
from nbray.exceptions import RaySystemError

# other tests' threads may still run, which newer Pythons warn of
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def restored():
    before, started = session.current(), session.started_with()
    session.install(None)
    yield
    session.install(before, started)


def test_install_and_current():
    engine = ScriptedEngine()
    session.install(engine, InitConfig(num_cpus=1))
    assert session.current() is engine
    assert session.require() is engine
    assert session.started_with().num_cpus == 1
    session.install(None)
    assert session.current() is None


def test_hooks_hear_of_every_engine():
    heard = []

    def once(engine):
        heard.append(engine)
        session.on_install.remove(once)

    session.on_install.append(once)
    engine = ScriptedEngine()
    session.install(engine)
    session.install(None)
    assert heard == [engine]


def test_threads_that_need_it_first_get_the_same_one(monkeypatch):
    def start(_config):
        time.sleep(0.05)
        return ScriptedEngine()

    monkeypatch.setattr(api, "load", lambda _name: types.SimpleNamespace(start=start))
    met, together = [], threading.Barrier(6)

    def needs():
        together.wait()
        met.append(session.require())

    threads = [threading.Thread(target=needs) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(met) == 6
    assert len(set(map(id, met))) == 1


def test_a_forked_child_gets_an_engine_that_raises():
    session.install(ScriptedEngine())
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            session.require().get([], None)
        except RaySystemError as error:
            code = 42 if "forked" in str(error) and session.is_forked() else 2
        session.current().shutdown()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_a_fork_without_an_engine_stays_without():
    session.install(ScriptedEngine())
    session.install(None)
    pid = os.fork()
    if pid == 0:
        os._exit(42 if session.current() is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42


def test_cells_are_apart_in_threads():
    token = session.cell.set("here")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(session.cell.get()))
    thread.start()
    thread.join()
    session.cell.reset(token)
    assert seen == [""]
