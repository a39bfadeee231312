"""Stage model_card: what the saved models are worth, and what they are not for, in Markdown.

The parts are those of Mitchell et al., Model Cards for Model Reporting, 2019:
https://arxiv.org/abs/1810.03993.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from stages.common.guard import LIBRARIES
from stages.common.params import read
from stages.report.render import environment
from stages.report.report import table, tree

MOST_CONFUSIONS = 5


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


def main(
    params: Path,
    metrics: Path,
    counts: Path,
    confusion: Path,
    saved: dict[str, Path],
    template: Path,
    out: Path,
) -> None:
    """Write the card of the ``saved`` models; ``counts`` has how many images each class has."""
    card = environment([template], autoescape=False).get_template(f"{template.name}.md.jinja")
    page = card.render(
        params=read(params, ""),
        versions={library: read(LIBRARIES, library) for library in ("scikit-learn", "skops")},
        metrics=tree(metrics),
        counts=[(label, int(train), int(test)) for label, train, test in table(counts)[1:]],
        confusions=most_confused(table(confusion)[1:], MOST_CONFUSIONS),
        paths={name: path.as_posix() for name, path in saved.items()},
        sha256={
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in saved.items()
        },
    )
    out.write_text(page, encoding="utf-8")
