"""A progress bar on a terminal, a line now and then anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 20


def progress(total: int | None, label: str) -> tqdm:
    """A :class:`tqdm.tqdm` on standard error that counts to ``total``, if that is known."""
    if sys.stderr.isatty():
        return tqdm(total=total, desc=label)
    count = "{n_fmt} of {total_fmt}, " if total else ""
    line = f"{{desc}}: {count}{{elapsed}} elapsed\n"
    return tqdm(total=total, desc=label, bar_format=line, mininterval=SECONDS_BETWEEN_LINES)


@contextmanager
def joblib_progress(total: int | None, label: str) -> Iterator[None]:
    """Count every joblib task that ends meanwhile, those of nested calls included.

    joblib has no public hook for this; replacing its callback is the way that the
    ``tqdm_joblib`` package takes, without its dependency on notebooks.
    """
    original = joblib.parallel.BatchCompletionCallBack
    with progress(total, label) as bar:

        class Counted(original):  # type: ignore[valid-type, misc]
            def __call__(self, *args: object, **kwargs: object) -> object:
                bar.update(self.batch_size)
                return super().__call__(*args, **kwargs)

        joblib.parallel.BatchCompletionCallBack = Counted
        try:
            yield
        finally:
            joblib.parallel.BatchCompletionCallBack = original
