"""Environments as rows: one for each on each node, and whether it has been made."""

from __future__ import annotations

from details import worker

from nbray.details import EnvironmentRecord
from nbray.util.state.environment_rows import environment_rows, serialized

PIP, VARIABLES = '{"pip": {"packages": ["x"]}}', '{"env_vars": {"A": "1"}}'


def rows(*users: tuple[int, int, EnvironmentRecord]):
    known = {worker(node, number): one for node, number, one in users}
    return [
        (list(row["runtime_env"]), row["success"], row["creation_time_ms"], row["node_id"],
         row["ref_cnt"], row["error"])
        for row in environment_rows(known, {1: "one", 2: "two"}.get)
    ]  # fmt: skip


def test_processes_in_one_environment_on_a_node_are_a_row() -> None:
    found = rows(
        (1, 0, EnvironmentRecord("", PIP, 0.5)), (1, 1, EnvironmentRecord("", PIP, 0.25)),
        (2, 0, EnvironmentRecord("", PIP, 0.125)), (2, 1, EnvironmentRecord("", VARIABLES)),
        (3, 0, EnvironmentRecord("", VARIABLES, 1.0)),
    )  # fmt: skip
    assert found == [
        (["env_vars"], True, 1000.0, "", 1, None), (["pip"], True, 500.0, "one", 2, None),
        (["pip"], True, 125.0, "two", 1, None), (["env_vars"], True, 0.0, "two", 1, None),
    ]  # fmt: skip


def test_what_nobody_has_made_comes_first() -> None:
    failed = EnvironmentRecord("", PIP, why="no network")
    wanted = EnvironmentRecord("", PIP)
    assert rows((1, 0, EnvironmentRecord("", VARIABLES)), (1, 1, wanted), (1, 2, failed)) == [
        (["pip"], False, 0.0, "one", 1, "no network"), (["env_vars"], True, 0.0, "one", 1, None),
    ]  # fmt: skip


def test_the_environment_of_the_first_who_has_one() -> None:
    known = {2: EnvironmentRecord("", PIP), 3: EnvironmentRecord("", VARIABLES)}
    assert [serialized(known, 1, 3, 2), serialized(known, 1)] == [VARIABLES, "{}"]
