"""The handle of a background cell."""

import pytest

import nbray
from nbray.jupyter.remote.background import Background, NamedBackground


class Cluster:
    """Stands in for `nbray`: references are numbers, values come when told."""

    def __init__(self, monkeypatch):
        self.values = {}
        self.cancelled = []
        monkeypatch.setattr(nbray.api, "get", self.get)
        monkeypatch.setattr(nbray.api, "wait", self.wait)
        monkeypatch.setattr(nbray.session, "require", lambda: self)

    def cancel(self, ref, force, recursive, interrupts=False):
        self.cancelled.append(ref)

    def get(self, refs, timeout=None):
        if any(ref not in self.values for ref in refs):
            raise nbray.exceptions.GetTimeoutError("not yet")
        found = [self.values[ref] for ref in refs]
        for value in found:
            if isinstance(value, Exception):
                raise value
        return found

    def wait(self, refs, num_returns, timeout, fetch_local):
        ready = [ref for ref in refs if ref in self.values]
        return ready, [ref for ref in refs if ref not in self.values]


@pytest.fixture
def cluster(monkeypatch):
    return Cluster(monkeypatch)


@pytest.fixture
def handle(cluster):
    return Background("In[4]", [1, 2], sum)


def test_counts_while_it_runs(cluster, handle):
    assert not handle.done()
    assert not handle.collect()
    cluster.values[1] = 10
    assert repr(handle) == "<background cell In[4]: 1 of 2 done>"
    with pytest.raises(nbray.exceptions.GetTimeoutError):
        handle.result(timeout=0)


def test_hands_over_once(cluster):
    seen = []
    handle = Background("In[4]", [1, 2], lambda results: seen.append(results) or sum(results))
    cluster.values |= {1: 10, 2: 5}
    assert handle.done()
    assert handle.collect()
    assert handle.collect()
    assert handle.result() == 15
    assert seen == [[10, 5]]
    assert repr(handle) == "<background cell In[4]: done>"


def test_a_failure_is_said_once_and_raised_when_asked(cluster, handle, capsys):
    cluster.values |= {1: 10, 2: KeyError("k")}
    assert handle.collect()
    assert handle.collect()
    assert capsys.readouterr().err == (
        "The background cell In[4] failed: KeyError: 'k' (its .result() shows where)\n"
    )
    with pytest.raises(KeyError):
        handle.result()
    assert repr(handle) == "<background cell In[4]: failed>"


def test_cancel_ends_every_task(cluster, handle):
    handle.cancel()
    assert cluster.cancelled == [1, 2]
    cluster.values |= {1: 1, 2: 2}
    handle.result()
    handle.cancel()
    assert cluster.cancelled == [1, 2]


def test_after_the_cluster_ended_the_handle_still_has_a_repr(handle, monkeypatch):
    def gone(*args, **options):
        raise nbray.exceptions.RaySystemError("gone")

    monkeypatch.setattr(nbray.api, "wait", gone)
    assert repr(handle) == "<background cell In[4]: gone: nbray was stopped>"


def test_no_tasks_are_done_at_once(cluster):
    assert Background("In[4]", [], list).result() == []


class Job:
    name = "train"

    def __init__(self):
        self.calls = []

    def stop(self):
        self.calls.append("stop")

    def was_fetched(self):
        self.calls.append("fetched")


def test_a_named_one_is_stopped_by_its_keeper_and_counts_as_fetched(cluster):
    job = Job()
    handle = NamedBackground(job, [1, 2], sum)
    handle.cancel()
    assert repr(handle) == "<job train: 0 of 2 done>"
    cluster.values |= {1: 10, 2: 20}
    assert handle.collect()
    assert job.calls == ["stop"]  # that it was looked at is not that somebody has it
    assert handle.result() == 30
    assert job.calls == ["stop", "fetched"]
    assert cluster.cancelled == []


def test_a_lost_job_says_so_instead_of_naming_references(cluster):
    class Job:
        name = "train"

        def lost(self):
            return nbray.exceptions.OwnerDiedError("the job train is lost")

    cluster.values[1] = nbray.exceptions.ObjectLostError("object 00ff is lost")
    handle = NamedBackground(Job(), [1], sum)
    with pytest.raises(nbray.exceptions.OwnerDiedError, match="the job train is lost"):
        handle.result()


@pytest.mark.parametrize("name", ["gone", "antigone", "who has gone: where"])
def test_it_is_followed_whatever_it_is_called(cluster, name):
    handle = Background(name, [1, 2], sum)
    cluster.values[1] = 10
    assert handle._look() == ("", f"<background cell {name}: 1 of 2 done>", True)
    cluster.values[2] = 5
    assert not handle._look()[2]


def test_nobody_follows_what_ended_with_its_cluster(handle, monkeypatch):
    def gone(*args, **options):
        raise nbray.exceptions.RaySystemError("gone")

    monkeypatch.setattr(nbray.api, "wait", gone)
    assert handle._look() == ("", "<background cell In[4]: gone: nbray was stopped>", False)
