"""Branches that both have results meet, with real ``git`` and real ``dvc repro``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clone import Clone, ran


def edit_threshold(clone: Clone) -> None:
    clone.edit(binary__thresholds__precision=0.91)


def edit_code(clone: Clone) -> None:
    """Other code, which has the same metrics and curves of these parameters; and a figure more."""
    clone.replace("stages/evaluate/evaluate_binary.py", ">= precision", ">= min(precision, 0.905)")
    clone.replace("stages/report/summary.yaml", "sgd:\n", "sgd:\n  f1: binary.sgd.f1\n")


@pytest.fixture(scope="module")
def branches(clone: Clone) -> Iterator[Clone]:
    """On ``thresholds``; it and ``code`` have each an edit and its results."""
    clone.run("git", "checkout", "--quiet", "-b", "code", "main")
    edit_code(clone)
    assert clone.repro() == {"evaluate_binary", "report"}
    clone.commit("code")
    clone.run("git", "checkout", "--quiet", "-b", "thresholds", "main")
    edit_threshold(clone)
    assert clone.repro() == {"check_params", "evaluate_binary", "report"}
    clone.commit("thresholds")
    clone.run("git", "checkout", "--quiet", "--detach")
    yield clone
    clone.run("git", "checkout", "--quiet", "--force", "main")
    clone.run("git", "branch", "--quiet", "-D", "code", "thresholds")
    clone.dvc("checkout")


def test_a_merge_is_what_one_run_makes(branches: Clone) -> None:
    """As CONTRIBUTING.md has it."""
    with pytest.raises(subprocess.CalledProcessError):
        branches.run("git", "merge", "code")
    conflicts = branches.run("git", "diff", "--name-only", "--diff-filter=U").split()
    assert conflicts == ["dvc.lock", "reports/metrics/summary.json"]
    # No file has lines of both.
    for name in conflicts:
        assert (branches.folder / name).read_text() == branches.run("git", "show", f"HEAD:{name}")
    # The code of one and the parameter of the other have never met.
    assert branches.repro() == {"evaluate_binary", "report"}
    branches.run("git", "add", "--all", "dvc.lock", "reports")
    branches.run("git", "commit", "--no-edit")
    assert branches.run("git", "status", "--porcelain") == ""
    lock, reports = (branches.folder / "dvc.lock").read_bytes(), branches.reports()

    branches.run("git", "checkout", "--quiet", "--detach", "main")
    edit_code(branches)
    edit_threshold(branches)
    # Nothing is taken from the branches' runs.
    stages = ran(branches.dvc("repro", "--no-run-cache").stdout)
    assert stages == {"check_params", "evaluate_binary", "report"}
    assert (branches.folder / "dvc.lock").read_bytes() == lock
    assert branches.reports() == reports


def test_a_merge_by_lines_stops_too(branches: Clone, tmp_path: Path) -> None:
    """As of git's strategies that ignore attributes: each run records a digest of its own."""
    # That both have changed the summary, too, would do; other branches have not.
    summary = "    - path: reports/metrics/summary.json\n(?:      .+\n)+"
    for name in ("code", "main", "thresholds"):
        lock = branches.run("git", "show", f"{name}:dvc.lock")
        (tmp_path / name).write_text(re.sub(summary, "", lock))
    command = ["git", "merge-file", "--stdout", "code", "main", "thresholds"]
    merge = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert merge.returncode == 1
