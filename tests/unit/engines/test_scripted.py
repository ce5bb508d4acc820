"""The smallest engine: what it says that it lacks, what a test tells it, numbers of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

import nbray
from nbray import session
from nbray.details import Details
from nbray.engines.scripted import ScriptedEngine
from nbray.events import CellView, Snapshot
from nbray.exceptions import RaySystemError


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    made = ScriptedEngine()
    session.install(made)
    yield made
    session.install(None)


def test_what_it_lacks_it_says_and_refuses(engine: ScriptedEngine) -> None:
    able = engine.capabilities
    assert not able.actors | able.early | able.concurrent | able.processes

    @nbray.remote
    class Actor:
        """None can be made."""

    with pytest.raises(RaySystemError, match="no actors"):
        Actor.remote()
    with pytest.raises(ValueError, match="'a'"):
        nbray.get_actor("a")
    with pytest.raises(RaySystemError, match="not before"):
        engine.context.early(1)
    with pytest.raises(RaySystemError, match="cannot be joined"):
        engine.cluster.join_line()
    with pytest.raises(RaySystemError, match="one machine"):
        engine.cluster.end_node(1, gently=True)


def test_screens_see_what_a_test_says(engine: ScriptedEngine) -> None:
    engine.insight.picture = Snapshot(actors=3)
    engine.insight.known = Details(now=5.0)
    engine.cells.views["c"] = CellView("c", submitted=4, cancelled=1)
    assert engine.insight.snapshot().actors == 3
    assert engine.insight.details(7).now == 5.0
    assert engine.insight.asked == [7]
    assert engine.cells.unfinished("c") == 3
    assert engine.cells.unfinished("other") == 0
    assert engine.cells.view("other") is None


def test_the_numbers_that_name_objects_are_the_engines_own(engine: ScriptedEngine) -> None:
    """Larger than any client's, too: as those of an engine that has 28 bytes for each."""
    engine._owner = 1 << 150
    engine._sequence = itertools.count(1 << 70)

    @nbray.remote
    def look(box):
        return nbray.get(box["inside"]) + 1

    inside = nbray.put(1)
    assert inside.key == (1 << 150, 1 << 70)
    assert nbray.get(look.remote({"inside": inside})) == 2
    again = nbray.get(nbray.put([inside]))[0]
    assert again == inside
    assert hash(again) == hash(inside)
    assert again.hex() == inside.hex() != nbray.put(1).hex()
    with pytest.raises(ValueError, match="duplicates"):
        nbray.wait([inside, again])


def test_after_its_end_nothing_is_there(engine: ScriptedEngine) -> None:
    ref = nbray.put(1)
    engine.shutdown()
    with pytest.raises(RaySystemError, match="has ended"):
        nbray.remote(lambda: 1).remote()
    session.install(ScriptedEngine())
    with pytest.raises(RaySystemError):
        nbray.get(ref)
