"""The dashboard's sections over simulated clusters, small and large."""

from __future__ import annotations

import re

import msgspec
import pytest
from details import DRIVER, NOW, details, many, task, worker
from scenes import HOSTILE, cluster

from nbray import details as d
from nbray.events import CellView
from nbray.ids import OWN_CELL
from nbray.view.names import Names
from nbray.view.sections import LINES, SECTIONS, bare, head_html, section_html
from nbray.view.tables import PAGE, Query, link
from nbray.view.tasks import bars, span


def rows(html: str) -> list[str]:
    body = "".join(re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL))
    return [re.sub(r"<[^>]+>", " ", row) for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL)]


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_of_an_empty_cluster_says_so(name: str) -> None:
    html = section_html(name, cluster(1), d.Details(), Query())
    assert re.search(r"No |Nothing|There are no|host1", html)


@pytest.mark.parametrize("name", SECTIONS)
def test_10_000_tasks_on_200_nodes_are_a_bounded_page(name: str) -> None:
    texts = tuple(
        d.TextRecord(1, 7, "c", DRIVER, "f", "stdout", f"line {n}\n") for n in range(20_000)
    )
    html = section_html(name, cluster(200), many(texts=texts), Query())
    assert len(html) < 500_000
    if name == "tasks":
        assert len(rows(html)) == PAGE
        assert "1 to 100 of 10,000" in html
    if name == "nodes":
        assert html.count("host200") >= 1
    if name == "logs":
        assert html.count("\n<u>") < LINES
        assert "line 19999" in html


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_are_escaped_and_need_nothing_from_elsewhere(name: str) -> None:
    found = details(
        tasks=(task(1, name=HOSTILE, why=HOSTILE),),
        texts=(d.TextRecord(1, 7, HOSTILE, DRIVER, HOSTILE, "stderr", HOSTILE),),
        objects=(d.ObjectRecord(DRIVER, 1, 2, 10, [1], 1, 0, HOSTILE, HOSTILE),),
        actors=(
            d.ActorRecord(DRIVER, 1, HOSTILE, HOSTILE, HOSTILE, 3, 1, 0, 0, 0, False, "c", DRIVER,
                          {}, HOSTILE),
        ),
    )  # fmt: skip
    html = section_html(name, cluster(), found, Query(text=""))
    assert "<script" not in html
    assert not re.search(r"(?:src|href)=\"(?!#)", html)
    assert "<style>" not in html


def test_tasks_by_state() -> None:
    found = many(1_000)
    for state, count in (("failed", 100), ("running", 100), ("done", 600), ("waiting", 100)):
        html = section_html("tasks", cluster(), found, Query(state=state))
        assert f"of {count}" in html or f"· 1 to {count}" in html
        assert all(state in row for row in rows(html))
    assert 'href="#tasks?state=failed"' in section_html("tasks", cluster(), found, Query())


def test_tasks_by_text_looks_at_function_cell_worker_and_error() -> None:
    found = details(
        tasks=(
            task(1, name="load"),
            task(2, d.FAILED, "measure", why="KeyError: 'photo'"),
            task(3, name="other", job=5, cell="zz"),
        )
    )
    for text, name in (("LOAD", "load"), ("keyerror", "measure"), ("zz", "other")):
        (row,) = rows(section_html("tasks", cluster(), found, Query(text=text)))
        assert name in row
    for text, count in (("host1 71", 3), ("photos segment", 2)):
        assert len(rows(section_html("tasks", cluster(), found, Query(text=text)))) == count
    html = section_html("tasks", cluster(), found, Query(text="nowhere"))
    assert "No task matches" in html


def test_tasks_by_function_and_by_cell() -> None:
    found = details(
        tasks=(
            task(1), task(2, d.FAILED), task(3, name="measure", started=NOW - 9, ended=NOW - 1),
            task(4, d.QUEUED),
        )
    )  # fmt: skip
    segment, measure = rows(section_html("tasks", cluster(), found, Query(by="function")))
    assert segment.split() == ["segment", "1", "1", "1", "1", "s", "1", "s"]
    assert measure.split() == ["measure", "1", "8", "s", "8", "s"]
    (cell,) = rows(section_html("tasks", cluster(), found, Query(by="cell")))
    assert "[3] sizes = segment(photos)" in cell
    (only,) = rows(section_html("tasks", cluster(), found, Query(function="measure")))
    assert "measure" in only


def test_tasks_sorted_and_paged() -> None:
    found = many(1_000)
    slow = rows(section_html("tasks", cluster(), found, Query(sort="took")))
    assert "10 min so far" in slow[0]
    last = section_html("tasks", cluster(), found, Query(page=10))
    assert "901 to 1,000 of 1,000" in last
    assert 'aria-current="page"' in last
    beyond = section_html("tasks", cluster(), found, Query(page=99_999))
    assert "901 to 1,000 of 1,000" in beyond


def test_running_tasks_come_first_and_unlisted_ones_are_counted() -> None:
    found = details(
        tasks=(task(1, d.QUEUED, why="waiting for 1 GPU"), task(2, d.RUNNING)), unlisted=5_000
    )
    html = section_html("tasks", cluster(), found, Query())
    first, second = rows(html)
    assert "running" in first
    assert "waiting for 1 GPU" in second
    assert "5,000 more are queued and not listed" in html


def test_overview_shows_cells_jobs_and_few_nodes() -> None:
    html = section_html("overview", cluster(3), details(), Query())
    assert "40 of 100" in html
    assert "[3] sizes = segment(photos)" in html
    assert "notebook · pid 70" in html
    idle = details(processes=(d.ProcessRecord(9, 99, True),))
    assert "driver 99" not in section_html("overview", cluster(3), idle, Query())
    assert "host3" in html
    assert "host3" not in section_html("overview", cluster(200), details(), Query())
    assert "200 nodes" in section_html("overview", cluster(200), details(), Query())


def test_overview_shows_submitted_jobs() -> None:
    assert "Submitted jobs" not in section_html("overview", cluster(1), details(), Query())
    found = tuple(
        d.SubmittedRecord(f"job-{n}", "FAILED", "python <x>.py", "exit code 3", 50.0, 62.0)
        for n in range(PAGE + 1)
    )
    html = section_html("overview", cluster(1), details(submitted=found, wall=110.0), Query())
    for said in ("job-0", "failed", "exit code 3", "python &lt;x&gt;.py", "60 s ago", "12 s"):
        assert said in html
    assert f"the latest {PAGE} of {PAGE + 1}" in html


def test_nodes_are_searched_and_workers_listed() -> None:
    found = details(tasks=(task(1, d.RUNNING),))
    html = section_html("nodes", cluster(30), found, Query(text="host17"))
    assert "host17" in html
    assert "host18" not in html
    assert "segment" in html


def test_gpus_and_other_resources_of_nodes() -> None:
    html = section_html("nodes", cluster(2), details(), Query())
    assert "Further resources" in html
    assert "0 of 1" in html
    plain = cluster(1)
    node = msgspec.structs.replace(plain.nodes[0], resources={"CPU": 2.0, "node:10.0.0.1": 1.0})
    plain = msgspec.structs.replace(plain, nodes=(node,))
    assert "Further resources" not in section_html("nodes", plain, details(), Query())


def test_actors() -> None:
    def actor(number: int, state: int, name: str = "", cause: str = "") -> d.ActorRecord:
        return d.ActorRecord(
            DRIVER, number, "Counter", name, "0" * 16, state, 1, worker(1), 1, 3, False, "c",
            DRIVER, {"CPU": 1.0, "GPU": 0.0}, cause,
        )  # fmt: skip

    found = details(
        actors=(actor(1, 3, cause="it was killed"), actor(2, 1, "boss")),
        tasks=(task(1, d.SENT, worker=worker(1)), task(2, d.SENT, worker=worker(1))),
    )
    alive, dead = rows(section_html("actors", cluster(), found, Query()))
    assert alive.split()[:4] == ["Counter", "boss", "alive", "host1"]
    assert "1 of 3" in alive
    assert "1 CPU" in alive
    assert " 2 " in alive
    assert "it was killed" in dead
    assert len(rows(section_html("actors", cluster(), found, Query(state="dead")))) == 1


def test_objects_largest_first() -> None:
    found = details(
        objects=(
            d.ObjectRecord(DRIVER, 1, 1, 100, [], 1, 0),
            d.ObjectRecord(DRIVER, 2, 2, 5 << 20, [1, 2], 2, 1, "segment", "c", disk=[2], pins=1,
                           site="line 2"),
            d.ObjectRecord(DRIVER, 3, 0, 0, [], 1, 0, "measure", "c"),
        ),
        object_count=7,
        object_bytes=6 << 20,
    )
    html = section_html("objects", cluster(), found, Query())
    assert "7 objects, 6 MB · the 3 largest are listed" in html
    first, *_ = rows(html)
    said = " ".join(first.split())
    assert said.startswith("segment [3] sizes = segment(photos), line 2 5 MB")
    assert "host1, host2 (on disk)" in said
    assert len(rows(section_html("objects", cluster(), found, Query(text="measure")))) == 1


def test_logs_keep_order_and_are_searched() -> None:
    def text(text: str, stream: str = "stdout", cell: str = "c") -> d.TextRecord:
        return d.TextRecord(1, 71, cell, DRIVER, "f", stream, text)

    found = details(texts=(text("one\ntwo\n"), text("\x1b[31mthree\x1b[0m\n", "stderr", "other")))
    html = section_html("logs", cluster(), found, Query())
    assert html.index("one") < html.index("two") < html.index("three")
    assert "host1 · pid 71 · f" in html
    assert '<span class="nbray-red">three</span>' in html
    assert "two" not in section_html("logs", cluster(), found, Query(text="three"))
    assert "three" not in section_html("logs", cluster(), found, Query(cell=f"{DRIVER:x}:c"))


def test_timeline_of_a_cell_and_of_the_last_minute() -> None:
    found = details(tasks=(task(1), task(2, d.RUNNING), task(3, started=NOW - 900, ended=NOW - 890),
                           task(4, job=5, cell="zz", name="elsewhere")))  # fmt: skip
    html = section_html("timeline", cluster(), found, Query())
    assert "4 tasks on 1 worker" in html
    assert "3 tasks" in section_html("timeline", cluster(), found, Query(cell=f"{DRIVER:x}:c"))
    assert "3 tasks" in section_html("timeline", cluster(), found, Query(state="1"))
    assert len(bars(found, Names(cluster(), found), Query(function="elsewhere"))) == 1


def test_the_head_is_the_panels() -> None:
    assert "3 nodes" in head_html(cluster(3))
    assert "stopped" in head_html(cluster(3), ended=True)


def test_links_carry_only_what_is_not_the_default() -> None:
    query = Query(state="failed", page=3)
    assert link("tasks", query) == "#tasks?state=failed"
    assert link("tasks", query, page=2) == "#tasks?state=failed&page=2"
    assert link("tasks", Query()) == "#tasks"
    assert link("tasks", Query(), function="a&b c") == "#tasks?function=a%26b+c"


def test_bare_takes_style_sheets_away() -> None:
    assert bare("a<style>x</style>b<style>y</style>c") == "abc"
    assert bare("plain") == "plain"


def test_spans() -> None:
    assert [span(s) for s in (0.00002, 0.0123, 1.2, 75)] == ["20 µs", "12 ms", "1.2 s", "75 s"]


def test_names_say_what_is_not_known_by_number() -> None:
    names = Names(cluster(2), details())
    assert names.node(9) == "node 9"
    assert names.process(worker(2, 5)) == "host2"
    assert names.process(0) == ""
    assert names.cell(DRIVER, "") == "script · pid 70"
    assert names.cell(1, "0123456789abcdef") == "cell 01234567"


@pytest.mark.parametrize("name", ["overview", "tasks", "actors", "timeline"])
def test_what_nbray_asks_for_itself_is_nobodys_work(name: str) -> None:
    view = CellView(OWN_CELL, 30, (), NOW - 9, NOW)
    own = details(
        tasks=(task(1, name="theirs"), task(2, name="ours", cell=OWN_CELL)),
        cells=(d.CellRecord(DRIVER, view, "ours"),),
        actors=(
            d.ActorRecord(DRIVER, 1, "Theirs", "", "lab", 1, 1, 0, 0, 0, False, "c", DRIVER, {}),
            d.ActorRecord(DRIVER, 2, "ours", "", "x", 1, 1, 0, 0, 0, True, OWN_CELL, DRIVER, {}),
        ),
    )
    html = section_html(name, cluster(), own, Query())
    assert "ours" not in html
    if name != "overview":
        assert "theirs" in html.lower()
