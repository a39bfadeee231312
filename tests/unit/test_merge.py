"""Merging with git, where a script stands for DVC: ``reports/`` is what it makes of the rest."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import AUTHOR, ROOT

# Like DVC, it runs nothing where the recorded input is the present one.
DVC = """
cmp -s params.yaml dvc.lock && [ -f reports/a.json ] && exit
cat params.yaml > dvc.lock
sed "s/^/made of /" params.yaml > reports/a.json
"""


class Project:
    """A repository with our ``.gitattributes``, and a pipeline of ``cat``.

    From ``main``, the branches ``first`` and ``last`` edit the parameters a and i.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "reports").mkdir(parents=True)
        shutil.copy(ROOT / ".gitattributes", folder)
        self.write("params.yaml", "".join(f"{key}: 0\n" for key in "abcdefghi"))
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("main")
        for name, key in (("last", "i"), ("first", "a")):
            self.git("checkout", "--quiet", "-b", name, "main")
            self.edit(key)
            self.commit(name)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | AUTHOR | {"GIT_EDITOR": "true"}
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def git(self, *command: str) -> str:
        done = self.run("git", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def settle(self) -> None:
        """What CONTRIBUTING.md says to do where git has stopped at results."""
        self.run("sh", "-c", DVC)
        self.git("add", "--all", "dvc.lock", "reports")

    def commit(self, message: str) -> None:
        """Run the pipeline, and commit what there is."""
        self.run("sh", "-c", DVC)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def edit(self, key: str) -> None:
        """Set one of the parameters a to i."""
        self.write("params.yaml", self.read("params.yaml").replace(f"{key}: 0", f"{key}: 1"))

    def is_of(self, edits: str) -> None:
        """The parameters have these edits, the results are theirs, and all is committed."""
        lines = [f"{key}: {int(key in edits)}\n" for key in "abcdefghi"]
        assert self.read("params.yaml") == self.read("dvc.lock") == "".join(lines)
        assert self.read("reports/a.json") == "".join(f"made of {line}" for line in lines)
        assert self.git("status", "--porcelain") == ""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """It is on ``first``."""
    return Project(tmp_path / "it's a $HOME")


@pytest.mark.parametrize(
    ("stopping", "going_on", "edits"),
    [
        (["merge", "last"], ["commit", "--no-edit"], "ai"),
        (["rebase", "last"], ["rebase", "--continue"], "ai"),
        (["cherry-pick", "last"], ["cherry-pick", "--continue"], "ai"),
        (["pull", "--no-rebase", ".", "last"], ["commit", "--no-edit"], "ai"),
        (["revert", "HEAD^"], ["revert", "--continue"], "e"),
        (["stash", "pop"], ["commit", "--message", "popped"], "aei"),
    ],
    ids=lambda words: words[0],
)
def test_it_goes_on_where_git_has_stopped(
    project: Project, stopping: list[str], going_on: list[str], edits: str
) -> None:
    if stopping[0] == "stash":
        project.edit("i")
        project.run("sh", "-c", DVC)
        project.git("stash")
    if stopping[0] in ("stash", "revert"):
        project.edit("e")
        project.commit("after it")
    assert project.run("git", *stopping).returncode == 1
    # Nothing in conflict has lines of both, and DVC can read its file.
    for name in ("dvc.lock", "reports/a.json"):
        assert project.read(name) == project.git("show", f"HEAD:{name}")
    project.settle()
    project.git(*going_on)
    project.is_of(edits)


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
    project.git("reset", "--quiet", "--hard", "HEAD^")
    assert project.run("git", "merge", "last").returncode == 1
    project.settle()
    project.git("commit", "--no-edit")
    for base in ("last", "main"):
        project.git("checkout", "--quiet", "--detach", base)
        project.git("merge", "--no-ff", "--no-edit", "first")
        assert project.run(*check).returncode == 0
