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
    shutil.copy(ROOT / "Makefile", folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for command in ("init", "repro"):
        Clone(folder, folder).dvc(command)
    for path in ("b", "c", ".dvc/cache"):
        shutil.move(folder / path, tmp_path_factory.mktemp("data"))
    install(folder, dvc=f"{Path(sys.executable).parent}/dvc", ruff="true", mypy="true")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("a", "1", "1", "up to date"),
        ("a", "1", "2", "'one'"),
        ("params.yaml", "1", "2", "'two'"),
        # As where lines of two runs have met.
        ("dvc.lock", "(two:.*?md5: ).", r"\1f", "'two'"),
        ("dvc.lock", "one:.*  two:", "two:", "'one'"),
        ("dvc.lock", ".*", "{", "dvc.lock"),
        ("dvc.yaml", ".*", "{", "dvc.yaml"),
        (".venv/bin/dvc", "exec .*", "kill -9 $$", ""),
    ],
)
def test_it_tells_a_stage_that_would_run(
    made: Path, tmp_path: Path, name: str, old: str, new: str, told: str
) -> None:
    """And fails where DVC does, whose words it prints."""
    folder = shutil.copytree(made, tmp_path / "folder")
    text = re.sub(old, new, (folder / name).read_text(), count=1, flags=re.DOTALL)
    (folder / name).write_text(text)
    command = ["make", "--assume-old=.venv", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert told in done.stdout
    assert (done.returncode == 0) == (told == "up to date")
