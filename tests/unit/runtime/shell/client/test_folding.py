"""The same block many times on a terminal: once, then a count, and nothing is lost."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from nbray.config import FOLD_SECONDS
from nbray.events import Output
from nbray.runtime.shell.client.folding import Folding

BLOCK = "a.py:3: UserWarning: careful\n  fit()\n"


def said(text: str, pid: int = 1, task: str = "f", stream: str = "stderr") -> Output:
    return Output("", 1, "lab", pid, task, stream, text)


def test_the_same_block_of_many_workers_is_shown_once_with_a_count() -> None:
    folding = Folding()
    assert folding.take(said(BLOCK), 0.0) == [said(BLOCK)]
    for number in range(23):
        assert folding.take(said(BLOCK, pid=1 + number % 4), 0.1) == []
    assert folding.counts(1.0) == []
    (count,) = folding.counts(0.1 + FOLD_SECONDS)
    assert count.text == (
        "[the same 2 lines 23 times more, from 4 workers: a.py:3: UserWarning: careful]\n"
    )
    assert folding.counts(math.inf) == []
    assert folding.due == 0.0


def test_what_comes_later_is_shown_again() -> None:
    folding = Folding()
    folding.take(said("x\n"), 0.0)
    folding.take(said("x\n"), 1.0)
    shown = folding.take(said("x\n"), 2.0 + FOLD_SECONDS)
    assert [one.text for one in shown] == ["[the same line once more: x]\n", "x\n"]


def test_other_text_and_what_is_no_warning_is_never_folded() -> None:
    folding = Folding()
    for event in (
        said("out\n", stream="stdout"), said("no end"), said("50%\r100%\n"),
        said("a\n"), said("b\n"), said("a\n", task="g"),
    ):  # fmt: skip
        assert folding.take(event, 0.0) == [event]
    for event in (said("out\n", stream="stdout"), said("no end"), said("50%\r100%\n")):
        assert folding.take(event, 0.0) == [event]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 4), st.integers(1, 3)), max_size=60))
def test_every_block_is_shown_or_counted(events: list[tuple[str, float, int]]) -> None:
    folding, now, shown, counted = Folding(), 0.0, 0, 0
    for text, pause, pid in events:
        now += pause
        for one in (*folding.take(said(f"{text}\n", pid), now), *folding.counts(now)):
            if one.text.startswith("["):
                counted += _number(one.text)
            else:
                shown += 1
    counted += sum(_number(one.text) for one in folding.counts(math.inf))
    assert shown + counted == len(events)


def _number(text: str) -> int:
    return 1 if " once more" in text else int(text.partition("line ")[2].partition(" ")[0])
