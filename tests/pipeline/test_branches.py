"""Branches that both have results meet, with real ``git`` and real ``dvc repro``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.clone import Clone, ran

BRANCHES = ("main", "thresholds", "code")
# What depends on all parameters.
ALWAYS = {"check_params", "report"}


@pytest.fixture(scope="module")
def branches(clone: Clone) -> Iterator[Clone]:
    """The branches ``thresholds`` and ``grid``, each with edits of its own, and its results."""
    clone.run("git", "checkout", "--quiet", "-b", "thresholds", "main")
    clone.edit(binary__thresholds__precision=0.91)
    assert clone.repro() == ALWAYS | {"evaluate_binary"}
    clone.commit("thresholds")
    clone.run("git", "checkout", "--quiet", "-b", "grid", "main")
    clone.edit(binary__thresholds__precision=0.96, grid__n_neighbors=[3, 8])
    assert clone.repro() == ALWAYS | {"evaluate_binary", "search_grid", "evaluate_digits"}
    clone.commit("grid")
    yield clone
    clone.run("git", "checkout", "--quiet", "--force", "main")
    made = set(clone.run("git", "branch", "--format=%(refname:short)").split()) - {"main"}
    clone.run("git", "branch", "--quiet", "-D", *made)
    clone.dvc("checkout")


@pytest.fixture(autouse=True)
def undone(branches: Clone) -> Iterator[None]:
    """Whatever a test has begun and not ended, or failed in."""
    yield
    branches.run("git", "reset", "--quiet", "--hard")


class Merged(NamedTuple):
    """What a merge, as CONTRIBUTING.md has it, has left."""

    conflicts: set[str]
    ran: set[str]
    lock: bytes
    reports: dict[str, bytes]


@pytest.fixture(scope="module")
def merged(branches: Clone) -> Merged:
    """``thresholds`` merged into ``grid``, with its value of what both have edited."""
    with pytest.raises(subprocess.CalledProcessError):
        branches.run("git", "merge", "thresholds")
    conflicts = branches.run("git", "diff", "--name-only", "--diff-filter=U").splitlines()
    params = branches.folder / "params.yaml"
    both = "<<<<<<< .+\n(?:.+\n)+?=======\n((?:.+\n)+?)>>>>>>> .+\n"
    params.write_text(re.sub(both, r"\1", params.read_text()))
    branches.run("git", "add", "params.yaml")
    stages = branches.repro()
    branches.run("git", "add", "--all", "dvc.lock", "reports")
    branches.run("git", "commit", "--no-edit")
    lock = (branches.folder / "dvc.lock").read_bytes()
    return Merged(set(conflicts), stages, lock, branches.reports())


def test_the_merge_names_what_both_edited_and_runs_what_depends_on_both(
    branches: Clone, merged: Merged
) -> None:
    assert merged.conflicts >= {"dvc.lock", "params.yaml", "reports/plots/roc.csv"}
    assert merged.ran == ALWAYS
    assert branches.run("git", "status", "--porcelain") == ""


def test_the_merge_is_what_one_run_makes(
    branches: Clone, merged: Merged, thorough: bool, tmp_path: Path
) -> None:
    branches.run("git", "checkout", "--quiet", "--detach", "main")
    once = branches
    if thorough:
        once = Clone.of(branches.folder, tmp_path / "once")
    once.edit(binary__thresholds__precision=0.91, grid__n_neighbors=[3, 8])
    # Nothing is taken from the branches' runs.
    stages = ran(once.dvc("repro", "--no-run-cache").stdout)
    assert stages >= ALWAYS | {"evaluate_binary", "search_grid"}
    assert (once.folder / "dvc.lock").read_bytes() == merged.lock
    assert once.reports() == merged.reports


@pytest.fixture(scope="module")
def code(branches: Clone) -> str:
    """The branch ``code``: other code, the same figures here, and its results."""
    branches.run("git", "checkout", "--quiet", "--force", "-b", "code", "main")
    before, after = "curve.precision >= precision", "curve.precision >= min(precision, 0.905)"
    branches.replace("stages/evaluate/evaluate_binary.py", before, after)
    assert branches.repro() == {"evaluate_binary", "report"}
    assert branches.run("git", "diff", "main", "--", "reports") == ""
    branches.commit("code")
    return "code"


def test_code_and_a_parameter_that_have_never_met_are_run(branches: Clone, code: str) -> None:
    branches.run("git", "checkout", "--quiet", "--detach", "thresholds")
    branches.dvc("checkout", "evaluate_binary")
    before_merge = branches.metrics("binary/sgd.json")
    with pytest.raises(subprocess.CalledProcessError):
        branches.run("git", "merge", code)
    branches.run("git", "add", "dvc.lock")
    assert ran(branches.dvc("repro", "--single-item", "evaluate_binary").stdout)
    assert branches.metrics("binary/sgd.json") != before_merge


# Ways of git to merge by lines, on branch `thresholds`. `.gitattributes` reaches but its default.
BY_LINES = (
    "git merge code",
    "git checkout main && git merge code thresholds",
    "git rebase --apply code",
    "git format-patch --stdout main..code | git am",
)
CHANGED = ("dvc.lock", "params.yaml", "stages/evaluate/evaluate_binary.py")
OF_REPORT = re.compile("  report:\n(?:    .+\n|  - .+\n)+")


def merged_by(how: str, branches: Clone, folder: Path, of_report: str = r"\g<0>") -> str | None:
    """The lock that a way of git leaves of the branches ``thresholds`` and ``code``, if any.

    In a repository of a few of their files, where no attribute hinders. Of the locks, ``of_report``
    replaces what is recorded of the stage ``report``.
    """
    folder.mkdir()

    def run(command: str) -> int:
        environment = {**branches.environment, "GIT_EDITOR": "true"}
        shell = ["bash", "-o", "pipefail", "-c", command]
        done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, check=False)
        return done.returncode

    run("git init --quiet --initial-branch=main")
    for branch in ("main", "code", "thresholds"):
        if branch != "main":
            run(f"git checkout --quiet -b {branch} main")
        for name in CHANGED:
            text, n = branches.run("git", "show", f"{branch}:{name}"), 1
            if name == "dvc.lock":
                text, n = OF_REPORT.subn(of_report, text)
            assert n == 1
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        run("git add --all")
        assert run(f"git commit --quiet --message {branch}") == 0
    return (folder / "dvc.lock").read_text() if run(how) == 0 else None


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize("how", BY_LINES)
def test_no_merge_by_lines_mixes_the_locks_of_two_runs(
    branches: Clone, how: str, tmp_path: Path
) -> None:
    """Each has recorded a report of its own: of what it is made, the code and the parameters."""
    assert merged_by(how, branches, tmp_path / "whole") is None
    # Without that, it would be of no run: the code of one, and the other's parameters.
    mixed = merged_by(how, branches, tmp_path / "without", "")
    locks = [OF_REPORT.sub("", branches.run("git", "show", f"{b}:dvc.lock")) for b in BRANCHES]
    assert mixed
    assert mixed not in locks
