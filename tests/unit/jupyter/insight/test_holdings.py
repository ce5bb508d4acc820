"""`%nbray memory` and `%nbray free` on the inline engine; how references look."""

from __future__ import annotations

import platform
from types import SimpleNamespace

import msgspec
import pytest

import nbray
from nbray.details import OBJECT_STATES
from nbray.events import Figures
from nbray.jupyter import magics
from nbray.jupyter.insight import holdings
from nbray.jupyter.notebook import current
from nbray.util.state import list_tasks
from nbray.util.state.exception import RayStateApiException
from nbray.view.holdings import Held


def test_variables_history_and_copies(say, ip):
    say("%nbray start\nkept = nbray.put(bytes(1000))")
    say("nbray.put(bytes(2000))")
    text = say("%nbray memory")
    assert "2 objects, " in text
    assert "kept" in text
    assert "Out[2]" in text
    assert "is held by history only" in text


def test_free_lets_go_of_what_only_history_holds(say, ip):
    say("%nbray start\nkept = nbray.put(bytes(1000))\nkept")
    say("nbray.put(bytes(2000))")
    assert "2.0 KB freed: 1 object that only history held." in say("%nbray free")
    assert "1 object, " in say("%nbray memory")
    assert say("len(nbray.get(kept))").endswith("1000")
    assert say("%nbray free") == "Nothing is held by history only."


def test_a_displayed_reference_shows_its_state(say, ip):
    say("%nbray start\nref = nbray.put(bytes(1000))")
    assert "ObjectRef(ready, 1.0 KB, on vm)" in say("ref").replace(platform.node(), "vm")
    data, _ = ip.display_formatter.format(ip.user_ns["ref"])
    assert "ready, 1.0 KB" in data["text/html"]
    nbray.shutdown()
    assert "ObjectRef(" in say("ref")


def test_a_long_list_of_references_asks_once(say, ip, monkeypatch):
    say("%nbray start\nrefs = [nbray.put(i) for i in range(500)]")
    engine = nbray.session.current()
    asked = []
    real = engine.insight.holdings
    monkeypatch.setattr(engine.insight, "holdings", lambda: asked.append(1) or real())
    monkeypatch.setattr(holdings, "FRESH", 3600.0)
    current().part(holdings.References).at = -3600.0
    assert say("refs").count("ready") == 500
    assert len(asked) == 1


def test_without_a_cluster_it_is_one_sentence(say):
    assert say("%nbray memory") == "%nbray memory: nbray is not running"
    assert say("%nbray free") == "%nbray free: nbray is not running"


def test_where_nothing_is_known_of_objects_it_says_so(say, ip, monkeypatch):
    say("%nbray start\nkept = nbray.put(bytes(1000))")
    engine = nbray.session.current()
    untold = msgspec.structs.replace(engine.capabilities, records="ask somebody else")
    monkeypatch.setattr(type(engine), "capabilities", untold)
    assert say("%nbray memory") == "%nbray memory: ask somebody else"
    assert say("%nbray free") == "%nbray free: ask somebody else"
    with pytest.raises(RuntimeError, match="ask somebody else"):
        nbray.timeline()
    with pytest.raises(RayStateApiException, match="ask somebody else"):
        list_tasks()


@pytest.mark.parametrize(
    ("used", "disk", "sizes", "said"),
    [
        (100, 0, (100,), "store 100 of 200 MB"),
        (0, 0, (100, 50), "store 150 of 200 MB"),
        (180, 0, (150, 400), "store 180 of 200 MB, 370 MB on disk"),
        (180, 40, (40,), "store 180 of 200 MB, 40 MB on disk"),
    ],
)
def test_what_the_store_does_not_hold_is_on_disk(used, disk, sizes, said):
    node = SimpleNamespace(
        alive=True,
        figures=Figures(store_total=200 << 20, store_used=used << 20, disk_used=disk << 20),
    )
    picture = SimpleNamespace(nodes=(node,))
    engine = SimpleNamespace(insight=SimpleNamespace(snapshot=lambda: picture))
    stored = OBJECT_STATES.index("stored")
    held = [
        Held(SimpleNamespace(size=size << 20, state=stored, disk=[]), ()) for size in sizes
    ]
    assert holdings._store(engine, held) == said


def test_unloading_takes_the_look_back(ip):
    from nbray.refs import ObjectRef

    magics.unload(ip)
    assert ObjectRef not in ip.display_formatter.formatters["text/html"]
