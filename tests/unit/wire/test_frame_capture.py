"""What a failed task leaves for looking at, and its bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nbray.postmortem import unpack_frames
from nbray.wire import frame_capture
from nbray.wire.frame_capture import capture, values_on_line


def is_user(name: str) -> bool:
    return name == __file__


def nobody(name: str) -> bool:
    return False


@pytest.fixture(autouse=True)
def _fresh() -> None:
    frame_capture._seen().clear()


def caught(call: Any, *args: Any) -> BaseException:
    try:
        call(*args)
    except Exception as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


class Thing:
    def __init__(self) -> None:
        self.size = 7

    @property
    def dangerous(self) -> int:
        raise RuntimeError("a property must not run")


def fail(limit: int, name: str = "text in 'quotes'") -> float:
    thing = Thing()
    table = {"limit": 1}
    return len(name) / limit + table["x"] + thing.size  # a comment with table


def test_the_values_on_the_line() -> None:
    assert values_on_line(caught(fail, 0), is_user) == [
        "name = \"text in 'quotes'\"", "limit = 0", "table = {'limit': 1}", "thing.size = 7",
    ]


def test_a_line_tells_no_password() -> None:
    def log_in(user: str, password: str) -> Any:
        return user + password + 1  # type: ignore[operator]

    said = values_on_line(caught(log_in, "ada", "hunter2"), is_user)
    assert said == ["user = 'ada'", "password = (hidden: it may be a secret)"]


def test_only_the_users_innermost_line_counts() -> None:
    def parse(text: str) -> Any:
        return __import__("json").loads(text)

    assert values_on_line(caught(parse, "{"), is_user) == ["text = '{'"]


def test_properties_do_not_run() -> None:
    def look(thing: Thing) -> Any:
        return thing.dangerous

    # The property itself is the user's innermost frame; the attribute is not asked for again.
    assert values_on_line(caught(look, Thing()), is_user) == []


def test_lines_of_an_expression_over_several_lines() -> None:
    def over(first: int, second: int) -> float:
        return (
            first
            / second
        )  # fmt: skip

    assert values_on_line(caught(over, 3, 0), is_user) == ["first = 3", "second = 0"]


def test_frames_have_lines_locals_and_values() -> None:
    frames = unpack_frames(capture(caught(fail, 0), is_user, nobody))
    assert frames[-1].name == "fail"
    assert any("len(name) / limit" in text for _, text in frames[-1].source)
    values = {one.name: one.value() for one in frames[-1].locals if one.data}
    assert values["limit"] == 0
    assert values["table"] == {"limit": 1}
    assert values["thing"].size == 7


def test_what_cannot_travel_says_why() -> None:
    def hold() -> None:
        lock = threading.Lock()
        large = np.zeros(1_000_000)
        many = [str(i) for i in range(300_000)]
        raise ValueError(str((lock, large.size, len(many))))

    (frame,) = unpack_frames(capture(caught(hold), is_user, nobody))
    whys = {one.name: one.why for one in frame.locals}
    assert "cannot be pickled" in whys["lock"]
    assert "too large (8.0 MB)" in whys["large"]
    assert whys["many"]
    assert {one.text for one in frame.locals if one.name == "large"} == {
        "ndarray 1000000 of float64"
    }


def _rebinds(i: int, j: int) -> None:
    i = i + 1
    raise ValueError(i + j)


def _takes(first: int, *more: int, last: int = 1, **named: int) -> None:
    label = "x"
    raise ValueError(label * (first + last + len(more) + len(named)))


class _Owner:
    def method(self, by: int) -> None:
        raise ValueError(str(by))


@pytest.mark.parametrize(
    ("run", "arguments", "given"),
    [
        (_rebinds, (1, 2), ("j",)),
        (_takes, (1, 2), ("first", "last", "more")),
        (_takes, (1,), ("first", "last")),
        (_Owner().method, (5,), ("by",)),
    ],
)
def test_arguments_are_told_from_other_names(
    run: Callable[..., None], arguments: tuple[int, ...], given: tuple[str, ...]
) -> None:
    frame = unpack_frames(capture(caught(run, *arguments), is_user, nobody))[-1]
    assert frame.given == given


def test_everything_is_bounded() -> None:
    def deep(n: int) -> None:
        text = "x" * 10_000
        block = bytes(200_000)
        if n:
            deep(n - 1)
        raise ValueError(text + str(len(block)))

    data = capture(caught(deep, 60), is_user, nobody)
    frames = unpack_frames(data)
    assert len(frames) == frame_capture.MOST_FRAMES
    assert len(data) < frame_capture.MOST_TEXT + frame_capture.MOST_VALUES + 64 * 1024


def test_many_names_are_counted() -> None:
    scope: dict[str, Any] = {}
    source = "".join(f"    n{i} = {i}\n" for i in range(100))
    exec(compile(f"def many():\n{source}    1 / 0\n", __file__, "exec"), scope)
    (frame,) = unpack_frames(capture(caught(scope["many"]), is_user, nobody))
    assert (len(frame.locals), frame.left_out) == (frame_capture.MOST_NAMES, 40)


def test_the_same_failure_is_captured_a_few_times_and_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    captured = [bool(capture(caught(fail, 0), is_user, nobody)) for _ in range(20)]
    assert captured == [True] * frame_capture.FULL + [False] * (20 - frame_capture.FULL)
    frame_capture._since()[0] -= frame_capture.STRETCH + 1
    assert capture(caught(fail, 0), is_user, nobody)


def test_it_never_raises() -> None:
    class Evil:
        def __repr__(self) -> str:
            raise SystemError

        def __reduce__(self) -> Any:
            raise MemoryError

        @property
        def nbytes(self) -> int:
            raise ValueError

        @property
        def shape(self) -> int:
            raise ValueError

    def meet(evil: Evil) -> None:
        raise ValueError(evil.__class__)

    error = caught(meet, Evil())
    assert values_on_line(error, is_user) is not None
    capture(error, is_user, nobody)
    assert capture(ValueError("never raised"), is_user, nobody) == b""
