"""What every stage has around it (stages/common/guard.py), on a stage that the test writes."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT

EDIT = "from subprocess import run; run({command!r}, shell=True, check=True)"


class Toy:
    """A repository of one stage, ``toy``, that reads ``data.txt`` and writes ``out.txt``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "stages").mkdir()
        shutil.copytree(ROOT / "stages" / "common", folder / "stages" / "common")
        for name in ("__init__.py", "__main__.py", "libraries.yaml"):
            shutil.copy(ROOT / "stages" / name, folder / "stages" / name)
        (folder / "stages" / "unused.py").write_text("")
        (folder / "data.txt").write_text("data\n")
        (folder / "other.txt").write_text("other\n")
        (folder / "params.yaml").write_text("used: {a: 1}\nother: 2\n")
        self.code("")

    def code(self, body: str, before: str = "") -> None:
        """Have the stage do ``body`` after it has read what it needs, ``before`` its imports."""
        code = f"""
{before}
from pathlib import Path
from stages.common.params import read
def main(params: Path, data: Path, out: Path) -> None:
    read(params, "used")
    text = data.read_text()
{textwrap.indent(body, "    ")}
    out.write_text(text)
"""
        (self.folder / "stages" / "toy.py").write_text(code)

    @property
    def command(self) -> list[str]:
        arguments = "-m stages toy --params params.yaml --data data.txt --out out.txt"
        return [sys.executable, *arguments.split()]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *more], cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_a_stage_runs_and_may_run_again_over_its_outputs(toy: Toy) -> None:
    for _ in range(2):
        assert toy.run().returncode == 0
        assert (toy.folder / "out.txt").read_text() == "data\n"


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('Path("other.txt").read_text()', "toy reads other.txt, which"),
        ('open(b"other.txt").close()', "toy reads other.txt, which"),
        ('import os; os.open("other.txt", os.O_RDONLY)', "toy reads other.txt, which"),
        ('Path("../stages/../other.txt").resolve()\nopen("./stages/../other.txt")', "toy reads o"),
        ('import numpy as np; np.load("other.txt", mmap_mode="r")', "toy reads other.txt, which"),
        ('Path("stray.txt").write_text("")', "toy writes stray.txt, which"),
        ('open("other.txt", "a")', "toy writes other.txt, which"),
        ('Path("stages/toy.py").write_text("")', "toy writes stages/toy.py, which"),
        (
            "from concurrent.futures import ThreadPoolExecutor\n"
            'list(ThreadPoolExecutor().map(open, ["other.txt"]))',
            "toy reads other.txt, which",
        ),
        (
            "try:\n    open('other.txt')\nexcept Exception:\n    pass",
            "toy reads other.txt, which",
        ),
    ],
)
def test_a_file_that_the_command_does_not_name_is_refused(toy: Toy, body: str, line: str) -> None:
    toy.code(body)
    done = toy.run()
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.endswith("its command in dvc.yaml does not name\n")
    assert not (toy.folder / "out.txt").exists()
    assert not (toy.folder / "stray.txt").exists()


def test_files_outside_the_repository_are_not_its_concern(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    toy.code(f"p = Path({str(elsewhere)!r}); p.write_text(''); p.read_text()")
    assert toy.run().returncode == 0
    toy.code(
        "import tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    (Path(folder) / 'stages' / 'deep').mkdir(parents=True)\n"
        "    (Path(folder) / 'stages' / 'deep' / 'file').write_text('')"
    )
    assert toy.run().stderr == ""


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("echo more >> data.txt", "data.txt"),
        ("rm data.txt", "data.txt"),
        # Of the same size and time.
        ("cp -p data.txt new; echo DATA > new; touch -r data.txt new; mv new data.txt", "data.txt"),
        ("echo >> stages/toy.py", "stages/toy.py"),
        ("echo >> stages/common/errors.py", "stages/common/errors.py"),
        ("echo >> stages/__main__.py", "stages/__main__.py"),
        ("sed -i 's/a: 1/a: 3/' params.yaml", "params.yaml"),
        ("rm params.yaml", "params.yaml"),
    ],
)
def test_an_edit_during_the_run_is_noticed(toy: Toy, command: str, changed: str) -> None:
    toy.code(EDIT.format(command=command))
    done = toy.run()
    assert done.returncode == 1
    assert done.stderr == f"{changed} changed while toy ran: run dvc repro again\n"


def test_code_edited_after_it_was_read_and_before_the_stage_began_is_noticed(toy: Toy) -> None:
    toy.code("", before=EDIT.format(command="echo >> stages/toy.py"))
    assert "stages/toy.py changed while toy ran" in toy.run().stderr


def test_dvc_does_not_record_a_run_during_which_a_file_was_edited(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def dvc(*command: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["dvc", *command],
            cwd=toy.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    once = tmp_path_factory.mktemp("once") / "done"
    toy.code(EDIT.format(command=f"test -e {once} || echo more >> data.txt; touch {once}"))
    dvc("init", "--no-scm")
    command = " ".join(["python", *toy.command[1:]])
    dvc("stage", "add", "-n", "toy", "-d", "data.txt", "-o", "out.txt", command)
    failed = dvc("repro")
    assert failed.returncode != 0
    assert "data.txt changed while toy ran: run dvc repro again\n" in failed.stderr
    assert not (toy.folder / "dvc.lock").exists()
    assert dvc("repro").returncode == 0
    assert (toy.folder / "out.txt").read_text() == "data\nmore\n"
    assert (toy.folder / "dvc.lock").exists()


@pytest.mark.parametrize(
    "command",
    [
        "echo '# a comment' >> params.yaml",
        "sed -i 's/other: 2/other: 3/' params.yaml",
        "echo >> stages/unused.py",
        "echo >> other.txt",
    ],
)
def test_an_edit_of_what_the_stage_does_not_use_is_not(toy: Toy, command: str) -> None:
    toy.code(EDIT.format(command=command))
    assert toy.run().returncode == 0


def test_a_library_of_another_version_than_the_pinned_is_refused(toy: Toy) -> None:
    (toy.folder / "stages" / "libraries.yaml").write_text('numpy: "1.0"\nscipy: "1.0"\n')
    assert toy.run().returncode == 0
    lines = []
    for body, before in (("import numpy", ""), ("1 / 0", "import numpy")):
        toy.code(body, before)
        lines.append(toy.run().stderr)
    assert lines[0].startswith("numpy ")
    assert "is installed, but results are of 1.0: pip install" in lines[0]
    # What is imported with the stage is checked before it starts.
    assert lines[0] == lines[1]


def test_a_pin_that_changes_during_the_run_is_noticed(toy: Toy) -> None:
    edit = EDIT.format(command="echo 'numpy: \"9.9\"' > stages/libraries.yaml")
    toy.code(f"import numpy\n{edit}")
    assert "is installed, but results are of 9.9" in toy.run().stderr


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("out.txt", "pass"),
        (
            "out.npy",
            "import numpy as np; from stages.common.arrays import save\n"
            "save(out, np.zeros(1_000_000))",
        ),
        (
            "out.npz",
            "import numpy as np; from stages.common.arrays import save_group\n"
            "save_group(out, a=np.zeros(1_000_000))",
        ),
        ("out.joblib", "import joblib; joblib.dump(list(range(1_000_000)), out)"),
        ("out.png", "from matplotlib.figure import Figure; Figure().savefig(out)"),
    ],
)
def test_a_full_disk_is_told_in_one_line(toy: Toy, name: str, body: str) -> None:
    (toy.folder / name).symlink_to("/dev/full")
    toy.code(body)
    done = toy.run("--out", name)
    assert done.returncode == 1
    assert done.stderr.startswith("toy: the disk is full: ")
    assert done.stderr.count("\n") == 1


def test_a_bug_keeps_its_traceback(toy: Toy) -> None:
    toy.code("1 / 0")
    assert "ZeroDivisionError" in toy.run().stderr
    toy.code('open("/nowhere")')
    assert "Traceback" in toy.run().stderr


def test_an_error_without_a_number_is_not_called_a_full_disk(toy: Toy) -> None:
    """Pillow raises one, for example, for what is no picture."""
    toy.code("import io; from PIL import Image; Image.open(io.BytesIO(b'no picture'))")
    told = toy.run().stderr
    assert "Traceback" in told
    assert "disk" not in told


def test_a_mistake_of_the_user_is_one_line_and_an_ordinary_exception(toy: Toy) -> None:
    raised = "from stages.common.errors import UserError\n{}raise UserError('mend it')"
    toy.code(raised.format(""))
    done = toy.run()
    assert (done.returncode, done.stderr) == (1, "mend it\n")
    toy.code(raised.format("try:\n    ") + "\nexcept Exception:\n    pass")
    assert toy.run().returncode == 0


def test_an_unknown_stage_is_told_which_there_are(toy: Toy) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages", "common.errors"],
        cwd=toy.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "usage: python -m stages STAGE ..., where STAGE is toy\n"


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# A thread that works for a minute, as a fit does, besides the one that waits.
BUSY = """
import os, threading, time
Path({pid!r}).write_text(str(os.getpid()))
threading.Thread(target=time.sleep, args=(60,)).start()
time.sleep(60)
"""


def test_a_stage_ends_with_the_process_that_started_it(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pid = tmp_path_factory.mktemp("pid") / "pid"
    toy.code(BUSY.format(pid=str(pid)))
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({toy.command!r})"],
        cwd=toy.folder,
    )
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    stage = int(pid.read_text())
    assert is_alive(stage)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(stage), seconds=5)
    assert not (toy.folder / "out.txt").exists()


def test_an_interrupt_ends_a_stage_at_once_and_quietly(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pid = tmp_path_factory.mktemp("pid") / "pid"
    toy.code(BUSY.format(pid=str(pid)))
    stage = subprocess.Popen(toy.command, cwd=toy.folder, stderr=subprocess.PIPE)
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    stage.send_signal(signal.SIGINT)
    _, told = stage.communicate(timeout=5)
    assert stage.returncode == 130
    assert told == b""
