"""What one clone has computed and pushed by DVC's own commands, another does not compute."""

import re
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import pytest
import requests
from moto.server import ThreadedMotoServer
from PIL import Image

from stages.data.sources import Mnist
from tests.support import ROOT
from tests.support.clone import Clone, md5, ran
from tests.support.documents import section

# No other test may use it: DVC would remember it.
EDIT = {"binary__thresholds__precision": 0.83, "forest__n_estimators": 11}
# They write what git keeps, a second or two each: DVC pushes no content of theirs.
CHEAP = {"evaluate_binary", "report"}


# Its section in docs/sharing.md.
KINDS = {
    "folder": "A folder",
    "HTTP": "HTTP: a class reads, and only the teacher writes",
    "S3": "S3, and what is compatible",
}


def git_clone(of: Clone, folder: Path) -> Clone:
    """A clone of what is committed, without data, on another path."""
    of.run("git", "clone", "--quiet", ".", str(folder))
    return Clone(folder)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What docs/sharing.md names, and what stands for it on this machine."""
    folder, store = tmp_path_factory.mktemp("remote"), ThreadedMotoServer("127.0.0.1", port=0)
    store.start()
    url = "http://{}:{}".format(*store.get_host_and_port())
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
    ):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        requests.put(f"{url}/bucket", timeout=60).raise_for_status()
        Thread(target=server.serve_forever).start()
        yield {
            "/srv/digitline": str(folder),
            "teacher:8000": f"127.0.0.1:{server.server_port}",
            "https://s3.example.org": url,
        }
        server.shutdown()
    store.stop()


def shell(clone: Clone, *commands: str) -> None:
    """Run lines of a document, as their reader types them."""
    for line in commands:
        command, *words = shlex.split(line, comments=True)
        if command == "dvc":
            clone.dvc(*words)
        else:
            clone.run(command, *words)


def lines(title: str, start: str = "", file: str = "docs/sharing.md") -> list[str]:
    """The lines that a section has of how to share, of those that start so."""
    block = "".join(re.findall(r"```\n(.+?)```", section(file, title), re.S))
    return [line for line in block.splitlines() if line.startswith(start)]


def add_remote(clone: Clone, kind: str, here: dict[str, str]) -> None:
    """Set a kind of remote up by the lines of docs/sharing.md."""
    added = "\n".join(lines(KINDS[kind], "dvc remote"))
    for old, new in here.items():
        added = added.replace(old, new)
    shell(clone, *added.splitlines())


@pytest.fixture(scope="module")
def teacher(clone: Clone, here: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that has pushed what is committed to the folder, and an edit to the folder and S3."""
    made = git_clone(clone, tmp_path_factory.mktemp("teacher's") / "clone")
    shutil.copytree(clone.folder / ".dvc" / "cache", made.folder / ".dvc" / "cache")
    made.dvc("checkout")

    def push(*kinds: str) -> None:
        for kind in kinds:
            add_remote(made, kind, here)
            shell(made, *lines(KINDS[kind], "dvc push"))
            made.run("git", "checkout", "--quiet", "--", ".dvc")

    push("folder")
    made.edit(**EDIT)
    printed = made.make("repro")
    assert ran(printed) == {"check_params", "fit@binary_forest", *CHEAP}
    # Without a default remote nothing is asked for.
    assert "pull" not in printed
    push("folder", "S3")
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_clone_that_pulls_runs_nothing(
    teacher: Clone, here: dict[str, str], tmp_path: Path, kind: str
) -> None:
    student = git_clone(teacher, tmp_path / "student's")
    add_remote(student, kind, here)
    # S3 has only what is in place with the edit.
    if kind != "S3":
        assert ran(student.make("repro")) == set()
        outs = student.outs()
        assert {path: md5(student.folder / path) for path in outs} == outs
        # The setting of the remote alone.
        assert student.run("git", "status", "--porcelain") == " M .dvc/config\n"
    # What somebody has computed of an edit; over HTTP, nobody can list it.
    if kind != "HTTP":
        student.edit(**EDIT)
        assert ran(student.make("repro")) == CHEAP
        assert student.reports() == teacher.reports()


def test_without_an_answer_of_the_remote_all_is_computed(teacher: Clone) -> None:
    path = "data/is_target/test.npy"
    teacher.cached(teacher.outs()[path]).unlink()
    (teacher.folder / path).unlink()
    # Nothing is installed that would reach it.
    teacher.dvc("remote", "add", "--default", "class", "gs://bucket/digitline")
    assert ran(teacher.make("repro")) == {"label"}
    assert md5(teacher.folder / path) == teacher.outs()[path]


def test_a_colleague_gets_the_pictures(digits: Mnist, tmp_path: Path) -> None:
    """And of them, with what is committed, the same images."""
    author = Clone.of(ROOT, tmp_path / "author's")
    author.edit(data__source="pictures", split__n_train=20)
    for part, i in product(("train", "test"), range(20)):
        folder = author.folder / "data" / "pictures" / part / str(digits[1][i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits[0][i]).save(folder / f"{i}.png")
    author.dvc("remote", "add", "--default", "class", str(tmp_path / "remote"))
    author.commit("Code and remote")
    *add, pull = lines("Versions of your data", file="docs/data.md")
    shell(author, *add)
    author.dvc("repro", "fetch")
    author.commit("Images")

    colleague = git_clone(author, tmp_path / "colleague's")
    shell(colleague, pull)
    assert colleague.folder.joinpath("data", "pictures", "train").is_dir()
    colleague.dvc("repro", "fetch")
    assert colleague.run("git", "status", "--porcelain") == ""
