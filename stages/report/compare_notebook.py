"""Stage compare_notebook: every printed figure of the notebook beside this run's."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from stages.common.errors import UserError
from stages.common.params import read

Value: TypeAlias = bool | int | float


@dataclass
class Row:
    """A figure of the notebook, of one number or several, as ``notebook.yaml`` has it."""

    cell: str
    figure: str
    file: str
    """JSON of the metrics or CSV of a plot."""
    keys: Sequence[str]
    """Dotted keys of the JSON, or columns of the CSV."""
    notebook: Sequence[Value] | None = None
    above: Any = None
    """Where the notebook says "more than": that number, or ``file`` and ``key`` of this run's."""
    decimals: int = 9
    """How many must agree: as many as the notebook prints, or two ways of computing it share."""
    drift: dict[str, Any] | None = None
    """If it has moved with scikit-learn since: the ``reason``, and what it is ``now``."""


def find(folder: Path, file: str, keys: Sequence[str]) -> list[Value | None]:
    """This run's values.

    Args:
        folder: Where the file is.
        file: A JSON or CSV file below it.
        keys: Dotted keys of the JSON, or columns of the CSV.

    Returns:
        One value a key, ``None`` where there is no such key; or all numbers of the columns.
    """
    path = folder / file
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return [float(row[key]) for key in keys for row in rows]
    values: list[Value | None] = []
    for key in keys:
        value = json.loads(path.read_text(encoding="utf-8"))
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        values.append(value)
    return values


def agree(ours: list[Value | None], theirs: Sequence[Value], decimals: int) -> bool:
    """Whether all values differ by less than one in the last of ``decimals``."""
    return len(ours) == len(theirs) and all(
        a is not None and abs(a - b) < 10.0**-decimals for a, b in zip(ours, theirs, strict=True)
    )


def verdict(row: Row, ours: list[Value | None], metrics: Path) -> str:
    """``same``, ``drift: reason`` or ``differs``."""
    if row.notebook is not None and agree(ours, row.notebook, row.decimals):
        return "same"
    if row.drift and agree(ours, row.drift["now"], row.decimals):
        return f"drift: {row.drift['reason']}"
    if row.above is not None:
        floors = (
            find(metrics, row.above["file"], [row.above["key"]])
            if isinstance(row.above, dict)
            else [row.above]
        )
        if all(a is not None and b is not None and a > b for a in ours for b in floors):
            return "same"
    return "differs"


def _text(values: Any) -> str:
    texts = [
        "none" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
        for value in values
    ]
    rows = [", ".join(texts[start : start + 10]) for start in range(0, len(texts), 10)]
    return " / ".join(rows)


def changed(notebook: dict[str, Any], params: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of ``notebook`` whose values in ``params`` differ."""
    keys: list[str] = []
    for key, value in notebook.items():
        ours = params[key]
        if isinstance(value, dict):
            keys += changed(value, ours, f"{prefix}{key}.")
        elif value != ours:
            keys.append(f"{prefix}{key}")
    return keys


def _notebook_text(row: Row) -> str:
    if row.notebook is not None:
        return _text(row.notebook)
    if isinstance(row.above, dict):
        return f"above {row.above['file']} {row.above['key']}"
    return f"above {row.above}"


def main(params: Path, figures: Path, metrics: Path, plots: Path, out: Path) -> None:
    """Write the table as CSV: ``cell``, ``figure``, ``notebook``, ``this_run`` and ``verdict``.

    Raises:
        UserError: A figure differs although data and parameters are the notebook's.
    """
    theirs = read(figures, "")
    edited = changed(theirs["params"], read(params, ""))
    why = f"not the notebook's {', '.join(edited)}" if edited else ""
    (is_mnist,) = find(metrics, "data.json", ["is_mnist"])
    differing = []
    with out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["cell", "figure", "notebook", "this_run", "verdict"])
        for row in (Row(**values) for values in theirs["figures"]):
            ours = find(plots if row.file.endswith(".csv") else metrics, row.file, row.keys)
            # Of other data, a figure could be the same only by chance.
            status = verdict(row, ours, metrics) if is_mnist else "not the notebook's data"
            if status == "differs":
                differing.append(f"{row.cell} {row.figure}")
                status += f": {why}" if why else ""
            table.writerow([row.cell, row.figure, _notebook_text(row), _text(ours), status])
    if differing and not why:
        raise UserError(f"{out}: differs from the notebook: {'; '.join(differing)}")
