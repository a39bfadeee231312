"""Stage train: one model fitted on the whole training set, and what it answers."""

from importlib import import_module
from pathlib import Path

import joblib
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from stages._answers import answers
from stages._arrays import as_rows, load, save_group
from stages._progress import joblib_progress
from stages._tasks import Task, task_labels


def fit(model: BaseEstimator, X: NDArray, y: NDArray) -> BaseEstimator:
    """``model`` fitted on ``X`` (n, 784) and ``y`` (n,), with every core."""
    with parallel_config(backend="threading"):
        return model.fit(X, y)


def main(
    params: Path,
    task: Task,
    model: str,
    images: Path,
    labels: Path,
    test_images: Path,
    dtype: str,
    decimals: int,
    answers_out: Path,
    model_out: Path | None = None,
) -> None:
    """Fit ``stages/models/{model}.py``; write its answers, and the model (joblib).

    ``decimals`` are as many as are the same on any CPU and by any implementation; a model whose
    own numbers are not is not written.
    """
    X = as_rows(load(images), dtype)
    y = task_labels(task, load(labels), params)
    estimator = import_module(f"stages.models.{model}").build(params, X)
    with joblib_progress(None, f"train {task} {model}"):
        fit(estimator, X, y)
    test = as_rows(load(test_images), dtype)
    save_group(answers_out, **answers(estimator, X[:1], test, decimals))
    if model_out:
        model_out.parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(estimator, model_out)
