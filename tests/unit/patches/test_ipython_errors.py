"""IPython has one handler of errors: nbray shares it with whoever had it, and gives it back."""

from __future__ import annotations

import pytest

import nbray
from nbray.jupyter import magics
from nbray.jupyter.failures import errors


class Theirs:
    """Another extension's handler, for errors of *kinds*."""

    def __init__(self, shell, *kinds):
        self.seen = []
        shell.set_custom_exc(kinds, self.handle)

    def handle(self, shell, kind, error, trace, tb_offset=None):
        self.seen.append(kind)
        return ["theirs"]


def load(shell):
    nbray.load_ipython_extension(shell)


def test_another_handler_gets_what_nbray_has_not_raised(shell):
    theirs = Theirs(shell, ZeroDivisionError, ValueError)
    load(shell)
    try:
        shell.run_cell("1 / 0")
        shell.run_cell("raise ValueError('mine')")
        assert theirs.seen == [ZeroDivisionError, ValueError]
    finally:
        magics.unload(shell)


def test_nbrays_own_errors_stay_nbrays(shell, capsys):
    theirs = Theirs(shell, Exception)
    load(shell)
    try:
        shell.run_cell("import nbray; nbray.get(3)")
        shell.run_cell("raise nbray.exceptions.GetTimeoutError('too long')")
        assert theirs.seen == []
        assert "too long" in capsys.readouterr().out
    finally:
        magics.unload(shell)


def test_an_earlier_handler_has_its_place_back(shell):
    theirs = Theirs(shell, ZeroDivisionError)
    before = shell.CustomTB
    for _ in range(2):
        load(shell)
        magics.unload(shell)
    assert shell.custom_exceptions == (ZeroDivisionError,)
    assert shell.CustomTB is before
    shell.run_cell("1 / 0")
    assert theirs.seen == [ZeroDivisionError]


def test_a_later_handler_keeps_its_place(shell):
    load(shell)
    theirs = Theirs(shell, ZeroDivisionError)
    magics.unload(shell)
    shell.run_cell("1 / 0")
    assert theirs.seen == [ZeroDivisionError]
    assert shell.custom_exceptions == (ZeroDivisionError,)


@pytest.mark.parametrize("error", [errors.NotebookError("x"), errors.Stopped("x")])
def test_what_a_magic_says_is_ours(error):
    assert errors.ours(error, None)


def test_a_plain_mistake_is_not_ours():
    assert not errors.ours(ValueError("x"), None)
    assert not errors.ours(KeyboardInterrupt(), None)
