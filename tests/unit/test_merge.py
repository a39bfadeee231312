"""Merging with git, where a script stands for DVC: ``reports/`` is what it makes of the rest."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import AUTHOR, ROOT

# Like DVC: it runs nothing where the recorded input is the present one, and removes no file.
DVC = """
cmp -s params.yaml dvc.lock && [ -f reports/a.json ] && exit
cat params.yaml > dvc.lock
for name in $(cat stages.txt); do sed "s/^/$name /" params.yaml > "reports/$name.json"; done
"""
PARAMS = "".join(f"{key}: 0\n" for key in "abcdefghi")


class Project:
    """A repository with our ``.gitattributes``, and a pipeline of ``cat``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "reports").mkdir(parents=True)
        shutil.copy(ROOT / ".gitattributes", folder)
        self.write("stages.txt", "a b\n")
        self.write("params.yaml", PARAMS)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("main")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | AUTHOR | {"GIT_EDITOR": "true"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def repro(self) -> None:
        self.run("sh", "-c", DVC)

    def git(self, *command: str) -> str:
        done = self.run("git", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stops(self, *command: str) -> None:
        """Git does, at a conflict."""
        assert self.run("git", *command).returncode == 1

    def settle(self) -> None:
        """What CONTRIBUTING.md says to do where git has stopped at results."""
        self.repro()
        self.git("add", "--all", "dvc.lock", "reports")

    def merge(self, branch: str) -> None:
        """Its three commands."""
        if self.run("git", "merge", branch).returncode:
            self.settle()
            self.git("commit", "--no-edit")

    def commit(self, message: str) -> None:
        """Run the pipeline, and commit what there is."""
        self.repro()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def branch(self, name: str, edit: Callable[["Project"], None]) -> None:
        """A branch from ``main`` with one commit; back to ``main``."""
        self.git("checkout", "--quiet", "-b", name, "main")
        edit(self)
        self.commit(name)
        self.git("checkout", "--quiet", "main")

    def edit(self, key: str, value: int = 1) -> None:
        """Set one of the parameters a to i."""
        lines = [
            f"{key}: {value}" if line[0] == key else line
            for line in self.read("params.yaml").splitlines()
        ]
        self.write("params.yaml", "".join(f"{line}\n" for line in lines))

    def is_of(self, *edits: str, stages: str = "ab") -> None:
        """The parameters have these edits, the results are theirs, and all is committed."""
        expected = "".join(f"{key}: {int(key in edits)}\n" for key in "abcdefghi")
        assert self.read("params.yaml") == self.read("dvc.lock") == expected
        found = {path.name: path.read_text() for path in (self.folder / "reports").iterdir()}
        made = "".join(f"{{}} {line}\n" for line in self.read("params.yaml").splitlines())
        assert found == {f"{name}.json": made.replace("{}", name) for name in stages}
        assert self.git("status", "--porcelain") == ""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """``main``, and from it the branches ``first`` and ``last``, which edit these parameters."""
    made = Project(tmp_path / "it's a $HOME")
    made.branch("first", lambda project: project.edit("a"))
    made.branch("last", lambda project: project.edit("i"))
    made.git("checkout", "--quiet", "first")
    return made


STOPPED = {
    "a merge": (["merge", "last"], ["commit", "--no-edit"]),
    "a rebase": (["rebase", "last"], ["rebase", "--continue"]),
    "a cherry-pick": (["cherry-pick", "last"], ["cherry-pick", "--continue"]),
    "a pull": (["pull", "--no-rebase", ".", "last"], ["commit", "--no-edit"]),
    "a revert": (["revert", "last"], ["revert", "--continue"]),
}


@pytest.mark.parametrize("what", STOPPED)
def test_it_goes_on_where_git_has_stopped(project: Project, what: str) -> None:
    stopping, going_on = STOPPED[what]
    if what == "a revert":
        project.merge("last")
        project.edit("b")
        project.commit("after it")
    project.stops(*stopping)
    # Nothing in conflict has lines of both, and DVC can read its file.
    for name in ("dvc.lock", "reports/a.json"):
        assert project.read(name) == project.git("show", f"HEAD:{name}")
    project.settle()
    project.git(*going_on)
    project.is_of("a", "b" if what == "a revert" else "i")


def test_it_goes_on_after_a_stash(project: Project) -> None:
    project.git("checkout", "--quiet", "last")
    project.edit("a")
    project.repro()
    project.git("stash")
    project.edit("c")
    project.commit("meanwhile")
    project.stops("stash", "pop")
    project.settle()
    project.git("commit", "--quiet", "--all", "--message", "popped")
    project.is_of("a", "c", "i")


def test_a_stage_that_one_side_removed_leaves_no_report(project: Project) -> None:
    def remove(project: Project) -> None:
        project.write("stages.txt", "a c\n")
        project.edit("i")
        (project.folder / "reports" / "b.json").unlink()

    project.branch("renamed", remove)
    project.git("checkout", "--quiet", "first")
    project.stops("merge", "renamed")
    # Git has kept it, for one side has changed it.
    (project.folder / "reports" / "b.json").unlink()
    project.settle()
    project.git("commit", "--no-edit")
    project.is_of("a", "i", stages="ac")


def of_workflow(name: str) -> tuple[str, ...]:
    """The command of a step of the workflow, by a shell that stops at the first error."""
    workflow = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "compare.yml")
    steps = {step.get("name"): step for step in workflow["jobs"]["compare"]["steps"]}
    return ("sh", "-e", "-c", steps[name]["run"])


@pytest.mark.parametrize("edit", [None, "reports/a.json", "reports/new.json", "dvc.lock"])
def test_results_that_nobody_committed_are_refused_by_the_workflow(
    project: Project, edit: str | None
) -> None:
    if edit:
        project.write(edit, "other")
    done = project.run(*of_workflow("The results are the committed ones"))
    assert done.returncode == (1 if edit else 0)


def test_a_merge_by_lines_as_githubs_is_refused_by_the_workflow(project: Project) -> None:
    check = of_workflow("dvc.lock is of one run")
    project.write(".git/info/attributes", "* merge\n")
    project.git("merge", "--no-edit", "last")
    assert project.read("dvc.lock") == project.read("params.yaml")
    assert project.run(*check).returncode == 1
    (project.folder / ".git" / "info" / "attributes").unlink()
    project.git("checkout", "--quiet", "-B", "first", "first^")
    project.merge("last")
    for base in ("last", "main"):
        project.git("checkout", "--quiet", "--detach", base)
        project.git("merge", "--no-ff", "--no-edit", "first")
        assert project.run(*check).returncode == 0


@pytest.mark.parametrize("ours", [True, False])
def test_a_lock_that_one_side_has_not(project: Project, ours: bool) -> None:
    project.git("rm", "--quiet", "dvc.lock")
    project.git("commit", "--quiet", "--message", "without")
    project.git("checkout", "--quiet", "first" if ours else "last")
    project.merge("last" if ours else "first")
    project.is_of("a", "i")
