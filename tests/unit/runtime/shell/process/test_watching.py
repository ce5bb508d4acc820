"""How the ends of processes are worded."""

from __future__ import annotations

import signal
from pathlib import Path

from nbray.runtime.shell.process.channel import Ended
from nbray.runtime.shell.process.watching import describe_end, last_words

CRASH = """something C++ said
Fatal Python error: Segmentation fault

Current thread 0x00007f6d5c3b9740 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "Cell In[3]", line 4 in crash
  File "/venv/lib/python3.11/site-packages/nbray/runtime/shell/worker/executor.py", line 9 in _call
"""


def test_the_end_names_process_machine_signal_memory_and_limit() -> None:
    ended = Ended(5, 77, -1, signal.SIGKILL, 8_123_000_000)
    assert describe_end(ended, True, "lab", 16_000_000_000) == (
        "its process (pid 77) on lab was killed by SIGKILL, because the machine ran out of memory; "
        "it had used up to 7.6 GB of the 15 GB there are"
    )
    assert describe_end(Ended(5, 77, 3, 0, 50_000_000), False, "lab") == (
        "its process (pid 77) on lab exited with code 3; it had used up to 48 MB"
    )
    assert "was killed by signal 99" in describe_end(Ended(5, 7, -1, 99, 1), False, "lab")


def test_a_crash_says_on_which_of_the_users_lines(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text(CRASH)
    words = last_words(log.read_text(), signal.SIGSEGV)
    assert words == "Segmentation fault at Cell In[3], line 4, in crash"
    assert words in describe_end(Ended(5, 7, -1, 11, 1), False, "lab", 0, words)


def test_an_abort_says_what_the_library_said(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text(CRASH.replace("Segmentation fault", "Aborted"))
    assert last_words(log.read_text(), signal.SIGABRT).endswith("in crash (something C++ said)")
    log.write_text("terminate called\n")
    assert last_words(log.read_text(), signal.SIGABRT) == "terminate called"


def test_other_ends_have_no_words(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text(CRASH)
    assert last_words(log.read_text(), signal.SIGKILL) == ""
    assert last_words(log.read_text(), 0) == ""
    assert last_words("", signal.SIGSEGV) == ""
