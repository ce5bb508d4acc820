"""Names of bytes: equal for equal bytes, whole or in pieces; and what they cost a worker."""

from __future__ import annotations

import subprocess
import sys

from nbray.wire.digest import SIZE, begin, digest


def test_pieces_are_named_as_the_whole() -> None:
    state = begin()
    state.update(b"one ")
    state.update(memoryview(b"two"))
    assert state.digest() == digest(b"one two")
    assert len(digest(b"")) == SIZE
    assert digest(b"a") != digest(b"b")


def test_openssl_is_not_loaded() -> None:
    program = (
        "import sys, nbray.runtime.shell.worker.process\n"
        "from nbray.wire.digest import digest\n"
        "name = digest(b'some')\n"
        "assert '_hashlib' not in sys.modules\n"
        "import hashlib\n"
        "assert name == hashlib.blake2b(b'some', digest_size=16).digest()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
