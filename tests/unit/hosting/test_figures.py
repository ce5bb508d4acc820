"""matplotlib's backend in workers (in a process of its own: a backend is for good)."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
from nbray import session
from nbray.hosting import showing
shown = []
class Publisher:
    at_end = None
    def publish(self, data, metadata, display_id, update):
        shown.append(data)
publisher = Publisher()
session.publish_to(publisher)
showing.install()
import matplotlib.pyplot as plt
plt.plot([1, 2]); plt.show()
assert len(shown) == 1 and shown[0]["image/png"].startswith("iVBOR"), shown
assert publisher.at_end is not None
publisher.at_end()
assert len(shown) == 1
plt.figure(); plt.text(0, 0, "open"); plt.figure()
publisher.at_end()
assert len(shown) == 2, "an empty figure is not shown"
assert not plt.get_fignums()
figure, _ = plt.subplots()
showing.display(figure)
assert "image/png" in shown[-1]
from matplotlib.figure import Figure
showing.display(Figure())
assert "image/png" in shown[-1]
"""


def test_figures_are_sent_once_at_show_or_at_the_tasks_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
