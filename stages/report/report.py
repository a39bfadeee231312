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
from stages.report.compare_notebook import COLUMNS, compare
from stages.report.made_of import digest_of_code, digest_of_values
from stages.report.render import environment, picture, render
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


def model_card(template: Path, models: list[Path], **values: Any) -> str:
    """The card of the saved ``models``, in Markdown.

    Args:
        template: The folder of its Jinja template.
        models: The folder of each.
        values: What else the template shows.
    """
    templates = environment([template], autoescape=False)
    sha256 = {
        f"{folder.as_posix()}/model.skops": (folder / "model.sha256").read_text(encoding="utf-8")
        for folder in models
    }
    versions = {library: read(LIBRARIES, library) for library in ("scikit-learn", "skops")}
    return templates.get_template(f"{template.name}.md.jinja").render(
        sha256=sha256, versions=versions, **values
    )


def main(
    values: Path,
    classes: Path,
    metrics: Path,
    models: list[Path],
    code: Path,
    charts: Path,
    vega: Path,
    reports: Path,
) -> None:
    """Write the notebook's figures beside this run's, the summary, the page and the model card.

    Args:
        values: The parameters, as check_params writes them.
        classes: The names of the classes.
        metrics: The folder of all that is measured.
        models: The folders of the saved models.
        code: The folder of all code. ``report`` in it has the figures to show, and the templates.
        charts: The folder of the Vega-Lite templates.
        vega: Vega's JavaScript.
        reports: The folder of the plots and pictures, into which the four files are written.

    Raises:
        UserError: A figure differs although data and parameters are the notebook's.
    """
    figures, pages = code / "report", code / "report" / "pages"
    params, known = (json.loads(path.read_text(encoding="utf-8")) for path in (values, classes))
    plots = {path.stem: table(path) for path in sorted((reports / "plots").glob("[!.]*.csv"))}
    pictures = sorted((reports / "pictures").glob("[!.]*.png"))
    measured = tree(metrics)
    shown = {
        "params": params,
        "made_of": {"code": digest_of_code([code, charts]), "params": digest_of_values(params)},
        "metrics": measured,
        "plots": plots,
    }
    rows = list(compare(read(figures / "notebook.yaml", ""), params, measured | {"plots": plots}))
    notebook = reports / "notebook.csv"
    with notebook.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    summary = summarise(read(figures / "summary.yaml", ""), measured)
    write_metrics(reports / "metrics" / "summary.json", summary)
    saved = {f"{path.parent.name}/{path.name}": path for path in models}
    html = render(
        pages / "shared",
        pages / "report",
        vega.read_text(encoding="utf-8"),
        **shown,
        classes=known,
        notebook=[dict(zip(COLUMNS, row, strict=True)) for row in rows],
        charts=tree(charts),
        pictures={path.stem: picture(path) for path in pictures},
        linear={"digits": linear(saved["digits/sgd"]), "detector": linear(saved["binary/sgd"])},
        svm=svm(saved["digits/strokes"]),
    )
    (reports / "index.html").write_text(html, encoding="utf-8")
    card = model_card(pages / "model_card", models, classes=known["names"], **shown)
    (reports / "model_card.md").write_text(card, encoding="utf-8")
    if differing := [f"{row[0]} {row[1]}" for row in rows if row[-1] == "differs"]:
        raise UserError(f"{notebook}: differs from the notebook: {'; '.join(differing)}")
