"""Descriptors 1 and 2 as files that are read on (in a process of its own)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import ctypes, os, sys, json
from pathlib import Path
from nbray.runtime.shell.descriptors import Descriptors, unbuffer
answer = os.dup(1)
found = Descriptors(Path(sys.argv[1]) / "worker")
unbuffer()
said = [found.grown()]
ctypes.CDLL(None).printf(b"no newline")
said += [found.grown(), found.read(), found.grown()]
os.write(1, "gr\u00fc".encode()[:-1]); said.append(found.read())
os.write(1, "gr\u00fc".encode()[-1:]); said.append(found.read())
os.system("echo child >&2"); said.append(found.read())
os.write(answer, json.dumps(said).encode())
if len(sys.argv) > 2:
    ctypes.string_at(0)
"""


def run(folder: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *more], capture_output=True, check=False
    )


def test_everything_is_read_once_and_in_whole_characters(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0
    said = __import__("json").loads(done.stdout)
    assert said == [
        False, True, [["stdout", "no newline"]], False, [["stdout", "gr"]],
        [["stdout", "\u00fc"]], [["stderr", "child\n"]],
    ]


def test_a_crash_leaves_its_last_words(tmp_path: Path) -> None:
    done = run(tmp_path, "crash")
    assert done.returncode < 0
    words = (tmp_path / "worker.log").read_text()
    assert "Fatal Python error: Segmentation fault" in words
    assert "string_at" in words
