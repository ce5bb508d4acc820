"""Random programs of puts, tasks, actors, borrowers and kills: nothing leaks, nothing goes early.

`make properties` tries 1,000 fresh ones.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim.clients import DriverProcess
from sim.drive import Drive
from sim.ownership import Model, Step, programs
from sim.ownership_voice import SimDoer
from sim.scenario import Scenario

from nbray.ids import DRIVER_FLAG, client_id


class Owning(Drive):
    """A driver that runs such a program."""

    steps: list[Step] = []

    def _run(self) -> None:
        Model(SimDoer()).run(self.steps)


class OwningScenario(Scenario):
    """A cluster of two or three machines in which a program runs."""

    def __init__(self, seed: int, kind: str, steps: list[Step]) -> None:
        self._steps = steps
        super().__init__(seed, kind)
        self.broken = True  # by its own kills

    def _add_driver(self, node: int, number: int) -> Drive:
        driver = DriverProcess(self.world, client_id(node, DRIVER_FLAG | number))
        self.drivers.append(driver)
        drive = Owning(self, driver.api, 0)
        drive.steps = self._steps if number == 1 else []  # the counts are of all programs
        driver.main(drive.run)
        return drive


@settings(suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), steps=programs)
def test_nothing_leaks_and_nothing_goes_early(seed: int, steps: list[Step]) -> None:
    OwningScenario(seed, "calm", steps).run()
