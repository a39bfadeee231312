"""Find what a kill or a failing disk has damaged, by content, so that ``dvc repro`` makes it again.

DVC trusts a file whose time and mode are as it left them, and writes two files in place,
``dvc.lock`` and ``.dvc/tmp/rwlock``. In its cache, the name of a file is the MD5 of its content.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.rwlock import rwlock


def check_object(path: Path) -> None:
    """Raise ValueError if a file of DVC's cache has another content than its name says."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    if digest != path.parent.name + path.name.removesuffix(".dir"):
        raise ValueError(path)


def remove_damaged(repo: Repo) -> None:
    """Remove and name what is damaged among DVC's own files: none of them is worth anything."""
    files = (path for path in Path(repo.cache.local.path).rglob("*") if not path.is_dir())
    checks: dict[Path, Any] = dict.fromkeys(files, check_object)
    checks[Path(repo.root_dir, "dvc.lock")] = lambda path: Lockfile(repo, str(path)).load()
    checks[Path(repo.tmp_dir, "rwlock")] = lambda path: json.loads(path.read_bytes())
    for path, check in checks.items():
        try:
            if path.exists():
                check(path)
        except PermissionError:
            # Another user's, in a shared cache: nobody knows what is in it.
            continue
        except (OSError, ValueError, DvcException):
            print(f"damaged: {path}")
            path.unlink()


def main() -> None:
    """Leave nothing that DVC takes for whole and is not, and give the cache what is whole."""
    with Repo() as repo, lock_repo(repo):
        remove_damaged(repo)
        # What DVC knows of files by their times.
        repo.state.hashes.clear()
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
        paths = [out.fs_path for out in outs]
        with rwlock(repo.tmp_dir, repo.fs, "make verify", [], paths, hardlink=False):
            for out in outs:
                try:
                    changed = out.workspace_status()
                except OSError:
                    # On a bad sector, or a link to what was damaged: DVC would stop there.
                    print(f"unreadable: {out}")
                    out.remove()
                    continue
                if not changed:
                    out.commit(relink=False)
                elif out.exists:
                    print(f"not as recorded: {out}")


if __name__ == "__main__":
    try:
        main()
    except (DvcException, OSError) as error:
        sys.exit(str(error))
