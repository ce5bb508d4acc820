"""Placement groups on screens: their states, their bundles by node; bounded, escaped."""

from __future__ import annotations

import re

import msgspec
from details import DRIVER, details
from scenes import HOSTILE, cluster

from nbray.details import GroupRecord
from nbray.view.groups import held
from nbray.view.panel import panel
from nbray.view.panel_details import ROWS, details_html
from nbray.view.sections import section_html
from nbray.view.tables import Query

ONE, TWO = (node.node_id for node in cluster(2).nodes)
FIRST = GroupRecord(
    id=f"{DRIVER:016x}{12:012x}{7:08x}", bundles=({"CPU": 1.0},) * 3, nodes=(ONE, ONE, TWO),
    cell="c", job=DRIVER,
)  # fmt: skip
WAITS = GroupRecord(
    id="1" * 36, name="training", bundles=({"GPU": 1.0, "CPU": 4.0}, {"CPU": 2.0}),
    strategy="STRICT_SPREAD", state="PENDING", nodes=("", ""), cell="c", job=DRIVER,
    why="0 of 2 bundles placed; need 1 GPU; host1 has 0 of 1 GPUs free", detached=True,
)  # fmt: skip
OVER = msgspec.structs.replace(FIRST, id="2" * 36, name="older", state="REMOVED")


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_row_for_each_group_those_that_are_there_first() -> None:
    said = text(details_html("groups", cluster(2), details(groups=(OVER, FIRST, WAITS))))
    assert "Placement groups 1 of 2 groups ready" in said
    cell = "[3] sizes = segment(photos)"
    assert f"#12 PACK ready 3 × 1 CPU host1: bundles 0 to 1, host2: bundle 2 {cell}" in said
    kinds = "1 × 1 GPU and 4 CPUs, 1 × 2 CPUs"
    assert f"training STRICT_SPREAD waits, detached {kinds} {cell}" in said
    assert WAITS.why in said
    assert f"older PACK removed 3 × 1 CPU {cell}" in said
    assert said.index("training") < said.index("older")


def test_the_dashboard_has_them_beside_the_nodes() -> None:
    found = details(groups=(FIRST, WAITS))
    assert "training" in section_html("nodes", cluster(2), found, Query())
    assert "training" not in section_html("nodes", cluster(2), found, Query(text="#12"))
    assert "Placement" not in section_html("nodes", cluster(2), details(), Query())


def test_the_panel_counts_those_that_have_not_ended() -> None:
    assert "1 placement group" in panel(msgspec.structs.replace(cluster(), groups=1)).facts
    assert not any("group" in fact for fact in panel(cluster()).facts)


def test_many_and_hostile_ones() -> None:
    odd = GroupRecord(
        id="3" * 36, name=HOSTILE, bundles=tuple({HOSTILE: float(k)} for k in range(1, 400)),
        state="PENDING", nodes=("",) * 399, why=HOSTILE,
    )  # fmt: skip
    spread = msgspec.structs.replace(
        FIRST, bundles=FIRST.bundles * 100, nodes=tuple(f"{k % 50:032x}" for k in range(1, 301))
    )
    found = details(groups=(odd, spread) * 400)
    html = details_html("groups", cluster(60), found)
    assert html.count("<tr>") <= ROWS + 1
    assert "<script" not in html
    assert len(html) < 60_000
    assert "the first 100" in section_html("nodes", cluster(), found, Query())


def test_what_is_held_in_a_group_is_said_by_its_name() -> None:
    inside = {"CPU_group_ab": 1.0, "CPU_group_0_ab": 1.0, "bundle_group_ab": 0.001, "GPU": 2.0}
    assert held(inside, {"ab": "train"}) == "1 CPU of group train, 2 GPUs"
    assert held({"CPU_group_ab": 0.5, "memory": 2**30}, {}) == (
        "0.5 CPUs of its group, 1 GB of memory"
    )
