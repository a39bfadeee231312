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
from typing import NamedTuple

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


def git_clone(of: Clone, folder: Path) -> Clone:
    """A clone of what is committed, without data, on another path."""
    of.run("git", "clone", "--quiet", ".", str(folder))
    return Clone(folder)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an S3-compatible store that has one bucket."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        requests.put(f"{url}/bucket", timeout=60).raise_for_status()
        yield url
    server.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder for a remote, and the port that a web server serves it on."""
    folder = tmp_path_factory.mktemp("remote")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield folder, str(server.server_port)
        server.shutdown()


def shell(clone: Clone, *commands: str) -> str:
    """What lines of a document print, as their reader types them."""
    others = {"dvc": lambda *words: clone.dvc(*words).stdout, "make": clone.make}
    printed = ""
    for line in commands:
        command, *words = shlex.split(line, comments=True)
        printed += others.get(command, partial(clone.run, command))(*words)
    return printed


def lines(title: str, file: str = "docs/sharing.md", **replaced: str) -> list[str]:
    """The lines that a section has of how to share, for this machine."""
    block = "".join(re.findall(r"```\n(.+?)```", section(file, title), re.S))
    for old, new in replaced.items():
        block = block.replace(old, new)
    return block.splitlines()


class Shared(NamedTuple):
    """Remotes that have been set up by the lines of docs/sharing.md, and pushed to.

    The teacher has computed and pushed an edit, which has made the reports ``edited``, then what is
    committed. ``student`` has the lines for a clone that pulls, by the kind of remote.
    """

    teacher: Clone
    edited: dict[str, bytes]
    folder: Path
    student: dict[str, list[str]]


@pytest.fixture(scope="module")
def shared(
    clone: Clone, store: str, served: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Shared:
    """A teacher's clone, and what it has pushed to."""
    teacher = git_clone(clone, tmp_path_factory.mktemp("teacher's") / "clone")
    shutil.copytree(clone.folder / ".dvc" / "cache", teacher.folder / ".dvc" / "cache")
    teacher.dvc("checkout")
    folder, port = served
    here = {"/srv/digitline": str(folder), "teacher": "127.0.0.1", "8000": port}
    add_folder, push, repro = lines("A folder", **here)
    _, *http = lines("HTTP: a class reads, and only the teacher writes", **here)
    *add_s3, push_s3 = lines("S3, and what is compatible", **{"https://s3.example.org": store})

    def share(*commands: str) -> None:
        shell(teacher, *commands)
        teacher.run("git", "checkout", "--quiet", "--", ".dvc")

    teacher.edit(**EDIT)
    printed = teacher.make("repro")
    assert ran(printed) == {"check_params", "fit@binary_forest", *CHEAP}
    # Without a default remote nothing is asked for.
    assert "pull" not in printed
    edited = teacher.reports()
    share(add_folder, push)
    share(*add_s3, push_s3)
    teacher.undo()
    share(add_folder, push)
    student = {"folder": [add_folder, repro], "HTTP": http, "S3": [*add_s3, repro]}
    return Shared(teacher, edited, folder, student)


@pytest.mark.parametrize("kind", ["folder", "HTTP", "S3"])
def test_a_clone_that_pulls_runs_nothing(shared: Shared, tmp_path: Path, kind: str) -> None:
    student = git_clone(shared.teacher, tmp_path / "student's")
    *add, repro = shared.student[kind]
    shell(student, *add)
    # S3 has only what is in place with the edit.
    if kind != "S3":
        assert ran(shell(student, repro)) == set()
        outs = shared.teacher.outs()
        assert {path: md5(student.folder / path) for path in outs} == outs == student.outs()
        # The setting of the remote alone.
        assert student.run("git", "status", "--porcelain") == " M .dvc/config\n"
    # What somebody has computed of an edit; over HTTP, nobody can list it.
    if kind != "HTTP":
        student.edit(**EDIT)
        assert ran(shell(student, repro)) == CHEAP
        assert student.reports() == shared.edited != shared.teacher.reports()


@pytest.mark.parametrize("url", ["gs://bucket/digitline", "{damaged}"])
def test_what_a_remote_does_not_have_is_computed(shared: Shared, tmp_path: Path, url: str) -> None:
    """Nor has it what is damaged, if it is verified."""
    clone, path = shared.teacher, "data/is_target/test.npy"
    cached = clone.cached(clone.outs()[path])
    if url == "{damaged}":
        remote = shutil.copytree(shared.folder, tmp_path / "remote")
        damaged = remote / "files" / "md5" / cached.parent.name / cached.name
        damaged.chmod(0o644)
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x02")
    cached.unlink()
    (clone.folder / path).unlink()
    at = url.format(damaged=tmp_path / "remote")
    clone.dvc("remote", "add", "--quiet", "--default", "class", at)
    if url == "{damaged}":
        shell(clone, *lines("What comes may be damaged"))
    assert ran(clone.make("repro")) == {"label"}
    clone.undo()
    assert md5(clone.folder / path) == clone.outs()[path]


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
    *add, pull = lines("Versions of your data", "docs/data.md")
    shell(author, *add)
    author.dvc("repro", "fetch")
    author.commit("Images")

    colleague = git_clone(author, tmp_path / "colleague's")
    shell(colleague, pull)
    assert colleague.folder.joinpath("data", "pictures", "train").is_dir()
    colleague.dvc("repro", "fetch")
    assert colleague.run("git", "status", "--porcelain") == ""
