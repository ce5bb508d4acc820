"""Root where the system refuses it something."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbray.hosting import output_files
from nbray.runtime.shell.process import channel as p
from nbray.runtime.shell.root.process import Root


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_worker_without_a_file_ends_at_once_and_all_else_is_done(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, "refused")

    monkeypatch.setattr(output_files, "make", refuse)
    sent: list[Any] = []
    asked = [p.ForkWorker(7, 1), p.ForkWorker(8, 1), p.Outlive(True)]
    root: Any = Root.__new__(Root)
    root._started = SimpleNamespace(directory="", node_pid=1, cluster=1)
    root._config = SimpleNamespace(path=[])
    root._logs = tmp_path
    root._said = {}
    root._loaded, root._early = True, []
    root._notes = SimpleNamespace(rarely=lambda *_: None)
    root._channel = SimpleNamespace(closed=False, receive=lambda: asked, send=sent.append)
    root._serve()
    assert sent == [p.Ended(7, 0, 1, 0, 0), p.Ended(8, 0, 1, 0, 0)]
    assert root._outlives


def test_what_is_wanted_before_workers_can_be_forked_is_done_then_in_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = p.Started(1, 1, "", "", "", 1, 1, "")
    arrived = [[p.Ready(started), p.ForkWorker(7, 1)], [p.KillWorker(7)], [p.ForkWorker(8, 1)]]
    done: list[Any] = []
    root: Any = Root.__new__(Root)
    root._loaded, root._early, root._pids = False, [], {}
    root._channel = SimpleNamespace(closed=False, receive=lambda: arrived.pop(0))
    root._say = done.append

    def fork(worker: int, threads: int) -> None:
        done.append(("fork", worker, threads))
        root._pids[worker] = worker

    root._fork_worker = fork
    monkeypatch.setattr("os.kill", lambda pid, number: done.append(("kill", pid)))
    root._serve()
    assert done == [p.Ready(started)]  # the launcher waits no longer than it must
    root._serve()
    assert len(done) == 1
    root._loaded = True
    root._serve()
    assert done[1:] == [("fork", 7, 1), ("kill", 7), ("fork", 8, 1)]
