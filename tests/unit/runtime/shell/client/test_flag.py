"""An event that may be set in the middle of being set."""

from __future__ import annotations

import threading

from nbray.runtime.shell.client.flag import Flag


def test_it_is_as_an_event_is() -> None:
    for flag in (Flag(), threading.Event()):
        assert not flag.is_set()
        assert not flag.wait(0)
        assert not flag.wait(-1)
        flag.set()
        flag.set()
        assert flag.is_set()
        assert flag.wait(0)
        assert flag.wait()
        flag.clear()
        flag.clear()
        assert not flag.wait(0.001)


def test_all_who_wait_go_on() -> None:
    flag, passed = Flag(), []
    threads = [threading.Thread(target=lambda: passed.append(flag.wait(60))) for _ in range(5)]
    for thread in threads:
        thread.start()
    flag.set()
    for thread in threads:
        thread.join()
    assert passed == [True] * 5
