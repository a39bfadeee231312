"""What the other stages have measured and drawn, read for the report."""

import csv
import json
from collections.abc import Mapping
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


def summarise(
    figures: Mapping[str, Mapping[str, str]], metrics: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The figures that runs are compared by, by model and name, as they are measured.

    Args:
        figures: The dotted key of each. One that does not exist in this run is left out.
        metrics: All that is measured, nested by the names of folders, files and keys.
    """
    found = {
        model: {name: value(metrics, key) for name, key in of_model.items()}
        for model, of_model in figures.items()
    }
    return {model: {k: v for k, v in of.items() if v is not None} for model, of in found.items()}
