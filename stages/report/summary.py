"""The figures that runs are compared by."""

from collections.abc import Mapping
from typing import Any

from stages.report.results import value


def summarise(
    figures: Mapping[str, Mapping[str, str]], metrics: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The figures that runs are compared by, by model and name.

    Args:
        figures: Of each, by model and name, its dotted key.
        metrics: All that is measured, nested by the names of folders, files and keys.

    Returns:
        Each as it is measured. One that does not exist in this run is left out.
    """
    return {
        model: {
            name: found
            for name, key in of_model.items()
            if (found := value(metrics, key)) is not None
        }
        for model, of_model in figures.items()
    }
