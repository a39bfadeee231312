"""What every stage has around it (stages/common/guard.py), on a stage that the test writes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT
from tests.support.waiting import wait_for

OPTIONS = "--params params.yaml --data data.txt --folder folder --out out.txt"
FILES = {
    "data.txt": "data\n",
    "other.txt": "other\n",
    "params.yaml": "used: {a: 1}\nother: 2\n",
    "folder/one": "",
}


class Toy:
    """A repository of one stage, ``toy``, that reads ``data.txt`` and writes ``out.txt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [sys.executable, "-m", "stages", "toy", *OPTIONS.split()]
        shutil.copytree(ROOT / "stages" / "common", folder / "stages" / "common")
        for name in ("__init__.py", "__main__.py", "libraries.yaml"):
            shutil.copy(ROOT / "stages" / name, folder / "stages" / name)
        (folder / "folder" / "below").mkdir(parents=True)
        for name, content in FILES.items():
            (folder / name).write_text(content)
        self.code("")

    def code(self, body: str, before: str = "") -> None:
        """Have the stage do ``body`` after it has read what it needs, ``before`` its imports."""
        code = f"""
{before}
from pathlib import Path
from stages.common.params import read
def main(params: Path, data: Path, folder: Path, out: Path) -> None:
    read(params, "used")
    text = data.read_text()
    (folder / "one").read_text()
{textwrap.indent(body, "    ")}
    out.write_text(text)
"""
        (self.folder / "stages" / "toy.py").write_text(code)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command or self.command,
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path / "toy")


def edit(command: str) -> str:
    """Code that has someone run a command in the repository."""
    return f"import subprocess; subprocess.run({command!r}, shell=True, check=True)"


def test_a_stage_runs_and_may_run_again_over_its_outputs(toy: Toy) -> None:
    """It reads a link into the cache, as DVC places its files, and any file outside."""
    (toy.folder / "data.txt").rename(toy.folder / "cache")
    for name in ("data.txt", "folder/two"):
        (toy.folder / name).symlink_to(toy.folder / "cache")
    (toy.folder / "out").mkdir()
    toy.code("""
(folder / "two").read_text()
outside = Path("../file"); outside.write_text(text); text = outside.read_text(); outside.unlink()
with (out / "new.txt").open("w") as file:
    file.write(text + (out / "new.txt").read_text())
out = out / "text"
""")
    for _ in range(2):
        done = toy.run(*toy.command[:-1], "out")
        assert (done.returncode, done.stderr) == (0, "")
        assert (toy.folder / "out" / "text").read_text() == "data\n"


PROCESS = "starts a process, whose files nobody watches: use threads"
# What ends a stage, and how.
FORBIDDEN = {
    'Path("other.txt").read_text()': "reads other.txt",
    "try:\n    open('other.txt')\nexcept BaseException:\n    pass": "reads other.txt",
    'Path("stray.txt").write_text("")': "writes stray.txt",
    'Path("stages/toy.py").write_text("")': "writes stages/toy.py",
    "import joblib; joblib.Parallel(2)(joblib.delayed(open)('o') for _ in range(2))": PROCESS,
}


def test_what_it_may_not_do_ends_it(toy: Toy) -> None:
    """Each in a process of its own that the stage forks, which nobody watches."""
    toy.code(
        f"bodies, text = {[*FORBIDDEN]}, ''"
        + """
import os
for body in bodies:
    if not (child := os.fork()):
        exec(body, globals())
        os._exit(0)
    text += str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    done = toy.run()
    assert (toy.folder / "out.txt").read_text() == "1" * len(FORBIDDEN)
    # Python's own process that cleans up after pools may have something to say, too.
    told = re.findall(
        "^toy (.+?)(?:, which its command in dvc.yaml does not name)?$", done.stderr, re.M
    )
    assert told == [*FORBIDDEN.values()]
    assert not (toy.folder / "stray.txt").exists()


@pytest.mark.parametrize("variables", [{}, {"PYTHONPYCACHEPREFIX": "../cache"}])
def test_bytecode_of_other_code_is_neither_run_nor_written(
    toy: Toy, variables: dict[str, str]
) -> None:
    """Python takes bytecode for that of a source of the same size and second."""
    variables |= {"PYTHONDONTWRITEBYTECODE": ""}
    source = toy.folder / "stages" / "toy.py"
    toy.code("text = 'old'")
    was = source.stat()
    toy.run(sys.executable, "-c", "import stages.toy", **variables)
    (bytecode,) = toy.folder.parent.rglob("toy.cpython-*.pyc")
    written = bytecode.stat()
    toy.code("text = 'new'")
    os.utime(source, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert toy.run(**variables).returncode == 0
    assert (toy.folder / "out.txt").read_text() == "new"
    assert bytecode.stat().st_mtime_ns == written.st_mtime_ns
    assert [*toy.folder.parent.rglob("toy.cpython-*.pyc")] == [bytecode]


def test_another_checkouts_stages_are_not_run(toy: Toy) -> None:
    """Without the current folder on its path, Python finds those that are installed."""
    command = (sys.executable, "-m", "stages", "data.split")
    done = toy.run(*command, PYTHONSAFEPATH="1", PYTHONPATH=str(ROOT))
    assert done.stderr == f"{ROOT} has these stages: run them there, without PYTHONSAFEPATH\n"


def test_a_stage_sees_none_of_the_users_settings(toy: Toy) -> None:
    """Warnings are Python's own."""
    settings = {"LC_ALL": "C", "A_VARIABLE": "1", "PYTHONWARNINGS": "error"}
    kept = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "https_proxy": "http://proxy"}
    toy.code("""
import os, warnings
warnings.warn("heard")
warnings.warn("not", DeprecationWarning)
text = " ".join(os.environ)
""")
    done = toy.run(**settings, **kept)
    assert done.returncode == 0
    assert re.fullmatch(r".+UserWarning: heard\n.+\n", done.stderr)
    seen = set((toy.folder / "out.txt").read_text().split())
    assert kept.keys() <= seen
    assert not settings.keys() & seen


EDITS = {
    # Of the same size, and even of the same time.
    "data.txt": "echo DATA > data.txt",
    "folder/one": "cp folder/one new; touch -r folder/one new; mv new folder/one",
    "stages/toy.py": "echo >> stages/toy.py",
    "stages/common/errors.py": "echo >> stages/common/errors.py",
    "params.yaml": "sed -i.old 's/a: 1/a: 3/' params.yaml",
    "stages/libraries.yaml": "sed -i.old 's/^numpy.*/numpy: 9/' stages/libraries.yaml",
    "folder": "touch folder/two",
    "folder/below": "touch folder/below/new",
}
EDIT = edit(EDITS["params.yaml"])
EDIT_BACK = edit("sed -i.old 's/a: 3/a: 1/' params.yaml")
REMOVALS = {"data.txt": "rm data.txt", "params.yaml": "rm params.yaml"}
# What is no edit of what the stage uses.
NO_EDITS = (
    "echo '# a comment' >> params.yaml",
    "sed -i.old 's/other: 2/other: 3/' params.yaml",
    "sed -i.old 's/^scipy.*/scipy: 9/' stages/libraries.yaml",
    "chmod -R g+w data.txt folder stages",
    # As a cache of hard links does, for another experiment.
    "ln data.txt another-name",
    # It is used as it was read.
    "touch stages/new.py",
)
RAISES = "from stages.common.errors import UserError; raise UserError('mend it')"
OTHER_PIN = f"{edit('echo numpy: 1.0 > stages/libraries.yaml')}; import numpy"
NOT_PINNED = f"numpy {version('numpy')} is installed, but results are of 1: .+"
# NumPy's error has no number where a part of an array is written, as on a disk that fills up.
SAVE_IN_PART = """
import resource
from stages.common.arrays import save
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
save(Path("../part.npy"), np.zeros(1_000_000))
"""
BUG = "Traceback (?:.*\n)+"


def changed(*names: str) -> str:
    return f"{', '.join(sorted(names))} changed while toy ran: run dvc repro again"


@pytest.mark.parametrize(
    ("before", "body", "told"),
    [
        ("import numpy", edit("; ".join(EDITS.values())), changed(*EDITS)),
        ("", edit("; ".join(REMOVALS.values())), changed(*REMOVALS)),
        # It was read, and the stage had not begun.
        (edit(EDITS["stages/toy.py"]), "", changed("stages/toy.py")),
        ("", f"{edit('; '.join(NO_EDITS))}; import stages.new", ""),
        # Values are of one moment: what was read once stays, and is what DVC records in the end.
        ("", f"{EDIT}; assert read(params, 'used.a') == 1; {EDIT_BACK}", ""),
        ("", RAISES, "mend it"),
        ("", "import no_such_library", "No module named 'no_such_library', which another .+"),
        # Of another version than the pinned; what the stage imports is checked before it starts.
        ("", OTHER_PIN, NOT_PINNED),
        (OTHER_PIN, "1 / 0", NOT_PINNED),
        ("import numpy as np", SAVE_IN_PART, "toy: the disk is full: .+"),
        # A bug keeps its traceback. An OSError without a number is no full disk.
        ("from PIL import Image", "Image.open(params)", f"{BUG}PIL.UnidentifiedImageError: .+"),
        ("", "import stages.no_such_module", f"{BUG}ModuleNotFoundError: .+"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_a_bug_a_traceback(
    toy: Toy, before: str, body: str, told: str
) -> None:
    toy.code(body, before)
    done = toy.run()
    assert done.returncode == bool(told)
    assert re.fullmatch(f"{told}\n" if told else "", done.stderr)


def test_no_number_of_cores_is_told(toy: Toy) -> None:
    told = "LOKY_MAX_CPU_COUNT is '0', but should be a whole number above 0\n"
    assert toy.run(LOKY_MAX_CPU_COUNT="0").stderr == told


def test_what_is_no_stage_is_told_which_there_are(toy: Toy) -> None:
    done = toy.run(sys.executable, "-m", "stages", "common.errors")
    assert done.returncode == 1
    assert done.stderr == "usage: python -m stages STAGE ..., where STAGE is toy\n"


# A thread that works for a minute, as a fit does, besides the one that waits.
BUSY = """
import threading, time
Path("../pid").touch()
threading.Thread(target=time.sleep, args=(60,)).start()
time.sleep(60)
"""
# DVC as far as it matters here: it says that it writes, runs the command in the user's shell, and
# waits.
DVC = """
import json, os, pathlib, subprocess, sys
pathlib.Path(".dvc/tmp").mkdir(parents=True)
writer = {"pid": os.getpid(), "cmd": "dvc repro"}
pathlib.Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {"out.txt": writer}}))
subprocess.run([*sys.argv[1].split(), "-c", sys.argv[2]], env={**os.environ, "DVC_STAGE": "toy"})
"""


# Of a single command, most shells become it; of two, they stay its parent. Also killed as soon as
# the stage's process is there, before it has looked for DVC.
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(("shell", "after"), [("sh", ""), ("setsid --wait sh", "; true")])
def test_a_stage_ends_with_dvc(toy: Toy, shell: str, after: str, begun: bool) -> None:
    toy.code(BUSY)
    command = [sys.executable, "-c", DVC, shell, " ".join(toy.command) + after]
    dvc = psutil.Popen(command, cwd=toy.folder, start_new_session=True)
    wait_for(dvc.children)
    if begun:
        wait_for((toy.folder.parent / "pid").exists)
        # Longer than it takes to look for DVC.
        time.sleep(0.5)
    stage = dvc.children(recursive=True)
    assert dvc.poll() is None
    dvc.kill()
    _, alive = psutil.wait_procs([dvc, *stage], timeout=8)
    assert alive == []
    assert not (toy.folder / "out.txt").exists()


def test_an_interrupt_ends_a_stage_at_once_and_quietly(toy: Toy) -> None:
    toy.code(BUSY)
    stage = subprocess.Popen(toy.command, cwd=toy.folder, stderr=subprocess.PIPE)
    wait_for((toy.folder.parent / "pid").exists)
    stage.send_signal(signal.SIGINT)
    # It would be busy for a minute.
    _, told = stage.communicate(timeout=30)
    assert (stage.returncode, told) == (130, b"")
