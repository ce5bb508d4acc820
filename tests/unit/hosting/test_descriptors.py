"""Descriptors 1 and 2 as files that are read on (in a process of its own)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbray.hosting import output_files

PROGRAM = """
import ctypes, os, sys, json
from pathlib import Path
from nbray.hosting.descriptors import Descriptors, unbuffer
answer = os.dup(1)
found = Descriptors(Path(sys.argv[1]) / "worker", given=len(sys.argv) > 3)
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
    said = json.loads(done.stdout)
    assert said == [
        False, True, [["stdout", "no newline"]], False, [["stdout", "gr"]],
        [["stdout", "\u00fc"]], [["stderr", "child\n"]],
    ]


def test_a_crash_leaves_its_last_words(tmp_path: Path) -> None:
    said = output_files.make("stderr", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), "crash", "given"],
        stdout=subprocess.DEVNULL, stderr=said, check=False,
    )  # fmt: skip
    words = output_files.tail(said)
    os.close(said)
    assert done.returncode < 0
    assert "Fatal Python error: Segmentation fault" in words
    assert "string_at" in words


LONG = """
import json, os, sys
from pathlib import Path
from nbray import config
from nbray.hosting import descriptors
descriptors.KEPT_OUTPUT, descriptors.KEPT_SHARE = int(sys.argv[3]), 0.0
answer = os.dup(1)
found = descriptors.Descriptors(Path(sys.argv[1]) / "worker")
number = int(sys.argv[2])
said, most = [], 0
for _ in range(40):
    os.write(number, b"x" * 1_000_000 + b"\\n")
    while sys.argv[4] == "read" and found.grown():
        said += found.read()
    most = max(most, os.fstat(number).st_blocks * 512)
while found.grown():
    said += found.read()
text = "".join(text for _, text in said)
after = os.fstat(number).st_blocks * 512
os.write(answer, json.dumps([len(text), "dropped" in text, most, after]).encode())
"""


def long(folder: Path, number: int, kept: int, how: str) -> tuple[int, bool, int, int]:
    argv = [sys.executable, "-c", LONG, str(folder), str(number), str(kept), how]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    length, dropped, most, after = json.loads(done.stdout)
    return length, dropped, most, after


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere room is given back at the end")
@pytest.mark.parametrize("number", [1, 2])
def test_what_was_read_takes_no_room(tmp_path: Path, number: int) -> None:
    length, dropped, most, after = long(tmp_path, number, 64 << 20, "read")
    assert (length, dropped) == (40 * 1_000_001, False)
    assert most < 4 << 20
    assert after < 2 << 20
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept_bytes", [5_000_000, 1_000_000])
def test_what_comes_faster_than_it_is_read_is_dropped_with_a_sentence(
    tmp_path: Path, kept_bytes: int
) -> None:
    length, dropped, _, _ = long(tmp_path, 1, kept_bytes, "late")
    assert dropped
    assert kept_bytes <= length < kept_bytes + 1000


def test_a_file_that_is_cut_by_the_task_is_read_on(tmp_path: Path) -> None:
    program = """
import os, sys, json
from pathlib import Path
from nbray.hosting.descriptors import Descriptors
answer = os.dup(1)
found = Descriptors(Path(sys.argv[1]) / "worker")
os.write(1, b"one"); said = found.read()
os.ftruncate(1, 0); os.write(1, b"2"); said += found.read()
os.write(1, b"three"); said += found.read()
os.write(answer, json.dumps(said).encode())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, check=True
    )
    assert json.loads(done.stdout)[-1] == ["stdout", "three"]
