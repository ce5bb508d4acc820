"""Runs notebooks/quickstart.ipynb for real, shows what it printed, and checks that all is gone.

Leaves artifacts/quickstart.ipynb and artifacts/quickstart.html. Ends non-zero
when a cell fails or when a process, a run-directory entry or a shared-memory
file of nbray is left.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MARK = "NBRAY_DEMO_MARK"
GRACE = 10.0
"""Seconds the cluster has to end after its notebook."""


def text_of(output: dict[str, Any]) -> str:
    """An output as a terminal shows it."""
    match output["output_type"]:
        case "stream":
            return "".join(output["text"])
        case "error":
            return "\n".join(output["traceback"])
        case _:
            data = output.get("data", {})
            if "text/plain" in data:
                return "".join(data["text/plain"]) + "\n"
            return f"[{', '.join(data)}]\n" if data else ""


def show(notebook: Any) -> None:
    """Print every code cell and what it put out."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        lines = cell.source.strip().splitlines()
        print(f"\n\033[1mIn [{cell.execution_count or ' '}]\033[0m {lines[0]}")
        for line in lines[1:]:
            print(f"       {line}")
        for output in cell.outputs:
            for line in text_of(output).rstrip().splitlines():
                print(f"    {line}")


def execute(source: Path, folder: Path) -> bool:
    """Run *source*; saves the result as a notebook and as HTML. False if a cell failed."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbconvert import HTMLExporter

    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(source.parent)}},
        store_widget_state=True,
        extra_arguments=["--Application.log_level=40"],  # warnings of ipykernel's are not ours
    )
    fine = True
    try:
        client.execute()
    except CellExecutionError:
        fine = False
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / source.name)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (folder / f"{source.stem}.html").write_text(page, encoding="utf-8")
    show(notebook)
    return fine


def left_behind(mark: str, run_folder: Path, shared_before: set[str]) -> list[str]:
    """What of the demonstration still exists, one line each."""
    lines = []
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                lines.append(f"process {entry.name}: {command}")
        except OSError:  # ended meanwhile, or another user's
            continue
    if run_folder.is_dir():
        lines += [f"run directory entry {path}" for path in run_folder.iterdir()]
    lines += [f"/dev/shm/{name}" for name in shared_files() - shared_before]
    return lines


def shared_files() -> set[str]:
    """Shared-memory files of nbray."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.glob("*nbray*")} if folder.is_dir() else set()


def main() -> int:
    """Run, show, check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = ROOT / "notebooks" / "quickstart.ipynb"
    parser.add_argument("notebook", nargs="?", type=Path, default=default)
    source = parser.parse_args().notebook.resolve()
    artifacts = ROOT / "artifacts"
    mark = uuid.uuid4().hex
    home = Path(tempfile.mkdtemp(prefix="nbd-", dir="/tmp"))
    os.environ[MARK] = mark
    os.environ["NBRAY_RUN_DIR"] = str(home / "run")
    shared_before = shared_files()
    try:
        fine = execute(source, artifacts)
        deadline = time.monotonic() + GRACE
        while left_behind(mark, home / "run", shared_before) and time.monotonic() < deadline:
            time.sleep(0.1)
        left = left_behind(mark, home / "run", shared_before)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print()
    print(f"executed notebook: {artifacts.relative_to(ROOT) / source.name}")
    print(f"as a web page:     {artifacts.relative_to(ROOT) / source.stem}.html")
    if left:
        print("left behind:\n  " + "\n  ".join(left))
    else:
        print("nothing left behind: no process, no run-directory entry, no shared-memory file")
    if not fine:
        print("a cell failed", file=sys.stderr)
    return 0 if fine and not left else 1


if __name__ == "__main__":
    sys.exit(main())
