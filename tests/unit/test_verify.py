"""make verify: what is whole anywhere is whole everywhere afterwards, and nothing whole is lost."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from tests.support.clone import Clone, md5, yaml
from tools.verify import is_damaged, main

# A file, and a folder with a folder in it.
STAGE = """
stages:
  make:
    cmd: mkdir -p data/in && echo one > file && echo two > data/two && echo three > data/in/three
    deps: [input]
    outs: [file, data]
"""
FILES = {"file": "one\n", "data/two": "two\n", "data/in/three": "three\n"}


@pytest.fixture(scope="module", params=["copy", "hardlink", "symlink"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """A repository whose stage has run; where its cache has each file, and the folder's list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        patch.chdir(tmp_path_factory.mktemp("repository"))
        Path("dvc.yaml").write_text(STAGE)
        Path("input").touch()
        with Repo.init(no_scm=True) as repo, repo.config.edit() as config:
            config["cache"]["type"] = request.param
        assert run() == 1
        clone, outs = Clone(Path()), yaml.load(Path("dvc.lock"))["stages"]["make"]["outs"]
        names = {out["path"]: out["md5"] for out in outs} | clone.outs()
        yield {path: clone.cached(name) for path, name in names.items()}


def run() -> int:
    """How many stages ``dvc repro`` runs."""
    with Repo() as repo:
        return len(repo.reproduce())


def damage(path: Path) -> None:
    """Another byte, with the same size, mode and time, as a failing disk does."""
    was = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    path.chmod(was.st_mode)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def apart(*paths: str) -> None:
    """Make files of the workspace no links to the cache, as where they were written."""
    for path in map(Path, paths):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def is_whole(made: dict[str, Path]) -> bool:
    return (
        all(
            Path(path).read_text() == made[path].read_text() == text for path, text in FILES.items()
        )
        and md5(made["data"]) == made["data"].parent.name + made["data"].stem
    )


@pytest.mark.parametrize("harm", [damage, Path.unlink])
@pytest.mark.parametrize(
    ("harmed_objects", "harmed_files"),
    [([*FILES, "data"], []), ([], [*FILES]), (["data/in/three"], ["data/two"])],
)
def test_each_gives_what_the_other_has_not(
    made: dict[str, Path],
    harmed_objects: list[str],
    harmed_files: list[str],
    harm: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The workspace to the cache, and the cache to the workspace."""
    apart(*FILES)
    with Repo() as repo:
        # So that DVC trusts their times.
        repo.status()
    for name in harmed_files:
        harm(Path(name))
    for name in harmed_objects:
        harm(made[name])
    main()
    told = {f"damaged: {made[name]}" for name in harmed_objects if harm is damage}
    told |= {f"mended: {path.split('/')[0]}" for path in harmed_files}
    assert set(capsys.readouterr().out.splitlines()) == told
    assert is_whole(made)
    assert run() == 0


@pytest.mark.parametrize("path", ["file", "data/two"])
def test_what_is_whole_nowhere_is_made_again(
    made: dict[str, Path], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the one is a link to the other, both are harmed at once."""
    with Repo() as repo:
        repo.checkout(relink=True, force=True)
    damage(made[path])
    if Path(path).read_text() == FILES[path]:
        damage(Path(path))
    others = FILES.keys() - {path}
    apart(*others)
    for other in others:
        made[other].unlink()
    main()
    assert capsys.readouterr().out == f"damaged: {made[path]}\n"
    assert not made[path].exists()
    for other in others:
        assert Path(other).read_text() == made[other].read_text() == FILES[other]
    assert run() == 1
    assert is_whole(made)


def test_a_folder_whose_list_is_nowhere_keeps_its_files(made: dict[str, Path]) -> None:
    apart("data/two", "data/in/three")
    damage(Path("data/two"))
    made["data"].unlink()
    main()
    assert Path("data/in/three").read_text() == FILES["data/in/three"]
    assert run() == 1
    assert is_whole(made)


def test_an_edited_output_can_be_found_in_the_cache(made: dict[str, Path]) -> None:
    apart("file")
    Path("file").write_text("mine\n")
    name = md5(Path("file"))
    main()
    assert is_whole(made)
    assert (made["file"].parents[1] / name[:2] / name[2:]).read_text() == "mine\n"


def test_what_the_stage_lacks_is_not_made_up(made: dict[str, Path]) -> None:
    """Neither a run that was not recorded, nor one of which nothing is left, stops it."""
    lock = Path("dvc.lock").rename("lock")
    main()
    assert all(Path(path).read_text() == text for path, text in FILES.items())
    lock.rename("dvc.lock")
    for path in FILES:
        Path(path).unlink()
        made[path].unlink()
    main()
    assert run() == 1
    assert is_whole(made)


def test_what_cannot_be_read_is_named_and_the_rest_is_mended(
    made: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").unlink()
    # Reading it fails, as from a bad sector.
    Path("file").symlink_to("/proc/self/mem")
    Path("data/two").unlink()
    main()
    told = [f"unreadable: file: {os.strerror(errno.EIO)}", "mended: data"]
    assert capsys.readouterr().out.splitlines()[-2:] == told
    Path("file").unlink()
    main()
    assert is_whole(made)


def test_what_a_stage_is_writing_is_left_alone(made: dict[str, Path]) -> None:
    apart("file")
    Path("file").write_text("half")
    rwlock = Path(".dvc/tmp/rwlock")
    stage = {"pid": os.getppid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {str(Path("file").absolute()): stage}}))
    with pytest.raises(LockError, match=f"blocked by:\\s+.PID {os.getppid()}"):
        main()
    assert Path("file").read_text() == "half"
    rwlock.unlink()
    main()
    assert is_whole(made)


def test_what_dvc_has_written_half_is_removed(made: dict[str, Path]) -> None:
    lock, rwlock = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
    content = lock.read_text()
    # Within a word, which is no YAML.
    lock.write_text(content[: content.rindex("hash: md5") + 2])
    rwlock.write_text('{"')
    main()
    assert not lock.exists()
    # What DVC remembers of the run has what the file had.
    run()
    assert lock.read_text() == content
    assert is_whole(made)
    # A conflict is left to the user.
    lock.write_text(f"<<<<<<< HEAD\n{content}=======\n>>>>>>> other\n")
    with pytest.raises(DvcException, match=r"dvc\.lock"):
        main()
    assert lock.read_text().startswith("<<<<<<< HEAD")
    lock.write_text(content)


def test_another_users_file_in_a_shared_cache_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of which reading fails, as from a bad sector.
    assert is_damaged(Path("/proc/self/mem"))

    def refuse(*_: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    assert not is_damaged(tmp_path / "ab" / "cd")
