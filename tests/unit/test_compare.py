"""compare.md, as a Markdown parser reads it: what differs, and nothing else.

A file of either revision that cannot be read is told, and is not taken for none.
"""

import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo
from markdown_it import MarkdownIt
from PIL import Image

from stages.common.errors import UserError
from tests.support import ROOT
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
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage, whose results are committed as ``main``."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "--initial-branch=main")
        with Repo.init():
            pass
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


def sections() -> dict[str, list[list[str]]]:
    """The text of the cells of each table's rows, below its title; a title's pictures, too."""
    found: dict[str, list[list[str]]] = {}
    tokens = MarkdownIt("commonmark").enable("table").parse(Path("compare.md").read_text())
    for opened, token in pairwise(tokens):
        parts = token.children or []
        if opened.type == "heading_open":
            rows = found.setdefault("".join(part.content for part in parts), [])
        elif opened.type == "tr_open":
            rows.append([])
        elif opened.type in {"th_open", "td_open"}:
            rows[-1].append("".join(str(part.attrs.get("src", part.content)) for part in parts))
        elif opened.type == "paragraph_open":
            rows.append([str(part.attrs.get("src", part.content)) for part in parts])
    return found


def test_what_differs_is_there_and_nothing_else() -> None:
    Path("params.yaml").write_text("a: 2.5\nb: [2, three]")
    Path("m.json").write_text('{"m": 3, "t": false, "same": 2}')
    Path("c.csv").write_text("x,y\n1,3\n")
    old = Path("p.png").read_bytes()
    Image.new("L", (9, 9), 255).save("p.png")
    main("main")
    found = sections()
    header = ["Path", "Key", "main", "workspace", "Change"]
    ((chart,),), ((before, _, after),) = found.pop("c.csv"), found.pop("p.png")
    assert found == {
        "This branch against main": [],
        "Parameters": [
            header,
            ["params.yaml", "a", "1", "2.5", "1.5"],
            ["params.yaml", "b", "[1, 'two']", "[2, 'three']", "-"],
        ],
        "Metrics": [
            header,
            ["m.json", "m", "1", "3", "2"],
            ["m.json", "t", "True", "False", "-1"],
        ],
    }
    assert Path(before).read_bytes() == old
    assert Path(after).read_bytes() == Path("p.png").read_bytes()
    with Image.open(chart) as image:
        # Both revisions' points, on white.
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    # Nothing else is there.
    assert {*map(str, Path("compare_plots").iterdir())} == {chart, before, after}


def test_where_nothing_differs_it_says_so() -> None:
    main("main")
    assert sections() == {"This branch against main": [["No parameter, metric or plot differs."]]}
    assert list(Path("compare_plots").iterdir()) == []


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"same.csv"} | {"dvc.lock"}))
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


def test_a_revision_that_is_none_is_told() -> None:
    with pytest.raises(DvcException, match=r"^unknown Git revision 'nowhere'$"):
        main("nowhere")


def test_a_branch_may_have_any_name() -> None:
    """Neither make nor the shell reads it."""
    branch = """a$b,$$,it's,"a;b",$(HOME),$(touch${IFS}run)"""
    git("branch", branch)
    install(Path(), python=sys.executable)
    command = ["make", "--file", str(ROOT / "Makefile"), "--assume-old=.venv"]
    subprocess.run([*command, "compare", f"BASE={branch}"], check=True)
    assert f"This branch against {branch}" in sections()
    assert not Path("run").exists()


@pytest.mark.parametrize(("target", "name"), [("compare", "BASE"), ("predict", "IMAGE")])
def test_an_empty_argument_of_make_ends_in_one_line(target: str, name: str) -> None:
    """As of a variable of the shell that is not set."""
    command = ["make", "--file", str(ROOT / "Makefile"), "--assume-old=.venv", target, f"{name}="]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    (line,) = done.stderr.splitlines()
    assert re.search(rf"\*\*\* name a \w+: make {target} {name}=.+", line)
