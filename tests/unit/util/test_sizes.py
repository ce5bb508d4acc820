"""The sizes of a map's chunks, from what was measured."""

import pytest

from nbray.util.sizes import BYTES, GROWTH, Sizes


def test_the_first_chunks_have_one_item():
    sizes = Sizes(workers=2)
    assert [sizes.next(1000), sizes.next(None)] == [1, 1]


def test_chunks_grow_step_by_step_to_the_work_asked_for():
    sizes = Sizes(workers=1, seconds=0.03)
    seen = []
    for _ in range(6):
        seen.append(sizes.next(None))
        sizes.measured(seen[-1], seen[-1] * 1e-5)
    assert seen == [1, GROWTH, GROWTH**2, GROWTH**3, 2999, 2999]


def test_long_items_run_alone():
    sizes = Sizes(workers=2, seconds=0.03)
    sizes.measured(1, 0.5)
    assert sizes.next(100) == 1


def test_chunks_shrink_at_once_and_grow_again():
    sizes = Sizes(workers=1, seconds=0.03)
    for _ in range(8):
        sizes.measured(sizes.next(None), sizes.next(None) * 1e-5)
    assert sizes.next(None) == 2999
    sizes.measured(100, 1.0)
    assert sizes.next(None) == 3
    for _ in range(30):
        sizes.measured(sizes.next(None), sizes.next(None) * 1e-5)
    assert sizes.next(None) > 2900


def test_at_the_end_no_worker_gets_all_the_rest():
    sizes = Sizes(workers=4, seconds=0.03)
    for _ in range(8):
        sizes.measured(sizes.next(None), sizes.next(None) * 1e-6)
    left, given = 1000, []
    while left:
        given.append(sizes.next(left))
        left -= given[-1]
    assert given[0] == 125
    assert given[-1] == 1
    assert given == sorted(given, reverse=True)


@pytest.mark.parametrize(("size", "most"), [(BYTES, 1), (BYTES // 10, 10), (10 * BYTES, 1)])
def test_large_items_make_small_chunks(size, most):
    sizes = Sizes(workers=1)
    sizes.weighs(size)
    for _ in range(8):
        sizes.measured(sizes.next(None), sizes.next(None) * 1e-9)
    assert sizes.next(None) == most


def test_nothing_measurable_is_no_error():
    sizes = Sizes(workers=1)
    sizes.measured(1, 0.0)
    assert sizes.next(None) == GROWTH
