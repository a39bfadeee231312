"""``make check`` passes where dvc.lock is of the files that are there, and only there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clone import Clone, install

PIPELINE = """
stages:
  one: {cmd: cp a b, deps: [a], outs: [b]}
  two: {cmd: cp b c, deps: [b], params: [x], outs: [c]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a fresh clone of what has run: without data. Ruff and mypy find nothing."""
    folder = tmp_path_factory.mktemp("made")
    for name, text in (("dvc.yaml", PIPELINE), ("params.yaml", "x: 1"), ("a", "1")):
        (folder / name).write_text(text)
    (folder / "tools").mkdir()
    for name in ("Makefile", "tools/check_lock.py"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for command in ("init", "repro"):
        Clone(folder).dvc(command)
    for path in ("b", "c", ".dvc/cache"):
        shutil.move(folder / path, tmp_path_factory.mktemp("data"))
    install(folder, python=sys.executable, ruff="true", mypy="true")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("a", "1", "1", ""),
        ("a", "1", "2", "would run one"),
        ("params.yaml", "1", "2", "would run two"),
        # As where lines of two runs have met.
        ("dvc.lock", "(two:.*?md5: ).", r"\1f", "would run two"),
        ("dvc.lock", "one:.*  two:", "two:", "would run one"),
        ("dvc.lock", ".*", "{", "dvc.lock"),
        ("dvc.yaml", ".*", "{", "dvc.yaml"),
        (".venv/bin/python", "exec .*", "kill -9 $$", "Killed"),
    ],
)
def test_it_names_the_first_stage_that_would_run(
    made: Path, tmp_path: Path, name: str, old: str, new: str, told: str
) -> None:
    """And fails where DVC does."""
    folder = shutil.copytree(made, tmp_path / "folder")
    text = re.sub(old, new, (folder / name).read_text(), count=1, flags=re.DOTALL)
    (folder / name).write_text(text)
    command = ["make", "--assume-old=.venv", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(told)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
