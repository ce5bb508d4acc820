"""`python -m tests.mutants` (`make mutants`): a line of the brains is changed; who notices?

Owns the draw and the account. What was looked at and changes nothing that can be seen is remembered
in `known.toml`, with the reason. Ends with 1 if fewer than the aim are caught.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants.drawing import Change, changes

ROOT = Path(__file__).resolve().parents[2]
BRAINS = "nbray/runtime/core"
PATIENCE = 3
"""Of what all of it takes without a change, in CPU time: then it does not end, and is caught."""
UNCHANGED = 3600
"""CPU seconds, for the one without a change."""
AIM = 0.85
"""Part of those that change behaviour."""


class Known(msgspec.Struct, frozen=True):
    """A change that cannot be seen."""

    file: str
    was: str
    now: str
    why: str


class Memory(msgspec.Struct, frozen=True):
    """What `known.toml` has."""

    known: list[Known] = []


def draw(seed: str, count: int) -> list[Change]:
    """*count* changes; lines first, so that a line with many operators is not drawn more often."""
    by_line: dict[tuple[str, int], list[Change]] = {}
    for path in sorted((ROOT / BRAINS).rglob("*.py")):
        file = str(path.relative_to(ROOT))
        for change in changes(file, path.read_text()):
            by_line.setdefault((file, change.line), []).append(change)
    rng = random.Random(seed)
    chosen = rng.sample(sorted(by_line), min(count, len(by_line)))
    return [rng.choice(by_line[line]) for line in chosen]


def tried(change: Change, seeds: int, seconds: int) -> str:
    """Who notices the change; '' if nobody."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.trial", str(seeds), str(seconds)],
        cwd=ROOT, check=False,
        input=msgspec.json.encode(change), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    said = done.stdout.decode().strip()
    return said or (f"it did not end ({done.returncode})" if done.returncode else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=time.strftime("%Y%m%d"), help="default: the date")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="begin with this one of them")
    parser.add_argument("--seeds", type=int, default=40, help="of the simulation, of each kind")
    parser.add_argument("--jobs", type=int, default=2)
    wanted = parser.parse_args()
    memory = msgspec.toml.decode((Path(__file__).parent / "known.toml").read_bytes(), type=Memory)
    known = {(one.file, one.was, one.now): one.why for one in memory.known}
    drawn = draw(wanted.seed, wanted.count)[wanted.first :]
    print(f"{len(drawn)} changes, drawn with seed {wanted.seed}", flush=True)
    same = msgspec.structs.replace(drawn[0], now=drawn[0].was)
    if who := tried(same, wanted.seeds, UNCHANGED):
        print(f"the tests fail without any change: {who}")
        return 1
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ceil(PATIENCE * (times.ru_utime + times.ru_stime))
    print(f"one takes {seconds // PATIENCE} CPU seconds; with {seconds} it is caught", flush=True)
    account: Counter[str] = Counter()

    def one(item: tuple[int, Change]) -> None:
        number, change = item
        why = known.get(change.key, "")
        who = "" if why else tried(change, wanted.seeds, seconds)
        account["cannot be seen" if why else who.split(" (")[0] or "survived"] += 1
        place = f"{number:3} {change.file}:{change.line}"
        print(f"{place}: {who or why or 'SURVIVED'}", flush=True)
        if not who and not why:
            print(f"      - {change.was.strip()}\n      + {change.now.strip()}", flush=True)

    with ThreadPoolExecutor(wanted.jobs) as pool:
        list(pool.map(one, enumerate(drawn, wanted.first)))
    survived = account["survived"]
    seen = account.total() - account["cannot be seen"]
    print(", ".join(f"{who}: {count}" for who, count in account.most_common()))
    print(f"{seen - survived} of {seen} that change behaviour were caught")
    return seen - survived < AIM * seen


if __name__ == "__main__":
    sys.exit(main())
