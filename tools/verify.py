"""Mend what a kill or a failing disk has damaged, or remove it: ``dvc repro`` makes it again.

DVC trusts a file whose time and mode are as it left them, and writes two files in place,
``dvc.lock`` and ``.dvc/tmp/rwlock``. In its cache, the name of a file is the MD5 of its content.
"""

import hashlib
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo, lock_repo
from dvc.stage import Stage


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


def is_half(path: Path, read: Callable[[], object]) -> bool:
    """Whether DVC cannot read one of its files, which has no conflict for the user to resolve."""
    try:
        read()
    except (ValueError, DvcException):
        return b"<<<<<<<" not in path.read_bytes()
    return False


def remove_damaged(repo: Repo) -> None:
    """Remove and name what is damaged among DVC's own files: none of them is worth anything."""
    cached = [path for path in Path(repo.cache.local.path).rglob("*") if not path.is_dir()]
    damaged = {path for path in cached if is_damaged(path)}
    # Where DVC was killed while it copied.
    damaged |= {*Path(repo.cache.local_cache_dir).rglob(".*.tmp")}
    rwlock, lock = Path(repo.tmp_dir, "rwlock"), Path(repo.root_dir, "dvc.lock")
    reads = {rwlock: lambda: json.loads(rwlock.read_bytes()), lock: Lockfile(repo, str(lock)).load}
    damaged |= {path for path, read in reads.items() if path.exists() and is_half(path, read)}
    for path in sorted(damaged):
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
                if out.use_cache and out.hash_info:
                    try:
                        mend(stage, out)
                    except OSError as error:
                        print(f"unreadable: {out}: {error.strerror}")


if __name__ == "__main__":
    try:
        main()
    except DvcException as error:
        sys.exit(str(error))
