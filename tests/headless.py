"""A notebook with everything that nbray shows, and ways to run it without a browser."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode

BARS = """
import time

@remote
def halve(x):
    time.sleep(0.1)
    if x % 8 == 0:
        print(f"halving {x}")
    return x / 2

halves = nbray.get([halve.remote(x) for x in range(40)])
sum(halves)
"""
EACH = """%%remote --each name in ['one', 'two'] -o said
said = name.upper()
print('hello from', name)"""
CELLS = (
    "%load_ext nbray\n%nbray start --cpus 2",
    BARS,
    "nbray.init()",
    "nbray.panel()",
    EACH,
    "time.sleep(1.5)  # the panel moves\nsaid",
)
STOP = "%nbray stop"


def written(path: Path, *sources: str) -> Path:
    """*sources* as the code cells of a notebook at *path*."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    nbformat.write(notebook, path)
    return path


def executed(path: Path, widgets: bool = True) -> NotebookNode:
    """Run the notebook at *path* with nbclient, save it, and return it; a failing cell raises."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=widgets,
    )
    client.execute()
    nbformat.write(notebook, path)
    return notebook


def text_of(notebook: NotebookNode) -> str:
    """Everything the notebook shows, as plain text."""
    parts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                parts.append(output.text)
            elif output.output_type == "error":
                parts.append("\n".join(output.traceback))
            else:
                parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)
