"""Of which code and which parameters results are made: a digest of each.

Two branches that have changed either have other digests, so other pages, and so another line each
where ``dvc.lock`` records the page: git cannot merge the file by lines, whatever its strategy.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DIGITS = 12
SUFFIXES = {".css", ".html", ".jinja", ".js", ".json", ".py", ".yaml"}


def files(folder: Path) -> Iterator[Path]:
    """Yield the code below a folder, or the file itself; not what editors or Python leave there."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name[0] != "." and (path.is_dir() or path.suffix in SUFFIXES):
                yield from files(path)
    else:
        yield folder


def digest_of_code(paths: Iterable[Path]) -> str:
    """Twelve hexadecimal digits of the SHA-256 of files: their names and what is in them.

    Args:
        paths: Files, and folders of them.
    """
    found = sorted(file for path in paths for file in files(path))
    contents = {file.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}
    return digest_of_values(contents)


def digest_of_values(values: Any) -> str:
    """Twelve hexadecimal digits of the SHA-256 of values that JSON knows, in any order of keys."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
