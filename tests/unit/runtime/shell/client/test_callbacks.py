"""Callbacks on a thread of their own."""

import threading

import pytest

from nbray.runtime.shell.client.callbacks import Callbacks


def test_callbacks_run_in_order_on_another_thread():
    outside = Callbacks()
    done = threading.Event()
    seen = []
    for number in range(5):
        outside.later(lambda number=number: seen.append((number, threading.get_ident())))
    outside.later(done.set)
    outside.close()
    assert done.wait(60)
    assert [number for number, _ in seen] == list(range(5))
    assert {thread for _, thread in seen} != {threading.get_ident()}


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_one_that_raises_stops_no_other(kind, capsys):
    def wrong():
        raise kind("in a callback")

    outside = Callbacks()
    done = threading.Event()
    outside.later(wrong)
    outside.later(done.set)
    outside.close()
    assert done.wait(60)
    assert "in a callback" in capsys.readouterr().err
