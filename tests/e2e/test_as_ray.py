"""`nbray run --as-ray` and `install_as_ray()`: programs that import Ray, as they are."""

from __future__ import annotations

import sys
import textwrap
import zipapp
from pathlib import Path

import pytest
from e2e import cli

WHOLE = """
import importlib.metadata, multiprocessing, os, subprocess, sys
import ray, library

def child(answers):
    import ray
    answers.put(ray.__version__)

@ray.remote
class Actor:
    def look(self):
        import ray.exceptions
        return ray.__version__, isinstance(library.fail(), ray.exceptions.RayError)

@ray.remote
def task():
    found = library.version(), ray.get(ray.put(3)), importlib.metadata.version("ray")
    program = "import ray; print(ray.__version__)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return (*found, other.stdout.strip(), ray.worker.global_worker.mode)

if __name__ == "__main__":
    assert sys.argv[1:] == ["-h", "--as-ray", "x"], sys.argv
    assert sys.path[0] == os.path.dirname(os.path.abspath(__file__))
    ray.init(num_cpus=2)
    assert ray.worker.global_worker.mode == ray.SCRIPT_MODE
    print(ray.get(task.remote()))
    print(ray.get(Actor.remote().look.remote()))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=child, args=(answers,))
    process.start()
    print(answers.get(timeout=60), multiprocessing.get_start_method())
    process.join()
    if not os.fork():
        import ray.util.queue
        print("forked", ray.__version__, flush=True)
        os._exit(0)
    os.wait()
    sys.exit(7)
"""
LIBRARY = """
import ray
def version(): return ray.__version__
def fail(): return ray.exceptions.GetTimeoutError("late")
"""
LATER = """
import nbray
nbray.init(num_cpus=1)
@nbray.remote
def look():
    import sys
    try:
        import ray
    except ImportError as error:
        return type(error).__name__
    return ray.__version__, ray.get is nbray.get
print(nbray.get(look.remote()))
nbray.install_as_ray()
print(nbray.get(look.remote()))
import ray
print(ray.get(ray.remote(lambda: ray.__version__).remote()))
"""


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_a_program_its_workers_and_its_children(tmp_path: Path) -> None:
    program = write(tmp_path, "program.py", WHOLE)
    write(tmp_path, "library.py", LIBRARY)
    write(tmp_path, "ray.py", "raise ImportError('a file that is called so, too')")
    done = cli.nbray("run", "--as-ray", program, "-h", "--as-ray", "x")
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines() == [
        "('2.60.0', 3, '2.60.0', '2.60.0', 1)", "('2.60.0', True)", "2.60.0 fork", "forked 2.60.0",
    ]  # fmt: skip


def test_workers_that_were_started_before_know_it_too(tmp_path: Path) -> None:
    done = cli.python(Path(write(tmp_path, "program.py", LATER)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["('2.60.0', True)", "2.60.0"]


def test_it_ends_as_python_ends_it(tmp_path: Path) -> None:
    program = write(tmp_path, "program.py", "import sys\ndef f(): raise KeyError(sys.argv)\nf()")
    plain = cli.run([sys.executable, program, "a"])
    ours = cli.nbray("run", "--as-ray", program, "a")
    assert (ours.returncode, ours.stdout, ours.stderr) == (1, plain.stdout, plain.stderr)
    assert "Traceback" in ours.stderr
    gone = cli.nbray("run", "--as-ray", str(tmp_path / "nothing.py"))
    assert gone.returncode == 2
    assert "can't open file" in gone.stderr


@pytest.mark.parametrize("how", ["-m", "-c", "a zip file", "python -m nbray"])
def test_other_ways_to_name_a_program(how: str, tmp_path: Path) -> None:
    text = "import ray, sys; print(ray.__version__, __name__, sys.argv[1:], sys.flags.optimize)"
    match how:
        case "-m":
            write(tmp_path, "module.py", text)
            done = cli.nbray("run", "--as-ray", "-m", "module", "-q", PYTHONPATH=str(tmp_path))
        case "-c":
            done = cli.nbray("run", "--as-ray", "-c", text, "-q")
        case "a zip file":
            (tmp_path / "app").mkdir()
            write(tmp_path / "app", "__main__.py", text)
            zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
            done = cli.nbray("run", "--as-ray", str(tmp_path / "app.pyz"), "-q")
        case _:
            program = write(tmp_path, "program.py", text)
            done = cli.run([sys.executable, "-O", "-m", "nbray", "run", "--as-ray", program, "-q"])
    level = int(how == "python -m nbray")
    assert done.stdout.strip() == f"2.60.0 __main__ ['-q'] {level}", done.stderr


def test_the_environments_own_start_up_runs_as_well(tmp_path: Path) -> None:
    write(tmp_path, "sitecustomize.py", "import sys; sys.mine = 1")
    text = "import sys; print(sys.mine, 'nbray' in sys.modules, sys.modules['sitecustomize'])"
    done = cli.nbray("run", "--as-ray", "-c", text, PYTHONPATH=str(tmp_path))
    assert done.stdout.startswith("1 False "), done.stderr
    assert str(tmp_path) in done.stdout


def test_without_the_option_it_is_python(tmp_path: Path) -> None:
    done = cli.nbray("run", "-c", "import sys; print(sum('ray' in one for one in sys.modules))")
    assert done.returncode == 0
    wrong = cli.nbray("run", "-m", "-c", "x")
    assert wrong.returncode == 2
    assert "either -m or -c" in wrong.stderr
