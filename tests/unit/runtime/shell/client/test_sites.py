"""The lines at which objects were made."""

from __future__ import annotations

import sys

import pytest

from nbray import session
from nbray.runtime.shell.client.sites import Sites, recorded


def test_a_file_has_its_name_and_a_cell_its_number() -> None:
    sites = Sites({1: None, 2: None})
    here = sys._getframe().f_lineno + 1
    sites.note(1)
    assert sites.find(1) == (session.cell.get(), f"{__file__}:{here}")
    exec(compile("\nsites.note(2)", "/tmp/ipykernel_7/123.py", "exec"), {"sites": sites})
    assert sites.find(2)[1] == "line 2"
    assert sites.find(3) == ("", "")


def test_frames_of_nbray_are_none_of_the_users() -> None:
    sites = Sites({1: None})
    code = compile("def put(sites):\n    sites.note(1)", "api.py", "exec")
    ours: dict[str, object] = {"__name__": "nbray.api"}
    exec(code, ours)
    put = ours["put"]
    assert callable(put)
    put(sites)
    assert sites.find(1)[1].startswith(f"{__file__}:")


def test_what_is_no_more_is_forgotten_first_then_the_oldest() -> None:
    owned = dict.fromkeys(range(100))
    sites = Sites(owned, most=10)
    for seq in range(9):
        sites.note(seq)
    for seq in range(1, 8):
        del owned[seq]
    for seq in (20, 21):
        sites.note(seq)
    known = [bool(sites.find(seq)[1]) for seq in (0, 1, 8, 20, 21)]
    assert known == [True, False, True, True, True]
    for seq in range(30, 42):
        sites.note(seq)
    assert not sites.find(0)[1]
    assert sites.find(41)[1]


@pytest.mark.parametrize(("said", "on"), [("", False), ("0", False), ("1", True), ("true", True)])
def test_what_is_recorded_is_as_in_ray(said: str, on: bool) -> None:
    assert recorded({"RAY_record_ref_creation_sites": said}) is on
