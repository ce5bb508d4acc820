"""An IPython shell in this process, as `%load_ext nbray` finds it."""

from __future__ import annotations

import re

import pytest
from ipython_shell import shell as shell


@pytest.fixture
def ip(shell, monkeypatch):
    """The shell with nbray loaded, on the inline engine."""
    import nbray
    from nbray.jupyter import magics

    monkeypatch.setenv("NBRAY_ENGINE", "inline")
    shell.run_cell("%load_ext nbray").raise_error()
    yield shell
    nbray.shutdown()
    magics.unload(shell)


@pytest.fixture
def say(ip, capsys):
    """Runs a cell; what it printed, without colours."""

    def run(source):
        ip.run_cell(source, store_history=True)
        out, err = capsys.readouterr()
        return re.sub(r"\x1b\[[0-9;]*m", "", out + err).strip()

    return run
