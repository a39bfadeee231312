"""Mend what a kill or a failing disk has damaged, or remove it: ``dvc repro`` makes it again.

DVC trusts a file whose time and mode are as it left them, and writes two files in place,
``dvc.lock`` and ``.dvc/tmp/rwlock``. In its cache, the name of a file is the MD5 of its content;
that of a run that it remembers, the SHA-256 of what is in it.
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
from dvc.stage import Stage
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import parse_yaml
from voluptuous import Invalid


def is_damaged(path: Path) -> bool:
    """Whether a file of DVC's cache cannot be read, or has another content than its name says."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
    except PermissionError:
        # Another user's, in a shared cache: nobody knows what is in it.
        return False
    except OSError:
        return True
    return digest != path.parent.name + path.name.removesuffix(".dir")


def parse_run(content: bytes, key: str, name: str) -> Any:
    """A run that DVC remembers; ``None`` if it has another content than its two names say."""
    try:
        run = COMPILED_LOCK_FILE_STAGE_SCHEMA(parse_yaml(content.decode(), name))
    except (DvcException, Invalid, ValueError):
        return None
    # Of the inputs, and of all; the former replaces the outputs by their paths.
    names = _get_cache_hash({**run}, key=True), _get_cache_hash(run)
    return run if names == (key, name) else None


def is_unreadable(read: Callable[[], object]) -> bool:
    """Whether reading a file fails, or DVC does not take what is in it."""
    try:
        read()
    except (OSError, ValueError, DvcException):
        return True
    return False


def remove_damaged(repo: Repo) -> None:
    """Remove and name what is damaged among DVC's own files: none of them is worth anything."""
    cached = [path for path in Path(repo.cache.local.path).rglob("*") if not path.is_dir()]
    damaged = [path for path in sorted(cached) if is_damaged(path)]
    runs = sorted(Path(repo.stage_cache.cache_dir).glob("??/*/*"))
    damaged += [
        run
        for run in runs
        if is_unreadable(run.read_bytes)
        or parse_run(run.read_bytes(), run.parent.name, run.name) is None
    ]
    # Where DVC was killed while it copied.
    damaged += set(Path(repo.cache.local_cache_dir).rglob(".*.tmp")) - set(damaged)
    rwlock, lock = Path(repo.tmp_dir, "rwlock"), Path(repo.root_dir, "dvc.lock")
    if rwlock.exists() and is_unreadable(lambda: json.loads(rwlock.read_bytes())):
        damaged.append(rwlock)
    if is_unreadable(Lockfile(repo, str(lock)).load):
        damaged.append(lock)
    for path in damaged:
        print(f"damaged: {path}")
        path.unlink()


def mend(stage: Stage, out: Output) -> None:
    """Give the cache what the workspace has of an output, then the workspace what the cache has.

    The cache takes each file under the name of its content, also one that is not as recorded, so
    that nothing is lost. What neither has stays as it is, and ``dvc repro`` makes it again.
    """
    root = Path(out.fs_path)
    for path in (root, *root.rglob("*")):
        # Its object was damaged. DVC cannot read a folder with a link to nothing.
        if path.is_symlink() and not path.exists():
            path.unlink()
    stage.commit(filter_info=out.fs_path, allow_missing=True, relink=False)
    if not out.changed_cache():
        for path in itertools.chain(*stage.checkout(filter_info=out.fs_path).values()):
            print(f"mended: {path}")


def main() -> None:
    """Remove what is damaged, and make a whole copy of what is whole elsewhere."""
    with Repo() as repo, lock_repo(repo):
        remove_damaged(repo)
        # What DVC knows of files by their times.
        repo.state.hashes.clear()
        for stage in repo.index.stages:
            for out in stage.outs:
                if not out.use_cache or not out.hash_info:
                    continue
                try:
                    mend(stage, out)
                except OSError as error:
                    print(f"unreadable: {out}: {error.strerror}")


if __name__ == "__main__":
    try:
        main()
    except DvcException as error:
        sys.exit(str(error))
