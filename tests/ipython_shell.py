"""An IPython shell in the process of the tests."""

from __future__ import annotations

import atexit

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
