"""What every stage has around it (stages/common/guard.py), on a stage that the test writes."""

import os
import py_compile
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT
from tests.support.want import want_program

# Someone edits a file: a process of another folder does what no stage may.
EDIT = """
import subprocess
subprocess.run('cd {folder} && ' + {command!r}, shell=True, check=True, cwd='/')
"""


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

    def edited(self, command: str) -> str:
        """Code that has someone run a command in the repository."""
        return EDIT.format(folder=self.folder, command=command)

    def code(self, body: str, before: str = "", arguments: str = "") -> None:
        """Have the stage do ``body`` after it has read what it needs, ``before`` its imports."""
        code = f"""
{before}
from pathlib import Path
from stages.common.params import read
def main(params: Path, data: Path, out: Path{arguments}) -> None:
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

    def run(self, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *more],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
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
        ('import os; os.rename("other.txt", "/tmp/gone")', "toy writes other.txt, which"),
        ('import os; os.replace(data, "stray.txt")', "toy writes stray.txt, which"),
        ('import shutil; shutil.move("other.txt", out)', "toy writes other.txt, which"),
        ('import os; os.remove("other.txt")', "toy writes other.txt, which"),
        ('import os; os.link("other.txt", out)', "toy writes other.txt, which"),
        ('import os; os.symlink("other.txt", out)', "toy writes other.txt, which"),
        ('import os; os.truncate("other.txt", 1)', "toy writes other.txt, which"),
        ('import sqlite3; sqlite3.connect("stray.txt")', "toy writes stray.txt, which"),
        ('open("a/__pycache__/other.txt")', "toy reads a/__pycache__/other.txt, which"),
        ('open("link/other.txt")', "toy reads link/other.txt, which"),
        ('open("../outside/other.txt")', "toy reads ../outside/other.txt, which"),
        ('open("pipe")', "toy reads pipe, which"),
    ],
)
def test_a_file_that_the_command_does_not_name_is_refused(toy: Toy, body: str, line: str) -> None:
    (toy.folder / "a" / "__pycache__").mkdir(parents=True)
    (toy.folder / "a" / "__pycache__" / "other.txt").write_text("")
    # Real paths: of the repository by another name, within it and from outside.
    (toy.folder / "link").symlink_to(toy.folder)
    (toy.folder.parent / "outside").unlink(missing_ok=True)
    (toy.folder.parent / "outside").symlink_to(toy.folder)
    os.mkfifo(toy.folder / "pipe")
    toy.code(body)
    done = toy.run()
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.endswith("its command in dvc.yaml does not name\n")
    assert (toy.folder / "other.txt").read_text() == "other\n"
    assert not (toy.folder / "out.txt").exists()
    assert not (toy.folder / "stray.txt").exists()


PROCESS = "toy starts a process, whose files nobody watches: use threads\n"


@pytest.mark.parametrize(
    "body",
    [
        'import subprocess; subprocess.run(["cat", "other.txt"])',
        'import subprocess; subprocess.run("cat other.txt", shell=True)',
        'import os; os.system("cat other.txt")',
        'import os; os.posix_spawn("/bin/cat", ["cat", "other.txt"], {})',
        "import os; os.fork() or os._exit(0)",
        "import os; os.execv('/bin/cat', ['cat', 'other.txt'])",
        "import subprocess; from concurrent.futures import ThreadPoolExecutor\n"
        "list(ThreadPoolExecutor().map(subprocess.check_output, [['cat', 'other.txt']]))",
        *(
            f"import multiprocessing as m; m.get_context({kind!r}).Pool(2).map(open, ['other.txt'])"
            for kind in ("fork", "spawn", "forkserver")
        ),
        "from concurrent.futures import ProcessPoolExecutor\n"
        "list(ProcessPoolExecutor().map(open, ['other.txt']))",
        *(
            "import joblib\njoblib.Parallel(n_jobs=2, "
            f"backend={backend!r})(joblib.delayed(open)('other.txt') for _ in range(2))"
            for backend in ("loky", "multiprocessing")
        ),
    ],
)
def test_a_process_that_nobody_watches_is_refused(toy: Toy, body: str) -> None:
    toy.code(body)
    done = toy.run()
    assert done.returncode == 1
    # Python's own process that cleans up after pools may have something to say, too.
    assert done.stderr.startswith(PROCESS)
    assert not (toy.folder / "out.txt").exists()


def test_processes_of_another_folder_or_a_librarys_own_are_not_its_concern(toy: Toy) -> None:
    toy.code("import subprocess; subprocess.run(['true'], cwd='/')")
    assert toy.run().returncode == 0
    # How joblib asks the machine for the number of its cores.
    toy.code("import joblib; joblib.cpu_count(only_physical_cores=True)")
    assert toy.run().returncode == 0


@pytest.mark.parametrize("name", ["data.txt", "out.txt", "params.yaml"])
def test_a_pipe_in_place_of_a_file_is_told_and_not_waited_for(toy: Toy, name: str) -> None:
    (toy.folder / name).unlink(missing_ok=True)
    os.mkfifo(toy.folder / name)
    assert toy.run().stderr == f"{name} is a pipe, where toy needs a file\n"


def test_a_repository_below_the_libraries_of_python_is_watched_too(tmp_path: Path) -> None:
    """An environment around the repository, in place of one in it."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    (tmp_path / "env" / "clone").mkdir()
    toy = Toy(tmp_path / "env" / "clone")
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env").glob("lib/*/site-packages"))
    (site / "all.pth").write_text(sysconfig.get_path("purelib"))
    toy.code('open("other.txt")')
    done = subprocess.run(
        [python, *toy.command[1:]], cwd=toy.folder, capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("toy reads other.txt, which")


def test_temporary_files_may_lie_in_the_repository(toy: Toy) -> None:
    (toy.folder / "tmp").mkdir()
    toy.code("import tempfile\nwith tempfile.TemporaryFile() as file: file.write(b'')")
    assert toy.run(TMPDIR=str(toy.folder / "tmp")).returncode == 0
    toy.code("open('other.txt')")
    for folder in (toy.folder, toy.folder.parent):
        assert toy.run(TMPDIR=str(folder)).stderr.startswith("toy reads other.txt, which")


def test_without_a_folder_of_temporary_files_the_repository_is_watched(toy: Toy) -> None:
    """As where the disk is full."""
    nowhere = "import tempfile\ndef gettempdir(): raise FileNotFoundError\n"
    (toy.folder.parent / "sitecustomize.py").write_text(
        f"{nowhere}tempfile.gettempdir = gettempdir"
    )
    environment = {"PYTHONPATH": str(toy.folder.parent)}
    try:
        assert toy.run(**environment).returncode == 0
        toy.code("open('other.txt')")
        assert toy.run(**environment).stderr.startswith("toy reads other.txt, which")
    finally:
        (toy.folder.parent / "sitecustomize.py").unlink()


def test_a_declared_link_into_the_cache_is_read_and_written(toy: Toy) -> None:
    """As DVC places its files with ``cache.type symlink``."""
    (toy.folder / "cache").mkdir()
    (toy.folder / "data.txt").rename(toy.folder / "cache" / "data")
    (toy.folder / "data.txt").symlink_to("cache/data")
    assert toy.run().returncode == 0
    assert (toy.folder / "out.txt").read_text() == "data\n"


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
        # The same file, too.
        ("cp -p data.txt was; echo DATA > data.txt; touch -r was data.txt", "data.txt"),
        ("echo >> stages/toy.py", "stages/toy.py"),
        ("echo >> stages/common/errors.py", "stages/common/errors.py"),
        ("echo >> stages/__main__.py", "stages/__main__.py"),
        ("sed -i 's/a: 1/a: 3/' params.yaml", "params.yaml"),
        ("rm params.yaml", "params.yaml"),
    ],
)
def test_an_edit_during_the_run_is_noticed(toy: Toy, command: str, changed: str) -> None:
    toy.code(toy.edited(command))
    done = toy.run()
    assert done.returncode == 1
    assert done.stderr == f"{changed} changed while toy ran: run dvc repro again\n"


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("touch folder/new", "folder"),
        ("rm folder/one", "folder"),
        ("mv folder/one folder/two", "folder"),
        ("touch folder/below/new", "folder/below"),
    ],
)
def test_a_declared_folder_that_gains_or_loses_a_file_is_noticed(
    toy: Toy, command: str, changed: str
) -> None:
    (toy.folder / "folder" / "below").mkdir(parents=True)
    (toy.folder / "folder" / "one").write_text("")
    told = f"{changed} changed while toy ran: run dvc repro again\n"
    toy.code(toy.edited(command), arguments=", folder: Path")
    assert toy.run("--folder", "folder").stderr == told


def test_a_folder_that_the_stage_writes_to_may_gain_files(toy: Toy) -> None:
    (toy.folder / "out").mkdir()
    toy.code("(out / 'new.txt').write_text(text); out = out / 'text'")
    assert toy.run("--out", "out").returncode == 0


def test_parameters_edited_there_and_back_are_all_of_one_moment(toy: Toy) -> None:
    """What was read once stays; and it is what DVC records in the end."""
    toy.code(
        toy.edited("sed -i 's/a: 1/a: 3/' params.yaml")
        + 'text = str(read(params, "used.a"))'
        + toy.edited("sed -i 's/a: 3/a: 1/' params.yaml")
    )
    assert toy.run().returncode == 0
    assert (toy.folder / "out.txt").read_text() == "1"


def test_a_module_may_come_while_the_stage_runs(toy: Toy) -> None:
    """It is used as it was read."""
    toy.code(toy.edited("touch stages/new.py") + "import stages.new")
    assert toy.run().returncode == 0
    edit = toy.edited("echo >> stages/new.py")
    toy.code("import stages.new" + edit)
    assert toy.run().stderr == "stages/new.py changed while toy ran: run dvc repro again\n"


def test_bytecode_of_other_code_is_not_run(toy: Toy) -> None:
    """Python takes bytecode for that of a source of the same size and second."""
    toy.code("text = 'old'")
    source = toy.folder / "stages" / "toy.py"
    was = source.stat()
    py_compile.compile(str(source), doraise=True)
    toy.code("text = 'new'")
    os.utime(source, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert toy.run().returncode == 0
    assert (toy.folder / "out.txt").read_text() == "new"
    # Of a module without a source, none is run at all.
    bytecode = next((toy.folder / "stages" / "__pycache__").glob("toy.*.pyc"))
    bytecode.rename(toy.folder / "stages" / "sourceless.pyc")
    toy.code("import stages.sourceless")
    assert "sourceless" in toy.run().stderr


def test_bytecode_in_another_folder_is_not_run_either(toy: Toy, tmp_path: Path) -> None:
    variables = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": ""}
    source = toy.folder / "stages" / "toy.py"
    toy.code("text = 'old'")
    was = source.stat()
    command = [sys.executable, "-c", "import stages.toy"]
    subprocess.run(command, cwd=toy.folder, env={**os.environ, **variables}, check=True)
    assert list((tmp_path / "cache").rglob("toy.*.pyc"))
    toy.code("text = 'new'")
    os.utime(source, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert toy.run(**variables).returncode == 0
    assert (toy.folder / "out.txt").read_text() == "new"


def test_a_large_file_is_compared_by_what_the_system_knows(toy: Toy) -> None:
    (toy.folder / "data.txt").write_text("data\n" * 2**18)
    assert toy.run().returncode == 0
    edit = "echo DATA | dd of=data.txt conv=notrunc status=none"
    for command in (edit, f"cp -p data.txt was; {edit}; touch -r was data.txt"):
        toy.code(toy.edited(command))
        assert toy.run().stderr.startswith("data.txt changed while toy ran")


def test_a_stage_writes_no_bytecode(toy: Toy) -> None:
    toy.run(PYTHONDONTWRITEBYTECODE="")
    assert not list(toy.folder.glob("stages/__pycache__/toy*"))


def test_another_checkouts_stages_are_not_run(toy: Toy) -> None:
    """Without the current folder on its path, Python finds those that are installed."""
    done = toy.run(PYTHONSAFEPATH="1", PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    # It has no stage of that name; where it has one, it says whose stages they are.
    command = [sys.executable, "-m", "stages", "data.split"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=toy.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == f"{ROOT} has these stages: run them there, without PYTHONSAFEPATH\n"


SETTINGS = {
    "MPLBACKEND": "svg",
    "SCIPY_ARRAY_API": "1",
    "SKLEARN_ASSUME_FINITE": "1",
    "LC_ALL": "C",
    "lc_messages": "de_DE",
    "PYTHONUTF8": "0",
    "A_VARIABLE": "of somebody's",
}


def test_a_stage_sees_none_of_the_users_settings(toy: Toy) -> None:
    toy.code("import os; text = ' '.join(os.environ)")
    kept = {
        "PATH": os.environ["PATH"],
        "OPENBLAS_CORETYPE": "Haswell",
        "https_proxy": "http://proxy",
    }
    assert toy.run(**SETTINGS, **kept).returncode == 0
    seen = set((toy.folder / "out.txt").read_text().split())
    assert kept.keys() <= seen
    assert not SETTINGS.keys() & seen


def test_warnings_are_pythons_own(toy: Toy) -> None:
    toy.code("import warnings; warnings.warn('heard')\nwarnings.warn('not', DeprecationWarning)")
    done = toy.run(PYTHONWARNINGS="error")
    assert done.returncode == 0
    assert "UserWarning: heard" in done.stderr
    assert "DeprecationWarning: not" not in done.stderr


def test_a_python_without_the_libraries_is_told(toy: Toy) -> None:
    toy.code("import no_such_library")
    assert toy.run().stderr.startswith("No module named 'no_such_library', which another Python")
    toy.code("import stages.no_such_module")
    assert "Traceback" in toy.run().stderr


@pytest.mark.parametrize("cores", ["abc", "0", "-1", "1.5", ""])
def test_a_number_of_cores_that_is_none_is_told(toy: Toy, cores: str) -> None:
    told = toy.run(LOKY_MAX_CPU_COUNT=cores).stderr
    assert told == f"LOKY_MAX_CPU_COUNT is {cores!r}, but should be a whole number above 0\n"


def test_without_docstrings_there_is_no_schema(toy: Toy) -> None:
    assert toy.run(PYTHONOPTIMIZE="2").stderr.startswith("unset PYTHONOPTIMIZE")


def test_code_edited_after_it_was_read_and_before_the_stage_began_is_noticed(toy: Toy) -> None:
    toy.code("", before=toy.edited("echo >> stages/toy.py"))
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
    toy.code(toy.edited(f"test -e {once} || echo more >> data.txt; touch {once}"))
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
        # Of the same content.
        "touch data.txt stages/toy.py params.yaml",
        "chmod g+w data.txt; chmod -R g+w stages",
        "cp data.txt new; mv new data.txt",
        "echo more >> data.txt; echo data > data.txt",
        # As a cache of hard links does, for another experiment.
        "ln data.txt another-name",
        "echo >> stages/unused.py",
        "echo >> other.txt",
    ],
)
def test_an_edit_of_what_the_stage_does_not_use_is_not(toy: Toy, command: str) -> None:
    toy.code(toy.edited(command))
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
    edit = toy.edited("sed -i 's/^numpy.*/numpy: 9/' stages/libraries.yaml")
    toy.code(edit, before="import numpy")
    assert toy.run().stderr.startswith("stages/libraries.yaml changed while toy ran")
    # Of a library that the stage does not use, it is not its concern.
    toy.code(toy.edited("sed -i 's/^scipy.*/scipy: 9/' stages/libraries.yaml"))
    assert toy.run().returncode == 0


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


def test_a_home_that_cannot_be_written_is_no_news(toy: Toy) -> None:
    """Not even root can make a folder there."""
    toy.code("from matplotlib.figure import Figure; Figure().savefig(out, format='png')")
    done = toy.run(HOME=os.devnull)
    assert (done.returncode, done.stderr) == (0, "")


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


@pytest.mark.parametrize(
    "name", ["common.errors", "toy.py", "stages.toy", "./toy", "..toy", "", "{folder}/stages/toy"]
)
def test_an_unknown_stage_is_told_which_there_are(toy: Toy, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages", name.format(folder=toy.folder)],
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


# DVC as far as it matters here: it runs the command in the user's shell, and waits.
DVC = """
import os, subprocess, sys
subprocess.run([*sys.argv[1].split(), "-c", sys.argv[2]], env={**os.environ, "DVC_STAGE": "toy"})
"""
# Of a single command, most shells become it; of two, they stay its parent.
SHELLS = [
    pytest.param(
        shell,
        after,
        marks=pytest.mark.skipif(not shutil.which(shell), reason=want_program(shell)),
    )
    for shell in ("sh", "dash", "bash", "zsh")
    for after in ("", "; true")
]


def start(toy: Toy, shell: str, after: str) -> subprocess.Popen[bytes]:
    """A process like DVC that runs the stage."""
    command = " ".join(toy.command) + after
    arguments = [sys.executable, "-c", DVC, shell, command]
    return subprocess.Popen(arguments, cwd=toy.folder, start_new_session=True)


@pytest.mark.parametrize(("shell", "after"), SHELLS)
def test_a_stage_ends_with_dvc_whatever_the_shell(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory, shell: str, after: str
) -> None:
    pid = tmp_path_factory.mktemp("pid") / "pid"
    toy.code(BUSY.format(pid=str(pid)))
    dvc = start(toy, shell, after)
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    stage = int(pid.read_text())
    # Longer than it takes to look for DVC.
    time.sleep(1)
    assert is_alive(stage)
    dvc.kill()
    # Dead, and not yet waited for, it is still in the system's list.
    wait_until(lambda: not is_alive(stage), seconds=5)
    dvc.wait()
    assert not (toy.folder / "out.txt").exists()


@pytest.mark.parametrize("after", ["", "; true"])
def test_a_stage_ends_with_dvc_from_its_first_moment(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory, after: str
) -> None:
    """Killed as soon as the stage's process is there, before it has looked for DVC."""
    pid = tmp_path_factory.mktemp("pid") / "pid"
    toy.code(BUSY.format(pid=str(pid)))
    for milliseconds in range(0, 60, 10):
        dvc = start(toy, "sh", after)
        wait_until(lambda parent=dvc.pid: bool(descendants(parent)))  # type: ignore[misc]
        time.sleep(milliseconds / 1000)
        orphans = descendants(dvc.pid)
        dvc.kill()
        dvc.wait()
        wait_until(lambda left=orphans: not any(map(is_running, left)), seconds=8)  # type: ignore[misc]


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_stage_that_dvc_did_not_start_is_the_users_own(toy: Toy) -> None:
    toy.code("import time; time.sleep(1)")
    left = f"({' '.join(toy.command)} &)"
    subprocess.run(["sh", "-c", left], cwd=toy.folder, check=True)
    wait_until((toy.folder / "out.txt").exists)


def test_an_interrupt_ends_a_stage_at_once_and_quietly(
    toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pid = tmp_path_factory.mktemp("pid") / "pid"
    toy.code(BUSY.format(pid=str(pid)))
    stage = subprocess.Popen(toy.command, cwd=toy.folder, stderr=subprocess.PIPE)
    wait_until(lambda: pid.exists() and pid.read_text() != "")
    stage.send_signal(signal.SIGINT)
    # It would be busy for a minute.
    _, told = stage.communicate(timeout=30)
    assert stage.returncode == 130
    assert told == b""
