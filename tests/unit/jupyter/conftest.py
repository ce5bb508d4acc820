"""An IPython shell in this process, as `%load_ext nbray` finds it."""

from __future__ import annotations

import atexit
import re

import pytest
from traitlets.config import Config


@pytest.fixture
def shell():
    """A fresh terminal-less IPython shell, the process's current one; no history file."""
    from IPython.core.interactiveshell import InteractiveShell

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=config)
    yield made
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)
    InteractiveShell.clear_instance()


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
