"""What the saved models are worth, and what they are not for, in Markdown.

The parts are those of Mitchell et al., Model Cards for Model Reporting, 2019:
https://arxiv.org/abs/1810.03993.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.report.render import environment

MAX_CONFUSIONS = 5


class Confusion(NamedTuple):
    """How many images of a class are taken for another one, and which share of the class it is."""

    actual: str
    predicted: str
    images: int
    share: float


def most_confused(cells: list[list[str]], n: int) -> list[Confusion]:
    """The ``n`` largest errors of a confusion matrix, fewer if there are not so many.

    Args:
        cells: ``actual``, ``predicted`` and ``count`` of each cell, the diagonal among them.
        n: How many.
    """
    counts = [(actual, predicted, int(count)) for actual, predicted, count in cells]
    totals: Counter[str] = Counter()
    for actual, _, count in counts:
        totals[actual] += count
    errors = [Confusion(*cell, cell[2] / totals[cell[0]]) for cell in counts if cell[0] != cell[1]]
    return sorted((cell for cell in errors if cell.images), key=lambda cell: -cell.images)[:n]


def escaped(text: str) -> str:
    """``text`` as Markdown that shows just that: https://spec.commonmark.org/0.31.2/#backslash-escapes."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def card(
    template: Path,
    names: Mapping[str, str],
    plots: Mapping[str, list[list[str]]],
    saved: Mapping[str, Path],
    **values: Any,
) -> str:
    """The card of the ``saved`` models.

    Args:
        template: The folder of its Jinja template.
        names: The names of the classes, by label.
        plots: ``class_counts``, how many images each class has, in the order of ``names``, and
            ``confusion``: the lines of each CSV.
        saved: The files of the models, by name.
        values: What else the template shows.
    """
    markdown = environment([template], autoescape=False)
    markdown.filters["escaped"] = escaped
    return markdown.get_template(f"{template.name}.md.jinja").render(
        names=names,
        counts=[
            (label, int(train), int(test))
            for label, (_, train, test) in zip(names, plots["class_counts"][1:], strict=True)
        ],
        confusions=most_confused(plots["confusion"][1:], MAX_CONFUSIONS),
        paths={name: path.as_posix() for name, path in saved.items()},
        sha256={
            name: path.with_suffix(".sha256").read_text().strip() for name, path in saved.items()
        },
        **values,
    )
