"""Handlers of signals wait for the end of a step."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nbray.patches import signal_handlers


@pytest.fixture(autouse=True)
def restored():
    before = signal.getsignal(signal.SIGUSR1), signal.signal, signal.getsignal
    yield
    signal_handlers.no_longer()
    signal.signal(signal.SIGUSR1, before[0])
    assert (signal.getsignal(signal.SIGUSR1), signal.signal, signal.getsignal) == before


class Step:
    def __init__(self):
        self.under_way = False
        self.later = []

    def postpone(self, run):
        if self.under_way:
            self.later.append(run)
        return self.under_way


def send():
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("set_before", [True, False])
def test_it_runs_at_once_or_after_the_step(set_before):
    step, came = Step(), []

    def handler(number, frame):
        came.append((number, frame is not None))

    if set_before:
        signal.signal(signal.SIGUSR1, handler)
    signal_handlers.hold(step.postpone)
    if not set_before:
        assert signal.signal(signal.SIGUSR1, handler) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR1) is handler
    send()
    assert came == [(signal.SIGUSR1, True)]
    step.under_way = True
    send()
    assert len(came) == len(step.later) == 1
    step.later.pop()()
    assert came[1] == came[0]
    assert signal.signal(signal.SIGUSR1, signal.SIG_IGN) is handler


def test_it_may_raise():
    def handler(number, frame):
        raise TimeoutError

    signal_handlers.hold(Step().postpone)
    signal.signal(signal.SIGUSR1, handler)
    with pytest.raises(TimeoutError):
        send()


def test_what_is_no_handler_stays_what_it_is():
    interrupt = signal.getsignal(signal.SIGINT)
    signal_handlers.hold(Step().postpone)
    assert signal.getsignal(signal.SIGINT) is interrupt
    for what in (signal.SIG_IGN, signal.SIG_DFL):
        signal.signal(signal.SIGUSR1, what)
        assert signal.getsignal(signal.SIGUSR1) is what
    with pytest.raises(TypeError):
        signal.signal(signal.SIGUSR1, "no handler")


def test_in_another_thread_it_is_refused_as_ever():
    errors = []

    def wrong():
        try:
            signal.signal(signal.SIGUSR1, print)
        except ValueError as error:
            errors.append(error)

    signal_handlers.hold(Step().postpone)
    thread = threading.Thread(target=wrong)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_one_that_was_set_meanwhile_stays_afterwards():
    def handler(number, frame):
        raise TimeoutError

    signal_handlers.hold(Step().postpone)
    signal.signal(signal.SIGUSR1, handler)
    signal_handlers.no_longer()
    assert signal.getsignal(signal.SIGUSR1) is handler
    with pytest.raises(TimeoutError):
        send()


def test_taken_back_before_it_was_put_changes_nothing():
    before = signal.getsignal(signal.SIGUSR1)
    signal_handlers.no_longer()
    assert signal.getsignal(signal.SIGUSR1) is before
