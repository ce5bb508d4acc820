"""Arithmetic on resources, the choice of a node, and the sentences."""

from __future__ import annotations

import pytest

from nbray.options import UNIT
from nbray.runtime.core import placement
from nbray.wire.messages import NodeInfo

CPU = {"CPU": UNIT}


def node(number: int, total: dict[str, int], free: dict[str, int] | None = None) -> NodeInfo:
    return NodeInfo(number, f"m{number}", "10.0.0.1", 1, total, total if free is None else free)


def test_fits_ignores_what_is_not_needed() -> None:
    assert placement.fits({}, {"CPU": -5})
    assert placement.fits({"CPU": 5000}, {"CPU": 5000})
    assert not placement.fits({"CPU": 5001}, {"CPU": 5000})
    assert not placement.fits({"tpu": 1}, {"CPU": UNIT})


def test_take_and_give_are_inverse_and_may_go_negative() -> None:
    free = {"CPU": UNIT}
    placement.take(free, {"CPU": 2 * UNIT, "x": 1})
    assert free == {"CPU": -UNIT, "x": -1}
    placement.give(free, {"CPU": 2 * UNIT, "x": 1})
    assert free == {"CPU": UNIT, "x": 0}


@pytest.mark.parametrize("amount", [1, 2, UNIT])
def test_the_scarcest_resource_counts_however_small_it_is(amount: int) -> None:
    total = {"CPU": 4 * UNIT, "x": amount, "none": 0}
    assert placement.load(node(1, total)) == 0.0
    assert placement.load(node(1, total, {**total, "CPU": 3 * UNIT})) == 0.25
    assert placement.load(node(1, total, {**total, "x": 0})) == 1.0
    assert placement.slots({"CPU": 1, "x": amount}, total, total) == 1
    assert placement.total([total]) == {"CPU": 4.0, "x": amount / UNIT}


def test_slots_of_a_shape() -> None:
    assert placement.slots(CPU, {"CPU": 3 * UNIT}, {"CPU": 4 * UNIT}) == 3
    assert placement.slots(CPU, {"CPU": -UNIT}, {"CPU": 4 * UNIT}) == 0
    assert placement.slots({}, {}, {"CPU": UNIT}) == placement.ZERO_SHAPE_MINIMUM
    assert placement.slots({}, {}, {"CPU": 8 * UNIT}) == 16


def test_why_never_says_nothing_of_what_is_not_asked_for() -> None:
    need = {"CPU": 0, "GPU": UNIT}
    why = placement.why_never(need, [node(1, {"CPU": UNIT})])
    assert why == "needs 1 GPU, but no node has that much: node 1 (m1) has 0 GPUs"
    why = placement.why_never(need, [node(1, {"CPU": UNIT})], pinned=1)
    assert why == "needs 1 GPU on node 1 (m1), which has 0 GPUs"


def test_why_never_names_need_and_nodes() -> None:
    why = placement.why_never({"CPU": 9 * UNIT, "GPU": UNIT}, [node(1, {"CPU": 2 * UNIT})])
    assert why == "needs 9 CPUs, 1 GPU, but no node has that much: node 1 (m1) has 2 CPUs, 0 GPUs"
    assert "node 7" in placement.why_never(CPU, [node(1, CPU)], pinned=7)
    assert "there are no nodes" in placement.why_never(CPU, [])


def test_why_waiting_names_what_is_free() -> None:
    why = placement.why_waiting(CPU, [node(1, {"CPU": 2 * UNIT}, {"CPU": 0})])
    assert why == "need 1 CPU; m1 has 0 of 2 CPUs free"


def test_why_waiting_says_nothing_of_what_is_not_asked_for() -> None:
    """A node whose workers wait for others may have less than no CPU."""
    busy = node(1, {"CPU": UNIT, "GPU": UNIT}, {"CPU": -UNIT, "GPU": 0})
    why = placement.why_waiting({"CPU": 0, "GPU": UNIT}, [busy])
    assert why == "need 1 GPU; m1 has 0 of 1 GPU free"


def test_sentences_name_resources_of_every_kind_and_only_what_lacks() -> None:
    need = {"CPU": UNIT, "memory": (3 << 30) * UNIT, "tpu": 2 * UNIT}
    has = {"CPU": UNIT, "memory": (1 << 30) * UNIT, "tpu": UNIT}
    assert placement.describe(need) == "1 CPU, 3 GB of memory, 2 'tpu'"
    never = placement.why_never(need, [node(1, has)])
    assert never.endswith(": node 1 (m1) has 1 CPU, 1 GB of memory, 1 'tpu'")
    waits = placement.why_waiting(need, [node(1, need, has)])
    assert waits.endswith("; m1 has 1 GB of 3 GB of memory, 1 of 2 'tpu' free")


def test_nodes_of_one_name_are_told_apart_by_their_numbers() -> None:
    nodes = [node(number, CPU, {"CPU": 0}) for number in (1, 2, 3)]
    nodes[1] = NodeInfo(2, "m1", "10.0.0.1", 1, CPU, {"CPU": 0})
    assert placement.why_waiting(CPU, nodes) == (
        "need 1 CPU; node 1 (m1) has 0 of 1 CPU free; node 2 (m1) has 0 of 1 CPU free; "
        "m3 has 0 of 1 CPU free"
    )


def test_memory_is_shown_as_everywhere() -> None:
    assert placement.describe({"memory": (3 << 30) * UNIT}) == "3 GB of memory"
    assert placement.describe({"memory": 13_207_024_435 * UNIT}) == "12.3 GB of memory"


def test_gpus_whole_and_shared() -> None:
    gpus = placement.Gpus(2)
    half = UNIT // 2
    assert gpus.take(half) == [0]
    assert gpus.take(half) == [0]
    assert gpus.take(UNIT) == [1]
    assert gpus.take(half) is None
    gpus.give([0], half)
    assert gpus.take(UNIT) is None
    gpus.give([0], half)
    assert gpus.take(UNIT) == [0]
    with pytest.raises(AssertionError, match="twice"):
        placement.Gpus(1).give([0], UNIT)


@pytest.mark.parametrize(("cpus", "expected"), [(0, 1), (0.5, 1), (1, 1), (3, 3)])
def test_threads_follow_the_cpus(cpus: float, expected: int) -> None:
    assert placement.threads({"CPU": int(cpus * UNIT)}) == expected


@pytest.mark.parametrize(("more", "said"), [(1, "1 more node"), (2, "2 more nodes")])
def test_of_many_nodes_eight_are_named(more: int, said: str) -> None:
    nodes = [node(number, CPU, {"CPU": 0}) for number in range(1, 9 + more)]
    why = placement.why_waiting(CPU, nodes)
    assert [f"{one.name} has" in why for one in nodes] == [True] * 8 + [False] * more
    assert why.endswith(f"; and {said}")


def test_of_two_needs_the_larger_counts_in_each_resource() -> None:
    assert placement.together({"CPU": 0, "a": 3}, {"a": 2, "b": 0}) == {"CPU": 0, "a": 3, "b": 0}
    assert placement.together({"a": 1}, {"a": 2, "b": 5}) == {"a": 2, "b": 5}
    assert placement.together({}, {}) == {}


@pytest.mark.parametrize("bundle", [-1, 0, 3])
def test_what_runs_in_a_bundle_takes_of_it_and_of_its_group(bundle: int) -> None:
    need = {"CPU": UNIT, "GPU": UNIT // 2}
    shape = placement.in_group(need, "ab12", bundle)
    whole = {"CPU_group_ab12": UNIT, "GPU_group_ab12": UNIT // 2, "bundle_group_ab12": UNIT // 1000}
    of_one = {name.replace("_ab12", f"_{bundle}_ab12"): much for name, much in whole.items()}
    assert shape == {**whole, **(of_one if bundle >= 0 else {})}
    assert placement.out_of_group(shape) == need
    assert placement.group_of(shape) == "ab12"
