"""What one clone has computed and pushed, another does not compute; and remotes in trouble."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import pytest
import requests

from tests.support.clone import Clone, md5
from tests.support.documents import section

EDIT = {"binary__thresholds__precision": 0.8}


def git_clone(of: Clone, folder: Path) -> Clone:
    """A clone of what is committed, without data, on another path."""
    of.run("git", "clone", "--quiet", ".", str(folder))
    made = copy(of)
    made.folder, made.trace = folder, folder.with_name(f"{folder.name} trace")
    made.trace.mkdir()
    return made


@pytest.fixture(scope="module")
def teacher(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """One who has computed what is committed, then an edit, and has undone the edit."""
    made = git_clone(clone, tmp_path_factory.mktemp("teacher's") / "clone")
    shutil.copytree(clone.folder / ".dvc" / "cache", made.folder / ".dvc" / "cache")
    made.dvc("checkout")
    made.edit(**EDIT)
    assert "evaluate_binary" in made.repro()
    made.undo()
    return made


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    """Whether anyone does, on this port of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(*command: str, port: int) -> Iterator[None]:
    """A server that runs while the block does."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 60
            while not listens(port):
                assert server.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            yield
        finally:
            server.kill()


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an S3-compatible store that has one bucket."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        moto = str(Path(sys.executable).with_name("moto_server"))
        with serving(moto, "--host", "127.0.0.1", "--port", str(port), port=port):
            requests.put(f"{url}/bucket", timeout=60).raise_for_status()
            yield url


def lines(title: str, **replaced: str) -> list[str]:
    """The lines that docs/sharing.md has of a kind of remote, for this machine."""
    (block,) = re.findall(r"```\n(.+?)```", section("docs/sharing.md", title), re.S)
    for old, new in replaced.items():
        block = block.replace(old, new)
    return block.splitlines()


def shell(clone: Clone, *commands: str) -> str:
    """What the last of some lines prints."""
    (clone.folder / ".venv").mkdir(exist_ok=True)
    (clone.folder / ".venv" / ".installed").touch()
    return [clone.run("/bin/sh", "-c", command) for command in commands][-1]


HTTP = "HTTP: a class reads, and only the teacher writes"


@pytest.fixture(scope="module")
def remotes(
    teacher: Clone, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Callable[[Clone], str]]]:
    """By the kind of remote, what sets it up in a clone, and runs there; all have been pushed to.

    All are set up and pushed to by the lines of docs/sharing.md.
    """
    folder, port = str(tmp_path_factory.mktemp("remote") / "digitline"), str(free_port())
    add_folder, push, repro = lines("A folder", **{"/srv/digitline": folder})
    serve, add_http, repro_http = lines(
        HTTP, **{"/srv/digitline": folder, "teacher": "127.0.0.1", "8000": port}
    )
    add_s3, endpoint, push_s3 = lines(
        "S3, and what is compatible", **{"https://s3.example.org": store}
    )
    shell(teacher, add_folder, push)
    teacher.undo()
    shell(teacher, add_s3, endpoint, push_s3)
    teacher.undo()
    with serving(*shlex.split(serve), port=int(port)):
        yield {
            "folder": lambda clone: shell(clone, add_folder, repro),
            "HTTP": lambda clone: shell(clone, add_http, repro_http),
            "S3": lambda clone: shell(clone, add_s3, endpoint, repro),
        }


def ran(clone: Clone) -> set[str]:
    """The stages whose processes have left a trace."""
    return {path.name for path in clone.trace.iterdir()}


@pytest.mark.parametrize("kind", ["folder", "HTTP", "S3"])
def test_what_is_committed_runs_nowhere_else(
    remotes: dict[str, Callable[[Clone], str]], teacher: Clone, tmp_path: Path, kind: str
) -> None:
    student = git_clone(teacher, tmp_path / "student's")
    told = remotes[kind](student)
    assert re.search(r"^pull class: \d+ files, \d+ MB$", told, re.M), told
    assert ran(student) == set()
    outs = student.outs()
    assert {path: md5(student.folder / path) for path in outs} == outs == teacher.outs()


@pytest.mark.parametrize("kind", ["folder", "S3"])
def test_an_edit_that_somebody_has_computed_runs_nothing(
    remotes: dict[str, Callable[[Clone], str]], teacher: Clone, tmp_path: Path, kind: str
) -> None:
    student = git_clone(teacher, tmp_path / "student's")
    student.edit(**EDIT)
    remotes[kind](student)
    assert ran(student) == set()
    teacher.edit(**EDIT)
    assert teacher.repro() == set()
    assert student.reports() == teacher.reports()
    assert student.outs() == teacher.outs()
    teacher.undo()
