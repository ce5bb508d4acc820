"""`python -m tests.sim SEED [KIND]`: replay a seed and print its story."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.scenario import KINDS, Scenario
from sim.world import SimFailure


def main() -> int:
    seed = int(sys.argv[1])
    status = 0
    for kind in sys.argv[2:] or KINDS:
        scenario = Scenario(seed, kind)
        try:
            scenario.run()
        except SimFailure as failure:
            print(f"{kind}: {failure}")
            status = 1
        else:
            world = scenario.world
            print(f"{kind}: passed, {world.steps} events, {world.now:.1f} virtual seconds")
            if len(sys.argv) > 2:
                print(world.story())
    return status


if __name__ == "__main__":
    sys.exit(main())
