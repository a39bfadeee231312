"""``make check`` passes where all that it asks has answered, and only there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support import ROOT
from tests.support.clone import Clone, install

PIPELINE = """
stages:
  one: {cmd: cp a b, deps: [a], outs: [b]}
  two: {cmd: cp b c, deps: [b], outs: [c]}
  kept: {cmd: echo 1 > d, metrics: [d: {cache: false}]}
"""


def check(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": "true", "PYTHONPATH": ""} | variables
    command = ["make", "--no-print-directory", "check"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "tools").mkdir()
    for name in ("Makefile", "tools/check_lock.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "a").write_text("1")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for command in ("init", "repro"):
        Clone(folder).dvc(command)
    install(folder, python=sys.executable, ruff="true", mypy="true")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A repository that has run, whose ``.venv`` has stand-ins for what ``make check`` asks."""
    return Path(shutil.copytree(made, tmp_path / "folder"))


def mix(folder: Path) -> None:
    """As where lines of two runs have met in ``dvc.lock``."""
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    for entry in (*lock["stages"]["two"]["deps"], *lock["stages"]["two"]["outs"]):
        entry["md5"] = "f" * 32
    YAML().dump(lock, folder / "dvc.lock")


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        (lambda _: None, []),
        (lambda folder: (folder / "a").write_text("2"), ["one"]),
        (mix, ["two"]),
        # What git keeps.
        (lambda folder: (folder / "d").unlink(), ["kept"]),
        (lambda folder: (folder / "dvc.lock").unlink(), ["kept", "one"]),
    ],
)
def test_it_names_the_stages_that_would_run(
    folder: Path, change: Callable[[Path], Any], stages: list[str]
) -> None:
    """The first ones: what these change is not there yet."""
    if not stages:
        assert check(folder).returncode == 0
    # As in a fresh clone.
    for path in ("b", "c", ".dvc/cache"):
        shutil.move(folder / path, folder.parent)
    change(folder)
    done = check(folder)
    assert bool(done.returncode) == bool(stages)
    line, *_ = done.stderr.splitlines() or [""]
    assert line.startswith("dvc.lock is not of these files; dvc repro would run ") == bool(stages)
    assert sorted(line.partition("would run ")[2].split(", ")) == (stages or [""])


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml"])
def test_a_file_that_dvc_cannot_read_is_told(folder: Path, name: str) -> None:
    if name == "params.yaml":
        text = (folder / "dvc.yaml").read_text()
        (folder / "dvc.yaml").write_text(text.replace("deps: [a]", "deps: [a], params: [x]"))
    (folder / name).write_text("{")
    done = check(folder)
    assert done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["ruff", "mypy", "python"])
@pytest.mark.parametrize("how", ["exit 1", "kill -9 $$"])
def test_it_fails_where_a_program_does(folder: Path, program: str, how: str) -> None:
    (folder / ".venv" / "bin" / program).write_text(f"#!/bin/sh\n{how}\n")
    assert check(folder).returncode


@pytest.mark.parametrize("how", ["raise ImportError", "import os; os.kill(os.getpid(), 9)"])
def test_it_fails_where_dvc_does(folder: Path, tmp_path: Path, how: str) -> None:
    """Whatever it has printed, or not."""
    (tmp_path / "dvc.py").write_text(how)
    assert check(folder, PYTHONPATH=str(tmp_path)).returncode
