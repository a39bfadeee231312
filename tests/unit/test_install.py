"""``.venv`` is made of what ``requirements.txt`` pins, and costs nothing where it is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

# It stands for Python, venv, pip and DVC, and notes what it is asked for.
STAND_IN = """#!/bin/sh
[ "$1" = -c ] && cat version && exit
echo "$1 $2" >> log
[ "$2" = venv ] && mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/dvc
[ "$2" != pip ] || ! grep -q impossible requirements.txt
"""
ALL = ["-m venv", "-m pip", "-m pip", "repro --quiet"]


def make() -> tuple[list[str], str]:
    """What ``make .venv`` runs, and what it prints on stderr."""
    Path("log").write_text("")
    command = ["make", "PYTHON=../python", ".venv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path("log").read_text().splitlines(), done.stderr


def test_only_other_content_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path / "a b")
    shutil.copy(ROOT / "Makefile", "Makefile")
    subprocess.run(["git", "init", "--quiet"], check=True)
    pins, version = Path("requirements.txt"), Path("version")
    version.write_text("3.12")
    for text in ("a==1", "a==2"):
        pins.write_text(text)
        assert make() == (ALL, "")
    os.utime(pins, (0, 0))
    assert make() == ([], "")
    version.write_text("3.13")
    assert make() == (ALL, "")
    # The commands of the old one name the old place.
    monkeypatch.chdir(Path.cwd().rename(tmp_path / "c d"))
    assert make() == (ALL, "")
    pins.write_text("impossible")
    for _ in range(2):
        ran, told = make()
        assert ran == ALL[:2]
        assert told.startswith("requirements.txt could not be installed: make tries again\n")
    # A folder elsewhere is not made anew.
    shutil.move(".venv", tmp_path)
    Path(".venv").symlink_to(tmp_path / ".venv")
    ran, told = make()
    assert ran == []
    assert told.startswith(".venv is a link or a file: ")
