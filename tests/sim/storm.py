"""`python -m tests.sim.storm`: fresh seeds of every kind for as long as one likes (`make storm`).

Prints each failing seed as it is found, writes its story to a file, and ends with the count.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sim.scenario import KINDS, Scenario
from sim.world import SimFailure

BATCH = 10
"""Seeds that a process tells before it looks at the clock."""


def tell(kind: str, seeds: list[int]) -> list[tuple[int, str]]:
    """(seed, its story) of those that fail."""
    failed: list[tuple[int, str]] = []
    for seed in seeds:
        try:
            Scenario(seed, kind).run()
        except SimFailure as failure:
            failed.append((seed, str(failure)))
    gc.collect()  # while a story is told nothing is, and what it leaves would stay
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="how long (default: an hour)")
    parser.add_argument("--seeds", type=int, default=0, help="how many instead")
    parser.add_argument("--first", type=int, default=-1, help="the first seed (default: by chance)")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--stories", type=Path, default=Path("artifacts/storm"))
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND")
    wanted = parser.parse_args()
    first = wanted.first if wanted.first >= 0 else random.SystemRandom().randrange(1 << 40)
    print(f"seeds from {first} on, of kinds {', '.join(wanted.kinds)}", flush=True)
    started = time.monotonic()
    begun = told = bad = 0
    with ProcessPoolExecutor(wanted.jobs) as pool:
        running: dict[Future[list[tuple[int, str]]], str] = {}
        while True:
            late = wanted.seeds <= begun if wanted.seeds else (
                time.monotonic() - started >= wanted.seconds
            )
            while not late and len(running) < wanted.jobs + 1:
                count = min(BATCH, wanted.seeds - begun) if wanted.seeds else BATCH
                kind = wanted.kinds[begun // BATCH % len(wanted.kinds)]
                seeds = list(range(first + begun, first + begun + count))
                running[pool.submit(tell, kind, seeds)] = kind
                begun += count
                late = bool(wanted.seeds) and wanted.seeds <= begun
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                kind = running.pop(done)
                for seed, story in done.result():
                    bad += 1
                    wanted.stories.mkdir(parents=True, exist_ok=True)
                    file = wanted.stories / f"{kind}-{seed}.txt"
                    file.write_text(story)
                    print(f"python -m tests.sim {seed} {kind}: {story.splitlines()[0][:300]}")
                    print(f"    its story: {file}", flush=True)
            told = begun - BATCH * len(running)
    minutes = (time.monotonic() - started) / 60
    print(f"{told} seeds in {minutes:.1f} minutes, {bad} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
