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
    """Yield the code below a folder; not what editors or Python leave there."""
    for path in folder.glob("[!.]*"):
        if path.is_dir():
            yield from files(path)
        elif path.suffix in SUFFIXES:
            yield path


def digest_of_code(folders: Iterable[Path]) -> str:
    """Twelve hexadecimal digits of the SHA-256 of code: the names of files, and what is in them."""
    found = (path for folder in folders for path in files(folder))
    contents = {path.as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    return digest_of_values(contents)


def digest_of_values(values: Any) -> str:
    """Twelve hexadecimal digits of the SHA-256 of values that JSON knows, in any order of keys."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
