"""``make check`` passes where dvc.lock is of the files that are there, and only there."""

import re
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from tools.check_lock import main

PIPELINE = """
stages:
  one: {cmd: cp a b, deps: [a], outs: [b]}
  two: {cmd: cp b c, deps: [b], params: [x], outs: [c]}
"""


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is as a fresh clone of what has run: without data."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("dvc.yaml", PIPELINE), ("params.yaml", "x: 1"), ("a", "1")):
        Path(name).write_text(text)
    with Repo.init(no_scm=True) as repo:
        repo.reproduce()
    for name in ("b", "c"):
        Path(name).unlink()
    shutil.rmtree(".dvc/cache")


def test_where_nothing_was_edited_it_passes() -> None:
    main()


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("a", "1", "2", "would run one"),
        ("params.yaml", "1", "2", "would run two"),
        # As where lines of two runs have met.
        ("dvc.lock", "(two:.*?md5: ).", r"\1f", "would run two"),
        ("dvc.lock", "one:.*  two:", "two:", "would run one"),
        ("dvc.lock", ".*", "{", "dvc.lock"),
    ],
)
def test_it_names_the_first_stage_that_would_run(name: str, old: str, new: str, told: str) -> None:
    """And ends in a line where DVC cannot tell."""
    Path(name).write_text(re.sub(old, new, Path(name).read_text(), count=1, flags=re.DOTALL))
    with pytest.raises(SystemExit, match=told):
        main()
