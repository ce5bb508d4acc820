"""Named jobs in a notebook's shell, on the inline engine. (Kernels: tests/e2e/test_jobs_kernel.)"""


import pytest

import nbray
from nbray import jobs as named
from nbray.details import Details, ProcessRecord
from nbray.engines.scripted import ScriptedEngine
from nbray.jupyter import jobs
from nbray.jupyter.notebook import current
from nbray.jupyter.waiting import progress


@pytest.fixture
def job(ip, say):
    say("%nbray start --cpus 2")
    return say("%%remote --bg --name train -o model\nmodel = 40\nmodel + 2")


def test_fetch_gives_the_value_and_the_variables(ip, say, job):
    assert "<job train" in job
    assert "42" in say("nbray.fetch('train')")
    assert ip.user_ns["model"] == 40
    assert "1 of 1" in say("%nbray jobs")
    assert "done, fetched" in say("%nbray jobs")
    assert "forgotten" in say("%nbray jobs forget train")
    assert "no named jobs" in say("%nbray jobs")


def test_mistakes_are_one_sentence(say, job):
    assert "a result that nobody has fetched" in say("%%remote --bg --name train\n1")
    assert "no job is called 'x': there are train" in say("%nbray jobs stop x")
    assert "usage: %nbray jobs [stop NAME | forget NAME]" in say("%nbray jobs end train")
    assert "has ended already" in say("%nbray jobs stop train")
    assert "add --bg" in say("%%remote --name train\n1")
    assert "takes a word" in say("%%remote --bg --name ../x\n1")


def test_the_handle_is_as_good_as_fetching(ip, say, job):
    assert say("Out[2].result()").endswith("42")
    assert named.find("train").record().fetched
    say("again = _")
    assert "<job train" in say("%%remote --bg --name train\n1")


def test_nothing_runs(say):
    say("%nbray stop")
    assert "%nbray attach" in say("%nbray jobs")


def test_values_with_references_are_named(say, job):
    say("ref = nbray.put(5)")
    said = say("%%remote --bg --name other\nnbray.get(ref) + 1")
    assert "The job other needs ref" in said
    assert "6" in say("nbray.fetch('other')")


def test_without_a_shell_there_is_no_place(monkeypatch):
    monkeypatch.setattr(current().cells, "_shell", None)
    assert jobs.show() is None
    assert not current().part(progress.Watching).trailed["x"]
    assert nbray.fetch.__doc__


@pytest.mark.parametrize(
    ("drivers", "others"),
    [
        ([(0, 0, "")], 0),
        ([(0, 0, ""), (1, 0, "")], 1),  # another machine's process has the same number
        ([(0, 0, ""), (0, 1, "python -m nbray.dashboard")], 0),
        ([(0, 0, ""), (1, 1, "python -m nbray.dashboard")], 1),  # of this machine's process
    ],
)
def test_who_else_uses_the_cluster(monkeypatch, drivers, others):
    def client(node, number):
        return node << 32 | 100 + number

    def looks_only(pid):
        return any("dashboard" in line for _, number, line in drivers if pid == 7 + number)

    records = tuple(
        ProcessRecord(client(node, number), 7 + number, True) for node, number, _ in drivers
    )
    engine = ScriptedEngine()
    engine.insight.known = Details(processes=records, me=client(0, 0))
    monkeypatch.setattr(jobs, "_looks_only", looks_only)
    assert jobs._others(engine) == others
