"""Metrics as JSON and plots as CSV, the same bytes for the same figures."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

# NumPy's scalars are as welcome as Python's.
Metrics: TypeAlias = Mapping[str, "bool | float | str | np.generic | Metrics"]

DECIMALS = 10
SIGNIFICANT_DIGITS = 6


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write metrics as JSON, numbers rounded to 10 decimals.

    Raises:
        ValueError: A number is infinite or not a number.
    """
    exact = json.dumps(metrics, allow_nan=False, default=lambda scalar: scalar.item())
    rounded = json.loads(exact, parse_float=lambda digits: round(float(digits), DECIMALS))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


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
