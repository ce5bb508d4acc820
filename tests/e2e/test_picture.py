"""What `nbray.init()` returns, shown at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from e2e import cli

PROGRAM = """
import nbray
context = nbray.init(num_cpus=1)
for _ in range({times}):
    html = {how}
    assert "No cluster" not in html, html
    assert "1 node" in html, html
"""


@pytest.mark.parametrize(
    ("how", "times"),
    [
        ("context._repr_html_()", 1),
        ("context._repr_mimebundle_()['text/html']", 2),
        ("repr(context)", 1),
    ],
)
def test_it_is_right_at_once(how: str, times: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(how=how, times=times)],
        env=cli.environment(), capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
