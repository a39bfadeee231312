"""Stage report: all that shows results, once they are there."""

import csv
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from stages.common.arrays import load_group
from stages.common.errors import UserError
from stages.common.guard import LIBRARIES
from stages.common.params import read
from stages.output.tables import write_metrics
from stages.report.compare_notebook import COLUMNS, Results, compare
from stages.report.made_of import digest_of_code, digest_of_values
from stages.report.model_card import card
from stages.report.render import picture, render
from stages.report.results import summarise, table, tree

# Letters that the SVM on strokes may take of a page that can be mailed.
MAX_SVM = 4_000_000


def linear(path: Path) -> dict[str, Any]:
    """The linear model of a folder ``path``, for JSON.

    Returns:
        ``weights``, a row of 784 a problem as base64 of little-endian double precision;
        ``intercepts``, one a problem.
    """
    model = load_group(path / "predictions.npz")
    weights = b64encode(model["weights"].astype("<f8").tobytes()).decode()
    return {"weights": weights, "intercepts": model["intercepts"].tolist()}


def svm(path: Path) -> dict[str, Any]:
    """The SVM on strokes of a folder ``path``, for JSON.

    Returns:
        ``n_support``, ``intercepts`` and ``gamma``; the number ``n_images`` of its images; and
        ``packed``: ``maps``, ``image``, ``coefficients`` and ``images`` as base64 of little-endian
        bytes, of which a run of zeros is one zero and its length; None where that is too long. No
        library compresses: their bytes depend on their version.
    """
    learned = load_group(path / "svm.npz")
    dtypes = {"maps": "<f8", "image": "<i4", "coefficients": "<i4", "images": "u1"}
    content = b"".join(learned[name].astype(dtype).tobytes() for name, dtype in dtypes.items())
    packed = re.sub(rb"\0{1,255}", lambda zeros: bytes((0, len(zeros[0]))), content)
    letters = b64encode(packed).decode()
    return {
        **{name: learned[name].tolist() for name in ("n_support", "intercepts", "gamma")},
        "n_images": len(learned["images"]),
        "packed": letters if len(letters) <= MAX_SVM else None,
    }


def main(
    values: Path,
    code: list[Path],
    classes: Path,
    metrics: Path,
    plots: Path,
    pictures: Path,
    figures: Path,
    summary_figures: Path,
    charts: Path,
    linear_digits: Path,
    linear_detector: Path,
    strokes: Path,
    saved: list[Path],
    pages: Path,
    vega: Path,
    notebook: Path,
    summary: Path,
    page: Path,
    model_card: Path,
) -> None:
    """Write the notebook's figures beside this run's, the summary, the page and the model card.

    Args:
        values: The parameters, as check_params writes them.
        code: The folders of all code, of which the page has the digest.
        classes: The names of the classes.
        metrics: The folder of all that is measured.
        plots: That of the CSV that the charts draw.
        pictures: That of the PNG.
        figures: The notebook's figures.
        summary_figures: The keys of those that runs are compared by.
        charts: The folder of the Vega-Lite templates.
        linear_digits: The folder of the linear model of all classes.
        linear_detector: That of the linear detector.
        strokes: That of the SVM on strokes.
        saved: Those of the models that the card is about.
        pages: The folder of the templates.
        vega: Vega's JavaScript.
        notebook: The CSV file to write, the notebook's figures beside this run's.
        summary: The JSON file to write.
        page: The HTML file to write.
        model_card: The Markdown file to write.

    Raises:
        UserError: A figure differs although data and parameters are the notebook's.
    """
    params, known = (json.loads(path.read_text(encoding="utf-8")) for path in (values, classes))
    results = Results(
        tree(metrics), {path.stem: table(path) for path in sorted(plots.glob("[!.]*.csv"))}
    )
    rows = list(compare(read(figures, ""), params, results))
    with notebook.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    write_metrics(summary, summarise(read(summary_figures, ""), results.metrics))
    shown = {
        "params": params,
        "made_of": {"code": digest_of_code(code), "params": digest_of_values(params)},
        "metrics": results.metrics,
    }
    html = render(
        pages / "shared",
        pages / "report",
        vega.read_text(encoding="utf-8"),
        **shown,
        classes=known,
        notebook=[dict(zip(COLUMNS, row, strict=True)) for row in rows],
        charts=tree(charts),
        plots=results.plots,
        pictures={path.stem: picture(path) for path in sorted(pictures.glob("[!.]*.png"))},
        linear={"digits": linear(linear_digits), "detector": linear(linear_detector)},
        svm=svm(strokes),
    )
    page.write_text(html, encoding="utf-8")
    versions = {library: read(LIBRARIES, library) for library in ("scikit-learn", "skops")}
    models = {f"{path.parent.name}_{path.name}": path / "model.skops" for path in saved}
    markdown = card(
        pages / "model_card", known["names"], results.plots, models, versions=versions, **shown
    )
    model_card.write_text(markdown, encoding="utf-8")
    if differing := [f"{row[0]} {row[1]}" for row in rows if row[-1] == "differs"]:
        raise UserError(f"{notebook}: differs from the notebook: {'; '.join(differing)}")
