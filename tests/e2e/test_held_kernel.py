"""What holds a cell's output holds what its tasks print, show and plot, in a real kernel.

One notebook is run by nbclient, which plays a page's Output widgets; each test reads
what came of one cell.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import Any

import nbformat
import pytest
from harness import private_folder

pytestmark = pytest.mark.timeout(300)  # the first test waits for the notebook

CELLS = {
    "setup": """
import contextlib, io, sys, time
import ipywidgets, nbray
from IPython.utils.capture import capture_output
%load_ext nbray
%nbray start --cpus 2
@remote
def f(i, after=0.0):
    time.sleep(after)
    print('line', i)
    return i
@remote
def show(i):
    from IPython.display import HTML, display
    import matplotlib.pyplot as plt
    display(HTML(f'<b>shown {i}</b>'))
    plt.plot([1, i]); plt.show()
    print('problem', i, file=sys.stderr)
""",
    "magic": "%%capture cap\nnbray.get([f.remote(i, 1.5) for i in range(3)])",
    "magic's": "print(sorted(cap.stdout.splitlines()))",
    "start": "%%capture\n%nbray start",
    "context": "with capture_output() as c: nbray.get([show.remote(i) for i in (0, 1)])\nprint(7)",
    "context's": """
print(c.stdout, sorted(c.stderr.splitlines()),
      sorted(o.data.get('text/html', 'figure') for o in c.outputs))
""",
    "redirected": """
into = io.StringIO()
with contextlib.redirect_stdout(into): nbray.get([f.remote(i) for i in range(3)])
print(sorted(into.getvalue().splitlines()))
""",
    "replaced": """
class Tee:
    def __init__(self, out): self.out, self.text = out, ''
    def write(self, text): self.text += text; return self.out.write(text)
    def flush(self): self.out.flush()
sys.stdout = tee = Tee(sys.stdout)
try: nbray.get(f.remote('teed'))
finally: sys.stdout = tee.out
print(repr(tee.text))
""",
    "box": """
box = ipywidgets.Output()
with box:
    print('own')
    nbray.get([f.remote(i) for i in range(5)])
    nbray.get(show.remote(9))
""",
    "box's": """
time.sleep(0.3)
print(sorted(''.join(o.get('text', '') for o in box.outputs).splitlines()),
      sum('image/png' in o.get('data', {}) for o in box.outputs))
""",
    "decorated": """
out = ipywidgets.Output()
@out.capture()
def g(): return nbray.get([f.remote(i) for i in range(3)])
g();
""",
    "decorated's": "time.sleep(0.3)\nprint(sum('line' in o['text'] for o in out.outputs))",
    "flood": """
big = ipywidgets.Output()
with big: nbray.get([f.remote(i) for i in range(2000)]);
""",
    "flood's": """
time.sleep(0.5)
lines = ''.join(o.get('text', '') for o in big.outputs).splitlines()
print(len(lines), len(set(lines)))
""",
    "interact": "both = ipywidgets.interactive(lambda x: nbray.get(f.remote(x)), x=(0, 5))\nboth",
    "moved": "both.children[0].value = 4",
    "moved's": """
time.sleep(0.3)
print([o.get('text') for o in both.children[-1].outputs if 'text' in o][-1])
""",
    "late": "with capture_output() as c: ref = f.remote('late', 0.5)\nprint(repr(c.stdout))",
    "other": "%%capture other\nnbray.wait([ref])\ntime.sleep(0.5)",
    "other's": "print(repr(other.stdout))",
    "stop": "%nbray stop",
}


SHOWN = ["<b>shown 0</b>", "<b>shown 1</b>", "figure", "figure"]


RUN = """
import asyncio, contextlib, sys
import nbformat, zmq
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
client = NotebookClient(notebook, timeout=120)

async def look():
    # What nbclient sends for an Output widget takes the wake-up of its own waiting
    # for an answer, which pyzmq then sees only when somebody looks again.
    while True:
        await asyncio.sleep(0.2)
        with contextlib.suppress(AttributeError, zmq.ZMQError):
            client.kc.shell_channel.socket.get(zmq.EVENTS)

async def main():
    looking = asyncio.create_task(look())
    await client.async_execute()
    looking.cancel()

asyncio.run(main())
nbformat.write(notebook, sys.argv[1])
"""


@pytest.fixture(scope="module")
def under() -> dict[str, list[Any]]:
    """The outputs of each cell."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS.values()],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    folder = private_folder("nbt-held-")
    path = folder / "held.ipynb"
    nbformat.write(notebook, path)
    # In a process of its own: what this one has loaded of IPython's changes how clients behave.
    subprocess.run([sys.executable, "-c", RUN, str(path)], check=True, timeout=240)
    done = nbformat.read(path, 4)
    shutil.rmtree(folder)
    return dict(zip(CELLS, [cell.outputs for cell in done.cells], strict=True))


def text(outputs: list[Any]) -> str:
    """What they say; a slow machine's receipts are not meant."""
    found = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs]
    return "".join(one for one in found if not one.startswith("Receipt")).strip()


@pytest.mark.parametrize("cell", ["magic", "start", "decorated", "flood", "other"])
def test_nothing_stands_under_a_cell_that_is_held_as_a_whole(
    under: dict[str, list[Any]], cell: str
) -> None:
    assert text(under[cell]) == ""


@pytest.mark.parametrize(
    ("cell", "holds"),
    [
        ("magic's", "['line 0', 'line 1', 'line 2']"),
        ("context", "7"),
        ("context's", f"{['problem 0', 'problem 1']} {SHOWN}"),
        ("redirected", "['line 0', 'line 1', 'line 2']"),
        ("replaced", "line teed\n'line teed\\n'"),
        ("box's", "['line 0', 'line 1', 'line 2', 'line 3', 'line 4', 'own', 'problem 9'] 1"),
        ("decorated's", "1"),
        ("flood's", "2000 2000"),
        ("moved's", "line 4"),
    ],
)  # fmt: skip
def test_what_was_printed_shown_and_plotted_is_held(
    under: dict[str, list[Any]], cell: str, holds: str
) -> None:
    assert text(under[cell]) == holds


def test_what_comes_when_nothing_holds_it_any_more_comes_under_its_cell(
    under: dict[str, list[Any]],
) -> None:
    assert "line late" in text(under["late"])
    assert "''" in text(under["late"])
    assert text(under["other's"]) == "''", "another cell's text is not the running one's"
