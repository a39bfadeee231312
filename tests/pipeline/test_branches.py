"""Branches that both have results meet, with real ``git`` and real ``dvc repro``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.clone import Clone

# What depends on all parameters, or on all metrics.
ALWAYS = {"check_params", "compare_notebook", "model_card", "report", "summarise"}


def ran(printed: str) -> set[str]:
    """The stages that ``dvc repro`` ran."""
    return set(re.findall(r"Running stage '(.+)'", printed))


@pytest.fixture(scope="module")
def branches(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The branches ``thresholds`` and ``grid``, each with an edit of its own, and its results."""
    clone.run("git", "config", "user.name", "Test")
    clone.run("git", "config", "user.email", "test@example.org")
    # With a remote, what is missing is looked for there before it is made.
    remote = str(tmp_path_factory.mktemp("remote"))
    clone.dvc("remote", "add", "--quiet", "--local", "--default", "class", remote)
    clone.run("git", "checkout", "--quiet", "-b", "thresholds", "main")
    clone.edit(binary__thresholds__precision=0.91, gallery__n_digits=90)
    assert clone.repro() == ALWAYS | {"evaluate_binary", "gallery"}
    clone.commit("thresholds")
    clone.run("git", "checkout", "--quiet", "-b", "grid", "main")
    clone.edit(grid__n_neighbors=[3, 8])
    assert clone.repro() == ALWAYS | {"search_grid", "evaluate_neighbors", "evaluate_machine"}
    clone.commit("grid")
    yield clone
    clone.dvc("remote", "remove", "--local", "class")
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
    """What ``make merge`` has left."""

    ran: set[str]
    lock: bytes
    reports: dict[str, bytes]


@pytest.fixture(scope="module")
def merged(branches: Clone) -> Merged:
    """The branch ``merged``: ``thresholds`` merged into ``grid``."""
    branches.run("git", "checkout", "--quiet", "-b", "merged", "grid")
    printed = branches.make("merge", "BRANCH=thresholds")
    lock = (branches.folder / "dvc.lock").read_bytes()
    return Merged(ran(printed), lock, branches.reports())


def test_the_merge_runs_what_depends_on_both(branches: Clone, merged: Merged) -> None:
    assert merged.ran == ALWAYS
    assert branches.run("git", "status", "--porcelain") == ""
    parents = branches.run("git", "rev-parse", "merged^1", "merged^2")
    assert parents == branches.run("git", "rev-parse", "grid", "thresholds")


def test_the_merge_is_what_one_run_makes(
    branches: Clone, merged: Merged, thorough: bool, tmp_path: Path
) -> None:
    branches.run("git", "checkout", "--quiet", "-b", "once", "main")
    once = branches
    if thorough:
        (tmp_path / "once").mkdir()
        once = Clone.of(branches.folder, tmp_path / "once", tmp_path)
    once.edit(binary__thresholds__precision=0.91, gallery__n_digits=90, grid__n_neighbors=[3, 8])
    # Nothing is taken from the branches' runs.
    stages = ran(once.dvc("repro", "--no-run-cache").stdout)
    assert stages >= ALWAYS | {"evaluate_binary", "gallery", "search_grid", "evaluate_neighbors"}
    assert (once.folder / "dvc.lock").read_bytes() == merged.lock
    assert once.reports() == merged.reports


def test_what_both_edited_is_named_and_the_rest_made(branches: Clone, merged: Merged) -> None:
    """Conflicts in ``params.yaml``, ``dvc.lock``, a CSV and a PNG at once."""
    branches.run("git", "checkout", "--quiet", "--detach", "main")
    branches.edit(
        binary__thresholds__precision=0.96, gallery__n_digits=80, grid__n_neighbors=[3, 8]
    )
    branches.dvc("repro", "gallery", "evaluate_binary", "search_grid")
    branches.commit("other")
    other = branches.run("git", "rev-parse", "HEAD").strip()
    branches.run("git", "checkout", "--quiet", "--detach", "thresholds")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        branches.make("merge", f"BRANCH={other}")
    assert failed.value.stderr.splitlines()[0] == (
        "in conflict, or edited and not added: params.yaml. Resolve, `git add`, then `make merge`"
    )
    conflicts = set(branches.run("git", "diff", "--name-only", "--diff-filter=U").splitlines())
    assert conflicts >= {
        *("dvc.lock", "params.yaml"),
        *("reports/plots/roc.csv", "reports/pictures/first_digits.png"),
    }
    text = (branches.folder / "params.yaml").read_text()
    ours = re.sub("<<<<<<< .+\n((?:.+\n)+?)=======\n(?:.+\n)+?>>>>>>> .+\n", r"\1", text)
    (branches.folder / "params.yaml").write_text(ours)
    branches.run("git", "add", "params.yaml")
    # The other merge has computed it.
    assert ran(branches.make("merge")) == set()
    assert branches.reports() == merged.reports
    assert branches.run("git", "diff", "merged") == ""


@pytest.mark.thorough
def test_a_rebase_ends_in_the_same_files(branches: Clone, merged: Merged) -> None:
    """tests/unit/test_merge.py has one without DVC."""
    branches.run("git", "checkout", "--quiet", "--detach", "thresholds")
    with pytest.raises(subprocess.CalledProcessError):
        branches.run("git", "rebase", "grid")
    assert ran(branches.make("merge")) == set()
    branches.run("git", "-c", "core.editor=true", "rebase", "--continue")
    assert branches.reports() == merged.reports
    assert branches.run("git", "diff", "merged") == ""


def test_code_and_a_parameter_that_have_never_met_are_run(branches: Clone) -> None:
    """Lines of two runs would merge, and ``dvc repro`` take them for one."""
    branches.run("git", "checkout", "--quiet", "-b", "code", "main")
    path = branches.folder / "stages" / "evaluate" / "evaluate_binary.py"
    before, after = "curve.precision >= precision", "curve.precision >= min(precision, 0.905)"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    branches.dvc("repro", "--single-item", "evaluate_binary")
    branches.commit("code")
    assert branches.run("git", "diff", "main", "--", "reports") == ""
    branches.run("git", "checkout", "--quiet", "--detach", "thresholds")
    branches.dvc("checkout", "evaluate_binary")
    before_merge = branches.metrics("binary/sgd.json")
    with pytest.raises(subprocess.CalledProcessError):
        branches.run("git", "merge", "code")
    branches.run("git", "add", "dvc.lock")
    assert ran(branches.dvc("repro", "--single-item", "evaluate_binary").stdout)
    assert branches.metrics("binary/sgd.json") != before_merge
