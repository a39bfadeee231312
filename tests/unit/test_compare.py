"""compare.md has what differs, and nothing else; what cannot be read is told, not left out."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from PIL import Image

from stages.common.errors import UserError
from tests.support import AUTHOR, ROOT
from tests.support.clone import install
from tools.compare import main

DVC_YAML = """
stages:
  make:
    cmd: "true"
    params: [a, b]
    metrics: [m.json: {cache: false}]
    plots: [c.csv: {cache: false}, same.csv: {cache: false}]
plots: [p.png, same.png]
"""
FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": "a: 1\nb: [1, two]",
    "m.json": '{"m": 1, "t": true, "same": 2}',
    "c.csv": "x,y\n1,2\n",
    "same.csv": "x,y\n1,2\n",
}


def git(*command: str) -> None:
    subprocess.run(["git", *command], check=True, capture_output=True, env=os.environ | AUTHOR)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage, whose results are committed as ``main``."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "--initial-branch=main")
        Repo.init().close()
        for name, content in FILES.items():
            Path(name).write_text(content)
        for name in ("p.png", "same.png"):
            Image.new("L", (9, 9)).save(name)
        with Repo() as repo:
            repo.commit(force=True)
        git("add", "dvc.lock", "p.png", "same.png", *FILES)
        git("commit", "--message", "All")
    return folder


@pytest.fixture(autouse=True)
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of it is the current folder; quiet as the command, whose errors tell it all."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "repository"))
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def written() -> str:
    """``compare.md``, without what only makes its tables look well as text."""
    return re.sub("-+", "-", re.sub(" +", " ", Path("compare.md").read_text()))


CHANGES = """# This branch against main

## Parameters

| Path | Key | main | workspace | Change |
|-|-|-|-|-|
| params.yaml | a | 1 | 2.5 | 1.5 |
| params.yaml | b | [1, 'two'] | [2, 'three'] | - |

## Metrics

| Path | Key | main | workspace | Change |
|-|-|-|-|-|
| m.json | m | 1 | 3 | 2 |
| m.json | t | True | False | -1 |

## p.png

![p.png](compare_plots/1-1.png)
![p.png](compare_plots/1-2.png)

## c.csv

![c.csv](compare_plots/3-1.png)
"""


def test_what_differs_is_there_and_nothing_else() -> None:
    Path("params.yaml").write_text("a: 2.5\nb: [2, three]")
    Path("m.json").write_text('{"m": 3, "t": false, "same": 2}')
    Path("c.csv").write_text("x,y\n1,3\n")
    old = Path("p.png").read_bytes()
    Image.new("L", (9, 9), 255).save("p.png")
    main("main")
    assert written() == CHANGES
    before, after, chart = sorted(Path("compare_plots").iterdir())
    assert before.read_bytes() == old
    assert after.read_bytes() == Path("p.png").read_bytes()
    with Image.open(chart) as image:
        # On white.
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_where_nothing_differs_it_says_so() -> None:
    Path("compare_plots").mkdir()
    Path("compare_plots/1-1.png").touch()
    main("main")
    assert written() == "# This branch against main\n\nNo parameter, metric or plot differs.\n"
    assert list(Path("compare_plots").iterdir()) == []


@pytest.mark.parametrize("name", ["c.csv", "dvc.lock", "dvc.yaml", "params.yaml"])
@pytest.mark.parametrize("where", ["base", "workspace"])
def test_what_cannot_be_read_is_told(
    where: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    git("checkout", "--quiet", "-b", "bad")
    Path(name).write_bytes(b'\xff{"')
    if where == "base":
        git("commit", "--all", "--message", "Broken")
        git("checkout", "--quiet", "main")
    with pytest.raises(UserError) as told:
        main("bad" if where == "base" else "main")
    line = str(told.value)
    assert line.startswith("bad: ") if where == "base" else line.endswith(", or run dvc repro")
    assert name in line
    assert "\n" not in line
    assert not Path("compare.md").exists()
    assert capfd.readouterr().err == ""


def test_what_the_base_has_not_counts_as_none() -> None:
    names = ("params.yaml", "m.json", "c.csv", "p.png")
    git("checkout", "--quiet", "-b", "less")
    git("rm", "--force", *names)
    git("commit", "--all", "--message", "Less")
    git("checkout", "--quiet", "main")
    main("less")
    assert [name for name in names if name not in Path("compare.md").read_text()] == []


def test_a_branch_may_have_any_name() -> None:
    """Neither make nor the shell reads it."""

    def make(branch: str) -> subprocess.CompletedProcess[str]:
        makefile = f"--file={ROOT / 'Makefile'}"
        command = ["make", makefile, "--assume-old=.venv", "compare", f"BASE={branch}"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    install(Path(), python=sys.executable)
    branch = """a$b,$$,it's,"a;b",$(HOME),$(touch${IFS}run)"""
    git("branch", branch)
    assert make(branch).returncode == 0
    assert written().startswith(f"# This branch against {branch}\n")
    assert not Path("run").exists()
    Path("compare_plots/kept.png").touch()
    assert make("none").stderr.startswith("unknown Git revision 'none'\n")
    assert Path("compare_plots/kept.png").exists()
