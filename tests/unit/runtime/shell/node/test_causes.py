"""Which ends the kernel's OOM killer had to do with."""

from __future__ import annotations

from nbray.runtime.shell.node.causes import FRESH, OomKills


class Kernel:
    def __init__(self) -> None:
        self.count, self.now = 3, 0.0
        self.kills = OomKills(lambda: self.count, lambda: self.now)


def test_two_that_went_before_the_first_was_heard_of() -> None:
    kernel = Kernel()
    kernel.count += 2
    assert [kernel.kills.was_one(False) for _ in range(3)] == [True, True, False]


def test_what_nbray_ends_itself_leaves_it_to_others() -> None:
    kernel = Kernel()
    kernel.count += 1
    assert not kernel.kills.was_one(True)
    assert kernel.kills.was_one(False)
    assert not kernel.kills.was_one(False)


def test_a_kill_of_somebody_else_s_process_is_not_believed_for_ever() -> None:
    kernel = Kernel()
    assert not kernel.kills.was_one(False)
    kernel.count += 2
    assert kernel.kills.was_one(False)
    kernel.now += FRESH
    assert not kernel.kills.was_one(False)


def test_a_group_that_is_gone_counts_nothing() -> None:
    kernel = Kernel()
    kernel.count = 0
    assert not kernel.kills.was_one(False)
    kernel.count += 1
    assert kernel.kills.was_one(False)
