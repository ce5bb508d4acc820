"""When a cluster that nobody uses ends by itself."""

from __future__ import annotations

import pytest

from nbray import config
from nbray.runtime.core.node.idle import VARIABLE, Idle, limits

HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}
ON_HUB = (config.IDLE_ON_HUB, config.IDLE_ON_HUB_KEPT)


@pytest.mark.parametrize(
    ("asked", "environ", "found"),
    [
        (-1.0, {}, (0.0, 0.0)),
        (-1.0, HUB, ON_HUB),
        (-1.0, {**HUB, VARIABLE: ""}, ON_HUB),
        (-1.0, {VARIABLE: "90"}, (90.0, 90.0)),
        (-1.0, {**HUB, VARIABLE: "0"}, (0.0, 0.0)),
        (0.0, HUB, (0.0, 0.0)),
        (5.5, {**HUB, VARIABLE: "90"}, (5.5, 5.5)),
        (5.5, {VARIABLE: "soon"}, (5.5, 5.5)),
    ],
)
def test_what_counts(asked: float, environ: dict[str, str], found: tuple[float, float]) -> None:
    assert limits(asked, environ) == found


@pytest.mark.parametrize("said", ["soon", "-3", "inf", "nan", "1h"])
def test_what_makes_no_sense_is_said(said: str) -> None:
    with pytest.raises(ValueError, match=VARIABLE):
        limits(-1.0, {VARIABLE: said})


def test_the_clock_begins_anew_with_each_use() -> None:
    idle = Idle(10, 10)
    assert [idle.look(now, now == 8, False) for now in (0, 8, 9, 18)] == [""] * 4
    assert "10 seconds" in idle.look(19, False, False)


def test_what_is_kept_is_kept_for_longer() -> None:
    idle = Idle(10, 100)
    assert idle.look(0, False, True) == idle.look(99, False, True) == ""
    assert "100 seconds" in idle.look(100, False, True)
    assert "10 seconds" in idle.look(101, False, False), "fetched meanwhile"


@pytest.mark.parametrize(("kept", "ends"), [(False, True), (True, False)])
def test_never_is_never(kept: bool, ends: bool) -> None:
    idle = Idle(10, 0)
    idle.look(0, False, kept)
    assert bool(idle.look(1e9, False, kept)) is ends
