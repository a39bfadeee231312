"""What one clone has computed and pushed, another does not compute; and remotes in trouble."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from ruamel.yaml import YAML

from tests.support.clone import Clone, md5
from tests.support.documents import section
from tools.verify import parse_run

# No other test may use it: DVC would remember it.
EDIT = {"binary__thresholds__precision": 0.83}
PULLED = r"^pull class: \d+ files, \d+ MB$"


def git_clone(of: Clone, folder: Path) -> Clone:
    """A clone of what is committed, without data, on another path."""
    of.run("git", "clone", "--quiet", ".", str(folder))
    made = Clone(folder, folder.with_name(f"{folder.name} trace"))
    made.trace.mkdir()
    return made


def ran(clone: Clone) -> int:
    """How many stages have left a trace."""
    return len(list(clone.trace.iterdir()))


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
    moto = str(Path(sys.executable).with_name("moto_server"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
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
    clone.install()
    return [clone.run("/bin/sh", "-c", command) for command in commands][-1]


class Shared(NamedTuple):
    """Remotes that have been set up by the lines of docs/sharing.md, and pushed to.

    The teacher has computed what is committed, then an edit, and has undone it before pushing.
    """

    teacher: Clone
    edited: dict[str, bytes]
    """The teacher's reports after the edit."""
    folder: Path
    student: dict[str, list[str]]
    """The lines for a clone that pulls, by the kind of remote."""


@pytest.fixture(scope="module")
def shared(clone: Clone, store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A teacher's clone, and what it has pushed to."""
    teacher = git_clone(clone, tmp_path_factory.mktemp("teacher's") / "clone")
    shutil.copytree(clone.folder / ".dvc" / "cache", teacher.folder / ".dvc" / "cache")
    teacher.dvc("checkout")
    teacher.edit(**EDIT)
    assert "evaluate_binary" in teacher.repro()
    edited = teacher.reports()
    teacher.undo()

    folder, port = tmp_path_factory.mktemp("remote") / "digitline", str(free_port())
    here = {"/srv/digitline": str(folder), "teacher": "127.0.0.1", "8000": port}
    add_folder, push, repro = lines("A folder", **here)
    serve, *http = lines("HTTP: a class reads, and only the teacher writes", **here)
    *add_s3, push_s3 = lines("S3, and what is compatible", **{"https://s3.example.org": store})
    for commands in ([add_folder, push], [*add_s3, push_s3]):
        assert re.search(PULLED.replace("pull", "push"), shell(teacher, *commands), re.M)
        teacher.undo()
    with serving(*shlex.split(serve), port=int(port)):
        student = {"folder": [add_folder, repro], "HTTP": http, "S3": [*add_s3, repro]}
        yield Shared(teacher, edited, folder, student)


def pull(clone: Clone, *options: str) -> str:
    """What a pull prints, which never fails."""
    asked = clone.popen(sys.executable, "-m", "share", "pull", *options)
    try:
        output, _ = asked.communicate(timeout=60)
    finally:
        asked.kill()
    assert asked.returncode == 0
    return output


@pytest.mark.parametrize("kind", ["folder", "S3"])
def test_an_edit_that_somebody_has_computed_runs_nothing(
    shared: Shared, tmp_path: Path, kind: str
) -> None:
    student = git_clone(shared.teacher, tmp_path / "student's")
    student.edit(**EDIT)
    assert re.search(PULLED, shell(student, *shared.student[kind]), re.M)
    assert ran(student) == 0
    assert student.reports() == shared.edited != shared.teacher.reports()
    outs = student.outs()
    assert {path: md5(student.folder / path) for path in outs} == outs


def test_over_http_what_is_committed_runs_nothing(shared: Shared, tmp_path: Path) -> None:
    student = git_clone(shared.teacher, tmp_path / "student's")
    assert re.search(PULLED, shell(student, *shared.student["HTTP"]), re.M)
    assert ran(student) == 0
    outs = shared.teacher.outs()
    assert {path: md5(student.folder / path) for path in outs} == outs == student.outs()
    # The runs of an edit cannot be listed, which is no trouble.
    student.edit(**EDIT)
    assert pull(student) == "pull class: 0 files, 0 MB\n"


def use(clone: Clone, url: str) -> None:
    """Set the default remote."""
    clone.dvc("remote", "add", "--quiet", "--force", "--default", "class", url)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("/nowhere/at all", r"0 files, 0 MB, \d+ missing \(\w+\)"),
        ("gs://bucket/digitline", ".*dvc-gs.*"),
        ("http://127.0.0.1:{silent}", "nothing has moved for 1 s, given up"),
    ],
    ids=["gone", "not installed", "silent"],
)
def test_a_remote_in_trouble_is_told_in_a_line(
    shared: Shared, tmp_path: Path, url: str, told: str
) -> None:
    student = git_clone(shared.teacher, tmp_path / "student's")
    # It is connected to, and nobody is there to answer.
    with socket.create_server(("127.0.0.1", 0)) as server:
        use(student, url.format(silent=server.getsockname()[1]))
        assert re.fullmatch(f"pull class: {told}\n", pull(student, "--patience", "1"))


@pytest.mark.parametrize("url", ["{shared}", "/nowhere/at all"], ids=["there", "gone"])
@pytest.mark.parametrize("computed", [True, False])
def test_what_lacks_inputs_is_left_to_the_run(
    shared: Shared, tmp_path: Path, url: str, computed: bool
) -> None:
    """As after `make merge`, whose conflicting reports are gone, or in a fresh clone."""
    student = git_clone(shared.teacher, tmp_path / "student's")
    if computed:
        use(student, str(shared.folder))
        pull(student)
    use(student, url.format(shared=shared.folder))
    # Nobody has computed it.
    student.edit(binary__thresholds__precision=0.84, split__n_train=3900, errors__pair=[2, 6])
    for report in student.reports():
        (student.folder / report).unlink()
    assert re.fullmatch(r"pull class: \d+ files, \d+ MB.*\n", pull(student))


def test_without_the_remote_it_is_computed(shared: Shared) -> None:
    clone = shared.teacher
    path = "data/is_target/test.npy"
    clone.cached(clone.outs()[path]).unlink()
    (clone.folder / path).unlink()
    use(clone, f"http://127.0.0.1:{free_port()}")
    before, output = ran(clone), clone.make("repro")
    assert len(re.findall("^pull class: .*127.0.0.1.*$", output, re.M)) == 1
    assert ran(clone) == before + 1
    clone.undo()
    assert md5(clone.folder / path) == clone.outs()[path]


def objects(folder: Path) -> list[Path]:
    """The files of a remote or a cache whose names are their MD5."""
    # Not what has a name of its own until it is whole.
    return [path for path in (folder / "files" / "md5").rglob("[!.]*") if path.is_file()]


def is_whole(path: Path) -> bool:
    """Whether such a file is what its name says."""
    return md5(path) == path.parent.name + path.name.removesuffix(".dir")


def put(path: Path, content: bytes) -> None:
    """Replace a file that DVC believes, as nobody may write it."""
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def test_no_damaged_file_is_taken(shared: Shared, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    shutil.copytree(shared.folder, remote)
    lock = YAML(typ="safe").load(shared.teacher.folder / "dvc.lock")["stages"].values()
    names = {out["path"]: out["md5"] for stage in lock for out in stage["outs"]}
    at = {path: remote / "files" / "md5" / name[:2] / name[2:] for path, name in names.items()}

    content = at["data/is_target/train.npy"].read_bytes()
    put(at["data/is_target/train.npy"], content[:-1] + bytes([content[-1] ^ 1]))
    put(at["data/is_target/test.npy"], at["data/is_target/test.npy"].read_bytes()[:-1])
    put(at["data/params.schema.json"], b"{}")
    # Another model's.
    put(at["data/models/binary_dummy"], at["data/models/digits_svc"].read_bytes())

    student = git_clone(shared.teacher, tmp_path / "student's")
    use(student, str(remote))
    assert ", 4 damaged, not copied " in pull(student)
    assert all(map(is_whole, objects(student.folder / ".dvc" / "cache")))
    output = student.dvc("repro", "label").stdout
    assert re.findall("Running stage '(.+)'", output) == ["check_params", "label"]
    for path in ("data/is_target/train.npy", "data/is_target/test.npy", "data/params.schema.json"):
        assert md5(student.folder / path) == shared.teacher.outs()[path]


def test_no_damaged_file_is_shared(shared: Shared, tmp_path: Path) -> None:
    student = git_clone(shared.teacher, tmp_path / "student's")
    use(student, str(shared.folder))
    pull(student)
    files, folders = (
        [path for path in objects(student.folder / ".dvc" / "cache") if path.suffix == suffix]
        for suffix in ("", ".dir")
    )
    for path in (files[0], folders[0]):
        path.chmod(0o644)
        put(path, b"garbage")
        path.chmod(0o444)
    files[1].unlink()
    use(student, str(tmp_path / "remote"))
    done = student._run(sys.executable, "-m", "share", "push", check=False)
    assert done.returncode == 1
    assert ", 2 damaged, not copied " in done.stdout
    assert "missing (" in done.stdout
    assert "Traceback" not in done.stderr
    assert all(map(is_whole, objects(tmp_path / "remote")))


def runs(folder: Path) -> list[Path]:
    """The runs that a remote or a cache remembers."""
    return sorted(path for path in (folder / "runs").rglob("*") if path.is_file())


def test_no_damaged_run_is_taken(shared: Shared, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    shutil.copytree(shared.folder, remote)
    found = runs(remote)
    # Each has the outputs of another, by which it is as well formed as before.
    for path, other in zip(found, found[1:] + found[:1], strict=True):
        inputs, outputs = (run.read_text().partition("outs:") for run in (path, other))
        path.with_suffix(".new").write_text("".join((*inputs[:2], outputs[2])))
    for path in found:
        path.with_suffix(".new").replace(path)
    student = git_clone(shared.teacher, tmp_path / "student's")
    student.edit(**EDIT)
    use(student, str(remote))
    # Those of check_params and evaluate_binary; what depends on them has not been asked for.
    assert ", 2 damaged, not copied " in pull(student)
    assert runs(student.folder / ".dvc" / "cache") == []


def without_sizes(run: dict[str, Any]) -> str:
    """A run as text, without the sizes of its files."""
    return re.sub(r", '(size|nfiles)': \d+", "", str(run))


def test_a_run_is_what_its_names_say(shared: Shared) -> None:
    first, *others = runs(shared.folder)
    content = first.read_bytes()
    names = first.parent.name, first.name
    run = parse_run(content, *names)
    assert run["outs"]
    foreign = [other.read_bytes() for other in others]
    truncated = [content[:at] for at in range(0, len(content), 50)]
    flipped = [
        content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
        for at, bit in zip(range(0, len(content), 50), cycle((1, 128)), strict=False)
    ]
    for other in (*foreign, *truncated, *flipped):
        # What is flipped may be a space, or a size, which DVC measures anew.
        parsed = parse_run(other, *names)
        assert parsed is None or without_sizes(parsed) == without_sizes(run)
    # The same run under another stage's inputs.
    assert parse_run(content, "0" * 64, first.name) is None


def test_a_full_remote_is_told_and_holds_nothing_damaged(shared: Shared, small_disk: Path) -> None:
    use(shared.teacher, str(small_disk))
    pushed = shared.teacher.popen(sys.executable, "-m", "share", "push")
    output, _ = pushed.communicate(timeout=60)
    assert re.fullmatch("push class: .*No space left on device.*\n", output)
    assert pushed.returncode == 1
    assert all(map(is_whole, objects(small_disk)))
    assert runs(small_disk) == []
    shared.teacher.undo()
