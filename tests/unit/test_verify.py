"""make verify, then dvc repro: all is whole again, and what is whole somewhere is not run again."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from dvc.lock import LockError
from dvc.repo import Repo

from tests.support.clone import Clone, md5, yaml
from tools.verify import main

# A file, and a folder with a folder in it; and how often it has run.
STAGE = """
stages:
  make:
    cmd: mkdir -p data/in && echo one > file && echo two > data/two && echo three > data/in/three
      && echo >> runs
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
        repro()
        clone, outs = Clone(Path()), yaml.load(Path("dvc.lock"))["stages"]["make"]["outs"]
        names = {out["path"]: out["md5"] for out in outs} | clone.outs()
        yield {path: clone.cached(name) for path, name in names.items()}


def repro() -> int:
    """How many times ``dvc repro`` runs the stage."""
    Path("runs").write_text("")
    with Repo() as repo:
        repo.reproduce()
    return len(Path("runs").read_text())


def damage(path: Path) -> None:
    """Another byte, with the same size, mode and time, as a failing disk does."""
    was = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    path.chmod(was.st_mode)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def lose(path: Path) -> None:
    """Make reading it fail, as from a bad sector."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def apart() -> None:
    """Make files of the workspace no links to the cache, whose times DVC trusts."""
    for path, content in FILES.items():
        Path(path).unlink()
        Path(path).write_text(content)
    with Repo() as repo:
        repo.status()


def is_whole(made: dict[str, Path]) -> bool:
    return md5(made["data"]) == made["data"].parent.name + made["data"].stem and all(
        Path(path).read_text() == made[path].read_text() == text for path, text in FILES.items()
    )


@pytest.mark.parametrize("harm", [damage, lose])
@pytest.mark.parametrize(
    ("objects", "files", "runs"),
    [
        ([*FILES, "data"], [], 0),
        ([], [*FILES], 0),
        (["file"], ["data/two"], 0),
        (["file"], ["file"], 1),
        (["data/in/three"], ["data/two"], 1),
        (["data"], ["data/two"], 1),
    ],
)
def test_what_is_damaged_is_made_of_the_other_copy_or_by_a_run(
    made: dict[str, Path],
    objects: list[str],
    files: list[str],
    runs: int,
    harm: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    apart()
    for path in [*(made[name] for name in objects), *map(Path, files)]:
        harm(path)
    main()
    told = {f"damaged: {made[name]}" for name in objects}
    how = "not as recorded" if harm is damage else "unreadable"
    told |= {f"{how}: {path.split('/')[0]}" for path in files}
    assert set(capsys.readouterr().out.splitlines()) == told
    assert repro() == runs
    assert is_whole(made)


@pytest.mark.parametrize("path", FILES)
def test_where_one_is_a_link_to_the_other_both_are_made_again(
    made: dict[str, Path], path: str
) -> None:
    with Repo() as repo:
        repo.checkout(relink=True, force=True)
    damage(made[path])
    main()
    repro()
    assert is_whole(made)


def test_another_users_file_in_a_shared_cache_is_left_alone(made: dict[str, Path]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", Mock(side_effect=PermissionError))
        main()
    assert is_whole(made)


def test_what_a_stage_is_writing_is_left_alone(made: dict[str, Path]) -> None:
    apart()
    Path("file").write_text("half")
    rwlock = Path(".dvc/tmp/rwlock")
    stage = {"pid": os.getppid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {str(Path("file").absolute()): stage}}))
    with pytest.raises(LockError, match=f"blocked by:\\s+.PID {os.getppid()}"):
        main()
    assert Path("file").read_text() == "half"
    rwlock.unlink()
    main()
    repro()
    assert is_whole(made)


def test_what_dvc_has_written_half_is_removed(made: dict[str, Path]) -> None:
    lock, rwlock = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
    content = lock.read_text()
    # Within a word, which is no YAML.
    lock.write_text(content[: content.rindex("hash: md5") + 2])
    rwlock.write_text('{"')
    main()
    assert not lock.exists()
    # Nor is it needed.
    main()
    # What DVC remembers of the run has what the file had.
    assert repro() == 0
    assert lock.read_text() == content
    assert is_whole(made)
