"""What tasks print and show, in real kernels of both lines of ipykernel: under their own cell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.front import Answer, Front, running
from harness import private_folder, require_or_skip

OLD = "6.29.5"
"""The last ipykernel that routes output by one global parent."""
SETUP = """
import os, sys, time, threading
import ipykernel
%load_ext nbray
%nbray start --cpus 2
ipykernel.__version__
"""


@pytest.fixture(scope="session")
def old_ipykernel() -> Path:
    """A folder with ipykernel 6.29."""
    folder = private_folder("nbt-ipk-")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder),
               f"ipykernel=={OLD}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        require_or_skip(f"ipykernel {OLD} cannot be had: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module", params=["installed", OLD])
def kernel(request: pytest.FixtureRequest) -> Iterator[Front]:
    env = dict(os.environ)
    if request.param == OLD:
        folder = request.getfixturevalue("old_ipykernel")
        env["PYTHONPATH"] = f"{folder}{os.pathsep}{env.get('PYTHONPATH', '')}"
    with running(SETUP, env=env) as (front, setup):
        assert setup.result.startswith("'6." if request.param == OLD else "'7.")
        yield front


def late(front: Front, answer: Answer, text: str) -> None:
    """Read messages until *text* is under the cell of *answer*."""
    if text not in answer.text:
        front.until(lambda _: text in answer.text)


def test_output_stays_with_the_launching_cell_while_another_runs(kernel: Front) -> None:
    first = kernel.run(
        "@remote\ndef speak(word, after):\n    time.sleep(after)\n    print(word)\n"
        "import time\nslow = speak.remote('of the ' + 'first', 1.0)"
    )
    second = kernel.run("nbray.get(speak.remote('of the ' + 'second', 0)); time.sleep(2)")
    late(kernel, first, "of the first")
    assert first.printed == "of the first\n"
    assert second.printed == "of the second\n"


def test_output_of_a_cell_that_has_long_finished(kernel: Front) -> None:
    first = kernel.run("slow = speak.remote('late ' + 'words', 1.5)")
    assert first.printed == ""
    # Places are kept for what it prints and for its receipt.
    assert [data["text/plain"] for data in first.displays.values()] == ["", ""]
    kernel.run("1 + 1")
    late(kernel, first, "late words")
    assert first.printed == "late words\n"


def test_threads_of_a_cell_and_threads_of_a_task(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef threaded():\n"
        "    inner = threading.Thread(target=lambda: print('from a thread'))\n"
        "    inner.start(); inner.join()\n"
        "outer = threading.Thread(target=lambda: nbray.get(threaded.remote()))\n"
        "outer.start(); outer.join()"
    )
    assert answer.printed == "from a thread\n"
    answer = kernel.run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "@remote\ndef tell(words):\n"
        "    print(words)\n"
        "pool.submit(lambda: nbray.get(tell.remote('from a ' + 'pool'))).result()"
    )
    late(kernel, answer, "from a pool")
    assert answer.printed == "from a pool\n"
    answer = kernel.run(
        "@remote\ndef launches():\n"
        "    def launch():\n"
        "        nbray.get(tell.remote('from a thread of a ' + 'task'))\n"
        "    inner = threading.Thread(target=launch); inner.start(); inner.join()\n"
        "pool.submit(lambda: nbray.get(launches.remote())).result()\n"
        "pool.shutdown()"
    )
    late(kernel, answer, "of a task")
    assert answer.printed.endswith("from a thread of a task\n")


def test_everything_that_writes_is_caught(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef loud():\n"
        "    import ctypes, subprocess, warnings, logging\n"
        "    print('a print')\n"
        "    ctypes.CDLL(None).printf(b'from C\\n')\n"
        "    os.write(2, b'a descriptor\\n')\n"
        "    subprocess.run(['echo', 'a child'])\n"
        "    sys.stdout.buffer.write(b'bytes\\n'); sys.stdout.flush()\n"
        "    sys.stderr.write('an error\\n')\n"
        "    warnings.warn('take care')\n"
        "    logging.warning('a log line')\n"
        "nbray.get(loud.remote())"
    )
    for said in ("a print", "from C", "a descriptor", "a child", "bytes", "an error",
                 "UserWarning: take care", "a log line"):  # fmt: skip
        assert said in answer.printed, answer.printed
    lines = answer.printed.splitlines()
    assert lines.index("a print") < lines.index("from C") < lines.index("a child")


def test_what_c_code_writes_goes_to_the_cell_of_its_own_task(kernel: Front) -> None:
    kernel.run("@remote\ndef raw(text):\n    os.write(1, text.encode())")
    first = kernel.run("refs = [raw.remote(f'first {i}\\n') for i in range(30)]")
    second = kernel.run("nbray.get(refs + [raw.remote(f'second {i}\\n') for i in range(30)]);")
    # Which lines the fold leaves in sight depends on the workers; the number above them does not,
    # and there is one, for so many lines are folded even if one worker wrote them all.
    late(kernel, first, "30 lines")
    late(kernel, second, "30 lines")
    assert "second" not in first.printed
    assert "first" not in second.printed


def test_a_plain_bar_of_tqdm_is_one_line_a_task(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef steps(name):\n"
        "    from tqdm import tqdm\n"
        "    for _ in tqdm(range(40), desc=name):\n"
        "        time.sleep(0.02)\n"
        "nbray.get([steps.remote(n) for n in ('one', 'two')]);"
    )
    bars = [line for line in answer.printed.splitlines() if "%|" in line]
    assert len(bars) == 2, answer.printed
    assert all("100%" in bar and "40/40" in bar for bar in bars)


def test_rich_output_and_figures_come_under_the_launching_cell(kernel: Front) -> None:
    first = kernel.run(
        "@remote\ndef rich(after):\n"
        "    from IPython.display import HTML, display as shown\n"
        "    time.sleep(after)\n"
        "    shown(HTML('<b>bold</b>'))\n"
        "    display({'plain': 1})\n"
        "    handle = display('before', display_id=True)\n"
        "    handle.update('after')\n"
        "@remote\ndef figures():\n"
        "    import matplotlib.pyplot as plt\n"
        "    plt.plot([1, 3, 2]); plt.show()\n"
        "    plt.plot([1, 2, 1])\n"
        "slow = rich.remote(1.0)"
    )
    second = kernel.run("nbray.get(figures.remote())\ntime.sleep(1.5)")
    kernel.run("nbray.get(slow)")
    data = list(first.displays.values())
    assert any(one.get("text/html") == "<b>bold</b>" for one in data), data
    assert any(one["text/plain"] == "{'plain': 1}" for one in data)
    assert any(one["text/plain"] == "'after'" for one in data)
    assert (first.pictures, second.pictures) == (0, 2)


def test_many_workers_fold_into_a_block_and_no_line_is_lost(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef count(who):\n"
        "    for i in range(1000):\n        print(who, i)\n"
        "    time.sleep(0.3)\n"
        "nbray.get([count.remote(w) for w in 'ab']);"
    )
    (block,) = [d for d in answer.displays.values() if "nbray-output" in d.get("text/html", "")]
    assert "<b>Output</b> · 2 workers, 2,000 lines" in block["text/html"]
    assert block["text/html"].count("1,000 lines") == 2
    whole = kernel.run(f"text = %nbray logs {answer.number}\nlen(text.splitlines())")
    assert whole.result == "2000"
    kept = kernel.run("[sum(w in line for line in text.splitlines()) for w in ('a ', 'b ')]")
    assert kept.result == "[1000, 1000]"


def test_a_hundred_thousand_lines_are_few_messages(kernel: Front) -> None:
    answer = kernel.run(
        "@remote\ndef flood():\n"
        "    for i in range(100_000):\n        print('line', i)\n"
        "nbray.get(flood.remote())"
    )
    (block,) = [d for d in answer.displays.values() if "nbray-output" in d.get("text/html", "")]
    assert "100,000 lines" in block["text/html"]
    assert "line 99999" in block["text/html"]
    assert len(block["text/html"]) < 60_000
    whole = kernel.run(f"text = %nbray logs In[{answer.number}]\nlen(text.splitlines())")
    assert whole.result == "100000"


def test_logs_by_worker_and_into_a_file(kernel: Front) -> None:
    listed = kernel.run("%nbray logs")
    assert "100,000 lines of 1 worker" in listed.text
    answer = kernel.run("%nbray logs 99999999")
    assert answer.error == "NotebookError"
    assert "no cell, worker or node '99999999' has printed anything" in answer.traceback
    pid = kernel.run("@remote\ndef me():\n    print('it is me')\n    return os.getpid()\n"
                     "nbray.get(me.remote())").result  # fmt: skip
    assert "it is me" in kernel.run(f"text = %nbray logs {pid}\ntext").result
    saved = kernel.run(
        f"%nbray logs {pid} --save /tmp/nbt-{pid}.txt\nopen('/tmp/nbt-{pid}.txt').read()[-9:]"
    )
    assert saved.result == "'it is me\\n'"
    kernel.run(f"os.remove('/tmp/nbt-{pid}.txt')")


def test_a_cell_that_clears_its_output_away_shows_what_comes_then(kernel):
    answer = kernel.run(
        "from IPython.display import clear_output\n"
        "import time\n"
        "@remote\ndef slow(i):\n    time.sleep(1.2)\n    print('task', i)\n"
        "for i in range(2):\n    clear_output(wait=True)\n    nbray.get(slow.remote(i))"
    )
    texts = [data["text/plain"] for data in answer.displays.values()]
    assert "task 0" in texts
    assert "task 1" in texts
    assert [text for text in texts if text.startswith("2 of 2")]
