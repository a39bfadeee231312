"""Remove what a kill or a failing disk has damaged, so that ``dvc repro`` makes it again.

DVC trusts a file whose time and mode are as it left them, and writes two files in place,
``dvc.lock`` and ``.dvc/tmp/rwlock``. In its cache, the name of a file is the MD5 of its content;
that of a run that it remembers, the SHA-256 of what is in it.
"""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import parse_yaml
from voluptuous import Invalid


def is_damaged(path: Path) -> bool:
    """Whether a file of DVC's cache cannot be read, or has another content than its name says."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
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


def is_run(path: Path) -> bool:
    """Whether a file is a run that DVC remembers."""
    try:
        return parse_run(path.read_bytes(), path.parent.name, path.name) is not None
    except OSError:
        return False


def is_json(path: Path) -> bool:
    """Whether a file is JSON."""
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def is_lock(repo: Repo, path: Path) -> bool:
    """Whether DVC can read its lock file, or there is none."""
    try:
        Lockfile(repo, str(path)).load()
    except DvcException:
        return False
    return True


def main() -> None:
    """Remove and name what is damaged, then copy the rest from the cache to its place again."""
    with Repo() as repo:
        cached = [path for path in Path(repo.cache.local.path).rglob("*") if path.is_file()]
        damaged = [path for path in sorted(cached) if is_damaged(path)]
        runs = sorted(Path(repo.stage_cache.cache_dir).glob("??/*/*"))
        damaged += [run for run in runs if not is_run(run)]
        # Where DVC was killed while it copied.
        damaged += set(Path(repo.cache.local_cache_dir).rglob(".*.tmp")) - set(damaged)
        rwlock, lock = Path(repo.tmp_dir, "rwlock"), Path(repo.root_dir, "dvc.lock")
        damaged += [rwlock] if rwlock.exists() and not is_json(rwlock) else []
        damaged += [] if is_lock(repo, lock) else [lock]
    for path in damaged:
        print(f"damaged: {path}")
        path.unlink()
    # What the cache has no longer stays as it is, and `dvc repro` makes it again.
    command = ["dvc", "checkout", "--relink", "--force", "--quiet"]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
