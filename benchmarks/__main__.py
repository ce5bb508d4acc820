"""Run the rows and print their table: median, spread, target. See `rows`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from benchmarks.rows import ROWS, Row


def main(wanted: list[str]) -> None:
    """Print each row whose name contains one of *wanted* (all rows if none is given)."""
    rows = [row for row in ROWS if not wanted or any(word in row.name for word in wanted)]
    figures = {}
    print(f"{'row':<52}{'median':>10}{'min':>10}{'max':>10}  {'unit':<8}{'target':>10}")
    for row in rows:
        values = sorted(row.measure() for _ in range(row.runs))
        median = statistics.median(values)
        figures[row.name] = {"unit": row.unit, "values": values, "target": row.target}
        print(
            f"{row.name:<52}{_text(median):>10}{_text(values[0]):>10}{_text(values[-1]):>10}"
            f"  {row.unit:<8}{_target(row):>10}{'' if _met(row, median) else '  MISSED'}",
            flush=True,
        )
    folder = Path("artifacts")
    folder.mkdir(exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(figures, indent=1))


def _met(row: Row, value: float) -> bool:
    return value <= row.target if row.lower_is_better else value >= row.target


def _target(row: Row) -> str:
    return f"{'<' if row.lower_is_better else '>'} {_text(row.target)}"


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
