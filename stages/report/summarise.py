"""Stage summarise: the figures that runs are compared by, in a dozen short keys."""

from collections.abc import Mapping
from pathlib import Path

from stages.common.params import read
from stages.output.tables import write_metrics
from stages.report.compare_notebook import find

FACTORS = {"percent": 100, "grey_levels": 1}


def summarise(
    figures: Mapping[str, Mapping[str, Mapping[str, str]]], metrics: Path
) -> dict[str, float]:
    """The figures that runs are compared by.

    Args:
        figures: ``file`` and ``key`` of each figure, by its name, by its unit.
        metrics: The folder of the files.

    Returns:
        Each figure by its name, to two decimals; one that does not exist in this run is left out.
    """
    return {
        name: round(value * FACTORS[unit], 2)
        for unit, of_unit in figures.items()
        for name, of in of_unit.items()
        for value in find(metrics, of["file"], [of["key"]])
        if value is not None
    }


def main(figures: Path, metrics: Path, out: Path) -> None:
    """Write the summary of all ``metrics`` as JSON."""
    write_metrics(out, summarise(read(figures, ""), metrics))
