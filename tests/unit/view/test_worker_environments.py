"""Which environments workers are in, on the dashboard: how many, and who uses them."""

from __future__ import annotations

import re

from details import details, task, worker
from scenes import HOSTILE, cluster

from nbray import details as d
from nbray.hosting.environments import summary
from nbray.runtime_env import text_of
from nbray.view.sections import section_html
from nbray.view.tables import Query


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_row_for_each_and_the_workers_say_theirs() -> None:
    processes = tuple(d.ProcessRecord(worker(1, k), 100 + k, False) for k in range(3))
    inside = dict.fromkeys((worker(1, 0), worker(1, 1)), d.EnvironmentRecord("pip numpy", "{}"))
    running = task(5, d.RUNNING, "segment", worker=worker(1, 0))
    found = details(processes=processes, environments=inside, tasks=(running,))
    said = text(section_html("nodes", cluster(2), found, Query()))
    assert "environment node workers used by pip numpy host1 2 segment" in said
    assert said.count("pip numpy") == 3
    none = section_html("nodes", cluster(2), details(processes=processes), Query())
    assert "Environments" not in none


def test_what_could_not_be_made_says_why() -> None:
    processes = (d.ProcessRecord(worker(1), 100, False),)
    why = "pip install x failed. Its last lines:\nERROR: no network"
    found = details(
        processes=processes, environments={worker(1): d.EnvironmentRecord("pip x", "{}", why=why)}
    )
    said = text(section_html("nodes", cluster(), found, Query()))
    assert "pip x: failed ERROR: no network host1 1 nothing now" in said


def test_names_of_variables_without_their_values_and_hostile_text() -> None:
    given = {"pip": ["numpy"], "env_vars": {"KEY": "secret", "B": "", "C": "", "D": ""}}
    assert summary(text_of(given)) == "pip numpy · env_vars B, C, D and 1 more"
    processes = (d.ProcessRecord(worker(1), 100, False),)
    found = details(processes=processes, environments={
        worker(1): d.EnvironmentRecord(HOSTILE, HOSTILE),
    })  # fmt: skip
    assert "<script" not in section_html("nodes", cluster(), found, Query())
