"""GPUs as environments name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbray import gpus


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four GPUs of NVIDIA's and none of AMD's."""
    for number in range(4):
        (tmp_path / "nvidia" / f"0000:0{number}:00.0").mkdir(parents=True)
    monkeypatch.setattr(gpus, "_NVIDIA", tmp_path / "nvidia")
    monkeypatch.setattr(gpus, "_AMD", tmp_path / "amd")


def amd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_NVIDIA", tmp_path / "none")
    for number, lanes in enumerate((0, 304, 304, 0)):
        folder = tmp_path / "amd" / str(number)
        folder.mkdir(parents=True)
        (folder / "properties").write_text(f"cpu_cores_count 8\nsimd_count {lanes}\n")


@pytest.mark.parametrize(
    ("environ", "indices", "ids", "variables"),
    [
        ({}, [0, 1], (0, 1), {"CUDA_VISIBLE_DEVICES": "0,1"}),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, [1], (7,), {"CUDA_VISIBLE_DEVICES": "7"}),
        ({"CUDA_VISIBLE_DEVICES": "7, 4"}, [0, 1], (7, 4), {"CUDA_VISIBLE_DEVICES": "7,4"}),
        (
            {"CUDA_VISIBLE_DEVICES": "GPU-8a1f,GPU-77"}, [1], ("GPU-77",),
            {"CUDA_VISIBLE_DEVICES": "GPU-77"},
        ),
        (
            {"CUDA_VISIBLE_DEVICES": "MIG-GPU-8a1f/1/0,MIG-2b"}, [0], ("MIG-GPU-8a1f/1/0",),
            {"CUDA_VISIBLE_DEVICES": "MIG-GPU-8a1f/1/0"},
        ),
        ({"HIP_VISIBLE_DEVICES": "2,3"}, [1], (3,), {"HIP_VISIBLE_DEVICES": "3"}),
        (
            {"HIP_VISIBLE_DEVICES": "2,3", "CUDA_VISIBLE_DEVICES": "2,3"}, [0], (2,),
            {"HIP_VISIBLE_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "2"},
        ),
        ({"ROCR_VISIBLE_DEVICES": "1,5"}, [1], (5,), {"ROCR_VISIBLE_DEVICES": "5"}),
        (
            {"ONEAPI_DEVICE_SELECTOR": "level_zero:1,3"}, [1], (3,),
            {"ONEAPI_DEVICE_SELECTOR": "level_zero:3"},
        ),
        (
            {"ONEAPI_DEVICE_SELECTOR": "level_zero:*"}, [1], (1,),
            {"ONEAPI_DEVICE_SELECTOR": "level_zero:1"},
        ),
    ],
)  # fmt: skip
def test_an_index_is_an_entry_of_the_node_s_own_variable(
    environ: dict[str, str], indices: list[int], ids: tuple[int | str, ...],
    variables: dict[str, str],
) -> None:  # fmt: skip
    seen = gpus.devices(environ)
    assert seen.ids(indices) == ids
    seen.show(indices, environ)
    assert environ == variables
    seen.show([], environ)
    assert set(environ.values()) <= {"", "level_zero:"}


@pytest.mark.parametrize(
    ("text", "count"),
    [("0,1", 2), ("3", 1), ("", 0), ("-1", 0), ("0,-1,1", 1), ("NoDevFiles", 0),
     ("0,1,2,3,4,5", 4), ("MIG-a,MIG-b,MIG-c,MIG-d,MIG-e,MIG-f,MIG-g", 7)],
)  # fmt: skip
def test_what_the_variable_shows_is_counted(text: str, count: int) -> None:
    assert gpus.count({"CUDA_VISIBLE_DEVICES": text}) == count


def test_without_a_variable_all_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpus.count({}) == 4
    amd(tmp_path, monkeypatch)
    assert gpus.count({}) == 2
    assert gpus.devices({}).variable == "HIP_VISIBLE_DEVICES"
    monkeypatch.setattr(gpus, "_AMD", tmp_path / "neither")
    assert gpus.count({"CUDA_VISIBLE_DEVICES": "0,1"}) == 0


@pytest.mark.parametrize(
    ("environ", "wanted", "says"),
    [
        ({}, 8, ""),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, 2, ""),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, 3, "num_gpus=3 is more than CUDA_VISIBLE_DEVICES='4,7'"),
        ({"HIP_VISIBLE_DEVICES": ""}, 1, "num_gpus=1 is more than HIP_VISIBLE_DEVICES=''"),
    ],
)
def test_more_than_the_variable_shows_is_refused(
    environ: dict[str, str], wanted: float, says: str
) -> None:
    assert gpus.complaint(wanted, environ).startswith(says)
    assert bool(gpus.complaint(wanted, environ)) == bool(says)
