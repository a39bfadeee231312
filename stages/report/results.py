"""What the other stages have measured and drawn, read for the report."""

import csv
import json
from pathlib import Path
from typing import Any


def tree(folder: Path) -> dict[str, Any]:
    """The JSON files below ``folder``, nested by the names of folders and files.

    No stage makes names that start with a dot, and DVC may not see them.
    """
    folders = {path.name: tree(path) for path in sorted(folder.glob("[!.]*")) if path.is_dir()}
    files = sorted(folder.glob("[!.]*.json"))
    return folders | {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def table(path: Path) -> list[list[str]]:
    """The lines of a CSV file, its header first."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def value(results: Any, key: str) -> Any:
    """What a dotted key names in nested results, and ``None`` where there is none."""
    for part in key.split("."):
        results = results.get(part) if isinstance(results, dict) else None
    return results
