"""A node's process where the system refuses it something."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from nbray.runtime.shell.machine import resources
from nbray.runtime.shell.node.process import Node, refusals
from nbray.runtime.shell.process.log import Notes

FULL = OSError(errno.EMFILE, "Too many open files")
NOT_LOADED = ImportError("_posixsubprocess.so: cannot open shared object file: Too many open files")


NOT_FOUND = ModuleNotFoundError("No module named 'psutil'")


@pytest.mark.parametrize("refusal", [FULL, NOT_LOADED, NOT_FOUND])
def test_a_machine_that_cannot_be_looked_at_ends_no_node(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], refusal: Exception
) -> None:
    """What it looks with is loaded at the first look, and that takes descriptors, too."""

    def refuse() -> Any:
        raise refusal

    monkeypatch.setattr(resources, "figures", refuse)
    node = Node.__new__(Node)
    node._notes = Notes()
    node._report(1.0)
    assert "looking at the machine failed" in capfd.readouterr().err
    assert isinstance(refusal, refusals())
