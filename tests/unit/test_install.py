"""``.venv`` is made of what ``requirements.txt`` pins, and no other is lost meanwhile."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clone import install
from tools import install as tool


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a Makefile, the tool and some pins."""
    made = tmp_path / "a b"
    (made / "tools").mkdir(parents=True)
    for name in ("Makefile", ".gitignore", "tools/install.py"):
        shutil.copy(ROOT / name, made / name)
    (made / "requirements.txt").write_text("a==1\n")
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)
    monkeypatch.chdir(made)
    return made


def make() -> subprocess.CompletedProcess[str]:
    """``make .venv`` by this Python, where pip has no network."""
    variables = {"PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    return subprocess.run(
        ["make", "--no-print-directory", ".venv"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def builds(text: str) -> Callable[[int], None]:
    """A stand-in for the tool's ``build``: a venv of a file of this text."""

    def build(_: int) -> None:
        tool.VENV.mkdir()
        (tool.VENV / "made").write_text(text)

    return build


def fails(_: int) -> None:
    """A build that has begun."""
    tool.VENV.mkdir()
    raise subprocess.CalledProcessError(1, "pip")


# In place of a build that has begun.
KILLED = """
import os
from tools import install
install.build = lambda _: (install.VENV.mkdir(), os.kill(os.getpid(), 9))
install.main()
"""


def made() -> str:
    """The text of the one venv that there is."""
    assert not tool.OLD.exists()
    return (tool.VENV / "made").read_text()


@pytest.fixture
def old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository with a venv, made of its pins."""
    monkeypatch.setattr(tool, "build", builds("old"))
    assert tool.main()
    return folder


def pin(folder: Path, text: str) -> None:
    (folder / "requirements.txt").write_text(text)


@pytest.mark.usefixtures("old")
def test_another_time_is_no_other_content() -> None:
    """By make itself, of which nothing is asked but that."""
    for time in (0, 2**31 - 1):
        os.utime("requirements.txt", (time, time))
        done = make()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert made() == "old"


def test_a_branch_there_and_back_builds_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "build", builds("new"))
    pin(old, "a==2\n")
    pin(old, "a==1\n")
    assert not tool.main()
    assert made() == "old"
    pin(old, "a==2\n")
    assert tool.main()
    assert made() == "new"
    assert not tool.main()


def test_another_python_and_another_place_are_other_venvs(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "build", builds("new"))
    moved = old.rename(old.with_name("moved"))
    monkeypatch.chdir(moved)
    assert tool.main()
    assert made() == "new"
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert tool.main()


def test_where_pip_fails_the_old_one_is_as_it_was(old: Path) -> None:
    """The real one, without a network."""
    pin(old, f"a==2 --hash=sha256:{'0' * 64}\n")
    done = make()
    assert done.returncode
    assert "requirements.txt could not be installed: .venv is as it was" in done.stderr
    assert made() == "old"
    pin(old, "a==1\n")
    assert make().returncode == 0
    assert made() == "old"


@pytest.mark.usefixtures("folder")
def test_where_the_first_fails_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "build", fails)
    with pytest.raises(SystemExit, match="could not be installed"):
        tool.main()
    assert not tool.VENV.exists()


@pytest.mark.parametrize("own", [False, True], ids=["ours", "the user's own"])
def test_a_build_that_is_killed_costs_nothing(
    old: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    if own:
        tool.STAMP.unlink()
    pin(old, "a==2\n")
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -9
    assert (tool.OLD / "made").read_text() == "old"
    pin(old, "a==1\n")
    monkeypatch.setattr(tool, "build", fails)
    if own:
        with pytest.raises(SystemExit, match="as it was"):
            tool.main()
    else:
        assert not tool.main()
    assert made() == "old"


@pytest.mark.parametrize("kind", ["a link", "a link to nothing", "a file"])
def test_what_is_no_folder_is_refused_in_a_line(folder: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "elsewhere"
    install(target, python3="true")
    before = sorted(target.rglob("*"))
    if kind == "a file":
        (folder / ".venv").write_text("name")
    else:
        (folder / ".venv").symlink_to(target / ".venv" if kind == "a link" else "nowhere")
    done = make()
    line, of_make = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(".venv is a link or a file: ")
    assert of_make.startswith("make: ***")
    assert sorted(target.rglob("*")) == before
    assert os.path.lexists(".venv")
    # Nor does git add it.
    for name in (".venv", ".venv.old"):
        subprocess.run(["git", "check-ignore", "--quiet", name], check=True)


@pytest.mark.usefixtures("old")
def test_of_two_at_once_one_waits() -> None:
    with tool.PINS.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = subprocess.Popen(
            [sys.executable, "-c", "from tools import install; install.main()"]
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    assert other.wait(timeout=60) == 0
