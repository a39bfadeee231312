"""``.venv`` is made of what ``requirements.txt`` pins, and costs nothing where it is."""

import fcntl
import os
import shutil
import subprocess
import sys
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


@pytest.fixture
def built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pins that it was built of, and is each other time."""
    builds: list[str] = []

    def build(_: int) -> None:
        assert not tool.STAMP.exists()
        tool.VENV.mkdir(exist_ok=True)
        builds.append(tool.PINS.read_text())

    monkeypatch.setattr(tool, "build", build)
    assert tool.main()
    assert (folder / ".venv").is_dir()
    return builds


def pin(text: str) -> None:
    Path("requirements.txt").write_text(text)


def test_only_other_content_builds(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pin("a==2\n")
    pin("a==1\n")
    # By make itself, of which nothing is asked but that.
    for time in (0, 2**31 - 1):
        os.utime("requirements.txt", (time, time))
        done = make()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert built == ["a==1\n"]
    pin("a==2\n")
    assert tool.main()
    # Its commands name the old place.
    monkeypatch.chdir(Path().resolve().rename(Path("../moved").resolve()))
    assert tool.main()
    assert not tool.main()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert tool.main()
    # One that was killed.
    tool.STAMP.unlink()
    assert tool.main()
    assert built == ["a==1\n", *["a==2\n"] * 4]


@pytest.mark.usefixtures("folder")
def test_where_pip_fails_make_tries_again() -> None:
    """The real one, without a network."""
    pin(f"a==2 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):
        done = make()
        assert done.returncode
        assert "requirements.txt could not be installed" in done.stderr


@pytest.mark.parametrize("kind", ["a link", "a file"])
def test_what_is_no_folder_is_refused_in_a_line(folder: Path, tmp_path: Path, kind: str) -> None:
    install(tmp_path / "elsewhere", python3="true")
    if kind == "a file":
        (folder / ".venv").write_text("name")
    else:
        (folder / ".venv").symlink_to(tmp_path / "elsewhere" / ".venv")
    done = make()
    line, of_make = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(".venv is a link or a file: ")
    assert of_make.startswith("make: ***")
    assert os.path.lexists(".venv")
    # Nor does git add it.
    subprocess.run(["git", "check-ignore", "--quiet", ".venv"], check=True)


@pytest.mark.usefixtures("built")
def test_of_two_at_once_one_waits() -> None:
    with tool.PINS.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = subprocess.Popen(
            [sys.executable, "-c", "from tools import install; install.main()"]
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    assert other.wait(timeout=60) == 0
