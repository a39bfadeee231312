"""What reruns when: the README's table, by real runs of DVC."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clone import Clone

ALWAYS = {"check_params", "compare_notebook"}


def replaced(file: str, before: str, after: str) -> Callable[[Clone], None]:
    def edit(clone: Clone) -> None:
        path = clone.folder / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    return edit


def param(**values: Any) -> Callable[[Clone], None]:
    return lambda clone: clone.edit(**values)


EDITS = {
    "a threshold": (param(binary__thresholds__decision__sgd=1000), ALWAYS | {"evaluate_binary"}),
    "the target precision": (
        param(binary__thresholds__precision=0.95),
        ALWAYS | {"evaluate_binary"},
    ),
    "the grid": (
        param(grid__n_neighbors=[1, 7]),
        ALWAYS | {"search_grid", "evaluate_neighbors@knn", "evaluate_neighbors@knn_augmented"},
    ),
    "the shifts": (
        param(augment__shifts=[[2, 0]]),
        ALWAYS
        | {"augment", "find_neighbors@test_in_augmented", "evaluate_neighbors@knn_augmented"},
    ),
    "a hyperparameter of the forest": (
        param(forest__n_estimators=12),
        ALWAYS | {"cross_validate_binary@forest", "train_binary_forest", "evaluate_binary"},
    ),
    "a line of the forest's file": (
        replaced("stages/models/forest.py", "Random forest", "A random forest"),
        {"cross_validate_binary@forest", "train_binary_forest"},
    ),
    "the plotted pair": (param(errors__pair=[4, 9]), ALWAYS | {"analyse_errors"}),
    "a plot's title": (replaced("dvc.yaml", "ROC curves", "The ROC curves"), set()),
    "a comment in params.yaml": (replaced("params.yaml", "# Every", "# Each"), set()),
    "the README": (replaced("README.md", "Digitline", "The Digitline"), set()),
    "the version of a tool": (replaced("requirements.txt", "pytest==", "pytest==0"), set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_runs_what_it_changes(clone: Clone, name: str) -> None:
    edit, stages = EDITS[name]
    edit(clone)
    try:
        assert clone.repro() == stages
        clone.undo_edits()
        # DVC restores what it has run before, but for a stage that writes a file to git that is
        # neither metric nor plot.
        assert clone.repro() <= {"compare_notebook"}
    finally:
        clone.undo()
