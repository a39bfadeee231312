"""Merging with git, where a script stands for DVC: ``reports/`` is what it makes of the rest."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import ROOT
from tests.support.clone import install

# Like DVC: it runs nothing where the recorded input is the present one, and removes no file.
DVC = """#!/bin/sh
cmp -s "params.yaml" dvc.lock && [ -f reports/a.json ] && exit
cat params.yaml > dvc.lock
for name in $(cat stages.txt); do sed "s/^/$name /" params.yaml > "reports/$name.json"; done
"""
PARAMS = "".join(f"{key}: 0\n" for key in "abcdefghi")


class Project:
    """A repository with our ``Makefile`` and ``.gitattributes``, and a pipeline of ``cat``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("Makefile", ".gitattributes"):
            shutil.copy(ROOT / name, folder)
        (folder / "reports").mkdir()
        self.write("stages.txt", "a b\n")
        self.write("params.yaml", PARAMS)
        self.write(".gitignore", "/.venv/\n")
        self.install()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Test")
        self.git("config", "user.email", "test@example.org")
        self.commit("main")

    def install(self) -> None:
        """What ``make`` would."""
        install(self.folder, python=sys.executable, dvc="")
        self.write(".venv/bin/dvc", DVC)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHON": "true",
            "PYTHONPATH": str(ROOT),
            "GIT_EDITOR": "true",
        }
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def git(self, *command: str) -> str:
        done = self.run("git", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stops(self, *command: str) -> None:
        """Git does, at a conflict."""
        assert self.run("git", *command).returncode == 1

    def make(self, branch: str | None = None) -> subprocess.CompletedProcess[str]:
        arguments = [] if branch is None else [f"BRANCH={branch}"]
        return self.run("make", "--no-print-directory", "merge", *arguments)

    def refuses(self, branch: str | None = None) -> str:
        """The one line that ``make merge`` says and fails with, and make's own."""
        before = self.git("rev-parse", "HEAD")
        done = self.make(branch)
        assert done.returncode != 0
        assert self.git("rev-parse", "HEAD") == before
        line, make, *rest = done.stderr.splitlines()
        assert make.startswith("make: ***")
        assert rest == []
        return line

    def commit(self, message: str) -> None:
        """Run the pipeline, and commit what there is."""
        assert self.run(str(self.folder / ".venv" / "bin" / "dvc")).returncode == 0
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
        lines = [f"{key}: {value}" if line[0] == key else line for line in self.lines()]
        self.write("params.yaml", "".join(f"{line}\n" for line in lines))

    def lines(self) -> list[str]:
        return self.read("params.yaml").splitlines()

    def tree(self, revision: str = "HEAD") -> str:
        """What a commit holds, as one hash."""
        return self.git("rev-parse", f"{revision}^{{tree}}")

    def is_of(self, *edits: str, stages: str = "ab") -> None:
        """The parameters have these edits, the results are theirs, and all is committed."""
        expected = "".join(f"{key}: {int(key in edits)}\n" for key in "abcdefghi")
        assert self.read("params.yaml") == self.read("dvc.lock") == expected
        found = {path.name: path.read_text() for path in (self.folder / "reports").iterdir()}
        made = "".join(f"{{}} {line}\n" for line in self.lines())
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


def test_two_edits_meet(project: Project) -> None:
    done = project.make("last")
    assert done.returncode == 0, done.stderr
    assert "CONFLICT" not in done.stdout + done.stderr
    project.is_of("a", "i")
    assert project.git("log", "-1", "--format=%B").strip() == "Merge branch 'last' into first"
    assert project.git("rev-parse", "HEAD^2") == project.git("rev-parse", "last")
    assert project.make("last").returncode == 0
    project.is_of("a", "i")


def test_where_one_side_stands_still_git_does_all(project: Project) -> None:
    project.git("checkout", "--quiet", "main")
    assert project.make("last").returncode == 0
    assert project.git("rev-parse", "HEAD") == project.git("rev-parse", "last")


def test_results_are_made_before_the_commit_where_nothing_conflicts(project: Project) -> None:
    project.git("checkout", "--quiet", "-b", "lazy", "main")
    project.edit("i")
    project.git("commit", "--quiet", "--all", "--message", "results not made")
    project.git("checkout", "--quiet", "first")
    assert project.make("lazy").returncode == 0
    project.is_of("a", "i")


def test_without_our_command_it_is_dvc_repro_and_a_commit(project: Project) -> None:
    project.stops("merge", "last")
    # Nothing in conflict has lines of both, and DVC can read its file.
    assert project.read("dvc.lock") == project.git("show", "first:dvc.lock")
    assert project.read("reports/a.json") == project.git("show", "first:reports/a.json")
    project.commit("merged")
    project.is_of("a", "i")


STOPPED = {
    "a rebase": (["rebase", "last"], ["rebase", "--continue"]),
    "a cherry-pick": (["cherry-pick", "last"], ["cherry-pick", "--continue"]),
    "a merge": (["merge", "last"], None),
    "a pull": (["pull", "--no-rebase", ".", "last"], None),
    "a revert": (["revert", "last"], ["revert", "--continue"]),
}


@pytest.mark.parametrize("what", STOPPED)
def test_it_goes_on_where_git_has_stopped(project: Project, what: str) -> None:
    stopping, going_on = STOPPED[what]
    if what == "a revert":
        assert project.make("last").returncode == 0
        project.edit("b")
        project.commit("after it")
    project.stops(*stopping)
    assert project.make().returncode == 0
    if going_on:
        project.git(*going_on)
    project.is_of("a", "b" if what == "a revert" else "i")


def test_it_goes_on_after_a_stash(project: Project) -> None:
    project.git("checkout", "--quiet", "last")
    project.edit("a")
    project.run(str(project.folder / ".venv" / "bin" / "dvc"))
    project.git("stash")
    project.edit("c")
    project.commit("meanwhile")
    project.stops("stash", "pop")
    assert project.make().returncode == 0
    project.git("commit", "--quiet", "--all", "--message", "popped")
    project.is_of("a", "c", "i")


def test_a_line_that_both_edited_is_for_the_user(project: Project) -> None:
    project.branch("other", lambda project: project.edit("a", 2))
    project.git("checkout", "--quiet", "first")
    line = (
        "in conflict, or edited and not added: params.yaml. Resolve, `git add`, then `make merge`"
    )
    assert project.refuses("other") == line
    assert project.refuses("other") == line
    assert project.refuses() == line
    assert project.refuses("last") == "another merge is under way: `make merge` ends it"
    project.write("params.yaml", PARAMS)
    project.edit("a")
    assert project.refuses() == line
    project.git("add", "params.yaml")
    project.edit("b")
    assert project.refuses() == line
    project.git("add", "params.yaml")
    assert project.make("other").returncode == 0
    project.is_of("a", "b")


def test_what_it_names_can_be_copied(project: Project) -> None:
    name = "it's \t ä.py"
    for branch in ("here", "there"):
        project.branch(branch, partial(Project.write, name=name, text=branch))
    project.git("checkout", "--quiet", "there")
    assert "'it'\"'\"'s \t ä.py'" in project.refuses("here")


def test_an_edit_that_is_not_committed_comes_first(project: Project) -> None:
    project.edit("e")
    assert project.refuses("last") == "commit or stash first: params.yaml"
    assert project.git("status", "--porcelain") == " M params.yaml\n"


def test_a_report_that_git_does_not_track_is_not_committed_unseen(project: Project) -> None:
    project.write("reports/notes.txt", "mine")
    assert project.refuses("last") == "git does not track, in reports: reports/notes.txt"
    assert project.git("status", "--porcelain") == "?? reports/notes.txt\n"


def test_a_setting_of_gits_does_not_hinder(project: Project) -> None:
    project.git("config", "merge.ff", "only")
    assert project.make("last").returncode == 0
    project.is_of("a", "i")


def test_what_git_refuses_is_gits_to_say(project: Project) -> None:
    assert project.refuses("nowhere") == "merge: nowhere - not something we can merge"
    assert project.refuses() == "name a branch: make merge BRANCH=main"
    for hostile in ("--abort", "$(shell touch ran)", "'; touch ran; '", "`touch ran`"):
        assert project.refuses(hostile) == f"merge: {hostile} - not something we can merge"
        assert not (project.folder / "ran").exists()


def test_a_stage_that_one_side_removed_leaves_no_report(project: Project) -> None:
    def remove(project: Project) -> None:
        project.write("stages.txt", "a c\n")
        project.edit("i")
        (project.folder / "reports" / "b.json").unlink()

    project.branch("renamed", remove)
    project.git("checkout", "--quiet", "first")
    assert project.make("renamed").returncode == 0
    project.is_of("a", "i", stages="ac")
    project.git("checkout", "--quiet", "-b", "swapped", "renamed")
    assert project.make("first").returncode == 0
    assert project.tree() == project.tree("first")


def test_a_run_that_fails_is_gone_on_with(project: Project) -> None:
    project.git("checkout", "--quiet", "last")
    project.git("rm", "--quiet", "reports/b.json")
    project.git("commit", "--quiet", "--message", "without")
    project.git("checkout", "--quiet", "first")
    project.write(".venv/bin/dvc", "#!/bin/sh\nexit 1\n")
    before = project.git("rev-parse", "HEAD")
    assert project.make("last").returncode != 0
    assert project.git("rev-parse", "HEAD") == before
    project.write(".venv/bin/dvc", DVC)
    assert project.make("last").returncode == 0
    project.is_of("a", "i")


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
    assert project.make("last").returncode == 0
    for base in ("last", "main"):
        project.git("checkout", "--quiet", "--detach", base)
        project.git("merge", "--no-ff", "--no-edit", "first")
        assert project.run(*check).returncode == 0


@pytest.mark.parametrize("ours", [True, False])
def test_a_lock_that_one_side_has_not(project: Project, ours: bool) -> None:
    project.git("rm", "--quiet", "dvc.lock")
    project.git("commit", "--quiet", "--message", "without")
    project.git("checkout", "--quiet", "first" if ours else "last")
    assert project.make("last" if ours else "first").returncode == 0
    project.is_of("a", "i")


def test_a_worktree_and_a_clone_have_it_too(project: Project, tmp_path: Path) -> None:
    for name in ("work tree", "clone"):
        if name == "clone":
            project.git("clone", "--quiet", ".", str(tmp_path / name))
        else:
            project.git("worktree", "add", "--detach", str(tmp_path / name), "first")
        other = Project.__new__(Project)
        other.folder = tmp_path / name
        other.install()
        other.git("config", "user.name", "Test")
        other.git("config", "user.email", "test@example.org")
        assert other.make("origin/last" if name == "clone" else "last").returncode == 0
        other.is_of("a", "i")


@pytest.mark.parametrize(
    "branch", ["a$b", "$$", "it's", '"a;b"', "`id`", "$(HOME)", "ä", "$(shell>ran)", "';>ran;'"]
)
def test_a_branch_may_have_any_name(project: Project, branch: str) -> None:
    project.git("branch", branch, "last")
    done = project.make(branch)
    assert done.returncode == 0, done.stderr
    project.is_of("a", "i")
