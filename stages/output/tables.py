"""Metrics as JSON and plots as CSV, the same bytes for the same figures."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

# NumPy's scalars are as welcome as Python's.
Metrics: TypeAlias = Mapping[str, "bool | float | str | np.generic | Metrics"]

DECIMALS = 10
SIGNIFICANT_DIGITS = 6


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if hasattr(value, "item"):
        value = value.item()
    return round(value, DECIMALS) if isinstance(value, float) else value


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write metrics as JSON, numbers rounded to 10 decimals.

    Raises:
        ValueError: A number is infinite or not a number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(_rounded(metrics), indent=2, allow_nan=False) + "\n", encoding="utf-8"
    )


def write_csv(
    path: Path, columns: Mapping[str, ArrayLike | Sequence[Any]], exact: Sequence[str] = ()
) -> None:
    """Write columns of one length as CSV, numbers to six significant digits.

    Args:
        path: The CSV file.
        columns: The columns by their names.
        exact: The columns that are written with every digit.

    Raises:
        ValueError: A number is infinite or not a number, or the lengths differ.
    """
    rows = list(zip(*columns.values(), strict=True))
    if any(isinstance(value, float) and not math.isfinite(value) for row in rows for value in row):
        raise ValueError(f"{path} would hold a number that is not finite")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        digits = ["" if name in exact else f".{SIGNIFICANT_DIGITS}g" for name in columns]
        writer.writerows(
            [
                format(float(value), form) if isinstance(value, float) else str(value)
                for value, form in zip(row, digits, strict=True)
            ]
            for row in rows
        )


def downsample(x: NDArray, y: NDArray, at_most: int = 1000) -> NDArray[np.intp]:
    """Which points to keep of a curve: evenly spread along its length, both ends included.

    Args:
        x: (n,).
        y: (n,), on the scale of ``x``.
        at_most: How many points.

    Returns:
        Indices, (at most ``at_most``,), increasing.
    """
    steps = np.abs(np.diff(x)) + np.abs(np.diff(y))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, length[-1], at_most - 1)
    return np.unique(np.append(np.searchsorted(length, wanted), len(x) - 1).clip(max=len(x) - 1))
