"""Every printed figure of the notebook beside this run's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from stages.report.results import value

Value: TypeAlias = bool | int | float
COLUMNS = ("cell", "figure", "notebook", "this_run", "verdict")


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


def find(results: dict[str, Any], file: str, keys: Sequence[str]) -> list[Value | None]:
    """One value a key of a JSON file, ``None`` where there is none; all numbers of a CSV's column.

    Args:
        results: What this run has measured, nested by the names of folders and files; of a CSV
            file its lines, the header first.
        file: The file's path.
        keys: Dotted keys of the JSON, or columns of the CSV.
    """
    name, _, kind = file.rpartition(".")
    found = value(results, name.replace("/", "."))
    if kind == "csv":
        header, *lines = found
        return [float(line[header.index(key)]) for key in keys for line in lines]
    return [value(found, key) for key in keys]


def agree(ours: list[Value | None], theirs: Sequence[Value], decimals: int) -> bool:
    """Whether all values differ by less than one in the last of ``decimals``."""
    return len(ours) == len(theirs) and all(
        a is not None and abs(a - b) < 10.0**-decimals for a, b in zip(ours, theirs, strict=True)
    )


def verdict(row: Row, ours: list[Value | None], results: dict[str, Any]) -> str:
    """``same``, ``drift: reason`` or ``differs``."""
    if row.notebook is not None and agree(ours, row.notebook, row.decimals):
        return "same"
    if row.drift and agree(ours, row.drift["now"], row.decimals):
        return f"drift: {row.drift['reason']}"
    floor = row.above
    if isinstance(floor, dict):
        (floor,) = find(results, floor["file"], [floor["key"]])
    is_above = floor is not None and all(a is not None and a > floor for a in ours)
    return "same" if is_above else "differs"


def changed(notebook: dict[str, Any], params: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of ``notebook`` whose values in ``params`` differ."""
    keys: list[str] = []
    for key, theirs in notebook.items():
        ours = params[key]
        if isinstance(theirs, dict):
            keys += changed(theirs, ours, f"{prefix}{key}.")
        elif theirs != ours:
            keys.append(f"{prefix}{key}")
    return keys


def compare(
    notebook: dict[str, Any], params: dict[str, Any], results: dict[str, Any]
) -> Iterator[tuple[str, ...]]:
    """Yield the ``COLUMNS`` of each figure.

    A verdict that is just ``differs`` has no excuse: data and parameters are the notebook's.

    Args:
        notebook: The ``figures`` of the notebook, and the ``params`` that it has them for.
        params: This run's.
        results: What this run has measured, as :func:`find` takes it.
    """
    edited = changed(notebook["params"], params)
    is_mnist = value(results, "data.is_mnist")
    for row in (Row(**values) for values in notebook["figures"]):
        ours = find(results, row.file, row.keys)
        # Of other data, a figure could be the same only by chance.
        status = verdict(row, ours, results) if is_mnist else "not the notebook's data"
        if status == "differs" and edited:
            status += f": not the notebook's {', '.join(edited)}"
        yield row.cell, row.figure, _notebook_text(row), _text(ours), status


def _text(values: Any) -> str:
    texts = [
        "none" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
        for value in values
    ]
    rows = [", ".join(texts[start : start + 10]) for start in range(0, len(texts), 10)]
    return " / ".join(rows)


def _notebook_text(row: Row) -> str:
    if row.notebook is not None:
        return _text(row.notebook)
    above = row.above.values() if isinstance(row.above, dict) else [row.above]
    return " ".join(map(str, ["above", *above]))
