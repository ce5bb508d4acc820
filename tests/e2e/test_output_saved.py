"""A notebook that ran headless holds what its tasks printed and showed, without scripts."""

from __future__ import annotations

import re

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

CELLS = [
    "%load_ext nbray\n%nbray start --cpus 2\nimport time",
    ("@remote\ndef speak(who, after=0):\n    time.sleep(after)\n    for i in range(30):\n"
    "        print(who, i)\n"
    "nbray.get([speak.remote(w, .3) for w in 'ab']);"),
    ("@remote\ndef draw():\n    import matplotlib.pyplot as plt\n    plt.plot([1, 2])\n"
    "nbray.get(draw.remote())"),
    "late = speak.remote('late', 1)",
    "nbray.get(late)\n1 + 1",
    "@remote\ndef bad():\n    limit = 0\n    return 1 / limit\nnbray.get(bad.remote())",
    "%nbray debug",
    "nbray.put(bytes(1000))",
    "%nbray memory",
    "%nbray stop",
]


def test_a_saved_notebook_shows_logs_figures_failures_and_memory() -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in CELLS]
    )
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    outputs = [cell.outputs for cell in notebook.cells]

    def text(index: int) -> str:
        return "\n".join(one.get("data", {}).get("text/plain", "") for one in outputs[index])

    assert "Output · 2 workers, 60 lines" in text(1)
    assert any("image/png" in one.get("data", {}) for one in outputs[2])
    assert "late 29" in text(3), "an update during a later cell is filed where it belongs"
    assert "late" not in text(4)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    bare = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    for shown in ("b 29", "late 29", "60 lines", "where limit = 0", "held by", "ObjectRef",
                  "in bad"):  # fmt: skip
        assert shown in bare, shown
    assert "data:image/png" in bare
