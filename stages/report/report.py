"""Stage report: the notebook's story on one page, with this run's figures, charts and pictures."""

import csv
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from stages.common.arrays import load_group
from stages.common.params import read
from stages.report.render import picture, render


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


def linear(path: Path) -> dict[str, Any]:
    """The linear model of a ``predictions.npz``, for JSON.

    Returns:
        ``weights``, a row of 784 a problem as base64 of little-endian double precision;
        ``intercepts``, one a problem.
    """
    said = load_group(path)
    weights = b64encode(said["weights"].astype("<f8").tobytes()).decode()
    return {"weights": weights, "intercepts": said["intercepts"].tolist()}


def main(
    params: Path,
    classes: Path,
    metrics: Path,
    plots: Path,
    pictures: Path,
    notebook: Path,
    charts: Path,
    digits_model: Path,
    detector: Path,
    shared: Path,
    template: Path,
    vega: Path,
    out: Path,
) -> None:
    """Write the page.

    ``charts`` has the Vega-Lite templates, ``plots`` the CSV that they draw. ``digits_model`` and
    ``detector`` are what :func:`stages.models.fit.predictions` returns for a linear model.
    """
    header, *lines = table(notebook)
    page = render(
        shared,
        template,
        vega.read_text(encoding="utf-8"),
        params=read(params, ""),
        classes=json.loads(classes.read_text(encoding="utf-8")),
        metrics=tree(metrics),
        notebook=[dict(zip(header, line, strict=True)) for line in lines],
        charts=tree(charts),
        plots={path.stem: table(path) for path in sorted(plots.glob("[!.]*.csv"))},
        pictures={path.stem: picture(path) for path in sorted(pictures.glob("[!.]*.png"))},
        linear={"digits": linear(digits_model), "detector": linear(detector)},
    )
    out.write_text(page, encoding="utf-8")
