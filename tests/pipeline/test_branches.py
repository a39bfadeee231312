"""Branches that both have results meet, with real ``git`` and real ``dvc repro``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import ROOT
from tests.support.clone import Clone, ran


def edit_threshold(clone: Clone) -> None:
    clone.edit(binary__thresholds__precision=0.91)


def edit_code(clone: Clone) -> None:
    """Other code, which has the same metrics and curves of these parameters; and a figure more."""
    before, after = "curve.precision >= precision", "curve.precision >= min(precision, 0.905)"
    clone.replace("stages/evaluate/evaluate_binary.py", before, after)
    clone.replace("stages/report/summary.yaml", "sgd:\n", "sgd:\n  f1: binary.sgd.f1\n")


@pytest.fixture(scope="module")
def branches(clone: Clone) -> Iterator[Clone]:
    """The branches ``code`` and ``thresholds``, each with its edit and its results."""
    clone.run("git", "checkout", "--quiet", "-b", "code", "main")
    edit_code(clone)
    assert clone.repro() == {"evaluate_binary", "report"}
    clone.commit("code")
    clone.run("git", "checkout", "--quiet", "-b", "thresholds", "main")
    edit_threshold(clone)
    assert clone.repro() == {"check_params", "evaluate_binary", "report"}
    clone.commit("thresholds")
    yield clone
    clone.run("git", "checkout", "--quiet", "--force", "main")
    clone.run("git", "branch", "--quiet", "-D", "code", "thresholds")
    clone.dvc("checkout")


@pytest.fixture(autouse=True)
def undone(branches: Clone) -> Iterator[None]:
    """Each test is on ``thresholds``; what it has begun and not ended is undone."""
    branches.run("git", "checkout", "--quiet", "--detach", "thresholds")
    yield
    branches.run("git", "reset", "--quiet", "--hard")


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


def merged_by(how: str, locks: dict[str, str], folder: Path, **environment: str) -> str | None:
    """The lock that a way of git leaves of those of branches, if any; no attribute hinders."""

    def run(command: str) -> bool:
        shell = ["bash", "-e", "-o", "pipefail", "-c", f"export GIT_EDITOR=true; {command}"]
        return not subprocess.run(shell, cwd=folder, env=environment, check=False).returncode

    folder.mkdir()
    run("git init --quiet --initial-branch=main")
    for branch, lock in locks.items():
        run(f"git checkout --quiet -b {branch} main")
        (folder / "dvc.lock").write_text(lock)
        assert run(f"git add --all; git commit --quiet --message {branch}")
    return (folder / "dvc.lock").read_text() if run(how) else None


@pytest.mark.parametrize(
    "how",
    [
        "git merge code",
        "git checkout main; git merge code thresholds",
        "git rebase --apply code",
        "git format-patch --stdout main..code | git am",
    ],
)
def test_no_merge_by_lines_mixes_the_locks_of_two_runs(
    branches: Clone, how: str, tmp_path: Path
) -> None:
    """Each has recorded a report of its own: of what it is made, the code and the parameters."""
    names = ("main", "code", "thresholds")
    locks = {name: branches.run("git", "show", f"{name}:dvc.lock") for name in names}
    # That both have changed the summary, too, would do; other branches have not.
    summary = "    - path: reports/metrics/summary.json\n(?:      .+\n)+"
    locks = {name: re.sub(summary, "", lock) for name, lock in locks.items()}
    assert merged_by(how, locks, tmp_path / "whole", **branches.environment) is None
    # Without that, it would be of no run: the code of one, and the other's parameters.
    locks = {
        name: re.sub("  report:\n(?:    .+\n|  - .+\n)+", "", lock) for name, lock in locks.items()
    }
    mixed = merged_by(how, locks, tmp_path / "without", **branches.environment)
    assert mixed
    assert mixed not in locks.values()


def passes(clone: Clone, step: str) -> bool:
    """Whether a step of the workflow does, in a shell that stops at the first error."""
    workflow = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "compare.yml")
    (command,) = [
        each["run"] for each in workflow["jobs"]["compare"]["steps"] if each.get("name") == step
    ]
    try:
        clone.run("bash", "-e", "-c", command)
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.mark.parametrize(
    "name", [None, "reports/metrics/summary.json", "reports/new.json", "dvc.lock"]
)
def test_results_that_nobody_committed_are_refused_by_the_workflow(
    branches: Clone, name: str | None
) -> None:
    if name:
        (branches.folder / name).write_text("other")
    assert passes(branches, "The results are the committed ones") == (name is None)


def test_a_lock_of_neither_side_is_refused_by_the_workflow(branches: Clone) -> None:
    """As GitHub's button could make one, of branches from before each recorded its digest."""
    amend = ("git", "commit", "--all", "--amend", "--no-edit")
    branches.run("git", "merge", "--strategy=ours", "--no-edit", "code")
    assert passes(branches, "dvc.lock is of one run")
    branches.run("git", "checkout", "code", "--", "dvc.lock")
    branches.run(*amend)
    assert passes(branches, "dvc.lock is of one run")
    branches.replace("dvc.lock", "precision: 0.9", "precision: 0.92")
    branches.run(*amend)
    assert not passes(branches, "dvc.lock is of one run")
