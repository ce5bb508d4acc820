"""Text that no encoding takes, bytes that are no text: nothing dies, nothing hangs, all is shown.

Every test is followed by plain work on the same cluster, by the same workers.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import cli
from harness import eventually
from hypothesis import given, settings
from hypothesis import strategies as st

import nbray as ray
from nbray import session
from nbray.events import Display, Output
from nbray.postmortem import unpack_frames
from nbray.text import safe

ODD = "caf\udce9"
SHOWN = "caf\\udce9"


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Output | Display]]:
    ray.init(engine="native", num_cpus=1)
    found: list[Output | Display] = []
    engine = session.current()
    assert engine is not None
    engine.cells.on_output(found.append)
    yield found
    engine.cells.on_output(None)
    ray.shutdown()


@ray.remote
def plain(x: int) -> tuple[int, int]:
    return x + 1, os.getpid()


@pytest.fixture(autouse=True)
def same_worker(seen: list[Output | Display]) -> Iterator[None]:
    """Every test leaves the worker alive that it used, and work goes on."""
    before = ray.get(plain.remote(1), timeout=60)
    del seen[:]
    yield
    assert ray.get(plain.remote(1), timeout=60) == before


def text_of(seen: list[Output | Display], stream: str = "stdout") -> str:
    return "".join(
        one.text for one in seen if isinstance(one, Output) and one.stream == stream
    )


def run(call: Any, *args: Any) -> Any:
    return ray.get(ray.remote(call).remote(*args), timeout=60)


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([ODD], SHOWN),
        (["\ud83d", "\ude00"], "\U0001f600"),
        (["a\0b\x1b[31m\x07\x85\u2028"], "a\0b\x1b[31m\x07\x85\u2028"),
        (["x" * 3_000_000, ODD], "x" * 3_000_000 + SHOWN),
        (["\ud800" * 20_000], "\\ud800" * 20_000),
    ],
    ids=["not-utf8", "halves", "control", "megabytes", "many-halves"],
)
def test_what_is_printed_is_shown(
    seen: list[Output | Display], pieces: list[str], shown: str
) -> None:
    def say(pieces: list[str]) -> None:
        for piece in pieces:
            print(piece, end="")

    run(say, pieces)
    assert eventually(lambda: text_of(seen) == shown)


@settings(max_examples=15)
@given(texts=st.lists(st.text(st.characters(), min_size=1, max_size=30), min_size=1, max_size=4))
def test_any_text_is_shown_in_order(seen: list[Output | Display], texts: list[str]) -> None:
    del seen[:]

    def say() -> None:
        for text in texts:
            sys.stdout.write(text)

    run(say)
    assert eventually(lambda: text_of(seen) == safe("".join(texts)))


@settings(max_examples=15)
@given(data=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4), how=st.booleans())
def test_any_bytes_are_shown(
    seen: list[Output | Display], data: list[bytes], how: bool
) -> None:
    del seen[:]
    end = b"\n<end>"

    def say() -> None:
        for piece in [*data, end]:
            if how:
                os.write(1, piece)
            else:
                sys.stdout.buffer.write(piece)

    run(say)
    assert eventually(lambda: text_of(seen) == b"".join([*data, end]).decode(errors="replace"))


def test_bytes_that_nobody_flushes_come_before_what_is_printed_later(
    seen: list[Output | Display],
) -> None:
    def say() -> None:
        sys.stdout.buffer.write(b"one \xff\n")
        print("two")
        sys.__stdout__.write("three")  # type: ignore[union-attr]

    run(say)
    assert eventually(lambda: text_of(seen) == "one \ufffd\ntwo\nthree")


def test_whatever_one_task_does_to_its_streams_the_next_one_prints(
    seen: list[Output | Display],
) -> None:
    def close() -> None:
        sys.stdout.close()
        sys.stderr.close()

    def wrap() -> None:
        io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1").write("wrapped \xe9\n")

    def tune() -> None:
        sys.stdout.reconfigure(encoding="ascii", line_buffering=True)  # type: ignore[union-attr]
        sys.stdout.detach()  # type: ignore[union-attr]

    def say(text: str) -> None:
        print(text, flush=True)
        sys.stdout.buffer.write(text.encode() + b"\n")
        print(text, file=sys.stderr)

    for number, harm in enumerate((close, wrap, tune)):
        run(harm)
        run(say, f"still {number}")
    both = "".join(f"still {number}\n" for number in range(3))
    assert eventually(lambda: text_of(seen, "stderr") == both)
    lines = text_of(seen).splitlines()
    assert [line for line in lines if line.startswith("still")] == sorted(both.splitlines() * 2)


def test_names_may_be_anything() -> None:
    class Keeper:
        def value(self) -> int:
            return 5

    assert ray.get(plain.options(name=ODD).remote(1), timeout=60)[0] == 2
    numpy = pytest.importorskip("numpy")
    assert ray.get(plain.options(name=numpy.str_("np")).remote(1), timeout=60)[0] == 2
    for name, namespace in ((ODD, "x"), ("x", ODD), ("a\0b", "\ud83d")):
        cls = ray.remote(Keeper).options(name=name, namespace=namespace)
        kept = cls.remote()
        assert ray.get(kept.value.options(name=ODD).remote(), timeout=60) == 5
        again = ray.get_actor(name, namespace)
        assert ray.get(again.value.remote(), timeout=60) == 5
        with pytest.raises(ValueError, match="taken|exists"):
            cls.remote()
        ray.kill(kept)
    named = lambda: 7  # noqa: E731 - it is renamed
    named.__name__ = named.__qualname__ = ODD
    assert run(named) == 7


def test_an_argument_whose_name_is_no_text_is_a_value_or_refused() -> None:
    def names(**given: Any) -> Any:
        return given

    assert run(lambda: names(**{ODD: 3})) == {ODD: 3}
    assert ray.get(ray.remote(names).remote(**{ODD: 3}), timeout=60) == {ODD: 3}
    with pytest.raises(TypeError, match=r"caf\\udce9.*dictionary"):
        ray.remote(names).remote(**{ODD: ray.put(3)})


def test_errors_carry_any_text_and_their_frames() -> None:
    class Odd(Exception):
        def __repr__(self) -> str:
            return ODD

    def fail() -> None:
        local, other = ODD, Odd(ODD)
        raise Odd(local, other, "\ud83d")

    with pytest.raises(Odd) as caught:
        run(fail)
    assert caught.value.args[0] == ODD
    (frame,) = unpack_frames(caught.value.frames)  # type: ignore[attr-defined]
    assert {one.name: one.text for one in frame.locals}["local"] == repr(ODD)


def test_displays_carry_what_has_a_form_and_text_of_the_rest(seen: list[Output | Display]) -> None:
    def show() -> None:
        session.publisher().publish(  # type: ignore[union-attr]
            {"text/plain": ODD, "application/json": {"a": 10**30, "b": {1, 2}}},
            {"strange": object}, "", False,
        )  # fmt: skip

    run(show)
    assert eventually(lambda: bool(seen))
    (shown,) = seen
    assert isinstance(shown, Display)
    assert shown.data == {
        "text/plain": SHOWN, "application/json": {"a": str(10**30), "b": [1, 2]},
    }  # fmt: skip


PROGRAM = """
import os, sys
import helper
import nbray as ray
ray.init(num_cpus=1)
@ray.remote
def f(x):
    print(sorted(name for name in os.listdir(os.path.dirname(helper.__file__)) if "h" in name))
    return helper.half(x)
print(ray.get(f.remote(4)))
@ray.remote
def g():
    raise helper.Bad(os.getcwd())
try:
    ray.get(g.remote())
except helper.Bad as error:
    print(ascii(error.args))
sys.path.append(os)  # what is no text, Python does not look at
ray.get(ray.remote(lambda: print("\\u00e9")).remote())
"""


@pytest.fixture
def odd_folder(tmp_path: Path) -> bytes:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    Path(os.fsdecode(folder)).mkdir()
    for name, text in (
        (b"helper.py", "def half(x): return x / 2\nclass Bad(Exception): pass\n"),
        (b"scr\xe9pt.py", PROGRAM),
    ):
        Path(os.fsdecode(folder + b"/" + name)).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("argv", "inside", "more"),
    [
        ([b"scr\xe9pt.py"], True, {}),
        ([b"{}/scr\xe9pt.py"], False, {}),
        ([b"-c", PROGRAM.encode()], False, {"PYTHONPATH": "{}", "PYTHONIOENCODING": "ascii"}),
        ([b"-c", PROGRAM.encode()], False, {"PYTHONPATH": "{}:/no/\udcff", "TMPDIR": "{}"}),
    ],
    ids=["folder", "script", "path-ascii", "path-tmpdir"],
)  # fmt: skip
def test_folders_scripts_and_paths_need_not_be_utf8(
    odd_folder: bytes, argv: list[bytes], inside: bool, more: dict[str, str]
) -> None:
    env = cli.environment(
        **{key: text.replace("{}", os.fsdecode(odd_folder)) for key, text in more.items()}
    )
    done = subprocess.run(
        [sys.executable, *(arg.replace(b"{}", odd_folder) for arg in argv)],
        cwd=odd_folder if inside else "/", env=env, capture_output=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="backslashreplace")
    out = done.stdout.decode("utf-8")
    assert "\n2.0\n" in f"\n{out}"
    assert "helper.py" in out
    assert "scr\\\\udce9pt.py" not in out
    assert f"{'xe9' if 'PYTHONIOENCODING' in more else chr(0xE9)}" in out.rpartition("(<lambda>")[2]


def test_a_run_directory_that_is_not_utf8_is_refused_in_a_sentence() -> None:
    call = [sys.executable, "-c", "import nbray; nbray.init()"]
    done = cli.run(call, NBRAY_RUN_DIR=f"/tmp/{ODD}")
    assert "is not UTF-8" in done.stderr
    assert "set NBRAY_RUN_DIR" in done.stderr


def test_a_scripts_terminal_shows_the_same_warning_once_with_a_count() -> None:
    program = (
        "import nbray, warnings\n"
        "@nbray.remote\ndef fit(x):\n"
        "    warnings.simplefilter('always')\n    warnings.warn('careful')\n    print('out', x)\n"
        "nbray.init(num_cpus=2)\nnbray.get([fit.remote(i) for i in range(12)])\n"
    )
    done = cli.run([sys.executable, "-c", program])
    assert done.stdout.count("out") == 12
    assert done.stderr.count("careful") == 2, done.stderr
    assert "11 times more" in done.stderr
