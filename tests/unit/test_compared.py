"""compare: a file of either revision that cannot be read is told, and is not taken for none."""

import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages.common.errors import UserError
from tests.support import ROOT
from tools.compare import main

FILES = {
    "dvc.yaml": """
stages:
  make:
    cmd: "true"
    params: [a]
    metrics: [m.json: {cache: false}]
    plots: [c.csv: {cache: false}]
""",
    "params.yaml": "a: 1",
    "m.json": '{"m": 1}',
    "c.csv": "x,y\n1,2\n",
}


def git(*command: str) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage, whose results are committed as ``main``; the workspace has others."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "--initial-branch=main")
        with Repo.init():
            pass
        for name, content in FILES.items():
            Path(name).write_text(content)
        with Repo() as repo:
            repo.commit(force=True)
        git("add", "dvc.yaml", "dvc.lock", "params.yaml", "m.json", "c.csv")
        git("commit", "--message", "All")
        Path("m.json").write_text('{"m": 3}')
    return folder


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As the command, which has no use for what DVC warns of."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it, which is the current folder."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "repository"))


def test_what_can_be_read_is_compared() -> None:
    main("main")
    assert "| `m.json` | `m` | `1` | `3` | +2 |" in Path("compare.md").read_text()


def broken(path: Path) -> None:
    path.write_bytes(b'\xff{"')


def text(path: Path) -> None:
    path.write_text("<<<<<<< HEAD")


BREAKS = [
    *((name, broken) for name in (*FILES, "dvc.lock")),
    *((name, text) for name in (*FILES, "dvc.lock") if name != "c.csv"),
]


@pytest.mark.parametrize(("name", "harm"), BREAKS)
def test_of_the_base(name: str, harm: Callable[[Path], None]) -> None:
    git("checkout", "--quiet", "-b", "bad")
    harm(Path(name))
    git("commit", "--all", "--message", "Broken")
    git("checkout", "--quiet", "main")
    with pytest.raises(UserError) as told:
        main("bad")
    assert str(told.value).startswith("bad: ")
    assert name in str(told.value)
    assert "\n" not in str(told.value)
    assert not Path("compare.md").exists()


@pytest.mark.parametrize(("name", "harm"), [*BREAKS, ("m.json", Path.unlink)])
def test_of_the_workspace(
    name: str, harm: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    harm(Path(name))
    with pytest.raises(UserError, match=rf"^.*{name}.*: mend it, or run dvc repro$"):
        main("main")
    assert not Path("compare.md").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["params.yaml", "m.json", "c.csv"])
def test_what_the_base_has_not_counts_as_none(name: str) -> None:
    git("checkout", "--quiet", "-b", "less")
    git("rm", "--force", name)
    git("commit", "--all", "--message", "Less")
    git("checkout", "--quiet", "main")
    main("less")
    assert name in Path("compare.md").read_text()


TARGETS = {"compare": "BASE", "predict": "IMAGE"}


@pytest.mark.parametrize("target", TARGETS)
def test_an_empty_argument_of_make_ends_in_one_line(target: str) -> None:
    """As of a variable of the shell that is not set."""
    # Which leaves .venv as it is.
    python = "PYTHON=true"
    call = ["make", "--file", str(ROOT / "Makefile"), python, target, f"{TARGETS[target]}="]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode
    (line,) = done.stderr.splitlines()
    assert re.search(rf"\*\*\* name a \w+: make {target} {TARGETS[target]}=.+", line)
    assert done.stdout == ""


def test_an_empty_revision_is_none() -> None:
    with pytest.raises(UserError, match=r"^name a revision: .+"):
        main("")
