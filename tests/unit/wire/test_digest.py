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


def test_openssl_is_not_loaded_before_something_is_named() -> None:
    program = (
        "import sys, nbray.runtime.shell.worker.process; assert '_hashlib' not in sys.modules; "
        "from nbray.wire.digest import digest; digest(b''); assert '_hashlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
