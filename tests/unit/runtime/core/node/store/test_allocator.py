"""One range of bytes: no overlap, no hole, whatever the order of frees."""

from __future__ import annotations

import random

import pytest

from nbray.runtime.core.node.store.allocator import PAGE, Allocator, pages


def test_sizes_are_whole_pages() -> None:
    assert [pages(size) for size in (0, 1, PAGE, PAGE + 1)] == [PAGE, PAGE, PAGE, 2 * PAGE]
    assert Allocator(3 * PAGE + 5).capacity == 3 * PAGE


def test_the_lowest_block_is_used_again() -> None:
    allocator = Allocator(10 * PAGE)
    first, second = allocator.allocate(PAGE), allocator.allocate(2 * PAGE)
    assert (first, second) == (0, PAGE)
    assert allocator.free(0) == PAGE
    assert allocator.allocate(1) == 0
    assert allocator.used == 3 * PAGE
    assert allocator.largest == 7 * PAGE


def test_full_is_none_and_changes_nothing() -> None:
    allocator = Allocator(4 * PAGE)
    assert allocator.allocate(5 * PAGE) is None
    offsets = [allocator.allocate(PAGE) for _ in range(4)]
    assert allocator.allocate(1) is None
    allocator.free(0)
    allocator.free(2 * PAGE)
    assert allocator.allocate(2 * PAGE) is None  # free, but not in one piece
    assert len(offsets) == 4
    allocator.validate()


def test_freeing_twice_is_an_error() -> None:
    allocator = Allocator(4 * PAGE)
    allocator.allocate(1)
    allocator.free(0)
    with pytest.raises(KeyError):
        allocator.free(0)


def test_an_empty_range_gives_nothing() -> None:
    assert Allocator(0).allocate(1) is None
    assert Allocator(0).largest == 0


@pytest.mark.parametrize("seed", range(30))
def test_any_order_of_allocating_and_freeing_keeps_the_books(seed: int) -> None:
    rng = random.Random(seed)
    allocator = Allocator(rng.randint(1, 200) * PAGE)
    live: dict[int, int] = {}
    for _ in range(400):
        if live and rng.random() < 0.45:
            offset = rng.choice(list(live))
            assert allocator.free(offset) == pages(live.pop(offset))
        else:
            size = rng.randint(0, 20 * PAGE)
            largest = allocator.largest
            offset_or_none = allocator.allocate(size)
            assert (offset_or_none is None) == (pages(size) > largest)
            if offset_or_none is not None:
                live[offset_or_none] = size
        allocator.validate()
        assert len(allocator) == len(live)
    for offset in list(live):
        allocator.free(offset)
    allocator.validate()
    assert allocator.largest == allocator.capacity
